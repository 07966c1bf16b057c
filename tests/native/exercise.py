"""What tests/native/test_valgrind.py runs under valgrind: AVIO from memory and from a failing source, decoding, close and reopen.

Usage: exercise.py CLIP
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import ffbind
from ffbind._native import lib
from ffbind.avio import Input, MemoryInput, SourceInput
from ffbind.sources import BytesSource


class Unreliable(BytesSource):
    """Short reads, and after `good` of them what `failure` does."""

    def __init__(self, data: bytes, good: int, failure: str) -> None:
        super().__init__(data)
        self._left = good
        self._failure = failure

    def read_at(self, offset: int, length: int) -> memoryview:
        self._left -= 1
        if self._left >= 0:
            return super().read_at(offset, min(length, 5000))
        if self._failure == "raise":
            raise TimeoutError("no answer")
        return memoryview(bytes(length + 4096) if self._failure == "too much" else b"")


def read_all(source: Input) -> int:
    """Count packets; the input is closed, or left to the garbage collector, by the caller."""
    source.streams()
    return sum(1 for _ in source.packets())


def inputs(data: bytes) -> None:
    """Read to the end, give up half-way, fail at the first, a middle and a late read; with and without close."""
    with MemoryInput(bytearray(data)) as source:
        assert read_all(source) > 0
        assert source.read_at(100, 70_000) == data[100:70_100]
    forgotten = MemoryInput(bytearray(data))
    packets = forgotten.packets()
    next(packets)
    del forgotten
    next(packets)
    del packets
    with SourceInput(BytesSource(data)) as source:
        assert read_all(source) > 0
    for failure in ("raise", "too much", "nothing"):
        for good in (0, 3, 7):
            failing = SourceInput(Unreliable(data, good, failure))
            try:
                read_all(failing)
            except (TimeoutError, ffbind.SourceError):
                pass
            else:
                raise AssertionError(failure)
    for cut in (0, 10, 100, len(data) - 500):
        with contextlib.suppress(ffbind.NotVideoError):
            read_all(MemoryInput(bytearray(data[:cut])))


def decoding(path: Path, data: bytes) -> None:
    """Frames in and out of order, frames that outlive their video, damage, close and reopen."""
    kept = []
    for source in (path, bytearray(data)):
        with ffbind.open(source) as video:
            kept += [video[place] for place in (0, 20, 5, 6, 7, len(video) - 1)]
            kept += list(video[10:24])
    for frame in kept:
        assert all(plane.sum() >= 0 for plane in frame.planes)
    damaged = bytearray(data)
    with ffbind.open(data) as video:
        first = video.index.samples[2]
    middle = int(first["offset"]) + int(first["size"]) // 2
    damaged[middle : middle + 20] = b"\xff" * 20
    damaged[int(first["offset"]) + 1] = 0x7F
    with ffbind.open(damaged) as video:
        for place in range(10):
            with contextlib.suppress(ffbind.FFbindError):
                kept.append(video[place])
    del kept


def main() -> None:
    """Run all of it once."""
    lib.av_packet_alloc()  # lost on purpose: the test looks for it, to know that leaks are found
    path = Path(sys.argv[1])
    data = path.read_bytes()
    inputs(data)
    decoding(path, data)
    print("done")


if __name__ == "__main__":
    main()
