"""Where fragments stand, as sidx and mfra say, or as a look shows: hints for fetching their tables side by side, never what is gone by.

Source: ISO/IEC 14496-12 8.8.9 to 8.8.11 (mfra, tfra, mfro), 8.16.3 (sidx).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ffbind.errors import CorruptError
from ffbind.fetching import FetchingSource
from ffbind.limits import Limits

from .boxes import Fields, children
from .chains import begin_chains

__all__ = ["FragmentHints", "places_of_sidx"]

_TAIL = 64 << 10  # read where mfra may end; the whole box in most files
_LEAST = 4 << 10  # bytes of a fragment that are fetched at least: its moof, and the header behind it
_WORTH = 256 << 10  # what is left of the file has to be more than this for hints to save requests
_FARTHEST = 2**62  # no file reaches there
_FEW = 2  # hints from sidx: fewer are those of one segment, and say nothing of the others


class FragmentHints:
    """Collects the places of fragments while the top level of a file is walked, and has the source fetch what stands there."""

    def __init__(self, source: FetchingSource, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._places: set[int] = set()
        self._looked = False  # for mfra
        self._new = False  # places that were not fetched yet
        self._bytes = _LEAST
        self._asked = False  # whether chains are worth it
        self._last: int | None = None  # where the moof before stands
        self._piece: int | None = None  # what is read of each fragment, once chains were begun

    @property
    def at_once(self) -> int:
        """How many requests the source makes side by side."""
        return self._source.settings.at_once

    def take_sidx(self, end: int, payload: memoryview) -> None:
        """Take the places that a segment index names; `end`: where its box ends, which is what it counts from."""
        self._add(places_of_sidx(end, payload))

    def behind(self, position: int) -> list[int]:
        """Give the places behind a moof, ascending; what stands at the end of the file is looked up where sidx named too few."""
        if not self._looked and self._source.size - position > _WORTH:
            self._looked = True
            if sum(place > position for place in self._places) < _FEW:
                self._read_mfra(position)
        return sorted(place for place in self._places if place > position)

    def fetch(self, position: int, length: int) -> int | None:
        """Have later fragments come; `position` and `length` are those of a moof just read.

        Gives how many bytes to read at least at a time from here on, 0 for no more than is asked for; None: as before.
        """
        places = self.behind(position) if not self._looked or length > self._bytes or self._new else []
        if length > self._bytes or self._new:
            self._bytes = max(self._bytes, length + length // 2)
            self._new = False
            self._source.expect(((place, self._bytes) for place in places), tables=True)
        if len(self._places) >= _FEW:
            return 0
        if self._looked and self._last is not None and not self._asked:
            self._asked = True
            if begin_chains(self._source, self._limits, position, position - self._last, self._bytes):
                self._piece = self._bytes
        self._last = position
        return self._piece

    def end(self) -> None:
        """Take in that all fragments were read. What was read of each is in the way of runs of media from here on."""
        if self._looked:
            self._source.forget_small(self._bytes)

    def _add(self, places: NDArray[np.int64]) -> None:
        known = len(self._places)
        for place in places[: self._limits.boxes].tolist():
            if 0 < place < self._source.size and len(self._places) < self._limits.boxes:
                self._places.add(place)
        self._new |= len(self._places) > known

    def _read_mfra(self, position: int) -> None:
        """Take the places that the index of random access at the end of the file names, if there is one."""
        size = self._source.size
        tail = self._source.read_at(max(position, size - _TAIL), _TAIL)
        if len(tail) < 16 or bytes(tail[-12:-8]) != b"mfro":
            return
        length = int.from_bytes(tail[-4:], "big")
        if not 8 <= length <= min(size - position, self._limits.header_bytes):
            return
        if length > len(tail):
            tail = self._source.read_at(size - length, length)
        mfra = tail[len(tail) - length :]
        if bytes(mfra[4:8]) != b"mfra":
            return
        try:
            for box in children(mfra[8:], "mfra"):
                if box.type == b"tfra":
                    self._take_tfra(box.fields())
        except CorruptError:
            return

    def _take_tfra(self, fields: Fields) -> None:
        version, _ = fields.version_and_flags()
        fields.take(4)
        sizes = fields.unsigned(4)
        count = fields.unsigned(4)
        wide = 8 if version == 1 else 4
        entry = 2 * wide + 3 + (sizes >> 4 & 3) + (sizes >> 2 & 3) + (sizes & 3)
        rows = np.frombuffer(fields.take(count * entry), np.uint8).reshape(count, entry)
        offsets = np.ascontiguousarray(rows[:, wide : 2 * wide]).view(f">u{wide}")[:, 0]
        self._add(offsets[offsets < self._source.size].astype(np.int64))


def places_of_sidx(end: int, payload: memoryview) -> NDArray[np.int64]:
    """Give the places that a segment index names, and that behind the last of them; none where it is damaged.

    `end`: where its box ends, which is what it counts from.
    """
    fields = Fields(payload, "sidx")
    try:
        version, _ = fields.version_and_flags()
        fields.take(8)
        size = 4 if version == 0 else 8
        fields.take(size)
        place = end + fields.unsigned(size)
        fields.take(2)
        table = fields.table(fields.unsigned(2), 3)
    except CorruptError:
        return np.zeros(0, np.int64)
    if place >= _FARTHEST:
        return np.zeros(0, np.int64)
    return place + np.concatenate(([0], np.cumsum(table[:, 0] & 0x7FFFFFFF)))
