"""Which bytes will be wanted: those of frames that were asked for together, and those that stepping or playing asks for next.

together            each GOP from its IRAP to the last frame wanted of it: exactly what decoding reads
stepping forward    what is left of the GOP, and the next one
stepping backward   the GOP before
anything else       nothing more: the run from the IRAP to the frame is one read anyway
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from .fetching import FetchingSource
from .hevc import Kind
from .index import VideoIndex
from .samples import Samples

__all__ = ["Ahead"]

_STEP = 4
"""Frames that one step goes over at most, for it to be one: playing at four times the speed still is."""

_STEPS = 2
"""Steps in a row, in one direction, that are taken for a habit."""

_FIRST_BYTES, _MOST_BYTES = 512 << 10, 4 << 20
"""What is kept coming in front of such steps where GOPs are short: twice as much each time it is used up."""


class Ahead:
    """Tells the source of a video what will be wanted. Told of each frame, it knows the pattern; a jump ends what was expected."""

    def __init__(self, samples: Samples, source: FetchingSource) -> None:
        self._samples = samples
        self._source = source
        self._place = self._row = -2 - _STEP  # no frame is a step from here
        self._steps = 0  # in a row by place, negative for backward
        self._rows = 0  # in a row by row of the table, forward
        self._bytes = _FIRST_BYTES
        self._until = 0  # row behind the last one expected by stepping forward, 0 for none
        self._expecting = False
        self._looked = False
        self._gops_of: VideoIndex | None = None
        self._gop_rows: NDArray[np.int64] = np.zeros(0, np.int64)
        self._begun = -1  # last row of the batches that decoding has begun with

    def first_sample(self, row: int) -> None:
        """Expect the first sample, once: whether it brings parameter sets is asked before the first frame is decoded.

        `row`: that of this frame. Where decoding it begins with the first sample, its run has it.
        """
        if not self._looked:
            self._looked = True
            if self._start(row) > 0 and not self._first_is_known():
                self._source.expect(self._ranges(0, 1))

    def frame(self, row: int, place: int) -> None:
        """Take in that the frame of a row is asked for by itself; `place`: its place in presentation order, negative for none."""
        if row == self._row:
            return
        step = place - self._place
        if place < 0 or not 0 < abs(step) <= _STEP:
            self._steps = 0
        else:
            self._steps = (self._steps if self._steps * step > 0 else 0) + (1 if step > 0 else -1)
        self._rows = self._rows + 1 if 0 < row - self._row <= _STEP else 0
        self.first_sample(row)
        self._row, self._place = row, place
        if self._steps >= _STEPS or self._rows >= _STEPS:
            self._forward(row)
        elif self._steps <= -_STEPS:
            self._backward(row)
        else:
            self._until, self._bytes = 0, _FIRST_BYTES
            self._jump(row)

    def again(self, row: int) -> None:
        """Have the run of a frame come as one whose GOP is decoded anew: with its headers known, its end would be asked for first."""
        start = self._start(row)
        if self._samples.traces.knows(start):
            self._source.ask(self._ranges(start, row + 1))

    def batches(self, batches: Sequence[Sequence[int]]) -> None:
        """Expect what batches of rows take that decoding begins with now and later, in this order."""
        ranges: list[tuple[int, int]] = []
        if not self._looked and not self._first_is_known():
            ranges += self._ranges(0, 1)
        self._looked = True
        before = self._begun
        for number, batch in enumerate(batches):
            pictures = self._samples.pictures
            missing = sorted({row for row in batch if pictures.get(row) is None})
            for _, group in groupby(missing, key=lambda row: int(self._samples.iraps[row])):
                rows = list(group)
                start = min(map(self._start, rows))
                # What comes before the last row of the batch before was read for that one, or a decoder is past it.
                if before >= start and self._samples.iraps[before] in (
                    self._samples.iraps[start],
                    self._samples.iraps[rows[0]],
                ):
                    start = before + 1
                ranges += self._ranges(start, rows[-1] + 1)
                before = rows[-1]
            if number == 0:
                self._begun = before
        self._source.expect(ranges)
        self._expecting = bool(ranges)

    def everything(self) -> None:
        """Expect all samples, in decode order."""
        self._source.expect(self._ranges(0, len(self._samples.iraps)))
        self._expecting = True

    def _first_is_known(self) -> bool:
        """Tell whether it is known what the first sample brings: its beginning does as a rule, which came with the table."""
        samples = self._samples
        if samples.known_kind(0) is not None:
            return True
        (offset, size), *_ = self._ranges(0, 1) or [(0, 0)]
        return size > 0 and samples.settle_first(self._source.at_hand(offset, size))

    # What follows

    def _forward(self, row: int) -> None:
        """Keep the rest of this GOP and the next one coming, or more where GOPs are short; asked for when half of it is used up."""
        most = self._source.settings.ahead_bytes // 2
        used = int(self._samples.bytes_before[row + 1])
        enough = int(np.searchsorted(self._samples.bytes_before, used + self._bytes, side="left"))
        following = int(np.searchsorted(self._gops, row, side="right")) + 1
        gop_end = int(self._gops[following]) if following < len(self._gops) else len(self._samples.iraps)
        limit = max(row + 2, int(np.searchsorted(self._samples.bytes_before, used + most, side="right")) - 1)
        until = min(max(enough, gop_end), limit, len(self._samples.iraps))
        wanted = int(self._samples.bytes_before[until]) - used
        coming = int(self._samples.bytes_before[max(self._until, row + 1)]) - used
        if until <= self._until or 2 * coming > wanted:
            return
        if self._until > row:
            self._bytes = min(2 * self._bytes, _MOST_BYTES)
        self._until = until
        self._expect(self._ranges(row + 1, until))

    def _backward(self, row: int) -> None:
        """Keep the GOP before coming: going backward enters it at its end."""
        place = int(np.searchsorted(self._gops, row, side="right")) - 2
        if place < 0 or self._until == -place - 1:
            return
        self._until = -place - 1
        first, end = int(self._gops[place]), int(self._gops[place + 1])
        most = int(self._samples.bytes_before[first]) + self._source.settings.ahead_bytes // 2
        end = min(end, int(np.searchsorted(self._samples.bytes_before, most, side="right")) - 1)
        self._expect(self._ranges(first, max(end, first + 1)))

    def _jump(self, row: int) -> None:
        """Let go of what was expected. A leading picture is one run with the GOP that it refers to."""
        start = self._start(row)
        ranges = self._ranges(start, row + 1) if start < int(self._samples.iraps[row]) else []
        if ranges or self._expecting:
            self._expect(ranges)

    def _expect(self, ranges: list[tuple[int, int]]) -> None:
        self._source.expect(ranges)
        self._expecting = bool(ranges)

    # What the index says

    @property
    def _gops(self) -> NDArray[np.int64]:
        """Rows of the IRAPs that the index names, ascending; a scan may name others."""
        index = self._samples.index
        if self._gops_of is not index:
            self._gops_of = index
            self._gop_rows = np.flatnonzero(self._samples.iraps == np.arange(len(self._samples.iraps)))
        return self._gop_rows

    def _start(self, row: int) -> int:
        """Row at which decoding of a frame starts, as far as it is known before it is read.

        A leading picture whose kind is not known counts as RASL where its IRAP can have such ones.
        """
        samples = self._samples
        irap = int(samples.iraps[row])
        if irap < 0 or irap == row:
            return row
        kind, irap_kind = samples.known_kind(row), samples.known_kind(irap)
        pts = samples.index.samples["pts"]
        leading = kind is None and irap_kind in (None, Kind.CRA) and pts[row] < pts[irap]
        if irap > samples.first_known(irap) and (leading or (kind is not None and kind.is_rasl)):
            before = int(samples.iraps[irap - 1])
            return before if before >= 0 else irap
        return irap

    def _ranges(self, first: int, end: int) -> list[tuple[int, int]]:
        """Ranges of the file that the rows from `first` up to `end` lie in, in decode order; what lies behind its end is left out."""
        table = self._samples.index.samples[first:end]
        size = self._source.size
        sizes = table["size"].astype(np.int64)
        inside = (sizes <= size) & (table["offset"] <= np.maximum(size - sizes, 0).astype(np.uint64))
        starts, sizes = table["offset"][inside].astype(np.int64), sizes[inside]
        if not len(starts):
            return []
        ends = starts + sizes
        apart = (starts[1:] < ends[:-1]) | (starts[1:] > ends[:-1] + self._source.settings.gap)
        cuts = np.flatnonzero(apart)
        lows = starts[np.concatenate(([0], cuts + 1))]
        highs = ends[np.concatenate((cuts, [len(ends) - 1]))]
        framing = self._samples.index.framing
        ranges = []
        for low, high in zip(lows.tolist(), highs.tolist(), strict=True):
            low -= framing.lead(low)
            ranges.append((low, high - low))
        return ranges
