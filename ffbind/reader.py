"""Reads samples in runs: one read of the source for neighbours in the file, kept for a while, handed out with lengths."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import OrderedDict
from dataclasses import dataclass

from .columns import StructuredArray
from .errors import CorruptError
from .fetching import FetchingSource
from .framing import LENGTH_PREFIXED, Framing
from .limits import Limits
from .sources import Source, read_exactly
from .unframe import unwrap

__all__ = ["SampleReader"]

_MAX_GAP = 64 * 1024
"""Bytes between two samples (audio, mostly) that are read and thrown away rather than read around."""

_KEPT_BYTES = 32 << 20
"""What is kept of the last reads: more than a GOP of most cameras, whose headers are read first and whose samples then."""

_RUN_COST = 512
"""Bytes that a run takes besides its data, so that many short ones are bounded too."""


@dataclass(frozen=True, slots=True)
class _Run:
    first: int
    end: int  # row behind the last one
    offset: int
    data: memoryview


class SampleReader:
    """Hands out the bytes of samples, reading ahead in decode order by up to `ahead` bytes. Not for two threads at once.

    One read is of `most` bytes at most (16 times `ahead` where nothing is said), but for a sample that is larger, and reads over up to
    `gap` bytes between samples. Reads of a `FetchingSource` are counted there and kept there; it is told of all that one read is for,
    and gives what it has of that.

    Whatever the `framing` in the file, each NAL unit comes behind its length: views of what was read where the file has lengths,
    memory of its own otherwise.

    What was read stays at hand until `kept` bytes of later reads have pushed it out (least recently used first; the last read
    always stays), so that going over the same samples again reads nothing.
    """

    def __init__(
        self,
        source: Source,
        samples: StructuredArray,
        ahead: int,
        limits: Limits | None = None,
        kept: int = _KEPT_BYTES,
        framing: Framing = LENGTH_PREFIXED,
        *,
        most: int | None = None,
        gap: int = _MAX_GAP,
    ) -> None:
        self._source = source
        self._fetching = source if isinstance(source, FetchingSource) else None
        self._offsets = samples["offset"]
        self._sizes = samples["size"]
        self._ahead = ahead
        self._most = 16 * ahead if most is None else most
        self._gap = gap
        self._limits = limits or Limits()
        self._framing = framing
        self._kept = kept
        self._kept_now = 0
        self._runs: OrderedDict[int, _Run] = OrderedDict()  # by first row, least recently used first
        # First rows, ascending. No run holds all of another, so ends ascend too, and one look finds the run of a row.
        self._firsts: list[int] = []
        self._run = _Run(0, 0, 0, memoryview(b""))  # the last one used
        self.headers = 0  # samples whose headers were read, counted by who reads them
        self.reads = 0
        self.bytes = 0

    def renew(self, samples: StructuredArray) -> None:
        """Go by a table that begins with the one before; what was read stays."""
        self._offsets, self._sizes = samples["offset"], samples["size"]

    @property
    def far(self) -> bool:
        """Whether a read may be a request to a store."""
        return self._fetching is not None

    def read(self, row: int, last: int | None = None) -> memoryview:
        """Give the bytes of one sample; `last` is a row up to which the caller will go on, to read them in one go.

        CorruptError where the sample reaches beyond the end of the file or its framing is damaged, LimitError where it is too
        large, SourceError where the source fails.
        """
        offset, size = self.check(row)
        run = self._at_hand(row) or self._read_run(row, row if last is None else last)
        start, lead = offset - run.offset, self._framing.lead(offset)
        return unwrap(self._framing, run.data[start - lead : start + size], lead)

    def check(self, row: int) -> tuple[int, int]:
        """Raise what keeps a sample from being read at all (see `read`); give where it starts, and its size."""
        offset: int = self._offsets.item(row)
        size: int = self._sizes.item(row)
        if offset + size > self._source.size:
            raise CorruptError(
                f"the sample at offset {offset} ends at {offset + size}, behind the end of the file ({self._source.size} bytes): "
                "the file was cut short; copy it again"
            )
        self._limits.check_sample(offset, size)
        return offset, size

    def fits(self, row: int) -> bool:
        """Say whether the sample lies within the source."""
        return int(self._offsets[row]) + int(self._sizes[row]) <= self._source.size

    def _at_hand(self, row: int) -> _Run | None:
        run = self._run
        if run.first <= row < run.end:
            return run
        place = bisect_right(self._firsts, row) - 1
        if place < 0:
            return None
        run = self._runs[self._firsts[place]]
        if row >= run.end:
            return None
        self._runs.move_to_end(run.first)
        self._run = run
        return run

    def _keep(self, run: _Run) -> None:
        """Keep a run whose first row was not at hand; others leave until all fit."""
        place = bisect_right(self._firsts, run.first)
        while place < len(self._firsts) and self._runs[self._firsts[place]].end <= run.end:
            self._drop(self._firsts[place])  # all of it was read again
        insort(self._firsts, run.first)
        self._runs[run.first] = self._run = run
        self._kept_now += len(run.data) + _RUN_COST
        while self._kept_now > self._kept and len(self._runs) > 1:
            self._drop(next(iter(self._runs)))

    def _drop(self, first: int) -> None:
        self._kept_now -= len(self._runs.pop(first).data) + _RUN_COST
        del self._firsts[bisect_right(self._firsts, first) - 1]

    def _read_run(self, row: int, last: int) -> _Run:
        first = int(self._offsets[row])
        start = first - self._framing.lead(first)
        least = stop = first + int(self._sizes[row])
        end = row + 1
        while end < len(self._offsets):
            offset, size = int(self._offsets[end]), int(self._sizes[end])
            if not stop <= offset <= stop + self._gap or not self.fits(end):
                break
            if offset + size - start > self._ahead and (end > last or offset + size - start > self._most):
                break
            stop = offset + size
            end += 1
        if self._fetching is not None:
            data = self._fetching.read_some(start, least - start, stop - start)
            while end > row + 1 and int(self._offsets[end - 1]) + int(self._sizes[end - 1]) > start + len(
                data
            ):
                end -= 1
        else:
            data = read_exactly(self._source, start, stop - start)
            self.reads += 1
            self.bytes += len(data)
        run = _Run(row, end, start, data)
        self._keep(run)
        return run
