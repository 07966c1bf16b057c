"""Worker for decord2, the maintained fork of decord."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import decord

from benchmarks.peers.worker import Picture, Reader, serve

__all__ = ["Decord"]


class Decord(Reader):
    """VideoReader on the CPU."""

    forms = ("rgb",)
    _reader: Any = None

    def versions(self) -> dict[str, str]:
        return {"decord2": version("decord2")}

    def open(self, path: str, threads: int, form: str) -> None:
        self._reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=threads)

    def close(self) -> None:
        self._reader = None

    def frame(self, index: int) -> Picture:
        return (self._reader[index].asnumpy(),)

    def batch(self, indices: Sequence[int]) -> list[Picture]:
        return [(picture,) for picture in self._reader.get_batch(indices).asnumpy()]

    def everything(self) -> Iterator[Picture]:
        for _ in range(len(self._reader)):
            yield (self._reader.next().asnumpy(),)


if __name__ == "__main__":
    serve(Decord())
