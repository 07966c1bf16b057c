"""Videos in use: opened once for all who want them, kept a while, and errors with the code that the client sees."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streamer.fetcher import Fetcher
from streamer.lanes.pool import LanePool
from streamer.storage import LocalStorage
from streamer.videos import IDLE_VIDEOS, OpenError, Videos


@pytest.fixture
async def registry(videos, tmp_path: Path) -> AsyncIterator[Videos]:
    shutil.copy(videos.clip, tmp_path / "clip.mp4")
    shutil.copy(videos.folder / "text.mp4", tmp_path / "text.mp4")
    storage = LocalStorage(tmp_path)
    with ThreadPoolExecutor(4) as executor:
        fetcher = Fetcher(storage, executor, cache_bytes=1 << 20, at_once=4)
        pool = LanePool(
            fetcher, lanes=1, encode_threads=1, videos_per_lane=4, kept_bytes=1 << 25, decode_timeout=30
        )
        await pool.start()
        yield Videos(storage, fetcher, pool, executor, open_timeout=30)
        await pool.stop()


async def test_all_who_want_a_video_share_it(registry: Videos) -> None:
    found = await asyncio.gather(*(registry.acquire("clip.mp4") for _ in range(5)))
    assert len({id(video) for video in found}) == 1
    for video in found:
        registry.release(video)
    assert await registry.acquire("clip.mp4") is found[0]


async def test_a_waiter_who_leaves_takes_nothing_from_the_others(registry: Videos) -> None:
    tasks = [asyncio.create_task(registry.acquire("clip.mp4")) for _ in range(3)]
    while len(registry) == 0:  # noqa: ASYNC110 - until the opening has begun, which takes more than one turn
        await asyncio.sleep(0)
    tasks[0].cancel()
    videos = await asyncio.gather(*tasks[1:])
    assert videos[0] is videos[1]
    assert tasks[0].cancelled()


async def test_all_waiters_leaving_is_fine_and_the_next_one_is_served(registry: Videos) -> None:
    for delay in (0, 0.001, 0.005, 0.02):
        task = asyncio.create_task(registry.acquire("clip.mp4"))
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (await registry.acquire("clip.mp4")).info.path == "clip.mp4"


@pytest.mark.parametrize(
    ("path", "code"), [("missing.mp4", "not_found"), ("text.mp4", "not_video"), ("../x", "bad_path")]
)
async def test_errors_carry_the_code_and_are_not_remembered(
    registry: Videos, tmp_path: Path, path: str, code: str
) -> None:
    for _ in range(2):
        with pytest.raises(OpenError) as caught:
            await registry.acquire(path)
        assert caught.value.code == code
    if code != "bad_path":
        shutil.copy(tmp_path / "clip.mp4", tmp_path / path)
        assert (await registry.acquire(path)).info.path == path


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("open_gop.mkv", "Matroska"),
        ("open_gop.ts", "MPEG-TS"),
        ("open_gop.m2ts", "MPEG-TS"),
        ("open_gop.hevc", "raw stream"),
    ],
)
async def test_what_only_the_library_opens_is_refused_with_its_reason(
    registry: Videos, tmp_path: Path, clip: Callable[[str], Path], name: str, container: str
) -> None:
    """By its bytes, not by its name."""
    shutil.copy(clip(name), tmp_path / "other.mp4")
    with pytest.raises(
        OpenError, match=f"other.mp4: a {container} file is not served, only MP4 and MOV are"
    ) as caught:
        await registry.acquire("other.mp4")
    assert caught.value.code == "unsupported_codec"


async def test_a_replaced_file_is_another_video(registry: Videos, tmp_path: Path) -> None:
    old = await registry.acquire("clip.mp4")
    os.utime(tmp_path / "clip.mp4", ns=(1, 1))
    new = await registry.acquire("clip.mp4")
    assert new is not old
    assert new.info.identity != old.info.identity


async def test_idle_videos_are_bounded(registry: Videos, tmp_path: Path) -> None:
    for number in range(IDLE_VIDEOS + 4):
        os.utime(tmp_path / "clip.mp4", ns=(number, number))
        registry.release(await registry.acquire("clip.mp4"))
        assert len(registry) <= IDLE_VIDEOS
    assert len(registry) == IDLE_VIDEOS
