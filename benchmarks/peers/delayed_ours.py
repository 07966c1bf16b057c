"""Worker for ffbind over a delayed source: `python -m benchmarks.peers.delayed_ours SECONDS`."""

from __future__ import annotations

import sys

import ffbind
from benchmarks.delayed import DelayedFile
from benchmarks.peers.ours import KEPT_BYTES, Ours
from benchmarks.peers.worker import serve

__all__ = ["DelayedOurs"]


class DelayedOurs(Ours):
    """ffbind by its public API; each request waits `delay` seconds."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._source: DelayedFile | None = None

    def open(self, path: str, threads: int, form: str) -> None:
        self._source = DelayedFile(path, self._delay)
        self._video = ffbind.open(self._source, threads=threads, kept_bytes=KEPT_BYTES)
        self._form = form

    def close(self) -> None:
        super().close()
        self._source = None

    def counters(self) -> dict[str, float]:
        return {} if self._source is None else self._source.counters()

    def count_first(self, path: str) -> dict[str, float]:
        return {}


if __name__ == "__main__":
    serve(DelayedOurs(float(sys.argv[1])))
