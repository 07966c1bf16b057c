"""Worker for the `ffmpeg` command on the URL of an object in a bucket."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.bucket import url_of
from benchmarks.peers.ffmpeg import FFmpeg
from benchmarks.peers.worker import Picture, Reader, serve

__all__ = ["RemoteFFmpeg"]


class RemoteFFmpeg(FFmpeg):
    """The command over HTTP. What `ffprobe` tells of an object is asked once: who reads from it again would know it."""

    def __init__(self) -> None:
        self._facts: dict[str, tuple[int, int, str]] = {}

    def probe(self, path: str) -> tuple[int, int, str]:
        if path not in self._facts:
            self._facts[path] = super().probe(path)
        return self._facts[path]

    def open(self, path: str, threads: int, form: str) -> None:
        super().open(url_of(path), threads, form)

    def batch(self, indices: Sequence[int]) -> list[Picture]:
        # A seek for each is less than all that lies between them.
        return Reader.batch(self, indices)


if __name__ == "__main__":
    serve(RemoteFFmpeg())
