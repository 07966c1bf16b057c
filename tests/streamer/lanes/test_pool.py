"""The pool with real lanes: jobs and results, cancelling, what a dying lane takes with it and what not."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import ffbind
from streamer.fetcher import Ahead, Fetcher, threads_for
from streamer.lanes import process
from streamer.lanes.pool import Failure, LanePool, LaneStartError, LaneVideo, Outcome
from streamer.storage import LocalStorage, Look, ObjectInfo, ObjectSource
from streamer.videos import read_table_of


def table_of(storage: LocalStorage, info: ObjectInfo) -> bytes:
    """Read a table as the server does."""
    return read_table_of(ObjectSource(storage, Look(info)), info.path).packed


class Work:
    """A pool and the outcomes of the jobs given to it."""

    def __init__(self, pool: LanePool, storage: LocalStorage) -> None:
        self.pool = pool
        self.storage = storage
        self.outcomes: dict[Any, Outcome] = {}

    def video(self, path: str) -> LaneVideo:
        info = self.storage.stat(path)
        return self.pool.add_video(info, table_of(self.storage, info))

    def decode(self, key: Any, video: LaneVideo, offset: int, irap_offset: int) -> Any:
        def done(outcome: Outcome) -> None:
            assert key not in self.outcomes, "a job was answered twice"
            self.outcomes[key] = outcome

        return self.pool.decode(video, offset, irap_offset, 80, done)

    async def wait_for(self, *keys: Any) -> None:
        async with asyncio.timeout(30):
            while not all(key in self.outcomes for key in keys):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@asynccontextmanager
async def working(videos: Any, **options: Any) -> AsyncIterator[Work]:
    storage = LocalStorage(videos.folder)
    with ThreadPoolExecutor(2) as executor:
        fetcher = Fetcher(storage, executor, cache_bytes=1 << 20, at_once=4)
        chosen = {
            "lanes": 1,
            "encode_threads": 1,
            "videos_per_lane": 4,
            "kept_bytes": 1 << 25,
            "decode_timeout": 30,
        }
        pool = LanePool(fetcher, **{**chosen, **options})
        await pool.start()
        try:
            yield Work(pool, storage)
        finally:
            await pool.stop()
            assert pool.pids == [] or not any(os.path.exists(f"/proc/{pid}") for pid in pool.pids)


async def test_frames_and_failures(videos):
    samples = videos.index().samples
    first = int(samples["offset"][0])
    async with working(videos) as work:
        video = work.video("videos/clip.mp4")
        work.decode("good", video, first, first)
        work.decode("bad", video, first + 1, first)
        await work.wait_for("good", "bad")
        with ffbind.open(videos.clip) as direct:
            assert work.outcomes["good"] == direct.frame_at_offset(first).to_jpeg(80)
        failure = work.outcomes["bad"]
        assert isinstance(failure, Failure)
        assert failure.code == "bad_offset"


async def test_a_cancelled_job_is_never_answered_and_the_others_are(videos):
    samples = videos.index().samples
    offsets = [int(offset) for offset in samples["offset"]]
    async with working(videos) as work:
        video = work.video("videos/clip.mp4")
        jobs = [work.decode(n, video, offset, offsets[0]) for n, offset in enumerate(offsets[:60])]
        for job in jobs[1::2]:  # some are with the lane already, most wait in the pool
            work.pool.cancel(job)
        await work.wait_for(*range(0, 60, 2))
        work.decode("last", video, offsets[0], offsets[0])
        await work.wait_for("last")
        assert sorted(key for key in work.outcomes if key != "last") == list(range(0, 60, 2))


async def test_what_a_lane_reads_ahead_is_dropped_by_a_jump_and_moved_up_by_a_step(
    clip: Callable[[str], Path], tmp_path: Path
) -> None:
    """With the only place for reads ahead taken: a jump's leavings are never asked for, and what a step needs comes all the same."""
    (tmp_path / "far.mp4").write_bytes(clip("far_last.mp4").read_bytes())
    (tmp_path / "slow").write_bytes(bytes(100))
    with ffbind.open(tmp_path / "far.mp4") as near:
        samples, order = near.index.samples, near.index.order
    free = threading.Event()

    class Held(LocalStorage):
        def read_range(self, info: ObjectInfo, offset: int, length: int) -> bytes:
            if info.path == "slow":
                assert free.wait(60)
            else:
                asked.append((offset, offset + length))
            return super().read_range(info, offset, length)

    asked: list[tuple[int, int]] = []
    storage = Held(tmp_path)
    with ThreadPoolExecutor(threads_for(1)) as executor:
        fetcher = Fetcher(storage, executor, cache_bytes=1 << 20, at_once=1)
        pool = LanePool(
            fetcher, lanes=1, encode_threads=1, videos_per_lane=4, kept_bytes=1 << 25, decode_timeout=30
        )
        await pool.start()
        try:
            work = Work(pool, storage)
            video = work.video("far.mp4")
            blocking = asyncio.create_task(fetcher.read(storage.stat("slow"), [(0, 100)], ahead=Ahead()))

            async def show(place: int) -> None:
                row = samples[order[place]]
                work.decode(place, video, int(row["offset"]), int(samples["offset"][row["irap"]]))
                await work.wait_for(place)
                assert isinstance(work.outcomes[place], bytes)

            async def until(waiting: bool) -> None:
                async with asyncio.timeout(30):
                    while bool(fetcher._ahead) is not waiting:  # noqa: ASYNC110 - the lane is another process
                        await asyncio.sleep(0.01)

            for place in range(30, 33):
                await show(place)
            await until(True)
            asked.clear()
            await show(200)
            await until(False)
            assert [start for start, _ in asked] == [samples["offset"][samples["irap"][order[200]]]]
            for place in range(201, 206):  # the last ones need what was read ahead and waits for a place
                await show(place)
            assert asked[-1][1] > samples["offset"][samples["irap"][order[200]] + 30]
            assert not blocking.done()
            free.set()
            await blocking
        finally:
            free.set()
            await pool.stop()


async def test_a_dying_lane_fails_the_video_it_worked_on_and_no_other(videos):
    samples = videos.index().samples
    offsets = [int(offset) for offset in samples["offset"]]
    async with working(videos) as work:
        poison, innocent = work.video("videos/clip.mp4"), work.video("broken.mp4")
        codes = set()
        for attempt in range(50):  # a lane killed between two jobs has nothing to answer for: then once more
            # So much work that the lane cannot be through before it is killed.
            for n, offset in enumerate(offsets * 10):
                work.decode(("poison", attempt, n), poison, offset, offsets[0])
            await work.wait_for(("poison", attempt, 0))
            (lane,) = work.pool.pids
            os.kill(lane, signal.SIGSTOP)
            for n, offset in enumerate(offsets[:50]):
                work.decode(("innocent", attempt, n), innocent, offset, offsets[0])
            os.kill(lane, signal.SIGABRT)
            os.kill(lane, signal.SIGCONT)
            await work.wait_for(*(("poison", attempt, n) for n in range(3000)))
            await work.wait_for(*(("innocent", attempt, n) for n in range(50)))
            codes = {o.code for k, o in work.outcomes.items() if k[0] == "poison" and isinstance(o, Failure)}
            if codes:
                break
        assert codes == {"decode_crash"}
        assert all(
            isinstance(outcome, bytes) for key, outcome in work.outcomes.items() if key[0] == "innocent"
        )
        # The video is not banned: asked again, it is decoded by the new lane.
        work.decode("again", poison, offsets[0], offsets[0])
        await work.wait_for("again")
        assert isinstance(work.outcomes["again"], bytes)


async def test_a_lane_that_dies_idle_is_replaced_without_anyone_noticing(videos):
    samples = videos.index().samples
    first = int(samples["offset"][0])
    async with working(videos) as work:
        video = work.video("videos/clip.mp4")
        for n in range(4):
            work.decode(n, video, first, first)
            await work.wait_for(n)
            assert isinstance(work.outcomes[n], bytes)
            (lane,) = work.pool.pids
            os.kill(lane, signal.SIGKILL)
            async with asyncio.timeout(20):
                while lane in work.pool.pids:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)


async def test_a_silent_lane_is_replaced_and_its_jobs_go_on(videos):
    samples = videos.index().samples
    first = int(samples["offset"][0])
    async with working(videos, decode_timeout=0.5) as work:
        video = work.video("videos/clip.mp4")
        (lane,) = work.pool.pids
        os.kill(lane, signal.SIGSTOP)
        work.decode("frame", video, first, first)  # never started by the stopped lane, so not to blame
        await work.wait_for("frame")
        assert isinstance(work.outcomes["frame"], bytes)
        assert work.pool.pids != [lane]


async def test_videos_beyond_the_bound_are_opened_again_when_needed(videos):
    samples = videos.index().samples
    first = int(samples["offset"][0])
    async with working(videos, videos_per_lane=1) as work:
        pair = [work.video("videos/clip.mp4"), work.video("broken.mp4")]
        for n in range(6):
            work.decode(n, pair[n % 2], first, first)
        await work.wait_for(*range(6))
        assert all(isinstance(outcome, bytes) for outcome in work.outcomes.values())
        assert len(await work.pool.stats()) == 1


async def test_opening_tells_what_is_wrong_with_a_video(videos):
    async with working(videos) as work:
        info = work.storage.stat("text.mp4")
        video = work.pool.add_video(info, table_of(work.storage, work.storage.stat("videos/clip.mp4")))
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        work.pool.open(video, answer.set_result)
        failure = await answer
        assert isinstance(failure, Failure)
        assert failure.code == "video_changed"  # the index is of other bytes
        work.decode("frame", video, 0, 0)
        await work.wait_for("frame")
        outcome = work.outcomes["frame"]
        assert isinstance(outcome, Failure)
        assert outcome.code == "video_changed"


HOSTILE = """
import socket, sys
sys.path[:] = sys.argv[2 : 2 + int(sys.argv[1])]
from streamer.lanes import wire
sock = socket.socket(fileno=int(sys.argv[-5]))
sock.sendall(wire.pack(wire.Ready()))
while (received := wire.receive_record(sock)) is not None:
    record = wire.decode_to_lane(received[0])
    if isinstance(record, wire.Open):
        sock.sendall(wire.pack(wire.Opened(record.job)))
    elif isinstance(record, wire.Decode):
        sock.sendall(wire.pack(wire.Started(record.job)))
        sock.sendall(wire.pack({answer}))
"""


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("wire.Opened(record.job)", "decode_crash"),
        ("wire.Failed(record.job, 'no such code', 'x' * 100_000)", "internal"),
        ("wire.Read(1, record.video + 1, ((0, 100),))", "decode_timeout"),
        ("wire.Read(1, record.video, ((0, 2**40),))", "decode_timeout"),
        ("wire.Picture(2**40)", "decode_timeout"),
    ],
)
async def test_a_lane_taken_over_by_a_video_cannot_harm_the_server(videos, monkeypatch, answer, code):
    monkeypatch.setattr(process, "_PROGRAM", HOSTILE.replace("{answer}", answer))
    async with working(videos, decode_timeout=0.5) as work:
        video = work.video("videos/clip.mp4")
        work.decode("frame", video, 0, 0)
        await work.wait_for("frame")
        outcome = work.outcomes["frame"]
        assert isinstance(outcome, Failure)
        assert outcome.code == code
        assert len(outcome.message) <= 1000


@pytest.mark.parametrize(
    ("program", "words"), [("/bin/false", "status 1"), ("/does/not/exist", "No such file")]
)
async def test_lanes_that_cannot_start_are_one_clear_error(videos, monkeypatch, program, words):
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(LaneStartError, match=words):
        async with working(videos):
            pass
