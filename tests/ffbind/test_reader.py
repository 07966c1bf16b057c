"""The reader of samples: neighbours in one read, others apart, and nothing beyond the end."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ffbind.columns import SAMPLE_DTYPE, StructuredArray
from ffbind.errors import CorruptError, SourceError
from ffbind.reader import SampleReader
from ffbind.sources import BytesSource

DATA = random.Random(0).randbytes(1_000_000)


class Watched(BytesSource):
    """Bytes, with a note of each range that was read."""

    def __init__(self, data: bytes = DATA) -> None:
        super().__init__(data)
        self.ranges: list[tuple[int, int]] = []

    def read_at(self, offset: int, length: int) -> memoryview:
        self.ranges.append((offset, length))
        return super().read_at(offset, length)


def _samples(*ranges: tuple[int, int]) -> StructuredArray:
    samples = np.zeros(len(ranges), SAMPLE_DTYPE)
    samples["offset"] = [offset for offset, _ in ranges]
    samples["size"] = [size for _, size in ranges]
    return samples


def _row(number: int, size: int = 100) -> tuple[int, int]:
    return number * size, size


def test_neighbours_are_one_read() -> None:
    source = Watched()
    reader = SampleReader(source, _samples(*(_row(n) for n in range(50))), ahead=1000)
    for n in range(50):
        assert reader.read(n) == DATA[n * 100 : n * 100 + 100]
    assert source.ranges == [(n * 1000, 1000) for n in range(5)]
    assert (reader.reads, reader.bytes) == (5, 5000)


def test_reading_goes_as_far_as_the_caller_will() -> None:
    """`last` beyond `ahead` is honoured, up to sixteen times of it."""
    source = Watched()
    reader = SampleReader(source, _samples(*(_row(n) for n in range(500))), ahead=1000)
    reader.read(3, last=40)
    assert source.ranges == [(300, 3800)]
    reader.read(100, last=499)
    assert source.ranges[-1] == (10_000, 16_000)
    reader.read(300, 305)
    reader.read(301, 309)
    assert source.ranges[2:] == [(30_000, 1000)]


def test_a_second_pass_reads_nothing() -> None:
    """Whatever the order: what was read stays at hand while it fits in `kept`."""
    source = Watched()
    reader = SampleReader(source, _samples(*(_row(n) for n in range(5000))), ahead=1000)
    for n in range(5000):
        reader.read(n)
    assert len(source.ranges) == 500
    for n in random.Random(2).sample(range(5000), 5000):
        assert reader.read(n) == DATA[n * 100 : n * 100 + 100]
    assert (reader.reads, reader.bytes, len(source.ranges)) == (500, 500_000, 500)


def test_what_is_kept_is_bounded_and_the_oldest_leaves() -> None:
    """Least recently used first; one run stays whatever its size."""
    source = Watched()
    rows = _samples(*(_row(n) for n in range(100)))
    reader = SampleReader(source, rows, ahead=1000, kept=3 * 1512)
    for n in (0, 10, 20, 0, 30):
        reader.read(n)
    assert len(source.ranges) == 4
    for n in (0, 20, 30):
        reader.read(n)
    assert len(source.ranges) == 4
    reader.read(10)
    assert len(source.ranges) == 5
    reader = SampleReader(source, rows, ahead=1000, kept=0)
    source.ranges.clear()
    for n in (0, 5, 9, 10, 0):
        reader.read(n)
    assert source.ranges == [(0, 1000), (1000, 1000), (0, 1000)]


def test_runs_that_overlap() -> None:
    """A run that was read again as part of a longer one gives way to it, and every row is still found."""
    source = Watched()
    rows = _samples(*(_row(n) for n in range(1000)))
    chance = random.Random(3)
    reader = SampleReader(source, rows, ahead=1000, kept=20_000)
    for _ in range(3000):
        n = chance.randrange(1000)
        before = len(source.ranges)
        assert reader.read(n, min(n + chance.randrange(40), 999)) == DATA[n * 100 : n * 100 + 100]
        for start, length in source.ranges[before:]:
            assert start == n * 100  # never from a row that was at hand
            assert all(reader.read(k) == DATA[k * 100 : k * 100 + 100] for k in range(n, n + length // 100))
            assert len(source.ranges) == before + 1
    assert source.ranges


def test_gaps_backward_steps_and_overlaps() -> None:
    """Up to 64 KiB of other data are read over; a sample further on, before or inside the last one is read by itself."""
    gap = 64 * 1024
    ranges = [(0, 10), (10 + gap, 10), (21 + 2 * gap, 10), (5, 10), (8, 4), (12, 0), (12, 3)]
    source = Watched()
    reader = SampleReader(source, _samples(*ranges), ahead=10 * gap)
    for row in random.Random(1).sample(range(7), 7) + list(range(7)):
        offset, size = ranges[row]
        assert reader.read(row) == DATA[offset : offset + size]
    source.ranges.clear()
    reader = SampleReader(source, _samples(*ranges), ahead=10 * gap)
    for row in range(7):
        reader.read(row)
    assert source.ranges == [(0, 20 + gap), (21 + 2 * gap, 10), (5, 10), (8, 7)]


def test_one_sample_larger_than_the_read_ahead() -> None:
    source = Watched()
    reader = SampleReader(source, _samples((0, 5000), (5000, 10)), ahead=100)
    assert reader.read(0) == DATA[:5000]
    assert source.ranges == [(0, 5000)]


def test_samples_behind_the_end() -> None:
    """Cut short: those that are there can be read, the next says where it should end, and no read reaches beyond."""
    source = Watched(DATA[:1050])
    samples = _samples(*(_row(n) for n in range(12)), (2**63, 5), (2**64 - 1, 2**32 - 1))
    reader = SampleReader(source, samples, ahead=10_000)
    assert reader.read(0) == DATA[:100]
    assert source.ranges == [(0, 1000)]
    for row, end in ((10, 1100), (11, 1200), (12, 2**63 + 5), (13, 2**64 - 1 + 2**32 - 1)):
        assert not reader.fits(row)
        with pytest.raises(CorruptError, match=rf"ends at {end}, behind the end of the file \(1050 bytes\)"):
            reader.read(row)
    assert source.ranges == [(0, 1000)]
    assert reader.fits(9)


@pytest.mark.parametrize("answer", [b"x" * 99, b"x" * 101, b"", "x" * 100, None])
def test_a_faulty_source(answer: object) -> None:
    class Faulty(BytesSource):
        def read_at(self, offset: int, length: int) -> memoryview:
            return answer  # type: ignore[return-value]

    reader = SampleReader(Faulty(DATA), _samples((0, 100)), ahead=100)
    with pytest.raises(SourceError, match="at offset 0"):
        reader.read(0)
    assert reader.reads == 0


def test_a_failed_read_can_be_tried_again() -> None:
    """What a source raises comes out as it is, and leaves nothing behind."""

    class Once(BytesSource):
        failed = False

        def read_at(self, offset: int, length: int) -> memoryview:
            if not self.failed:
                self.failed = True
                raise TimeoutError("slow")
            return super().read_at(offset, length)

    reader = SampleReader(Once(DATA), _samples((0, 100), (100, 100)), ahead=1000)
    with pytest.raises(TimeoutError, match="slow"):
        reader.read(1)
    assert reader.read(1) == DATA[100:200]
