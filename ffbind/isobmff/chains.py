"""Fragments that neither sidx nor mfra names, in a source that is far: walked along from several places of the file at once.

    file    moof mdat moof mdat moof mdat moof mdat moof mdat moof mdat moof mdat moof mdat
    walk    |------------------------>|------------------------>|------------------------>|
                                      a moof is looked for here, and here

What is found only brings bytes to where the walk from the front will ask for them: it alone says what is a fragment.
"""

from __future__ import annotations

import threading
from itertools import pairwise

from ffbind.errors import FFbindError
from ffbind.fetching import FetchingSource
from ffbind.limits import Limits

from .boxes import read_header

__all__ = ["begin_chains"]

# A moof and the mfhd that it begins with (ISO/IEC 14496-12 8.8.4, 8.8.5), but for the size of the moof.
_SIGNATURE = b"moof\0\0\0\x10mfhd"
_FEWEST = 4  # fragments for each chain, for it to be worth a look
_MOST_LOOKED_AT = 1 << 20  # bytes of a place where a moof is looked for
_LARGEST = 16  # times what is read at first: what says that it is larger is no moof


def begin_chains(source: FetchingSource, limits: Limits, position: int, distance: int, piece: int) -> bool:
    """Look for fragments behind the one at `position`, and walk along from them in threads. False where that is not worth it.

    `distance`: how far it is from one to the next, about; `piece`: bytes to read of each, which hold its moof as a rule. The threads
    end where the next chain begins, with the file, or with an error.
    """
    settings = source.settings
    chains, left = max(settings.at_once, settings.tables_at_once), source.size - position
    if chains < 2 or left < distance * chains * _FEWEST:
        return False
    window = min(max(distance + distance // 4, piece), _MOST_LOOKED_AT)
    places = [position + left * chain // chains for chain in range(1, chains)]
    found = []
    for place, data in zip(places, source.read_ranges([(place, window) for place in places]), strict=True):
        at = bytes(data).find(_SIGNATURE)
        if at >= 4:
            found.append(place + at - 4)
    for first, end in pairwise([*found, source.size]):
        threading.Thread(
            target=_walk, args=(source, limits, first, end, piece), name="ffbind-fragments", daemon=True
        ).start()
    return True


def _walk(source: FetchingSource, limits: Limits, place: int, end: int, piece: int) -> None:
    try:
        for _ in range(limits.boxes):
            if place >= end:
                return
            head = source.read_at(place, piece)
            length, box_type = _box(head, 0)
            if box_type == b"moof" and length:
                if length > _LARGEST * piece:
                    return
                # What stands behind it is read with it, so that a fragment is one request.
                if length + 16 > len(head):
                    head = source.read_at(place, length + 16)
                behind, _ = _box(head, length)
                length = length + behind if behind else 0
            if length == 0:
                return
            place += length
    except FFbindError:
        return  # whoever needs these bytes will be told


def _box(data: memoryview, at: int) -> tuple[int, bytes]:
    """Give size and type of a box; size 0 where it says none that a walk can go on by, or is not there."""
    if len(data) - at < 8:
        return 0, b""
    length, box_type, header = read_header(data, at)
    return (length if length >= header else 0), box_type
