"""Reads samples in runs: one read of the source for neighbours in the file, handed out as views."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import CorruptError
from .index import StructuredArray
from .limits import Limits
from .sources import Source, read_exactly

__all__ = ["SampleReader"]

_MAX_GAP = 64 * 1024
"""Bytes between two samples (audio, mostly) that are read and thrown away rather than read around."""


@dataclass(frozen=True, slots=True)
class _Run:
    first: int
    end: int  # row behind the last one
    offset: int
    data: memoryview


class SampleReader:
    """Hands out the bytes of samples, reading ahead in decode order by up to `ahead` bytes. Not for two threads at once."""

    def __init__(
        self, source: Source, samples: StructuredArray, ahead: int, limits: Limits | None = None
    ) -> None:
        self._source = source
        self._offsets = samples["offset"]
        self._sizes = samples["size"]
        self._ahead = ahead
        self._limits = limits or Limits()
        self._run = _Run(0, 0, 0, memoryview(b""))
        self.reads = 0
        self.bytes = 0

    def read(self, row: int, last: int | None = None) -> memoryview:
        """Give the bytes of one sample; `last` is a row up to which the caller will go on, to read them in one go.

        CorruptError where the sample reaches beyond the end of the file, LimitError where it is too large, SourceError where the
        source fails.
        """
        self.check(row)
        offset, size = int(self._offsets[row]), int(self._sizes[row])
        run = self._run
        if not run.first <= row < run.end:
            run = self._run = self._read_run(row, row if last is None else last)
        start = offset - run.offset
        return run.data[start : start + size]

    def run(self, row: int, last: int) -> None:
        """Have the samples from `row` to `last` at hand, as far as one read reaches."""
        if self.fits(row) and not self._run.first <= row <= last < self._run.end:
            self._run = self._read_run(row, last)

    def check(self, row: int) -> None:
        """Raise what keeps a sample from being read at all; see `read`."""
        offset, size = int(self._offsets[row]), int(self._sizes[row])
        if not self.fits(row):
            raise CorruptError(
                f"the sample at offset {offset} ends at {offset + size}, behind the end of the file ({self._source.size} bytes): "
                "the file was cut short; copy it again"
            )
        self._limits.check_sample(offset, size)

    def fits(self, row: int) -> bool:
        """Say whether the sample lies within the source."""
        return int(self._offsets[row]) + int(self._sizes[row]) <= self._source.size

    def _read_run(self, row: int, last: int) -> _Run:
        start = int(self._offsets[row])
        stop = start + int(self._sizes[row])
        end = row + 1
        while end < len(self._offsets):
            offset, size = int(self._offsets[end]), int(self._sizes[end])
            if not stop <= offset <= stop + _MAX_GAP or not self.fits(end):
                break
            if offset + size - start > self._ahead and (
                end > last or offset + size - start > 16 * self._ahead
            ):
                break
            stop = offset + size
            end += 1
        data = read_exactly(self._source, start, stop - start)
        self.reads += 1
        self.bytes += len(data)
        return _Run(row, end, start, data)
