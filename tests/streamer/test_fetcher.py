"""Reads for the lanes: right bytes for any ranges, few reads of the store, and a cache that stays within its bound."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffbind.errors import SourceChangedError
from streamer.fetcher import BLOCK, Fetcher, _runs
from streamer.storage import LocalStorage, ObjectInfo

SIZE = 5 * BLOCK + 1234


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    content = np.random.default_rng(5).integers(0, 256, SIZE, dtype=np.uint8).tobytes()
    (tmp_path / "a").write_bytes(content)
    return content


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


RANGES = [
    [(0, 1)],
    [(0, SIZE)],
    [(SIZE - 1, 1)],
    [(SIZE - 1, 100)],
    [(SIZE, 5)],
    [(SIZE + BLOCK * 10, 5)],
    [(BLOCK - 1, 2)],
    [(BLOCK, BLOCK)],
    [(BLOCK + 1, 3 * BLOCK)],
    [(7, 0)],
    [],
    [(3 * BLOCK, 10), (0, 10), (5 * BLOCK, 4000), (3, 10)],
]


@pytest.mark.parametrize("cache_bytes", [0, BLOCK, 100 * BLOCK])
async def test_any_ranges(
    data: bytes, tmp_path: Path, executor: ThreadPoolExecutor, cache_bytes: int
) -> None:
    storage = LocalStorage(tmp_path)
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=cache_bytes)
    for ranges in RANGES * 2:
        wanted = [data[offset : offset + length] for offset, length in ranges]
        assert [bytes(part) for part in await fetcher.read(info, ranges)] == wanted
        cached = fetcher.cached(info, ranges)
        assert cached is None or [bytes(part) for part in cached] == wanted


async def test_missing_blocks_side_by_side_are_one_read_and_none_is_read_twice(
    data: bytes, tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    storage = LocalStorage(tmp_path)
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=100 * BLOCK)
    assert fetcher.cached(info, [(2 * BLOCK, 10)]) is None
    await fetcher.read(info, [(2 * BLOCK, 10)])
    assert (fetcher.store_reads, fetcher.store_bytes) == (1, BLOCK)
    assert fetcher.cached(info, [(2 * BLOCK + 5, 10)]) == [data[2 * BLOCK + 5 : 2 * BLOCK + 15]]
    await fetcher.read(info, [(0, SIZE)])
    assert (fetcher.store_reads, fetcher.store_bytes) == (3, SIZE)
    assert fetcher.cached(info, [(0, SIZE)]) == [data]


async def test_the_cache_keeps_within_its_bound_and_drops_the_oldest(
    data: bytes, tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    storage = LocalStorage(tmp_path)
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=2 * BLOCK)
    for number in (0, 1):
        await fetcher.read(info, [(number * BLOCK, 1)])
    assert fetcher.cached(info, [(0, 1)]) is not None  # used again, so block 1 is the oldest now
    await fetcher.read(info, [(2 * BLOCK, 1)])
    held = [number for number in range(6) if fetcher.cached(info, [(number * BLOCK, 1)]) is not None]
    assert held == [0, 2]
    assert fetcher.held_bytes <= 2 * BLOCK


async def test_a_changed_object_is_told_and_forgotten(
    data: bytes, tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    storage = LocalStorage(tmp_path)
    info = storage.stat("a")
    fetcher = Fetcher(storage, executor, cache_bytes=100 * BLOCK)
    await fetcher.read(info, [(0, 1)])
    (tmp_path / "a").write_bytes(b"other")
    with pytest.raises(SourceChangedError):
        await fetcher.read(info, [(BLOCK, 1)])
    fetcher.forget(info)
    assert fetcher.held_bytes == 0
    new = storage.stat("a")
    assert new != info
    assert await fetcher.read(new, [(0, 5)]) == [b"other"]


@given(st.sets(st.integers(0, 60)))
def test_runs_hold_every_number_once_and_never_touch(numbers: set[int]) -> None:
    runs = _runs(sorted(numbers))
    assert {number for first, count in runs for number in range(first, first + count)} == numbers
    assert sum(count for _, count in runs) == len(numbers)
    for (first, count), (following, _) in itertools.pairwise(runs):
        assert first + count < following


def test_the_cache_key_is_path_size_and_identity() -> None:
    assert ObjectInfo("a", 1, "x") != ObjectInfo("a", 1, "y")
    assert len({ObjectInfo("a", 1, "x"), ObjectInfo("a", 1, "x")}) == 1
