"""Reads of videos for the lanes: what is missing in one request for each run of bytes, off the event loop, through a bounded cache.

    read ----> wanted --> at_once requests in flight
    ahead ---> ahead  --> half as many on top, begun only while nothing wanted waits

What is read ahead and not begun moves up once somebody waits for it, and is dropped once nobody will.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from copy import copy
from dataclasses import dataclass

from ffbind.errors import FFbindError, SourceChangedError, SourceError
from ffbind.pieces import Piece, Pieces, cut, join_ranges

from .messages import Code
from .storage import ObjectInfo, Storage
from .storage.connections import requests_sent

__all__ = ["Ahead", "DroppedError", "Fetcher", "Spent", "threads_for"]

_GAP = 64 * 1024
"""Bytes between two ranges of one read that are fetched and thrown away rather than asked for around."""


@dataclass(slots=True)
class Spent:
    """Requests to the store, each try of its own, and the bytes that they brought. What was not answered in the end is not in here."""

    requests: int = 0
    bytes: int = 0


class DroppedError(SourceError):
    """A range that was read ahead was let go of before the store was asked for it."""

    code = Code.CANCELLED


def threads_for(at_once: int) -> int:
    """Threads that a fetcher makes use of: those for what is wanted, and those for what is read ahead."""
    return at_once + _ahead_at_once(at_once)


def _ahead_at_once(at_once: int) -> int:
    return max(1, at_once // 2)


class _Part(Piece):
    """What one request brings: whether it was sent, and why its bytes did not come. `done` is set when it is over, either way."""

    __slots__ = ("begun", "done", "error", "requests", "task", "waiters", "wanted")

    def __init__(self, start: int, end: int) -> None:
        super().__init__(start, end)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None
        self.error: Exception | None = None
        self.requests = 0
        self.waiters = 0  # reads that it is brought for
        self.wanted = False  # by one that is no `Ahead`
        self.begun = False


class Ahead:
    """Goes with a read that nobody waits for yet; tells it when somebody does, and when nobody will."""

    def __init__(self) -> None:
        self._fetcher: Fetcher | None = None
        self._info: ObjectInfo | None = None
        self._parts: tuple[_Part, ...] = ()
        self.wanted = False
        self.dropped = False

    def hurry(self) -> None:
        """Somebody waits: what is not begun goes where it would be, had it been wanted from the start."""
        self.wanted = True
        if self._fetcher is not None:
            self._fetcher._want(self._parts)

    def drop(self) -> None:
        """Nobody will wait: the read raises DroppedError, unless some of it is begun or at hand, or others wait for it too."""
        if self._fetcher is None:
            self.dropped = True
        elif self._info is not None and not any(part.begun or part.waiters > 1 for part in self._parts):
            self._fetcher._let_go(self._info, self._parts)


class Fetcher:
    """Answers reads from the cache or from the store, for all lanes.

    What was read is kept by object and identity: bytes of a replaced object are never mixed with the new one's. What is at hand or
    in flight is not asked for again, whoever reads it; what fails is told to those who wait for it, and asked for again by the next
    one. An object that was replaced stays so: the store is not asked for it again before it was `found` anew. Used on the event
    loop only; the store is called in `executor`, which has `threads_for(at_once)` threads.
    """

    def __init__(self, storage: Storage, executor: Executor, *, cache_bytes: int, at_once: int) -> None:
        self._storage = storage
        self._executor = executor
        self._cache_bytes = cache_bytes
        self._at_once = at_once
        # Neither begun nor dropped: those that are were moved.
        self._wanted: deque[tuple[ObjectInfo, _Part]] = deque()
        self._ahead: deque[tuple[ObjectInfo, _Part]] = deque()
        self._wanted_in_flight = self._ahead_in_flight = 0
        self._objects: dict[ObjectInfo, Pieces[_Part]] = {}
        self._kept: OrderedDict[_Part, ObjectInfo] = OrderedDict()  # at hand, least recently used first
        self._held = 0
        self._changed: dict[ObjectInfo, SourceChangedError] = {}
        self.store_reads = 0
        self.store_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes in the cache."""
        return self._held

    def cached(self, info: ObjectInfo, ranges: Sequence[tuple[int, int]]) -> list[memoryview] | None:
        """Answer from the cache at once, or None when something is missing."""
        pieces = self._objects.get(info, Pieces())
        found = []
        for start, end in _within(info, ranges):
            parts = list(pieces.cover(start, end))
            held = [part for part in parts if isinstance(part, _Part) and part.data is not None]
            if len(held) < len(parts):
                return None
            found.append((held, start, end))
        return [self._cut(*each) for each in found]

    async def read(
        self,
        info: ObjectInfo,
        ranges: Sequence[tuple[int, int]],
        spent: Spent | None = None,
        ahead: Ahead | None = None,
    ) -> list[memoryview]:
        """Answer from cache and store, missing runs side by side. Raises what `Storage.read_range` raises.

        What the store was asked for is added to `spent`: to that of the first one to need it, where several do. With `ahead`, it comes
        after all that somebody waits for, and raises DroppedError where nobody will.
        """
        if info in self._changed:
            raise copy(self._changed[info])
        if ahead is not None and ahead.dropped:
            raise _dropped()
        within = _within(info, ranges)
        missing = [
            (piece[0], piece[1] - piece[0])
            for start, end in within
            for piece in self._objects.get(info, Pieces()).cover(start, end)
            if isinstance(piece, tuple)
        ]
        asked = [
            part
            for offset, length in join_ranges(sorted(missing), gap=_GAP)
            for part in self._ask(info, offset, offset + length)
        ]
        needed = [self._parts(info, start, end) for start, end in within]
        coming = {part for parts in needed for part in parts if not part.done.done()}
        for part in coming:
            part.waiters += 1
        if ahead is not None:
            ahead._fetcher, ahead._info, ahead._parts = self, info, tuple(coming)
        if ahead is None or ahead.wanted:
            self._want(coming)
        self._begin()
        if coming:
            try:
                # It ends nothing of what it waits for: who goes away takes nothing from others that wait for the same bytes.
                await asyncio.wait({part.done for part in coming})
            except asyncio.CancelledError:
                self._let_go(info, coming)
                raise
            for part in coming:
                part.done.result()
        if spent is not None:
            answered = [part for part in asked if part.error is None]
            spent.requests += sum(part.requests for part in answered)
            spent.bytes += sum(part.size for part in answered)
        for part in (part for parts in needed for part in parts):
            if part.error is not None:
                # An error of its own for each read, as raising one changes it.
                raise copy(part.error) if isinstance(part.error, FFbindError) else part.error
        return [self._cut(parts, start, end) for parts, (start, end) in zip(needed, within, strict=True)]

    def put(self, info: ObjectInfo, offset: int, data: bytes) -> None:
        """Take in bytes of an object that came some other way; what is at hand or in flight stays as it is."""
        pieces = self._objects.setdefault(info, Pieces())
        for piece in list(pieces.cover(offset, offset + len(data))):
            if isinstance(piece, tuple):
                start, end = piece
                part = _Part(start, end)
                part.begun = True
                part.done.set_result(None)
                part.data = memoryview(data)[start - offset : end - offset]
                pieces.add(part)
                self._keep(info, part)
        self._evict()

    def forget(self, info: ObjectInfo) -> None:
        """Drop what is known of an object that is no longer used."""
        self._changed.pop(info, None)
        self._drop(info)

    def found(self, info: ObjectInfo) -> None:
        """Take in that the store has this object, in this version: it may have come back."""
        self._changed.pop(info, None)

    def _drop(self, info: ObjectInfo) -> None:
        for part in self._objects.pop(info, ()):
            if part in self._kept:
                del self._kept[part]
                self._held -= part.size

    def _ask(self, info: ObjectInfo, start: int, end: int) -> list[_Part]:
        """Send for what no part holds between two places; gives the new parts."""
        pieces = self._objects.setdefault(info, Pieces())
        asked = []
        for piece in list(pieces.cover(start, end)):
            if isinstance(piece, tuple):
                part = _Part(*piece)
                pieces.add(part)
                self._ahead.append((info, part))
                asked.append(part)
        return asked

    def _want(self, parts: Iterable[_Part]) -> None:
        """Move parts to those that are waited for; one that is in flight is left where it is."""
        moved = {part for part in parts if not part.wanted and not part.begun}
        for part in moved:
            part.wanted = True
        if moved:
            self._wanted.extend(each for each in self._ahead if each[1] in moved)
            self._ahead = deque(each for each in self._ahead if each[1] not in moved)
            self._begin()

    def _let_go(self, info: ObjectInfo, parts: Iterable[_Part]) -> None:
        """End a read; what it was the last one to wait for, and is not begun, is dropped."""
        for part in parts:
            part.waiters -= 1
            if not part.waiters and not part.begun:
                (self._wanted if part.wanted else self._ahead).remove((info, part))
                self._remove(info, part)
                part.error = _dropped()
                part.done.set_result(None)

    def _begin(self) -> None:
        """Send for what may go now."""
        while self._wanted and self._wanted_in_flight < self._at_once:
            self._wanted_in_flight += 1
            self._send(*self._wanted.popleft())
        while self._ahead and not self._wanted and self._ahead_in_flight < _ahead_at_once(self._at_once):
            self._ahead_in_flight += 1
            self._send(*self._ahead.popleft())

    def _send(self, info: ObjectInfo, part: _Part) -> None:
        part.begun = True
        part.task = asyncio.create_task(self._fetch(info, part))

    def _parts(self, info: ObjectInfo, start: int, end: int) -> list[_Part]:
        pieces = self._objects.get(info, Pieces())
        return [part for part in pieces.cover(start, end) if isinstance(part, _Part)]

    async def _fetch(self, info: ObjectInfo, part: _Part) -> None:
        try:
            await self._bring(info, part)
        except BaseException:
            part.done.cancel()  # the program ends, and nothing else begins
            raise
        finally:
            if part.wanted:
                self._wanted_in_flight -= 1
            else:
                self._ahead_in_flight -= 1
            part.task = None
        part.done.set_result(None)
        self._begin()

    async def _bring(self, info: ObjectInfo, part: _Part) -> None:
        try:
            data, part.requests = await asyncio.get_running_loop().run_in_executor(
                self._executor, self._read, info, part.start, part.size
            )
            if len(data) != part.size:
                raise SourceError(
                    f"{info.path}: asked for {part.size} bytes at {part.start}, got {len(data)}; try again"
                )
        except BaseException as error:
            in_use = part in self._objects.get(info, ())
            self._remove(info, part)
            if not isinstance(error, Exception):
                raise
            part.error = error  # for those who wait; nobody may be left
            if isinstance(error, SourceChangedError) and in_use:
                self._changed[info] = copy(error)
                self._drop(info)
            return
        self.store_reads += part.requests
        self.store_bytes += part.size
        part.data = memoryview(data)
        if part in self._objects.get(info, ()):
            self._keep(info, part)
        self._evict()

    def _keep(self, info: ObjectInfo, part: _Part) -> None:
        self._kept[part] = info
        self._held += part.size

    def _evict(self) -> None:
        while self._held > self._cache_bytes:
            oldest, its = self._kept.popitem(last=False)
            self._held -= oldest.size
            self._remove(its, oldest)

    def _read(self, info: ObjectInfo, offset: int, length: int) -> tuple[bytes, int]:
        """Read from the store, and say how many requests that took. A folder sends none: each of its reads counts as one."""
        before = requests_sent()
        data = self._storage.read_range(info, offset, length)
        return data, max(1, requests_sent() - before)

    def _remove(self, info: ObjectInfo, part: _Part) -> None:
        pieces = self._objects.get(info)
        if pieces is not None:
            pieces.remove(part)
            if not len(pieces):
                del self._objects[info]

    def _cut(self, parts: Sequence[_Part], start: int, end: int) -> memoryview:
        for part in parts:
            if part in self._kept:
                self._kept.move_to_end(part)
        return cut(parts, start, end)


def _dropped() -> DroppedError:
    return DroppedError("nobody waited for this range any more")


def _within(info: ObjectInfo, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Give `(start, end)` of ranges, as far as they lie within the object."""
    return [(min(offset, info.size), min(offset + length, info.size)) for offset, length in ranges]
