"""Worker for video_reader-rs. Its own libraries have to be on LD_LIBRARY_PATH (benchmarks/environment.py puts them there)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from video_reader import PyVideoReader

from benchmarks.peers.worker import Picture, Reader, serve

__all__ = ["VideoReader"]

_CHUNK = 120
"""Frames asked for at a time where all are wanted: whole clips in RGB would take gigabytes."""


class VideoReader(Reader):
    """PyVideoReader: get_batch by seeking for one frame, as it thinks best for many, decode_fast for the whole file."""

    forms = ("rgb",)
    _reader: Any = None

    def versions(self) -> dict[str, str]:
        return {"video_reader-rs": version("video_reader-rs")}

    def open(self, path: str, threads: int, form: str) -> None:
        self._reader = PyVideoReader(path, threads=threads)

    def close(self) -> None:
        self._reader = None

    def frame(self, index: int) -> Picture:
        return (self._reader.get_batch([index])[0],)

    def batch(self, indices: Sequence[int]) -> list[Picture]:
        return [(picture,) for picture in self._reader.get_batch(list(indices))]

    def everything(self) -> Iterator[Picture]:
        frames = len(self._reader)
        for start in range(0, frames, _CHUNK):
            for picture in self._reader.decode_fast(start, min(start + _CHUNK, frames)):
                yield (picture,)


if __name__ == "__main__":
    serve(VideoReader())
