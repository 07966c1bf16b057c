"""Reads of videos for the lanes: in aligned blocks, off the event loop, through a cache bounded in bytes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Executor

from .storage import ObjectInfo, Storage

__all__ = ["BLOCK", "Fetcher"]

BLOCK = 256 * 1024
"""Reads begin and end at multiples of this, so that frame after frame costs one read for many."""


class Fetcher:
    """Answers reads from the cache or from the store.

    Blocks are kept by object and identity: those of a replaced object are never mixed with the new ones'.
    Missing blocks that touch each other are one read of the store. Used on the event loop only; the store is
    called in `executor`.
    """

    def __init__(self, storage: Storage, executor: Executor, *, cache_bytes: int) -> None:
        self._storage = storage
        self._executor = executor
        self._cache_bytes = cache_bytes
        self._blocks: OrderedDict[tuple[ObjectInfo, int], bytes] = OrderedDict()
        self._held = 0
        self.store_reads = 0
        self.store_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes in the cache."""
        return self._held

    def cached(self, info: ObjectInfo, ranges: Sequence[tuple[int, int]]) -> list[bytes | memoryview] | None:
        """Answer from the cache at once, or None when a block is missing."""
        blocks: dict[int, bytes] = {}
        for number in _blocks_of(info, ranges):
            block = self._blocks.get((info, number))
            if block is None:
                return None
            self._blocks.move_to_end((info, number))
            blocks[number] = block
        return [_cut(info, blocks, offset, length) for offset, length in ranges]

    async def read(self, info: ObjectInfo, ranges: Sequence[tuple[int, int]]) -> list[bytes | memoryview]:
        """Answer from cache and store. Raises what `Storage.read_range` raises."""
        blocks: dict[int, bytes] = {}
        missing: list[int] = []
        for number in sorted(_blocks_of(info, ranges)):
            block = self._blocks.get((info, number))
            if block is None:
                missing.append(number)
            else:
                blocks[number] = block
        loop = asyncio.get_running_loop()
        for first, count in _runs(missing):
            start = first * BLOCK
            data = await loop.run_in_executor(
                self._executor, self._storage.read_range, info, start, min(count * BLOCK, info.size - start)
            )
            self.store_reads += 1
            self.store_bytes += len(data)
            view = memoryview(data)
            for number in range(first, first + count):
                place = (number - first) * BLOCK
                block = data if count == 1 else bytes(view[place : place + BLOCK])
                blocks[number] = block
                self._keep(info, number, block)
        return [_cut(info, blocks, offset, length) for offset, length in ranges]

    def forget(self, info: ObjectInfo) -> None:
        """Drop what is kept of an object that changed or is no longer used."""
        for key in [key for key in self._blocks if key[0] == info]:
            self._held -= len(self._blocks.pop(key))

    def _keep(self, info: ObjectInfo, number: int, block: bytes) -> None:
        old = self._blocks.pop((info, number), b"")
        self._blocks[info, number] = block
        self._held += len(block) - len(old)
        while self._held > self._cache_bytes:
            _, dropped = self._blocks.popitem(last=False)
            self._held -= len(dropped)


def _blocks_of(info: ObjectInfo, ranges: Sequence[tuple[int, int]]) -> set[int]:
    """Numbers of the blocks that hold these ranges, as far as they lie within the object."""
    numbers: set[int] = set()
    for offset, length in ranges:
        end = min(offset + length, info.size)
        if offset < end:
            numbers.update(range(offset // BLOCK, (end - 1) // BLOCK + 1))
    return numbers


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """Group ascending numbers into runs: `(first, count)`."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and sum(runs[-1]) == number:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((number, 1))
    return runs


def _cut(info: ObjectInfo, blocks: dict[int, bytes], offset: int, length: int) -> bytes | memoryview:
    """Put one range together from blocks; shorter where the object ends."""
    end = min(offset + length, info.size)
    if offset >= end:
        return b""
    first, last = offset // BLOCK, (end - 1) // BLOCK
    if first == last:
        return memoryview(blocks[first])[offset - first * BLOCK : end - first * BLOCK]
    parts: list[bytes | memoryview] = []
    for number in range(first, last + 1):
        block = blocks[number]
        low = offset - number * BLOCK if number == first else 0
        high = end - number * BLOCK if number == last else len(block)
        parts.append(memoryview(block)[low:high])
    return b"".join(parts)
