"""Worker for PyAV over a file object of a delayed source: `python -m benchmarks.peers.delayed_pyav SECONDS BLOCK`."""

from __future__ import annotations

import sys
from typing import Any, cast

from benchmarks.delayed import BlockFile, DelayedFile
from benchmarks.peers.pyav import PyAV
from benchmarks.peers.worker import serve

__all__ = ["DelayedPyAV"]


class DelayedPyAV(PyAV):
    """PyAV with slice threads; each block of `block` bytes waits `delay` seconds."""

    def __init__(self, delay: float, block: int) -> None:
        super().__init__("SLICE")
        self._delay, self._block = delay, block
        self._source: DelayedFile | None = None

    def open(self, path: str, threads: int, form: str) -> None:
        self._source = DelayedFile(path, self._delay)
        super().open(cast(Any, BlockFile(self._source, self._block)), threads, form)

    def close(self) -> None:
        super().close()
        self._source = None

    def counters(self) -> dict[str, float]:
        return {} if self._source is None else self._source.counters()


if __name__ == "__main__":
    serve(DelayedPyAV(float(sys.argv[1]), int(sys.argv[2])))
