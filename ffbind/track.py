"""A video's track: its table, read as a whole or as far as frames by byte offset need it, and the decoding that goes by it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import nan
from operator import length_hint

from .decoding import Decoding
from .errors import ArgumentError, NeedsEarlierIrapError
from .fetching import FetchingSource
from .frame import Frame, Place
from .index import VideoIndex
from .isobmff import LazyTable, PartialIndex, read_index
from .limits import Limits
from .pool import ScanNeeded
from .samples import KnownPart
from .stats import Stats
from .turn import Turn

__all__ = ["Track"]

_TOGETHER = 128
"""Frames whose fragments are read together."""


class Track:
    """Frames of a track by byte offset, and the decoding by which they are found otherwise. Several threads may share it.

    As long as only part of the table is known, the decoding grows with what is read behind that. Where something before that comes to
    be known, rows get other numbers: another decoding takes its place, and what goes on with the old one (an iteration) ends with it.

    `now`: the decoding that goes by what is known.
    """

    def __init__(
        self,
        table: VideoIndex | LazyTable,
        source: FetchingSource | None,
        turn: Turn,
        limits: Limits,
        make: Callable[[VideoIndex, KnownPart | None], Decoding],
    ) -> None:
        """`source`: of a table that is not whole; `make`: makes the decoding for an index, or for what is known of one."""
        self._turn = turn
        self._make = make
        self._limits = limits
        self._users: Counter[Decoding] = Counter()  # iterations by each
        self._left: deque[Decoding] = deque()  # by those that have ended since
        self._before = Stats()  # of decodings that are closed
        self._lazy: tuple[LazyTable, FetchingSource] | None = None
        if isinstance(table, VideoIndex):
            self.now = make(table, None)
        else:
            if source is None:
                raise ArgumentError(
                    "a table that is read as frames need it is for a source that is far; open paths, bytes and file objects without"
                )
            self._lazy = table, source
            self._partial = table.partial
            self.now = make(self._partial.index, self._known_of(self._partial))

    @property
    def is_whole(self) -> bool:
        """Whether all of the table is known."""
        return self._lazy is None

    @property
    def stats(self) -> Stats:
        """Counters of all decodings there were."""
        still = (decoding.stats for decoding in self._users if decoding is not self.now)
        return sum(still, self._before + self.now.stats)

    def whole(self) -> Decoding:
        """Give the decoding by the whole table, which is read now if it was not before."""
        if self._lazy is None:
            return self.now
        with self._turn:
            if self._lazy is not None:
                table, source = self._lazy
                index = read_index(source, table.track_id, limits=self._limits)
                self._go_over(self._make(index, None))
                self._lazy = None
            return self.now

    def frame_at_offset(self, offset: int, irap_offset: int | None) -> Frame:
        """See `Video.frame_at_offset`."""
        with self._turn:
            self._settle()
            earlier = 0
            while not self.is_whole:
                decoding = self._known_for([offset], irap_offset, earlier)
                try:
                    return decoding.frame(decoding.row_at_offset(offset, irap_offset))
                except NeedsEarlierIrapError:
                    earlier += 1
                except ScanNeeded:
                    break
            decoding = self.whole()
            return decoding.frame(decoding.row_at_offset(offset, irap_offset))

    def frames_at_offsets(self, offsets: Iterable[int], irap_offset: int | None) -> Iterator[Frame]:
        """See `Video.frames_at_offsets`."""
        count = length_hint(offsets)
        left = iter(offsets)
        while not self.is_whole and (some := list(islice(left, _TOGETHER))):
            count -= len(some)
            yield from self._together(some, irap_offset)
        if self.is_whole:
            decoding = self.now
            rows = ((decoding.row_at_offset(offset, irap_offset), offset) for offset in left)
            for frame, _ in decoding.in_order(rows, max(count, 0)):
                yield frame

    def close(self) -> None:
        """Free decoders and pictures; frames stay valid."""
        self._settle()
        for decoding in {self.now, *self._users}:
            decoding.close()

    # Inside

    def _together(self, offsets: list[int], irap_offset: int | None) -> Iterator[Frame]:
        """Give frames of which the fragments are read together; one that takes others is given by itself."""
        given = 0
        while given < len(offsets):
            left = offsets[given:]
            with self._turn:
                self._settle()
                decoding = self._known_for(left, irap_offset)
                self._users[decoding] += 1
            try:
                rows = [(decoding.row_at_offset(offset, irap_offset), offset) for offset in left]
                for frame, _ in decoding.in_order(rows, len(rows)):
                    given += 1
                    yield frame
            except (NeedsEarlierIrapError, ScanNeeded):
                pass
            finally:
                # No more than that: who is not taken to its end is ended by the collector, in any thread.
                self._left.append(decoding)
            if given < len(offsets):
                given += 1
                yield self.frame_at_offset(offsets[given - 1], irap_offset)

    def _known_for(self, offsets: list[int], irap_offset: int | None, earlier: int = 0) -> Decoding:
        """Give a decoding that knows what these frames need, as far as the table says."""
        if self._lazy is not None:
            table, source = self._lazy
            if not table.read_for(source, [(offset, irap_offset) for offset in offsets], earlier):
                return self.whole()
            if table.partial is not self._partial:
                self._partial = table.partial
                if not self.now.grow(self._partial.index, self._known_of(self._partial)):
                    self._go_over(self._make(self._partial.index, self._known_of(self._partial)))
        return self.now

    def _known_of(self, partial: PartialIndex) -> KnownPart:
        return KnownPart(partial.breaks, self._place_of)

    def _go_over(self, decoding: Decoding) -> None:
        before, self.now = self.now, decoding
        self._close_unused(before)

    def _settle(self) -> None:
        """Close decodings that nobody goes by any more."""
        while self._left:
            decoding = self._left.popleft()
            self._users[decoding] -= 1
            if decoding is not self.now:
                self._close_unused(decoding)

    def _close_unused(self, decoding: Decoding) -> None:
        if not self._users[decoding]:
            del self._users[decoding]
            self._before += decoding.stats
            decoding.close()

    def _place_of(self, offset: int) -> Place:
        """Say where the frame whose sample is at a byte offset stands in the video."""
        index = self.whole().index
        row = index.row_of_offset(offset)
        display = -1 if row is None else int(index.samples["display"][row])
        if display < 0:
            return Place(-1, nan, nan)
        start, end = index.span(display)
        return Place(display, start / index.timescale, (end - start) / index.timescale)
