"""The program that a lane runs: opens videos on remote bytes, decodes, compresses to JPEG, and answers the
server.

    receiving thread     takes records: answers of reads at once, jobs into the queue
    decoding thread      one job after the other, in the server's order
    compressing threads  JPEG of the last pictures while the next one is decoded; both release the GIL

A lane opens no file and no connection. It ends when the server closes its end of the socket, in the middle of
work too, so none is left behind however the server ended.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import queue
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from ffbind.errors import FFbindError
from ffbind.fetching import FetchSettings
from ffbind.frame import Frame
from ffbind.jpeg import load_encoder
from ffbind.limits import Limits
from ffbind.video import Video
from ffbind.video import open as open_video

from .source import RemoteReads, RemoteSource
from .wire import (
    Cancel,
    Close,
    Decode,
    Effort,
    Failed,
    FromLane,
    Open,
    Opened,
    Picture,
    ReadDone,
    ReadFailed,
    Ready,
    Started,
    Stats,
    StatsRequest,
    WireError,
    decode_to_lane,
    pack,
    receive_record,
)

__all__ = ["main"]

# Requests of several reads, and what they brought, are shared in the server; here is what one video needs soon.
FETCH = FetchSettings(at_once=2, cache_bytes=32 << 20, ahead_bytes=16 << 20)

PICTURES_BETWEEN = 2  # pictures that may wait for a compressing thread, beyond those in work


class _Lane:
    def __init__(self, sock: socket.socket, *, encode_threads: int, kept_bytes: int, limits: Limits) -> None:
        self._sock = sock
        self._limits = limits
        self._kept_bytes = kept_bytes
        self._send_lock = threading.Lock()
        self._encoders = ThreadPoolExecutor(encode_threads, thread_name_prefix="jpeg")
        self._statistics = ThreadPoolExecutor(1, thread_name_prefix="stats")
        self._pictures = threading.BoundedSemaphore(encode_threads + PICTURES_BETWEEN)
        self._tasks: queue.SimpleQueue[tuple[Open, memoryview] | Close | Decode] = queue.SimpleQueue()
        self._reads = RemoteReads(self._send)
        self._videos: dict[int, Video | _Broken] = {}
        self._queued: set[int] = set()  # jobs that were neither begun nor cancelled

    def run(self) -> None:
        """Serve until the server goes away."""
        load_encoder()  # a missing library must be told at the start, not with the first frame
        threading.Thread(target=self._work, name="decode", daemon=True).start()
        self._send(Ready())
        while (received := receive_record(self._sock)) is not None:
            body, payload = received
            record = decode_to_lane(body)
            if isinstance(record, ReadDone):
                self._reads.done(record, payload)
            elif isinstance(record, ReadFailed):
                self._reads.failed(record)
            elif isinstance(record, Cancel):
                self._queued.discard(record.job)
            elif isinstance(record, StatsRequest):
                # In a thread of its own: counters wait for the frame in work, which may wait for this thread to
                # bring it bytes.
                self._statistics.submit(self._send_stats, record)
            elif isinstance(record, Open):
                self._tasks.put((record, payload))
            else:
                if isinstance(record, Decode):
                    self._queued.add(record.job)
                self._tasks.put(record)

    def _send(self, record: FromLane, payload: bytes = b"") -> None:
        head = pack(record, len(payload))
        with self._send_lock:
            if len(payload) <= 4096:
                self._sock.sendall(head + payload)
            else:
                self._sock.sendall(head)
                self._sock.sendall(payload)

    def _send_stats(self, record: StatsRequest) -> None:
        videos = {
            number: {name: int(value) for name, value in asdict(video.stats).items()}
            for number, video in list(self._videos.items())
            if not isinstance(video, _Broken)
        }
        self._send(Stats(record.request, videos))

    def _work(self) -> None:
        try:
            while True:
                task = self._tasks.get()
                if isinstance(task, Decode):
                    self._decode(task)
                elif isinstance(task, Close):
                    video = self._videos.pop(task.video, None)
                    if video is not None and not isinstance(video, _Broken):
                        video.close()
                else:
                    self._open(*task)
        except OSError:  # the server has gone; the receiving thread sees it too, but may be busy
            os._exit(0)
        except BaseException:
            # A lane without its decoding thread would be alive and useless: end it, so that it is replaced.
            traceback.print_exc()
            os._exit(1)

    def _open(self, record: Open, index: memoryview) -> None:
        self._send(Started(record.job))
        try:
            source = RemoteSource(self._reads, record)
            # Pickle, since it comes from the server alone: a lane trusts the server, never the other way
            # round.
            video = open_video(
                source,
                index=pickle.loads(index),
                threads=1,
                kept_bytes=self._kept_bytes,
                limits=self._limits,
                fetch=FETCH,
            )
        except Exception as error:
            code, message = _describe(error)
            self._videos[record.video] = _Broken(code, message)
            self._send(Failed(record.job, code, message))
            return
        self._videos[record.video] = video
        self._send(Opened(record.job))

    def _decode(self, task: Decode) -> None:
        try:
            self._queued.remove(task.job)
        except KeyError:
            self._send(Failed(task.job, "cancelled", "Cancelled before it was started"))
            return
        self._send(Started(task.job))
        video = self._videos[task.video]
        if isinstance(video, _Broken):
            self._send(Failed(task.job, video.code, video.message))
            return
        meter = _Meter(video) if task.measured else None
        try:
            frame = video.frame_at_offset(task.offset, irap_offset=task.irap_offset)
        except Exception as error:
            self._send(Failed(task.job, *_describe(error)))
            return
        if meter is not None:
            meter.decoded()
        self._pictures.acquire()
        self._encoders.submit(self._encode, task, frame, meter)

    def _encode(self, task: Decode, frame: Frame, meter: _Meter | None) -> None:
        try:
            if meter is not None:
                meter.encoding()
            try:
                jpeg = frame.to_jpeg(quality=task.quality)
            except Exception as error:
                self._send(Failed(task.job, *_describe(error)))
            else:
                self._send(Picture(task.job, None if meter is None else meter.encoded()), jpeg)
        except OSError:
            os._exit(0)
        finally:
            self._pictures.release()


class _Meter:
    """Measures one job: made before its frame is decoded, told of each step."""

    def __init__(self, video: Video) -> None:
        self._video = video
        self._before = video.stats
        self._begun = time.perf_counter()

    def decoded(self) -> None:
        """Note that the frame is there."""
        self._decoded = time.perf_counter()
        self._stats = self._video.stats

    def encoding(self) -> None:
        """Note that a thread begins to compress it."""
        self._encoding = time.perf_counter()

    def encoded(self) -> Effort:
        """Note that the JPEG is there, and say what the job took."""
        encoded = time.perf_counter()
        stats = self._stats
        own = stats - self._before
        worked = _microseconds(self._decoded - self._begun)
        return Effort(
            stood=_microseconds(self._encoding - self._decoded),
            fetch=own.wait_us,
            decode=max(0, worked - own.wait_us),
            encode=_microseconds(encoded - self._encoding),
            requests=own.used_reads,
            fetched_bytes=own.used_bytes,
            ahead_requests=stats.source_reads - stats.used_reads,
            ahead_bytes=stats.source_bytes - stats.used_bytes,
        )


def _microseconds(seconds: float) -> int:
    return max(0, round(seconds * 1e6))


class _Broken:
    """Stands for a video that could not be opened, until the server closes it."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message


def _describe(error: Exception) -> tuple[str, str]:
    """Code and text of an error for the client; an unexpected one also goes to the lane's stderr, whole."""
    if isinstance(error, FFbindError):
        return error.code, str(error)
    traceback.print_exception(error)
    return (
        "internal",
        f"Unexpected {type(error).__name__} while decoding; the server's log has more at level debug",
    )


def main() -> None:
    """Entry of the process; arguments: socket descriptor, compressing threads, bytes of kept pictures, samples and bytes of a GOP."""
    # The server decides when a lane ends. A signal for the whole process group or control group must not take
    # the lanes away while the server finishes its queue.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash must not write frames to disk
    faulthandler.enable()
    descriptor, encode_threads, kept_bytes, gop_samples, gop_bytes = map(int, sys.argv[1:6])
    lane = _Lane(
        socket.socket(fileno=descriptor),
        encode_threads=encode_threads,
        kept_bytes=kept_bytes,
        limits=Limits(gop_samples=gop_samples, gop_bytes=gop_bytes),
    )
    try:
        lane.run()
    except (FFbindError, WireError, OSError) as error:
        print(f"lane: {error}", file=sys.stderr)
        os._exit(1)
    # Not sys.exit: a decoding thread may be deep in work whose result nobody waits for.
    os._exit(0)
