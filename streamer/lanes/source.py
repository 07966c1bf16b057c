"""A video's bytes seen from inside a lane: a `Source` of ffbind whose reads the server process answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from ffbind.errors import SourceChangedError, SourceError
from ffbind.fetching import Cost, DroppedReadError

from .wire import DropRead, HurryRead, Open, Read, ReadDone, ReadFailed

__all__ = ["PendingRead", "ReadError", "RemoteReads", "RemoteSource"]


class ReadError(SourceError):
    """A read that the server could not do; `code` says why. It can be copied, as ffbind does for each frame concerned."""

    def __init__(self, message: str, code: str = SourceError.code) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]


class PendingRead:
    """A read that the server was asked for; see `ffbind.fetching.Pending`."""

    def __init__(
        self,
        send: Callable[[Read | HurryRead | DropRead], None],
        number: int,
        answer: Future[tuple[list[memoryview], Cost]],
    ) -> None:
        self._send = send
        self._number = number
        self._answer = answer

    def result(self) -> tuple[memoryview, Cost]:
        """Wait for a read of one range."""
        (part,), cost = self._answer.result()
        return part, cost

    def results(self) -> tuple[list[memoryview], Cost]:
        """Wait for a read of several ranges."""
        return self._answer.result()

    def hurry(self) -> None:
        """Tell the server that it is waited for."""
        self._send(HurryRead(self._number))

    def drop(self) -> None:
        """Tell the server that it will not be waited for."""
        self._send(DropRead(self._number))


class RemoteReads:
    """Reads that wait for the server: sent by the threads that need them, answered by the one that receives."""

    def __init__(self, send: Callable[[Read | HurryRead | DropRead], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._next = 1
        self._waiting: dict[int, Future[tuple[list[memoryview], Cost]]] = {}

    def ask(self, video: int, ranges: Sequence[tuple[int, int]], *, ahead: bool = False) -> PendingRead:
        """Ask for ranges. Waiting says what the store was asked for, and raises SourceChangedError, DroppedReadError or ReadError."""
        answer: Future[tuple[list[memoryview], Cost]] = Future()
        with self._lock:
            number = self._next
            self._next += 1
            self._waiting[number] = answer
        self._send(Read(number, video, tuple(ranges), ahead))
        return PendingRead(self._send, number, answer)

    def done(self, record: ReadDone, payload: memoryview) -> None:
        """Hand the bytes of an answer to the thread that waits for them."""
        parts = []
        start = 0
        for length in record.lengths:
            parts.append(payload[start : start + length])
            start += length
        self._take(record.read).set_result((parts, Cost(record.requests, record.fetched_bytes)))

    def failed(self, record: ReadFailed) -> None:
        """Raise the failure in the thread that waits."""
        error: SourceError
        if record.code == SourceChangedError.code:
            error = SourceChangedError(record.message)
        elif record.dropped:
            error = DroppedReadError(record.message)
        else:
            error = ReadError(record.message, record.code)
        self._take(record.read).set_exception(error)

    def _take(self, number: int) -> Future[tuple[list[memoryview], Cost]]:
        with self._lock:
            return self._waiting.pop(number)


class RemoteSource:
    """One video; the server reads it from its cache or the store, held to the identity that it was opened with."""

    def __init__(self, reads: RemoteReads, record: Open) -> None:
        self._reads = reads
        self._video = record.video
        self._size = record.size
        self._identity = record.identity

    @property
    def size(self) -> int:
        return self._size

    @property
    def identity(self) -> str:
        return self._identity

    def read_at(self, offset: int, length: int) -> memoryview:
        """Read a range; see `ffbind.sources.Source.read_at`."""
        return self.read_counted(offset, length)[0]

    def read_counted(self, offset: int, length: int) -> tuple[memoryview, Cost]:
        """Read a range, and say what it took of the store; see `ffbind.fetching.CountingSource`."""
        return self._reads.ask(self._video, [(offset, length)]).result()

    def ask_ahead(self, offset: int, length: int) -> PendingRead:
        """Ask for a range that is not waited for yet; see `ffbind.fetching.SharedSource`."""
        return self._reads.ask(self._video, [(offset, length)], ahead=True)

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | bytearray | memoryview]:
        """Read several ranges with one question to the server."""
        parts, _ = self._reads.ask(self._video, ranges).results()
        return list(parts)
