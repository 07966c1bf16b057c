"""One thread at a time, while it is open, and only in the process that made it: what an object with a decoder asks of its callers."""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType

from .errors import ClosedError, ForkedError

__all__ = ["Turn"]

_PAUSE = 0.0005


class _Lock:
    """A lock that the same thread may take again, and that tells whoever holds it that others wait."""

    def __init__(self) -> None:
        self.held = threading.RLock()
        self._counting = threading.Lock()
        self.waiting = 0

    def acquire(self) -> None:
        if not self.held.acquire(blocking=False):
            self.wait()

    def wait(self) -> None:
        """Take it, with others knowing that somebody waits."""
        with self._counting:
            self.waiting += 1
        try:
            self.held.acquire()
        finally:
            with self._counting:
                self.waiting -= 1

    def release(self) -> None:
        self.held.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Turn:
    """A lock to be used in a `with` statement; the same thread may take it again. Errors say `what` it guards, and `remedy`: what to
    do to get another one.

    Taking it raises ForkedError in another process than the one that made it, and ClosedError once `closed` is set.
    """

    def __init__(self, what: str, remedy: str) -> None:
        self.closed = False
        self.lock = _Lock()
        """What it waits for, for those who may come in when it is closed."""
        self._held = self.lock.held  # taken directly where nobody has it: this is done several times a frame
        self._what, self._remedy = what, remedy
        self._process = os.getpid()

    @property
    def is_wanted(self) -> bool:
        """Tell whether somebody waits for it."""
        return self.lock.waiting > 0

    def give_way(self) -> None:
        """Let those have their turn first who wait for it. Not to be called by the thread whose turn it is."""
        while self.is_wanted:
            time.sleep(_PAUSE)

    @property
    def is_forked(self) -> bool:
        """Tell whether this is another process than the one that made it: the lock may be held by a thread that is not there."""
        return os.getpid() != self._process

    def check_process(self) -> None:
        """Raise ForkedError in another process."""
        if self.is_forked:
            raise ForkedError(f"this {self._what} belongs to the parent process; {self._remedy} after fork()")

    def __enter__(self) -> None:
        # Before the lock is asked for: after fork() nobody is left to release it.
        self.check_process()
        if not self._held.acquire(False):
            self.lock.wait()
        if self.closed:
            self._held.release()
            raise ClosedError(f"this {self._what} was closed; {self._remedy}")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.release()
