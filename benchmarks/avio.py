"""In-memory AVIO against reading by path: demuxing a whole file, interleaved rounds, medians and ratios.

    python benchmarks/avio.py VIDEO.mp4 [--rounds 11]

Four ways to the same packets, checked to be the same:

- memory: libavformat over our AVIOContext, bytes already in memory, C callbacks
- source: libavformat over our AVIOContext, read by Python from the file
- table:  our own sample table and one read for each run of samples, no libavformat
- path:   the `av` package (PyAV), which opens the path itself; left out where it is not installed
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ffbind import isobmff
from ffbind.avio import Input, MemoryInput, SourceInput
from ffbind.reader import SampleReader
from ffbind.sources import FileSource

__all__ = ["main"]


def _digest(chunks: list[bytes]) -> tuple[int, str]:
    return len(chunks), hashlib.md5(b"".join(chunks), usedforsecurity=False).hexdigest()


def _demux(opened: Input) -> list[bytes]:
    with opened as source:
        video = next(stream.index for stream in source.streams() if stream.kind == "video")
        return [packet.data for packet in source.packets() if packet.stream == video]


def _by_table(path: Path) -> list[bytes]:
    source = FileSource(path)
    index = isobmff.read_index(source)
    reader = SampleReader(source, index.samples, 512 << 10)
    last = len(index.samples) - 1
    return [bytes(reader.read(row, last)) for row in range(last + 1)]


def _ways(path: Path) -> dict[str, Callable[[], list[bytes]]]:
    data = path.read_bytes()
    ways: dict[str, Callable[[], list[bytes]]] = {
        "memory": lambda: _demux(MemoryInput(data)),
        "source": lambda: _demux(SourceInput(FileSource(path))),
        "table": lambda: _by_table(path),
    }
    try:
        import av
    except ImportError:
        return ways

    def by_path() -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(video=0) if packet.size]

    ways["path"] = by_path
    return ways


def main() -> int:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    ways = _ways(options.video)
    answers = {name: _digest(way()) for name, way in ways.items()}
    if len(set(answers.values())) != 1:
        print(f"the packets differ: {answers}", file=sys.stderr)
        return 1
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    base = seconds["memory"]
    print(
        f"{options.video.name}: {next(iter(answers.values()))[0]} packets, {options.rounds} rounds, medians"
    )
    for name, times in seconds.items():
        ratio = statistics.median(other / own for other, own in zip(times, base, strict=True))
        print(f"  {name:<8}{statistics.median(times) * 1000:9.2f} ms   {ratio:5.2f} x memory")
    return 0


if __name__ == "__main__":
    sys.exit(main())
