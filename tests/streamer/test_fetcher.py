"""Reads for the lanes: right bytes for any ranges, few requests, nothing asked for twice, and a cache that stays within its bound."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ffbind.errors import SourceChangedError, SourceError
from streamer.fetcher import _GAP, Ahead, DroppedError, Fetcher, Spent, threads_for
from streamer.storage import LocalStorage, ObjectInfo

K = 1024
SIZE = 1000 * K + 234
LARGE = 64 << 20


class Counted(LocalStorage):
    """A folder whose reads are counted, held back and made to fail."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.requests: list[tuple[int, int]] = []
        self.arrived = threading.Condition()
        self.open = threading.Event()
        self.open.set()
        self.failing: Exception | None = None

    def read_range(self, info: ObjectInfo, offset: int, length: int) -> bytes:
        with self.arrived:
            self.requests.append((offset, length))
            self.arrived.notify_all()
        assert self.open.wait(60)
        if self.failing is not None:
            raise self.failing
        return super().read_range(info, offset, length)

    def wait_for(self, count: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= count, 60)


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    content = np.random.default_rng(5).integers(0, 256, SIZE, dtype=np.uint8).tobytes()
    (tmp_path / "a").write_bytes(content)
    return content


@pytest.fixture
def storage(data: bytes, tmp_path: Path) -> Counted:
    return Counted(tmp_path)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


RANGES = [
    [(0, 1)],
    [(SIZE - 1, 1)],
    [(SIZE - 1, 100)],
    [(SIZE, 5)],
    [(SIZE + 10 * K, 5)],
    [(K - 1, 2)],
    [(K, K)],
    [(K + 1, 3 * K)],
    [(7, 0)],
    [],
    [(300 * K, 10), (0, 10), (500 * K, 4000), (3, 10)],
    [(0, SIZE)],
]


@pytest.mark.parametrize("cache_bytes", [0, 4 * K, LARGE])
async def test_any_ranges(
    data: bytes, storage: Counted, executor: ThreadPoolExecutor, cache_bytes: int
) -> None:
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=cache_bytes, at_once=4)
    chance = random.Random(4)
    more = [
        [(chance.randrange(SIZE), chance.randrange(40 * K)) for _ in range(chance.randrange(4))]
        for _ in range(100)
    ]
    for ranges in RANGES * 2 + more:
        wanted = [data[offset : offset + length] for offset, length in ranges]
        assert [bytes(part) for part in await fetcher.read(info, ranges)] == wanted
        cached = fetcher.cached(info, ranges)
        assert cached is None or [bytes(part) for part in cached] == wanted
        assert fetcher.held_bytes <= cache_bytes
    assert (fetcher.store_reads, fetcher.store_bytes) == (
        len(storage.requests),
        sum(length for _, length in storage.requests),
    )


async def test_what_is_missing_is_asked_for_and_nothing_else(
    data: bytes, storage: Counted, executor: ThreadPoolExecutor
) -> None:
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=LARGE, at_once=4)
    assert fetcher.cached(info, [(200 * K, 10)]) is None
    await fetcher.read(info, [(200 * K, 10)])
    assert storage.requests == [(200 * K, 10)]
    assert fetcher.cached(info, [(200 * K + 5, 5)]) == [data[200 * K + 5 : 200 * K + 10]]
    assert fetcher.cached(info, [(200 * K + 5, 6)]) is None
    await fetcher.read(info, [(0, SIZE)])
    assert sorted(storage.requests[1:]) == [(0, 200 * K), (200 * K + 10, SIZE - 200 * K - 10)]
    assert fetcher.cached(info, [(0, SIZE)]) == [data]
    assert fetcher.store_bytes == fetcher.held_bytes == SIZE


async def test_ranges_of_one_read_are_joined_over_small_gaps(
    data: bytes, storage: Counted, executor: ThreadPoolExecutor
) -> None:
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=LARGE, at_once=4)
    far = 200 * K
    ranges = [(0, 10), (10 + _GAP, 10), (far, 10), (far + 11 + _GAP, 10)]
    parts = await fetcher.read(info, ranges)
    assert parts == [data[offset : offset + length] for offset, length in ranges]
    assert sorted(storage.requests) == [(0, 20 + _GAP), (far, 10), (far + 11 + _GAP, 10)]


async def test_what_one_request_brought_is_handed_out_without_a_copy(
    storage: Counted, executor: ThreadPoolExecutor
) -> None:
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=LARGE, at_once=4)
    whole, part = await fetcher.read(info, [(0, 100), (10, 20)])
    assert whole.obj is part.obj


async def test_reads_in_flight_are_shared(
    data: bytes, storage: Counted, executor: ThreadPoolExecutor
) -> None:
    """Equal ones and overlapping ones; and whoever goes away first, the others are answered."""
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=0, at_once=4)
    storage.open.clear()
    reads = [
        asyncio.create_task(fetcher.read(info, [(start, length)]))
        for start, length in ((0, 100), (0, 100), (50, 100), (20, 30))
    ]
    await asyncio.to_thread(storage.wait_for, 2)
    reads[0].cancel()
    await asyncio.sleep(0)
    storage.open.set()
    assert await reads[1] == [data[:100]]
    assert await reads[2] == [data[50:150]]
    assert await reads[3] == [data[20:50]]
    assert sorted(storage.requests) == [(0, 100), (100, 50)]


async def test_a_failure_is_told_to_who_waits_and_not_kept(
    data: bytes, storage: Counted, executor: ThreadPoolExecutor
) -> None:
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=LARGE, at_once=4)
    await fetcher.read(info, [(0, 100)])
    storage.failing = SourceError("the store is tired; try again")
    reads = [fetcher.read(info, [(50, 100)]), fetcher.read(info, [(0, 200)]), fetcher.read(info, [(0, 100)])]
    first, second, held = await asyncio.gather(*reads, return_exceptions=True)
    assert isinstance(first, SourceError)
    assert isinstance(second, SourceError)
    assert first is not second
    assert held == [data[:100]]
    storage.failing = None
    assert await fetcher.read(info, [(50, 100)]) == [data[50:150]]
    assert (fetcher.store_reads, fetcher.store_bytes) == (2, 150)


async def test_the_cache_keeps_within_its_bound_and_drops_the_oldest(
    storage: Counted, executor: ThreadPoolExecutor
) -> None:
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=2 * K, at_once=4)
    for place in (0, 10 * K):
        await fetcher.read(info, [(place, K)])
    assert fetcher.cached(info, [(0, 1)]) is not None  # used again, so the other one is the oldest now
    await fetcher.read(info, [(20 * K, K)])
    held = [place for place in (0, 10, 20) if fetcher.cached(info, [(place * K, K)]) is not None]
    assert held == [0, 20]
    assert fetcher.held_bytes == 2 * K


async def test_a_changed_object_is_told_and_forgotten(
    data: bytes, storage: Counted, tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=LARGE, at_once=4)
    await fetcher.read(info, [(0, 1)])
    (tmp_path / "a").write_bytes(b"other")
    with pytest.raises(SourceChangedError):
        await fetcher.read(info, [(K, 1)])
    fetcher.forget(info)
    assert fetcher.held_bytes == 0
    new = storage.stat("a")
    assert new != info
    assert await fetcher.read(new, [(0, 5)]) == [b"other"]


async def test_a_changed_object_is_not_asked_for_again_before_it_was_found_anew(
    data: bytes, storage: Counted, executor: ThreadPoolExecutor
) -> None:
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=LARGE, at_once=4)
    await fetcher.read(info, [(0, 100)])
    storage.failing = SourceChangedError("a was changed")
    raised = []
    for ranges in ([(500 * K, 1)], [(600 * K, 1)], [(0, 100)]):
        with pytest.raises(SourceChangedError, match="a was changed") as caught:
            await fetcher.read(info, ranges)
        raised.append(caught.value)
    assert len(set(map(id, raised))) == 3
    assert len(storage.requests) == 2
    assert fetcher.cached(info, [(0, 100)]) is None
    assert fetcher.held_bytes == 0
    storage.failing = None  # the same version is there again
    fetcher.found(storage.stat("a"))
    assert await fetcher.read(info, [(0, 100)]) == [data[:100]]


async def test_what_the_store_was_asked_for_counts_for_the_first_to_need_it(
    storage: Counted, executor: ThreadPoolExecutor
) -> None:
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=LARGE, at_once=4)
    spent = [Spent() for _ in range(4)]
    storage.open.clear()
    reads = [
        asyncio.create_task(fetcher.read(info, ranges, each))
        for ranges, each in zip(
            ([(0, 100), (10 + _GAP, 10), (500 * K, 10)], [(0, 50)], [(50, _GAP + K)]), spent[:3], strict=True
        )
    ]
    await asyncio.to_thread(storage.wait_for, 3)
    storage.open.set()
    await asyncio.gather(*reads)
    await fetcher.read(info, [(0, 100)], spent[3])
    assert spent[0] == Spent(2, 20 + _GAP + 10)  # with the gap between two ranges
    assert spent[1] == spent[3] == Spent(0, 0)
    assert spent[2] == Spent(1, 30 + K)
    assert sum(each.requests for each in spent) == fetcher.store_reads == len(storage.requests)
    assert sum(each.bytes for each in spent) == fetcher.store_bytes


async def test_what_was_forgotten_in_flight_is_not_kept(
    data: bytes, storage: Counted, executor: ThreadPoolExecutor
) -> None:
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=LARGE, at_once=4)
    storage.open.clear()
    read = asyncio.create_task(fetcher.read(info, [(0, 100)]))
    await asyncio.to_thread(storage.wait_for, 1)
    fetcher.forget(info)
    storage.open.set()
    assert await read == [data[:100]]
    assert fetcher.held_bytes == 0
    assert fetcher.cached(info, [(0, 100)]) is None


async def ahead_of(
    storage: Counted, fetcher: Fetcher, info: ObjectInfo, starts: list[int]
) -> list[tuple[asyncio.Task[list[memoryview]], Ahead]]:
    """Read ahead 100 bytes at each place, while the store answers nothing."""
    storage.open.clear()
    reads = []
    for start in starts:
        ahead = Ahead()
        reads.append((asyncio.create_task(fetcher.read(info, [(start, 100)], ahead=ahead)), ahead))
        await asyncio.sleep(0)  # it has asked
    return reads


@pytest.fixture
def exact() -> Iterator[ThreadPoolExecutor]:
    """As many threads as a fetcher with `at_once=2` uses."""
    with ThreadPoolExecutor(threads_for(2)) as pool:
        yield pool


async def test_what_is_wanted_does_not_wait_behind_what_is_read_ahead(
    data: bytes, storage: Counted, exact: ThreadPoolExecutor
) -> None:
    """However much is read ahead: both places for what is wanted are free, and nothing ahead begins before what waits for one."""
    info = storage.stat("a")
    fetcher = Fetcher(storage, exact, cache_bytes=LARGE, at_once=2)
    ahead = await ahead_of(storage, fetcher, info, [n * 10 * K for n in range(20)])
    await asyncio.to_thread(storage.wait_for, 1)
    wanted = [asyncio.create_task(fetcher.read(info, [(500 * K + n * 10 * K, 100)])) for n in range(3)]
    await asyncio.to_thread(storage.wait_for, 3)
    assert storage.requests == [(0, 100), (500 * K, 100), (510 * K, 100)]
    storage.open.set()
    assert [bytes(part) for (part,) in await asyncio.gather(*wanted)] == [
        data[start : start + 100] for start in (500 * K, 510 * K, 520 * K)
    ]
    await asyncio.gather(*(read for read, _ in ahead))
    assert len(storage.requests) == 23
    # One ahead may have begun when the first one ended, before a place for the third became free; no more than that.
    assert storage.requests.index((520 * K, 100)) <= 4


async def test_what_is_read_ahead_goes_up_once_somebody_waits_for_it(
    data: bytes, storage: Counted, exact: ThreadPoolExecutor
) -> None:
    """By a read of the same bytes, or told by the one who read ahead."""
    info = storage.stat("a")
    fetcher = Fetcher(storage, exact, cache_bytes=LARGE, at_once=2)
    ahead = await ahead_of(storage, fetcher, info, [n * 10 * K for n in range(6)])
    await asyncio.to_thread(storage.wait_for, 1)
    wanted = asyncio.create_task(fetcher.read(info, [(40 * K + 10, 10)]))
    await asyncio.to_thread(storage.wait_for, 2)
    ahead[5][1].hurry()
    await asyncio.to_thread(storage.wait_for, 3)
    assert storage.requests == [(0, 100), (40 * K, 100), (50 * K, 100)]
    ahead[0][1].hurry()  # in flight: nothing to be done
    storage.open.set()
    assert await wanted == [data[40 * K + 10 : 40 * K + 20]]
    for place, (read, _) in enumerate(ahead):
        assert await read == [data[place * 10 * K : place * 10 * K + 100]]
    assert len(storage.requests) == 6


async def test_what_is_read_ahead_and_not_begun_is_dropped(
    data: bytes, storage: Counted, exact: ThreadPoolExecutor
) -> None:
    """But for what is in flight, and what others wait for."""
    info = storage.stat("a")
    fetcher = Fetcher(storage, exact, cache_bytes=LARGE, at_once=2)
    ahead = await ahead_of(storage, fetcher, info, [0, 10 * K, 20 * K, 30 * K])
    await asyncio.to_thread(storage.wait_for, 1)
    (other, _), (gone, _) = await ahead_of(storage, fetcher, info, [20 * K, 40 * K])
    for _, each in ahead:
        each.drop()
    gone.cancel()
    late = Ahead()
    late.drop()
    with pytest.raises(DroppedError):
        await fetcher.read(info, [(60 * K, 100)], ahead=late)
    for read, _ in (ahead[1], ahead[3]):
        with pytest.raises(DroppedError):
            await read
    with pytest.raises(asyncio.CancelledError):
        await gone
    again = asyncio.create_task(fetcher.read(info, [(30 * K, 100)]))
    storage.open.set()
    assert await ahead[0][0] == [data[:100]]
    assert await other == await ahead[2][0] == [data[20 * K : 20 * K + 100]]
    assert await again == [data[30 * K : 30 * K + 100]]
    assert sorted(storage.requests) == [(0, 100), (20 * K, 100), (30 * K, 100)]


def test_a_loop_that_ends_leaves_nothing_begun_behind(tmp_path: Path) -> None:
    """What waited for a place does not begin while all is being cancelled, where nobody would await it."""
    (tmp_path / "a").write_bytes(bytes(SIZE))
    storage = Counted(tmp_path)
    storage.open.clear()

    async def leave() -> Fetcher:
        fetcher = Fetcher(storage, pool, cache_bytes=LARGE, at_once=1)
        info = storage.stat("a")
        tasks.extend(
            asyncio.create_task(fetcher.read(info, [(start * 100, 100)])) for start in range(0, 10 * K, K)
        )
        await asyncio.to_thread(storage.wait_for, 1)
        return fetcher

    tasks: list[asyncio.Task[list[memoryview]]] = []
    with ThreadPoolExecutor(threads_for(1)) as pool:
        fetcher = asyncio.run(leave())
        assert all(task.cancelled() for task in tasks)
        assert (fetcher._wanted_in_flight, fetcher._ahead_in_flight) == (0, 0)
        storage.open.set()
    assert len(storage.requests) == 1


def test_the_cache_key_is_path_size_and_identity() -> None:
    assert ObjectInfo("a", 1, "x") != ObjectInfo("a", 1, "y")
    assert len({ObjectInfo("a", 1, "x"), ObjectInfo("a", 1, "x")}) == 1


async def test_bytes_that_came_another_way_are_not_asked_for(
    storage: Counted, data: bytes, executor: ThreadPoolExecutor
) -> None:
    fetcher = Fetcher(storage, executor, cache_bytes=100 * K, at_once=2)
    info = storage.stat("a")
    await fetcher.read(info, [(20 * K, K)])
    fetcher.put(info, 10 * K, data[10 * K : 40 * K])  # some of it is at hand already
    assert fetcher.held_bytes == 30 * K
    assert b"".join(await fetcher.read(info, [(10 * K, 30 * K)])) == data[10 * K : 40 * K]
    assert storage.requests == [(20 * K, K)]
    assert b"".join(await fetcher.read(info, [(39 * K, 2 * K)])) == data[39 * K : 41 * K]
    assert storage.requests[1:] == [(40 * K, K)]
    fetcher.put(info, 200 * K, data[200 * K : 299 * K])
    assert fetcher.held_bytes <= 100 * K
    fetcher.put(info, 400 * K, b"")
    assert fetcher.held_bytes <= 100 * K
