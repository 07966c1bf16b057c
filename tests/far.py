"""A source as far away as a store, for tests: it counts requests, holds them back until it is told to answer, and fails some."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

__all__ = ["FarSource"]


class FarSource:
    """Bytes with the members of `ffbind.sources.Source`.

    `requests`: all `(offset, length)` so far, in the order they came in; `most_at_once`: how many were in flight together.
    `failing` may be set to what raises for some of them; `hold` keeps them from being answered.
    """

    def __init__(self, data: bytes, identity: str = "one") -> None:
        self._view = memoryview(data)
        self._identity = identity
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._arrived = threading.Condition(self._lock)
        self._at_once = 0
        self.requests: list[tuple[int, int]] = []
        self.most_at_once = 0
        self.failing: Callable[[int, int], None] | None = None

    @property
    def size(self) -> int:
        return len(self._view)

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def at_once(self) -> int:
        """Requests in flight."""
        return self._at_once

    def read_at(self, offset: int, length: int) -> memoryview:
        with self._lock:
            self.requests.append((offset, length))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._arrived.notify_all()
        try:
            assert self._open.wait(60)
            if self.failing is not None:
                self.failing(offset, length)
            return self._view[offset : offset + length]
        finally:
            with self._lock:
                self._at_once -= 1
                self._arrived.notify_all()

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | bytearray | memoryview]:
        return [self.read_at(offset, length) for offset, length in ranges]

    def hold(self) -> None:
        """Answer nothing from now on."""
        self._open.clear()

    def answer(self) -> None:
        """Answer all that wait and all that come."""
        self._open.set()

    def wait_for(self, count: int) -> None:
        """Wait until so many requests have come in altogether."""
        with self._lock:
            assert self._arrived.wait_for(lambda: len(self.requests) >= count, 60), self.requests

    def wait_until_idle(self) -> None:
        """Wait until nothing is in flight."""
        with self._lock:
            assert self._arrived.wait_for(lambda: self._at_once == 0, 60), self.requests
