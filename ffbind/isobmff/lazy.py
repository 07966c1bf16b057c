"""The table of a long fragmented file, of which fragments are read when frames need them.

    file      moov | moof mdat | moof mdat | moof mdat | moof mdat | moof mdat | moof mdat |
    places         ^           ^           ^           ^           ^           ^           as sidx or mfra name them
    read           |-----------|                       |-----------------------|
    rows            0 1 2 3 4 5                          6 7 8 9 .  .  .  .  .
                                                         ^ a break: what comes before row 6 in the stream is not known

A place is believed where a fragment stands whose boxes lead on, to the next place and no farther. Where something else stands there,
the whole table has to be read.

Source: ISO/IEC 14496-12 8.8 (movie fragments), 8.8.12 (tfdt), 8.16.3 (sidx).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ffbind.fetching import FetchingSource
from ffbind.index import VideoIndex
from ffbind.limits import Limits
from ffbind.sources import Source

from .boxes import read_header
from .fragments import Run, read_fragments
from .hints import places_of_sidx
from .movie import build_index, describe, index_of, read_movie
from .top_level import FIRST_BOXES, Window, walk_top_level

__all__ = ["LazyTable", "PartialIndex", "open_table"]

_PIECE = 4 << 10  # read of a part at least: its moof as a rule, and the header behind it
_MOST_READ = 8 << 20  # at once of a part, media in it included
_MOST_BOXES = 256  # of one part that are looked at on the way to a frame
_MOST_PARTS = 1024  # read for one frame
_MOST_EARLIER = 63  # parts in front of that, where it turns out that decoding starts earlier
_STEPS = 2  # in a row that are taken for a habit
_MOST_WARMED = 32  # parts whose fragments come ahead where one is wanted after the other


class _Unclear(Exception):
    """What sidx or mfra says is not so, or the fragments that a frame needs cannot be told by themselves."""


@dataclass(frozen=True, slots=True)
class PartialIndex:
    """The rows that are known of a table, and `breaks`: those in front of which the stream is not known, ascending.

    Places in presentation order are counted over these rows alone, so they and times say nothing of the video.
    """

    index: VideoIndex
    breaks: tuple[int, ...]


class _Moof(NamedTuple):
    position: int
    payload: bytes
    runs: list[Run]  # of the track


@dataclass(slots=True)
class _Part:
    """What stands between two places: its fragments, read in order. `reached`: where the first box is that was not looked at."""

    reached: int
    moofs: list[_Moof] = field(default_factory=list)
    boxes: int = 0


class LazyTable:
    """The table of one track. Not for two threads at once; it can be pickled, without its source.

    `size`, `identity`: of the source that it is of.
    """

    def __init__(
        self,
        moov: bytes,
        track_id: int,
        places: Sequence[int],
        size: int,
        identity: str,
        limits: Limits,
        read: Iterable[tuple[int, int, Sequence[tuple[int, bytes]]]] = (),
    ) -> None:
        """`places`: where parts begin, the first fragment foremost; `read`: what is known of them, as pickling keeps it."""
        self.size, self.identity = size, identity
        self._moov, self._limits = moov, limits
        self._movie = read_movie(memoryview(moov), limits)
        self._track = self._movie.choose({}, track_id)
        self._described = describe(self._track, limits)
        self._places = list(places)
        self._parts: dict[int, _Part] = {}
        self._piece = _PIECE
        self._moof_bytes = 0
        for place, reached, moofs in read:
            self._parts[place] = _Part(reached, [self._moof(*moof) for moof in moofs], len(moofs))
        self._partial: PartialIndex | None = None
        self._number = -2  # of the part that was wanted last
        self._farthest = -1  # byte offset that was wanted since parts are wanted one after the other
        self._steps = 0  # how often one farther on was wanted
        self._warmed = -1  # place in front of which all fragments come ahead
        self._warm = 1

    def __reduce__(self) -> tuple[Any, ...]:
        read = [
            (place, part.reached, [(moof.position, moof.payload) for moof in part.moofs])
            for place, part in self._parts.items()
        ]
        own = (self._moov, self.track_id, self._places, self.size, self.identity, self._limits, read)
        return LazyTable, own

    @property
    def track_id(self) -> int:
        """The track's id in the file."""
        return self._track.track_id

    @property
    def partial(self) -> PartialIndex:
        """What is known so far."""
        if self._partial is None:
            runs: list[Run] = []
            breaks: list[int] = []
            rows, follows = 0, self._places[0]
            for place in sorted(self._parts):
                part = self._parts[place]
                is_apart = place != follows
                for moof in part.moofs:
                    if moof.runs and is_apart:
                        breaks.append(rows)
                        is_apart = False
                    runs += moof.runs
                    rows += sum(run.count for run in moof.runs)
                follows = -1 if is_apart else part.reached
            index = build_index(
                self._movie,
                self._track,
                self._described,
                runs,
                self.size,
                self.identity,
                self._limits,
                breaks,
            )
            self._partial = PartialIndex(index, tuple(breaks))
        return self._partial

    def begin(self, source: FetchingSource) -> bool:
        """Read the first fragment; False where the table has to be read as a whole."""
        first = self._places[0]
        try:
            # A place that does not fit what stands behind the fragment shows here that others will not.
            part = self._begin_part(source, first)
        except _Unclear:
            return False
        return bool(part.moofs and part.moofs[0].runs)

    def read_for(
        self, source: FetchingSource, wanted: Sequence[tuple[int, int | None]], earlier: int = 0
    ) -> bool:
        """Read the fragments that frames need; False where that cannot be told, and the whole table has to be read.

        `wanted`: byte offsets of samples, each with that of an IRAP where decoding may start, or None. `earlier`: how often it turned
        out that decoding starts in front of what was read for the last of them: more fragments are read each time.
        """
        back = (1 << earlier) - 1
        if back > _MOST_EARLIER:
            return False
        both = [*wanted, *((irap, None) for offset, irap in wanted if irap is not None and irap > offset)]
        spans: list[tuple[int, int]] = []
        ranges: list[tuple[int, int]] = []
        for offset, irap_offset in both:
            nearest = offset if irap_offset is None else min(offset, irap_offset)
            first = bisect_right(self._places, nearest) - 1
            # What lies in front of all fragments is no sample of theirs; the look-up will say so.
            if first < 0 or offset >= self.size:
                continue
            start = self._places[max(first - back, 0)]
            missing = [place for place in self._between(start, offset) if place not in self._parts]
            if len(missing) > _MOST_PARTS:
                return False
            spans.append((start, offset))
            # Where decoding begins with what is missing, it reads what stands between the fragments too.
            if missing and irap_offset is not None and 0 <= irap_offset - missing[0] <= source.settings.gap:
                ranges.append((missing[0], min(offset - missing[0] + source.settings.gap, _MOST_READ)))
            ranges += [(place, self._piece) for place in missing]
        try:
            source.ask(ranges)
            for start, offset in spans:
                self._read_span(source, start, offset)
            if spans:
                self._go_on(source, spans[-1][1])
        except _Unclear:
            return False
        return True

    # Inside

    def _between(self, place: int, offset: int) -> list[int]:
        """Give the places from one on, up to that of the part that has the bytes at `offset`."""
        return self._places[bisect_left(self._places, place) : bisect_right(self._places, offset)]

    def _end(self, place: int) -> int:
        """Say where the part that begins at a place ends."""
        behind = bisect_right(self._places, place)
        return self._places[behind] if behind < len(self._places) else self.size

    def _read_span(self, source: FetchingSource, place: int, offset: int) -> None:
        """Read all fragments from the part at `place` on, up to the one that has the bytes at `offset`."""
        while place <= offset and place < self.size:
            self._advance(source, place, offset)
            place = self._end(place)

    def _go_on(self, source: FetchingSource, offset: int) -> None:
        """Where frames are wanted one after the other, have the fragments behind come, and take in those that are here."""
        number = bisect_right(self._places, offset) - 1
        following = self._places[number + 1 : number + 1 + _MOST_WARMED]
        # In the order of showing some of them lie in front of the one before.
        if number not in (self._number, self._number + 1):
            self._steps, self._farthest = 0, offset
        elif offset > self._farthest:
            self._steps, self._farthest = self._steps + 1, offset
        self._number = number
        if self._steps < _STEPS:
            self._warmed, self._warm = -1, 1
            return
        for other in following:
            if other not in self._parts:
                if len(source.at_hand(other, self._piece)) < min(self._piece, self.size - other):
                    break
                self._begin_part(source, other)
            if self._parts[other].reached < self._end(other):
                break  # what is read of it later comes in front of those behind
        half = self._warm // 2
        if len(following) > half and following[half] > self._warmed:
            self._warm = min(2 * self._warm, _MOST_WARMED)
            coming = [
                place
                for place in following[: self._warm]
                if place > self._warmed and place not in self._parts
            ]
            self._warmed = following[: self._warm][-1]
            source.ask((place, self._piece) for place in coming)

    def _begin_part(self, source: FetchingSource, place: int) -> _Part:
        """Read the first fragment of a part, and what stands behind that."""
        self._advance(source, place, place)
        self._advance(source, place, self._parts[place].reached)
        return self._parts[place]

    def _advance(self, source: FetchingSource, place: int, until: int) -> None:
        """Walk along the boxes of a part until one begins behind `until`."""
        part = self._parts.get(place) or _Part(place)
        window = Window(source)
        while part.reached <= until and self._end(place) - part.reached >= 8:
            position = part.reached
            if part.boxes == _MOST_BOXES:
                raise _Unclear
            # The rest of what is read at first, then as much again as was gone over: where fragments are many, they are small.
            gone = position - place
            window.ahead = self._piece - gone if gone + 16 <= self._piece else min(gone, _MOST_READ)
            length, box_type, header = read_header(window.read(position, min(16, self.size - position)))
            if length == 0 and header == 8:
                length = self.size - position
            end = self._end(place)
            if box_type not in FIRST_BOXES or length < header:
                raise _Unclear
            if position + length > end and end != self.size:
                raise _Unclear
            if box_type in (b"moof", b"sidx") and position + length <= self.size:
                self._limits.check(length, self._limits.header_bytes, f"bytes of {box_type.decode()}")
                payload = window.read(position, length)[header:]
                if box_type == b"moof":
                    part.moofs.append(self._take_moof(position, bytes(payload), place, end))
                else:
                    self._take_places(places_of_sidx(position + length, payload), position + length, end)
            part.reached = position + length
            part.boxes += 1
            self._parts[place] = part
            self._partial = None

    def _take_moof(self, position: int, payload: bytes, place: int, end: int) -> _Moof:
        """Take a fragment whose samples lie in its own part, and whose times are its own."""
        moof = self._moof(position, payload)
        if moof.runs and moof.runs[0].start is None:
            raise _Unclear
        for run in moof.runs:
            if run.offset < place or (run.offset + run.data_size() > end and end != self.size):
                raise _Unclear
        return moof

    def _moof(self, position: int, payload: bytes) -> _Moof:
        moofs = [(position, memoryview(payload))]
        runs = read_fragments(moofs, self._movie.trex, self.size, self._limits)
        self._limits.check(self._moof_bytes + len(payload), self._limits.header_bytes, "bytes of moof boxes")
        self._moof_bytes += len(payload)
        self._piece = max(self._piece, min(2 * len(payload), _MOST_READ))
        return _Moof(position, payload, runs.get(self.track_id, []))

    def _take_places(self, places: NDArray[np.int64], first: int, end: int) -> None:
        """Take the places that a segment index within a part names, which make several of it."""
        found = {place for place in places.tolist() if first < place < end}
        if found:
            self._limits.check(len(found) + len(self._places), self._limits.boxes, "places of fragments")
            self._places = sorted(found.union(self._places))


def open_table(
    source: Source, track: int | None = None, *, limits: Limits | None = None
) -> VideoIndex | LazyTable:
    """Read the table of a video track: all of it, or of a long fragmented file that is far what is needed to open it.

    See `movie.read_index`; damage in fragments that are read later is an error then.
    """
    limits = limits or Limits()
    top = walk_top_level(source, limits, lazily=True)
    if top.places:
        if isinstance(source, FetchingSource):
            chosen = read_movie(top.moov, limits).choose_before(track)
            if chosen is not None and chosen.samples_in_moov == 0 and len(describe(chosen, limits)) == 1:
                places = (top.moofs[0][0], *top.places)
                table = LazyTable(
                    bytes(top.moov), chosen.track_id, places, source.size, source.identity, limits
                )
                if table.begin(source):
                    return table
        top = walk_top_level(source, limits)
    return index_of(source, top, track, limits)
