"""Worker for torchcodec on a bucket: `python -m benchmarks.peers.remote_torchcodec BLOCK`, over s3fs with such blocks."""

from __future__ import annotations

import sys

from benchmarks.peers.bucket import Files
from benchmarks.peers.torchcodec import TorchCodec
from benchmarks.peers.worker import serve

__all__ = ["RemoteTorchCodec"]


class RemoteTorchCodec(TorchCodec):
    """VideoDecoder over a file object, in approximate seek mode: the exact one reads the whole file when it opens it.

    The clips have a constant frame rate, for which its documentation promises the same frames.
    """

    seek_mode = "approximate"

    def __init__(self, block: int) -> None:
        self._files = Files(block)

    def versions(self) -> dict[str, str]:
        return super().versions() | self._files.versions()

    def open(self, path: str, threads: int, form: str) -> None:
        super().open(self._files.open(path), threads, form)

    def close(self) -> None:
        super().close()
        self._files.close()


if __name__ == "__main__":
    serve(RemoteTorchCodec(int(sys.argv[1])))
