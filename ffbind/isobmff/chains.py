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

__all__ = ["FragmentChains"]

# A moof and the mfhd that it begins with (ISO/IEC 14496-12 8.8.4, 8.8.5), but for the size of the moof.
_SIGNATURE = b"moof\0\0\0\x10mfhd"
_FEWEST = 4  # fragments for each chain, for it to be worth a look
_MOST_LOOKED_AT = 1 << 20  # bytes of a place where a moof is looked for
_LARGEST = 16  # times what is read at first: what says that it is larger is no moof


class FragmentChains:
    """Walks along fragments in threads, which end where the next chain begins, with the file, or with an error."""

    def __init__(self, source: FetchingSource, limits: Limits) -> None:
        self._source = source
        self._limits = limits

    def begin(self, position: int, distance: int, piece: int) -> bool:
        """Look for fragments behind the one at `position`, and walk along from them. False where that is not worth it.

        `distance`: how far it is from one to the next, about; `piece`: bytes to read of each, which hold its moof as a rule.
        """
        chains, left = self._source.settings.at_once, self._source.size - position
        if chains < 2 or left < distance * chains * _FEWEST:
            return False
        window = min(max(distance + distance // 4, piece), _MOST_LOOKED_AT)
        places = [position + left * chain // chains for chain in range(1, chains)]
        found = []
        for place, data in zip(
            places, self._source.read_ranges([(place, window) for place in places]), strict=True
        ):
            at = bytes(data).find(_SIGNATURE)
            if at >= 4:
                found.append(place + at - 4)
        for first, end in pairwise([*found, self._source.size]):
            threading.Thread(
                target=self._walk, args=(first, end, piece), name="ffbind-fragments", daemon=True
            ).start()
        return True

    def _walk(self, place: int, end: int, piece: int) -> None:
        try:
            for _ in range(self._limits.boxes):
                if place >= end:
                    return
                head = self._source.read_at(place, piece)
                length = _length(head, 0)
                if length is None or (bytes(head[4:8]) == b"moof" and length > _LARGEST * piece):
                    return
                if bytes(head[4:8]) == b"moof":
                    # What stands behind it is read with it, so that a fragment is one request.
                    if length + 16 > len(head):
                        head = self._source.read_at(place, length + 16)
                    behind = _length(head, length)
                    if behind is None:
                        return
                    length += behind
                place += length
        except FFbindError:
            return  # whoever needs these bytes will be told


def _length(data: memoryview, at: int) -> int | None:
    """Give the length that a box says it has, None where it says none, or is not there."""
    length = int.from_bytes(data[at : at + 4], "big")
    if length == 1:
        length = int.from_bytes(data[at + 8 : at + 16], "big")
    return length if length >= 8 else None
