"""Worker for PyAV on a bucket: `python -m benchmarks.peers.remote_pyav [BLOCK]`, over s3fs with such blocks; by URL without one."""

from __future__ import annotations

import sys

from benchmarks.peers.bucket import Files, url_of
from benchmarks.peers.pyav import PyAV
from benchmarks.peers.worker import serve

__all__ = ["RemotePyAV"]


class RemotePyAV(PyAV):
    """PyAV with slice threads over a file object of s3fs, or over the HTTP of its own FFmpeg where `block` is None."""

    def __init__(self, block: int | None) -> None:
        super().__init__("SLICE")
        self._files = None if block is None else Files(block)

    def versions(self) -> dict[str, str]:
        return super().versions() | ({} if self._files is None else self._files.versions())

    def open(self, path: str, threads: int, form: str) -> None:
        super().open(url_of(path) if self._files is None else self._files.open(path), threads, form)

    def close(self) -> None:
        super().close()
        if self._files is not None:
            self._files.close()


if __name__ == "__main__":
    serve(RemotePyAV(int(sys.argv[1]) if len(sys.argv) > 1 else None))
