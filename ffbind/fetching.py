"""A source in front of one that is slow to answer: keeps what was read, and fetches what will be wanted in the background.

    readers -> FetchingSource -> the source of a store
                  pieces: queued | in flight | at hand

A read asks the store for what is neither at hand nor in flight, and waits for the rest. What is expected is queued and fetched by
threads, which live as long as there is something to fetch.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol, runtime_checkable

from .errors import ArgumentError, ClosedError, FFbindError, SourceError
from .pieces import Piece, Pieces, cut, join_ranges
from .sources import Source, as_exactly

__all__ = [
    "Cost",
    "CountingSource",
    "DroppedReadError",
    "FetchSettings",
    "FetchingSource",
    "Pending",
    "SharedSource",
]

_LARGEST = 8 << 20
"""Bytes of one request: more is several side by side, so that the first bytes can be worked on while the last ones come."""

_JOINED = 2 << 20
"""Bytes up to which neighbours that are expected become one request: beyond that the first of them would wait for the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSettings:
    """How a source that is no local file is read: a bucket, an archive, whatever has the members of `Source`.

    ArgumentError for what cannot work.
    """

    at_once: int = 8
    """Requests in flight for what will be wanted; what is wanted now comes on top."""
    tables_at_once: int = 16
    """The same while the tables of fragments are read, a small piece of each; never fewer than `at_once`."""
    gap: int = 64 << 10
    """Bytes between two samples, or two expected ranges, that are read and thrown away rather than asked for around."""
    cache_bytes: int = 64 << 20
    """Memory for what was read."""
    ahead_bytes: int = 32 << 20
    """How much of that may be fetched before it is wanted."""

    def __post_init__(self) -> None:
        if (
            min(self.at_once, self.tables_at_once) < 1
            or self.gap < 0
            or not 0 <= self.ahead_bytes <= self.cache_bytes
        ):
            raise ArgumentError(
                f"{self} cannot work: at_once and tables_at_once are 1 or more, gap 0 or more, and ahead_bytes from 0 to cache_bytes"
            )


class Cost(NamedTuple):
    """What a read took of the store: requests that were answered, and their bytes."""

    requests: int
    bytes: int


@runtime_checkable
class CountingSource(Source, Protocol):
    """A source with a cache of its own, so that a read is not always one request: it says what each one cost."""

    def read_counted(self, offset: int, length: int) -> tuple[bytes | bytearray | memoryview, Cost]:
        """Read a range like `Source.read_at`, and say what that took."""


class DroppedReadError(SourceError):
    """A range that was asked for ahead was let go of, as `Pending.drop` allowed: nothing is wrong with it."""


class Pending(Protocol):
    """A range that was asked for ahead."""

    def result(self) -> tuple[bytes | bytearray | memoryview, Cost]:
        """Wait for it. Raises what `Source.read_at` raises, and DroppedReadError."""

    def hurry(self) -> None:
        """Somebody waits for it now."""

    def drop(self) -> None:
        """Nobody is going to wait for it. What is under way may come all the same."""


@runtime_checkable
class SharedSource(CountingSource, Protocol):
    """A source that others read too, so that what somebody waits for has to go before what is only expected."""

    def ask_ahead(self, offset: int, length: int) -> Pending:
        """Ask for a range that nobody waits for yet."""


class _State(Enum):
    QUEUED = auto()
    IN_FLIGHT = auto()
    AT_HAND = auto()
    GONE = auto()


class _Part(Piece):
    """What one request brings. `done` is set when it is at hand or gone; `error` says why it is gone, None: it was only dropped."""

    __slots__ = ("ahead", "cost", "done", "dropped", "error", "pending", "state", "used", "wanted")

    def __init__(self, start: int, end: int) -> None:
        super().__init__(start, end)
        self.state = _State.QUEUED
        self.done = threading.Event()
        self.error: BaseException | None = None
        self.wanted = False  # a read needs it: it does not wait for room
        self.ahead = False  # in flight, and no read has waited for it so far
        self.pending: Pending | None = None  # while it is ahead, of a source that is shared
        self.dropped = False  # that source was told, or is about to be
        self.cost = Cost(0, 0)
        self.used = False


class FetchingSource:
    """A `Source` over another one, with a cache bounded in bytes, for several threads at once.

    Nothing is asked for twice while it is at hand or in flight. What fails is told to the reads that need it and to no others, and is
    asked for again by the next one. Of the source only `size`, `identity` and `read_at` are used (`read_counted` where it has it);
    it is not closed here.

    `reads`, `bytes`: requests that were answered so far; `used_reads`, `used_bytes`: those that a read has used, the first of them
    counts; `waits`: reads that found something not at hand, `wait_seconds`: how long they waited.
    """

    def __init__(self, source: Source, settings: FetchSettings | None = None) -> None:
        self.source = source
        self._counting = source if isinstance(source, CountingSource) else None
        self._shared = source if isinstance(source, SharedSource) else None
        self.settings = settings or FetchSettings()
        self._at_once = self.settings.at_once  # for what is expected
        self._size = source.size
        self._lock = threading.Lock()
        self._closed = False
        self._parts: Pieces[_Part] = Pieces()
        self._queue: deque[_Part] = deque()  # those taken by a read meanwhile are not QUEUED any more
        self._threads = 0
        self._kept: OrderedDict[_Part, None] = OrderedDict()  # at hand and read, least recently used first
        self._unread: dict[_Part, None] = {}  # fetched ahead or being so, not read yet
        self._held = 0  # bytes at hand
        self._unread_bytes = 0
        self.reads = 0
        self.bytes = 0
        self.used_reads = 0
        self.used_bytes = 0
        self.waits = 0
        self.wait_seconds = 0.0

    @property
    def size(self) -> int:
        return self._size

    @property
    def identity(self) -> str:
        return self.source.identity

    @property
    def held_bytes(self) -> int:
        """Bytes in the cache."""
        return self._held

    def read_at(self, offset: int, length: int) -> memoryview:
        """Read a range; see `Source.read_at`. A view of what was fetched, where one request brought all of it."""
        if offset < 0 or length < 0:
            raise SourceError(f"cannot read {length} bytes at {offset}: both must be 0 or more")
        return self.read_some(offset, length, length)

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | bytearray | memoryview]:
        """Read several ranges, those that are missing side by side."""
        self.ask(ranges)
        return [self.read_at(offset, length) for offset, length in ranges]

    def ask(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Ask for ranges that will be read soon, those that are missing side by side; nothing is waited for."""
        with self._lock:
            if self._closed:
                raise _closed()
            parts = [
                part
                for offset, length in join_ranges(ranges, gap=0)
                for part in self._cover(offset, min(offset + length, self._size))
            ]
            self._start(part for part in parts if part.state is _State.QUEUED)
            late = self._hurried(parts)
        for pending in late:
            pending.hurry()

    def read_some(self, offset: int, least: int, most: int) -> memoryview:
        """Read at least `least` bytes at `offset`, and up to `most` of them as far as that takes no copy. Fewer only at the end.

        The caller will read all of `most`: what is missing of it is asked for now, and on its way when this returns.
        """
        end = min(offset + least, self._size)
        far = max(end, min(offset + most, self._size))
        if offset >= end:
            return memoryview(b"")
        while True:
            with self._lock:
                if self._closed:
                    raise _closed()
                parts = list(self._cover(offset, far))
                needed = [part for part in parts if part.start < end]
                self._start(part for part in parts[len(needed) :] if part.state is _State.QUEUED)
                waits = any(part.state is not _State.AT_HAND for part in needed)
                self.waits += waits
                began = time.perf_counter() if waits else 0.0
                mine = self._take(needed) if waits else None
                if mine is not None:
                    self._start(part for part in needed if part.state is _State.QUEUED)
                late = self._hurried(parts)
            for pending in late:
                pending.hurry()
            while mine is not None:
                self._fetch(mine)
                with self._lock:
                    mine = self._take(needed)
            if waits:
                for part in needed:
                    part.done.wait()
                with self._lock:
                    self.wait_seconds += time.perf_counter() - began
            found = self._found(needed, offset, end, far)
            if found is not None:
                return found

    def at_hand(self, offset: int, most: int) -> memoryview:
        """Give what is here already from a place on, at most `most` bytes; nothing is asked for."""
        with self._lock:
            parts: list[_Part] = []
            for part in self._parts.cover(offset, min(offset + most, self._size)):
                if not isinstance(part, _Part) or part.data is None:
                    break
                parts.append(part)
        return cut(parts, offset, offset + most) if parts else memoryview(b"")

    def expect(self, ranges: Iterable[tuple[int, int]], *, tables: bool = False) -> None:
        """Fetch `(offset, length)` ranges in the background, in this order; what was expected before and is not in flight is dropped.

        At most `ahead_bytes` are fetched before any of it is read. `tables`: these are pieces of tables, of which more come at once.
        """
        with self._lock:
            if self._closed:
                return
            self._at_once = max(self.settings.at_once, self.settings.tables_at_once if tables else 0)
            for part in self._queue:
                if part.state is _State.QUEUED and not part.wanted:
                    self._drop(part)
            self._queue = deque(part for part in self._queue if part.state is _State.QUEUED)
            expected: set[_Part] = set()
            dropped: list[Pending] = []
            for offset, length in join_ranges(ranges, gap=self.settings.gap, most=_JOINED):
                expected.update(self._cover(offset, min(offset + length, self._size), self._queue))
            for part in [part for part in self._unread if part not in expected]:
                self._read(part)
                if part in self._kept:
                    self._kept.move_to_end(part, last=False)
                if part.ahead and not part.dropped:
                    part.dropped = True
                    if part.pending is not None:
                        dropped.append(part.pending)
            self._evict()
            self._start()
        for pending in dropped:
            pending.drop()

    def forget_small(self, most: int) -> None:
        """Let go of what requests of up to so many bytes brought: it would keep what lies around it from coming as one."""
        with self._lock:
            for part in [part for part in self._parts if part.state is _State.AT_HAND and part.size <= most]:
                self._read(part)
                self._kept.pop(part, None)
                self._parts.remove(part)
                self._held -= part.size

    def close(self) -> None:
        """Stop fetching. Reads that wait raise ClosedError; requests in flight are not waited for, and what they bring is dropped."""
        with self._lock:
            self._closed = True
            for part in self._parts:
                if part.state is not _State.AT_HAND:
                    part.error = _closed()
                    part.state = _State.GONE
                    part.done.set()
            self._parts = Pieces()
            self._queue.clear()
            self._kept.clear()
            self._unread.clear()
            self._held = self._unread_bytes = 0

    # Inside; all but `_fetch`, `_work` and `_found` are called with the lock held

    def _cover(self, start: int, end: int, queue: deque[_Part] | None = None) -> Iterator[_Part]:
        """Give the parts that bytes lie in, in order; those that are missing are made, and put into the queue, if there is one."""
        for piece in list(self._parts.cover(start, end)):
            if isinstance(piece, _Part):
                yield piece
                continue
            for first in range(piece[0], piece[1], _LARGEST):
                part = _Part(first, min(first + _LARGEST, piece[1]))
                self._parts.add(part)
                if queue is not None:
                    queue.append(part)
                yield part

    def _start(self, wanted: Iterable[_Part] = ()) -> None:
        """Put what is wanted in front of the queue, and see that there are threads for what may be fetched."""
        first = list(wanted)
        for part in first:
            part.wanted = True
        self._queue.extendleft(reversed(first))
        most = self._at_once + self.settings.at_once  # what is wanted comes on top
        while self._threads < most and (following := self._next(self._threads)) is not None:
            thread = threading.Thread(target=self._work, args=(following,), name="ffbind-fetch", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter ends: whoever needs it fetches it
                self._read(following)
                following.state = _State.QUEUED
                following.ahead = False
                self._queue.appendleft(following)
                return
            self._threads += 1

    def _next(self, others: int) -> _Part | None:
        """Take what is fetched next, while so many `others` are being fetched.

        None where nothing is left, or what was fetched ahead has to come, or to be read, first.
        """
        while self._queue:
            part = self._queue[0]
            full = others >= self._at_once or self._unread_bytes + part.size > self.settings.ahead_bytes
            if part.state is _State.QUEUED and full and not part.wanted:
                return None
            self._queue.popleft()
            if part.state is _State.QUEUED:
                part.state = _State.IN_FLIGHT
                part.ahead = not part.wanted
                self._unread[part] = None
                self._unread_bytes += part.size
                return part
        return None

    def _take(self, needed: Sequence[_Part]) -> _Part | None:
        """Take a part for the thread that needs it."""
        for part in needed:
            if part.state is _State.QUEUED:
                part.state = _State.IN_FLIGHT
                return part
        return None

    def _hurried(self, parts: Iterable[_Part]) -> list[Pending]:
        """Take in that a read needs parts; gives those of a shared source that it has to be told of."""
        late = [part for part in parts if part.ahead]
        for part in late:
            part.ahead = False
        return [part.pending for part in late if part.pending is not None]

    def _read(self, part: _Part) -> None:
        """Count a part as read: it makes room for others to be fetched ahead."""
        if part in self._unread:
            del self._unread[part]
            self._unread_bytes -= part.size
            if part.state is _State.AT_HAND:
                self._kept[part] = None

    def _drop(self, part: _Part) -> None:
        self._parts.remove(part)
        part.state = _State.GONE
        part.done.set()

    def _evict(self) -> None:
        while self._held > self.settings.cache_bytes and self._kept:
            part, _ = self._kept.popitem(last=False)
            self._parts.remove(part)
            self._held -= part.size

    def _found(self, needed: Sequence[_Part], offset: int, end: int, far: int) -> memoryview | None:
        """Give what a read found; None where it has to look again. Raises what kept a part from coming."""
        with self._lock:
            for part in needed:
                if part.error is not None:
                    # An error of its own for each read, as raising one changes it.
                    raise copy(part.error) if isinstance(part.error, FFbindError) else part.error
                if part.data is None:
                    return None
            for part in needed:
                self._read(part)
                if not part.used:
                    part.used = True
                    self.used_reads += part.cost.requests
                    self.used_bytes += part.cost.bytes
                if part in self._kept:
                    self._kept.move_to_end(part)
            self._evict()
            self._start()
        return cut(needed, offset, min(far, needed[0].end) if len(needed) == 1 else end)

    def _fetch(self, part: _Part) -> None:
        """Ask the source for a part and tell all who wait for it. Raises nothing but what ends the thread itself."""
        data: memoryview | None = None
        cost = Cost(0, 0)
        error: BaseException | None = None
        try:
            data, cost = self._ask(part)
        except DroppedReadError:
            pass  # a read that came to need it meanwhile looks again
        except Exception as failure:
            error = failure
        finally:
            with self._lock:
                part.ahead, part.pending = False, None
                if not self._closed:
                    if data is None:
                        self._read(part)
                        part.error = error
                        self._drop(part)
                    else:
                        self.reads += cost.requests
                        self.bytes += cost.bytes
                        part.cost = cost
                        self._held += part.size
                        part.data = data
                        part.state = _State.AT_HAND
                        if part not in self._unread:
                            self._kept[part] = None
                        self._evict()
                        part.done.set()

    def _ask(self, part: _Part) -> tuple[memoryview, Cost]:
        if self._shared is not None and part.ahead:
            pending = self._shared.ask_ahead(part.start, part.size)
            with self._lock:
                part.pending = pending
                hurried, dropped = not part.ahead, part.dropped
            # What somebody came to need, or let go of, before there was anything to tell it to.
            if dropped:
                pending.drop()
            elif hurried:
                pending.hurry()
            found, cost = pending.result()
        elif self._counting is None:
            found, cost = self.source.read_at(part.start, part.size), Cost(1, part.size)
        else:
            found, cost = self._counting.read_counted(part.start, part.size)
        return as_exactly(found, part.start, part.size), cost

    def _work(self, first: _Part) -> None:
        part: _Part | None = first
        while part is not None:
            self._fetch(part)
            with self._lock:
                part = self._next(self._threads - 1)
                if part is None:
                    self._threads -= 1


def _closed() -> ClosedError:
    return ClosedError("this video was closed; open it again")
