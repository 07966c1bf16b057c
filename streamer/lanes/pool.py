"""The pool of decode lanes: gives jobs to lanes, answers their reads, watches their deadlines and replaces
the dead.

A video belongs to one lane while it is in use, so that its decoders are reused. A lane gets a few jobs at a
time; the rest wait here, where cancelling them is free. When a lane dies or hangs, jobs of the videos that it
was working on are answered with an error, and all others go to its replacement as if nothing had happened.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from ffbind.errors import SourceError
from ffbind.limits import Limits
from streamer.fetcher import Ahead, DroppedError, Fetcher, Spent
from streamer.messages import Code, Receipt, Timing
from streamer.storage import ObjectInfo

from .process import LaneProcess
from .wire import (
    Cancel,
    Close,
    Decode,
    DropRead,
    Effort,
    Failed,
    FromLane,
    HurryRead,
    Open,
    Opened,
    Picture,
    Read,
    ReadDone,
    ReadFailed,
    Ready,
    Started,
    Stats,
    StatsRequest,
    WireError,
)

__all__ = ["Failure", "Job", "LanePool", "LaneStartError", "LaneVideo", "Measured", "Outcome"]

_log = logging.getLogger(__name__)

JOBS_IN_LANE = (
    6  # one decoding, some compressing, one or two waiting, so that the lane never idles between jobs
)
START_TIMEOUT = 60.0
MAX_ATTEMPTS = 3  # times a job may be handed to a lane that dies before it starts the job
WATCH_INTERVAL = 0.1
MAX_MESSAGE = 1000  # characters of a lane's error that go to a client
MAX_READ = 512 * 1024 * 1024  # bytes in one read of a lane, whatever its sample table says


class LaneStartError(Exception):
    """A lane could not be started; the text has what it said last."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job could not be done, in terms of the WebSocket protocol."""

    code: Code
    message: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A JPEG, and what it took."""

    jpeg: bytes
    receipt: Receipt


Outcome: TypeAlias = bytes | Measured | Failure | None
"""A JPEG for a decode (measured where that was wanted), None for an opened video, or a Failure."""


@dataclass(slots=True, eq=False)
class LaneVideo:
    """A video that lanes can open: what it is, its pickled index, and the lane it belongs to."""

    number: int
    info: ObjectInfo
    index: bytes
    slot: _Slot


@dataclass(slots=True, eq=False)
class Job:
    """A piece of work; `done` is called once, on the event loop, unless the job is cancelled before."""

    number: int
    video: LaneVideo
    done: Callable[[Outcome], None]
    decode: tuple[int, int, int] | None = None
    """Offset, IRAP offset and JPEG quality; None for opening the video."""
    asked: float | None = None
    """When a client asked, by `time.monotonic`, where the job is measured."""
    begun: float = 0.0
    """When the lane began, by the same clock."""
    started: float | None = None
    """Reading of the lane's clock when the lane began."""
    attempts: int = 0
    cancelled: bool = False


@dataclass(slots=True, eq=False)
class _Slot:
    """The place of one lane: the process of the moment and the jobs that belong here."""

    number: int
    lane: LaneProcess | None = None
    ready: bool = False
    queue: deque[Job] = field(default_factory=deque)
    running: dict[int, Job] = field(default_factory=dict)
    open_videos: OrderedDict[int, LaneVideo] = field(default_factory=OrderedDict)
    assigned: int = 0
    """Videos that belong here."""
    failures: int = 0
    """Lanes in a row that ended without finishing anything."""
    condemned: Failure | None = None
    """Why the lane is being killed, when that was our decision."""
    heard: float = 0.0
    reads: int = 0
    read_since: float = 0.0
    read_total: float = 0.0
    ahead: dict[int, Ahead] = field(default_factory=dict)
    """Reads under way that the lane made ahead."""
    stats: dict[int, asyncio.Future[dict[int, dict[str, int]]]] = field(default_factory=dict)

    def clock(self) -> float:
        """Seconds, standing still while the lane waits for storage."""
        now = time.monotonic()
        return now - self.read_total - (now - self.read_since if self.reads else 0.0)


class LanePool:
    """Lanes and their work. Used on the event loop only."""

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        lanes: int,
        encode_threads: int,
        videos_per_lane: int,
        kept_bytes: int,
        decode_timeout: float,
        limits: Limits | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._encode_threads = encode_threads
        self._videos_per_lane = videos_per_lane
        self._kept_bytes = kept_bytes
        self._decode_timeout = decode_timeout
        self._limits = limits or Limits()
        self._slots = [_Slot(number) for number in range(lanes)]
        self._videos: dict[int, LaneVideo] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._all_ready: asyncio.Future[None] | None = None

    # ---- life ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start all lanes and wait until they are ready. Raises LaneStartError."""
        self._all_ready = asyncio.get_running_loop().create_future()
        for slot in self._slots:
            self._spawn(self._start_lane(slot))
        try:
            await asyncio.wait_for(asyncio.shield(self._all_ready), START_TIMEOUT)
        except TimeoutError:
            raise LaneStartError(f"a decode lane was not ready after {START_TIMEOUT:.0f} s") from None
        self._spawn(self._watch())

    async def stop(self) -> None:
        """End all lanes; jobs that are left are dropped. Returns when no process is left."""
        self._stopping = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(slot.lane.stop() for slot in self._slots if slot.lane is not None))

    @property
    def pids(self) -> list[int]:
        """Process ids of the lanes that run."""
        return [slot.lane.pid for slot in self._slots if slot.lane is not None]

    def pid_of(self, path: str) -> int | None:
        """Process id of the lane that has this video open."""
        for slot in self._slots:
            if slot.lane is not None and any(video.info.path == path for video in slot.open_videos.values()):
                return slot.lane.pid
        return None

    # ---- work ----------------------------------------------------------------------------------------------

    def add_video(self, info: ObjectInfo, index: bytes) -> LaneVideo:
        """Make a video known, with its pickled VideoIndex. It belongs to the lane with the fewest videos."""
        slot = min(self._slots, key=lambda slot: (slot.assigned, len(slot.queue) + len(slot.running)))
        slot.assigned += 1
        video = LaneVideo(next(self._numbers), info, index, slot)
        self._videos[video.number] = video
        return video

    def remove_video(self, video: LaneVideo) -> None:
        """Forget a video without jobs; its lane closes it."""
        if self._videos.pop(video.number, None) is not None:
            video.slot.assigned -= 1
            self._close_in_lane(video.slot, video)

    def open(self, video: LaneVideo, done: Callable[[Outcome], None]) -> Job:
        """Have the lane open a video, which tells whether it can be decoded at all."""
        return self._enqueue(Job(next(self._numbers), video, done))

    def decode(
        self,
        video: LaneVideo,
        offset: int,
        irap_offset: int,
        quality: int,
        done: Callable[[Outcome], None],
        *,
        asked: float | None = None,
    ) -> Job:
        """Have the lane decode one frame to JPEG; measured where `asked` says when it was asked for (`time.monotonic`)."""
        return self._enqueue(Job(next(self._numbers), video, done, (offset, irap_offset, quality), asked))

    def cancel(self, job: Job) -> None:
        """Drop a job; `done` is not called any more."""
        job.cancelled = True
        slot = job.video.slot
        if job.number in slot.running:
            if job.started is None and job.decode is not None and slot.lane is not None:
                slot.lane.send(Cancel(job.number))
        else:
            with suppress(ValueError):
                slot.queue.remove(job)

    async def stats(self) -> list[tuple[LaneVideo, dict[str, int]]]:
        """Counters of every video that is open in a lane (`video.stats` of ffbind)."""
        answers = []
        for slot in self._slots:
            if slot.lane is not None and slot.ready:
                request = next(self._numbers)
                answer: asyncio.Future[dict[int, dict[str, int]]] = asyncio.get_running_loop().create_future()
                slot.stats[request] = answer
                slot.lane.send(StatsRequest(request))
                answers.append(answer)
        found = []
        for videos in await asyncio.gather(*answers):
            found += [
                (self._videos[number], counters)
                for number, counters in videos.items()
                if number in self._videos
            ]
        return found

    # ---- inside --------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _enqueue(self, job: Job) -> Job:
        slot = job.video.slot
        if job.decode is None:
            slot.queue.appendleft(job)  # a client waits for it, and it is short
        else:
            slot.queue.append(job)
        self._feed(slot)
        return job

    def _feed(self, slot: _Slot) -> None:
        """Hand waiting jobs to the lane, as many as it may hold."""
        lane = slot.lane
        if lane is None or not slot.ready or slot.condemned is not None:
            return
        while slot.queue and len(slot.running) < JOBS_IN_LANE:
            job = slot.queue.popleft()
            video = job.video
            if video.number in slot.open_videos:
                slot.open_videos.move_to_end(video.number)
                if job.decode is None:
                    job.done(None)
                    continue
            elif job.decode is not None:
                # The lane is new, or had to close the video for others: open it again, ahead of the frame.
                self._hand_over(slot, lane, Job(next(self._numbers), video, _nobody_waits))
            self._hand_over(slot, lane, job)

    def _hand_over(self, slot: _Slot, lane: LaneProcess, job: Job) -> None:
        video = job.video
        if not slot.running:
            slot.heard = time.monotonic()
        job.attempts += 1
        job.started = None
        slot.running[job.number] = job
        if job.decode is not None:
            lane.send(Decode(job.number, video.number, *job.decode, job.asked is not None))
            return
        while len(slot.open_videos) >= self._videos_per_lane:
            self._close_in_lane(slot, next(iter(slot.open_videos.values())))
        slot.open_videos[video.number] = video
        info = video.info
        lane.send(Open(job.number, video.number, info.path, info.size, info.identity), video.index)

    def _close_in_lane(self, slot: _Slot, video: LaneVideo) -> None:
        if slot.open_videos.pop(video.number, None) is not None and slot.lane is not None:
            slot.lane.send(Close(video.number))

    def _on_record(self, slot: _Slot, lane: LaneProcess, record: FromLane, payload: bytes) -> None:
        if slot.lane is not lane:
            return
        slot.heard = time.monotonic()
        if isinstance(record, (Picture, Opened)):
            job = slot.running.get(record.job)
            if job is not None and isinstance(record, Opened) is not (job.decode is None):
                raise WireError("a lane answers a job with what was not asked")
            outcome: Outcome = payload if isinstance(record, Picture) else None
            if job is not None and job.asked is not None and isinstance(record, Picture):
                if record.effort is None:
                    raise WireError("a lane does not say what a job took")
                outcome = Measured(payload, _receipt(job.begun - job.asked, record.effort))
            self._finish(slot, record.job, outcome)
        elif isinstance(record, Started):
            if (job := slot.running.get(record.job)) is not None:
                job.started = slot.clock()
                job.begun = slot.heard
        elif isinstance(record, Read):
            self._read(slot, lane, record)
        elif isinstance(record, (HurryRead, DropRead)):
            if (ahead := slot.ahead.pop(record.read, None)) is not None:
                if isinstance(record, HurryRead):
                    ahead.hurry()
                else:
                    ahead.drop()
        elif isinstance(record, Failed):
            job = slot.running.get(record.job)
            if job is not None and job.decode is None:
                self._close_in_lane(slot, job.video)
            if record.code == Code.INTERNAL:
                _log.error("%s: %s", lane.name, record.message)
            self._finish(slot, record.job, Failure(Code.of(record.code), record.message[:MAX_MESSAGE]))
        elif isinstance(record, Stats):
            if (answer := slot.stats.pop(record.request, None)) is not None and not answer.done():
                answer.set_result(record.videos)
        else:
            assert isinstance(record, Ready)
            slot.ready = True
            if (
                self._all_ready is not None
                and not self._all_ready.done()
                and all(s.ready for s in self._slots)
            ):
                self._all_ready.set_result(None)
            self._feed(slot)

    def _finish(self, slot: _Slot, number: int, outcome: Outcome) -> None:
        job = slot.running.pop(number, None)
        if job is None:
            return
        slot.failures = 0
        if not job.cancelled:
            job.done(outcome)
        self._feed(slot)

    # ---- reads of the lanes --------------------------------------------------------------------------------

    def _read(self, slot: _Slot, lane: LaneProcess, record: Read) -> None:
        video = self._videos.get(record.video) or slot.open_videos.get(record.video)
        if video is None or video.slot is not slot:
            lane.send(ReadFailed(record.read, Code.CANCELLED, "the video was closed"))
            return
        if sum(length for _, length in record.ranges) > MAX_READ:
            message = f"one frame needs more than {MAX_READ} bytes at once"
            lane.send(ReadFailed(record.read, Code.GOP_TOO_LONG, message))
        elif (parts := self._fetcher.cached(video.info, record.ranges)) is not None:
            _send_parts(lane, record.read, parts, Spent())
        else:
            if slot.reads == 0:
                slot.read_since = time.monotonic()
            slot.reads += 1
            ahead = Ahead() if record.ahead else None
            if ahead is not None:
                slot.ahead[record.read] = ahead
            self._spawn(self._read_from_store(slot, lane, record, video.info, ahead))

    async def _read_from_store(
        self, slot: _Slot, lane: LaneProcess, record: Read, info: ObjectInfo, ahead: Ahead | None
    ) -> None:
        problem: Exception | None = None
        parts: list[memoryview] = []
        spent = Spent()
        try:
            parts = await self._fetcher.read(info, record.ranges, spent, ahead)
        except OSError as error:
            problem = error
        except Exception as error:
            _log.exception("Reading %s failed in an unexpected way", info.path)
            problem = error
        if slot.lane is not lane:
            return
        slot.ahead.pop(record.read, None)
        slot.reads -= 1
        if slot.reads == 0:
            slot.read_total += time.monotonic() - slot.read_since
        if problem is not None:
            code = problem.code if isinstance(problem, SourceError) else Code.STORAGE_UNAVAILABLE
            dropped = isinstance(problem, DroppedError)
            lane.send(ReadFailed(record.read, code, str(problem), dropped))
        else:
            _send_parts(lane, record.read, parts, spent)

    # ---- deadlines, death and replacement ------------------------------------------------------------------

    async def _watch(self) -> None:
        """Kill lanes that take too long for a job."""
        while True:
            await asyncio.sleep(min(WATCH_INTERVAL, self._decode_timeout / 4))
            for slot in self._slots:
                if slot.lane is None or slot.condemned is not None or not slot.running:
                    continue
                clock = slot.clock()
                overdue = [
                    job
                    for job in slot.running.values()
                    if job.started is not None and clock - job.started > self._decode_timeout
                ]
                silent = not any(job.started is not None for job in slot.running.values()) and (
                    time.monotonic() - slot.heard > self._decode_timeout
                )
                if overdue or silent:
                    slot.condemned = Failure(
                        Code.DECODE_TIMEOUT,
                        f"Decoding took longer than {self._decode_timeout:g} s and was given up; "
                        "the decoder was replaced",
                    )
                    slot.lane.kill()

    def _on_exit(self, slot: _Slot, lane: LaneProcess, how: str) -> None:
        if slot.lane is not lane:
            return
        was_ready = slot.ready
        why = slot.condemned or Failure(
            Code.DECODE_CRASH, "The decoder process ended while it worked on this video; it was replaced"
        )
        jobs = [*slot.running.values(), *slot.queue]
        clock = slot.clock()
        if slot.condemned is not None:
            culprits = {
                job.video.number
                for job in slot.running.values()
                if job.started is not None and clock - job.started > self._decode_timeout
            }
        else:
            culprits = {job.video.number for job in slot.running.values() if job.started is not None}
        slot.lane = None
        slot.ready = False
        slot.condemned = None
        slot.reads = 0
        for ahead in slot.ahead.values():
            ahead.drop()
        slot.ahead.clear()
        slot.running = {}
        slot.open_videos.clear()
        for answer in slot.stats.values():
            if not answer.done():
                answer.set_result({})
        slot.stats.clear()
        slot.queue = deque()
        if self._stopping:
            return
        if not self._all_started(LaneStartError(f"a decode lane could not be started: it {how}")):
            return
        _log.warning("%s (pid %d) %s; it is replaced", lane.name, lane.pid, how)
        slot.failures += 1
        failed = []
        for job in jobs:
            if job.cancelled or (job.decode is None and job.done is _nobody_waits):
                continue
            if (
                job.video.number in culprits
                or job.attempts >= MAX_ATTEMPTS
                or (not was_ready and slot.failures > 3)
            ):
                failed.append(job)
            else:
                slot.queue.append(job)
        self._spawn(self._start_lane(slot))
        for job in failed:
            job.done(why)

    def _all_started(self, error: LaneStartError) -> bool:
        """True once `start` has succeeded; before, `start` fails with this error."""
        if self._all_ready is None:
            return False
        if not self._all_ready.done():
            self._all_ready.set_exception(error)
        return self._all_ready.exception() is None

    async def _start_lane(self, slot: _Slot) -> None:
        # The first replacement comes at once; a lane that cannot live must not keep the machine busy with
        # starting.
        if slot.failures > 1:
            await asyncio.sleep(min(5.0, 0.1 * 2**slot.failures))
        try:
            lane = await LaneProcess.start(
                f"lane {slot.number}",
                encode_threads=self._encode_threads,
                kept_bytes=self._kept_bytes,
                limits=self._limits,
                on_record=lambda lane, record, payload: self._on_record(slot, lane, record, payload),
                on_exit=lambda lane, how: self._on_exit(slot, lane, how),
            )
        except OSError as error:
            if not self._all_started(LaneStartError(f"a decode lane could not be started: {error}")):
                return
            _log.error("lane %d cannot be started: %s; trying again", slot.number, error)
            slot.failures += 1
            self._spawn(self._start_lane(slot))
            return
        slot.lane = lane
        _log.debug("%s started as pid %d", lane.name, lane.pid)


def _nobody_waits(_: Outcome) -> None:
    """`done` of the jobs that the pool makes for itself; the frames behind them report the failure."""


def _send_parts(lane: LaneProcess, read: int, parts: list[memoryview], spent: Spent) -> None:
    payload = parts[0] if len(parts) == 1 else b"".join(parts)
    lane.send(ReadDone(read, tuple(len(part) for part in parts), spent.requests, spent.bytes), payload)


def _receipt(waited: float, effort: Effort) -> Receipt:
    """Make the receipt of a frame; `waited`: seconds until the lane began with it."""
    return Receipt(
        Timing(
            queue=round(max(0.0, waited) * 1000 + effort.stood / 1000, 3),
            fetch=effort.fetch / 1000,
            decode=effort.decode / 1000,
            encode=effort.encode / 1000,
        ),
        effort.requests,
        effort.fetched_bytes,
        effort.ahead_requests,
        effort.ahead_bytes,
    )
