"""A source as far away as a store, for tests: it counts requests, holds them back until it is told to answer, and fails some."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

__all__ = ["FarSource", "settle"]


class FarSource:
    """Bytes with the members of `ffbind.sources.Source`.

    `requests`: all `(offset, length)` so far, in the order they came in; `most_at_once`: how many were in flight together.
    `failing` may be set to what raises for some of them; `hold` keeps them from being answered.
    """

    def __init__(self, data: bytes, identity: str = "one") -> None:
        self._view = memoryview(data)
        self._identity = identity
        self._changed = threading.Condition()
        self._answered: int | None = None  # requests that are answered, the first ones; None: all
        self._count = 0
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
        with self._changed:
            self.requests.append((offset, length))
            number = self._count
            self._count += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._changed.notify_all()
        try:
            with self._changed:
                answered = self._changed.wait_for(
                    lambda: self._answered is None or number < self._answered, 60
                )
                assert answered, "nobody said that this request is answered"
            if self.failing is not None:
                self.failing(offset, length)
            return self._view[offset : offset + length]
        finally:
            with self._changed:
                self._at_once -= 1
                self._changed.notify_all()

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | bytearray | memoryview]:
        return [self.read_at(offset, length) for offset, length in ranges]

    def hold(self) -> None:
        """Answer nothing that comes from now on."""
        self.answer_first(self._count)

    def answer_first(self, count: int) -> None:
        """Answer the first `count` requests of all there were and will be, and hold the others back."""
        with self._changed:
            self._answered = count
            self._changed.notify_all()

    def answer(self) -> None:
        """Answer all that wait and all that come."""
        with self._changed:
            self._answered = None
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Wait until so many requests have come in altogether."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._count >= count, 60), self.requests

    def wait_until_idle(self) -> None:
        """Wait until nothing is in flight."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._at_once == 0, 60), self.requests


def settle(far: FarSource) -> None:
    """Wait until all that is under way has come."""
    for thread in threading.enumerate():
        if thread.name == "ffbind-fetch":
            thread.join(60)
            assert not thread.is_alive()
    assert far.at_once == 0
