"""The server: listener, connections, and the way from a signal to a clean end; glue of protocol and lanes."""

from __future__ import annotations

import asyncio
import http
import logging
import signal
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import websockets
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websocket_serve
from websockets.http11 import Request, Response

from ffbind.cores import usable_cores
from ffbind.errors import SourceError
from ffbind.limits import Limits as VideoLimits

from . import connection
from .config import ConfigError, Settings
from .fetcher import Fetcher, threads_for
from .lanes.pool import Failure, Job, LanePool, LaneStartError, LaneVideo, Measured, Outcome
from .storage import (
    IndexFolder,
    LocalStorage,
    S3OptionsError,
    S3Storage,
    SavedIndexes,
    Storage,
    StorageError,
)
from .videos import OpenError, Videos

__all__ = ["Server", "ServerInfo", "Session", "StartError", "VideoStats", "serve"]

_log = logging.getLogger(__name__)

HARD_MESSAGE_LIMIT = 1024 * 1024
SERVICE_RESTART = 1012  # close code: come back in a moment (IANA WebSocket close code registry)
READS_AT_ONCE = 8  # of a folder; of a bucket as many as connections
OPEN_THREADS = 4
STATS_TIMEOUT = 5.0
CLOSE_TIMEOUT = 2.0  # for the closing handshake


class StartError(Exception):
    """The server cannot start although its settings are valid: the port is taken, a lane does not come up."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server that listens."""

    host: str
    port: int
    lanes: int
    videos: str = ""
    """Where the videos are, for people: the folder, or bucket, prefix and store."""

    @property
    def url(self) -> str:
        """Where clients connect; an address that means every interface is shown as localhost."""
        host = {"0.0.0.0": "localhost", "::": "localhost", "": "localhost"}.get(self.host, self.host)
        return f"ws://{f'[{host}]' if ':' in host else host}:{self.port}/ws"


@dataclass(frozen=True, slots=True)
class VideoStats:
    """Counters of one video that a lane has open, by the names of ffbind's `video.stats`."""

    path: str
    counters: dict[str, int]


class Server:
    """A server. `async with Server(settings) as server:` starts it and, at the end, drains and stops it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._storage = storage = make_storage(settings)
        # All lanes share them. Fewer than connections would leave some of those unused.
        at_once = settings.s3_connections if settings.storage_backend == "s3" else READS_AT_ONCE
        self._read_threads = ThreadPoolExecutor(threads_for(at_once), thread_name_prefix="read")
        self._open_threads = ThreadPoolExecutor(OPEN_THREADS, thread_name_prefix="open")
        fetcher = Fetcher(storage, self._read_threads, cache_bytes=settings.cache_bytes, at_once=at_once)
        self._pool = LanePool(
            fetcher,
            lanes=settings.workers,
            encode_threads=min(2, usable_cores()),
            videos_per_lane=settings.videos_per_lane,
            kept_bytes=settings.picture_bytes // settings.videos_per_lane,
            decode_timeout=settings.decode_timeout,
            limits=VideoLimits(gop_samples=settings.gop_samples, gop_bytes=settings.gop_bytes),
        )
        self._videos = Videos(
            storage,
            fetcher,
            self._pool,
            self._open_threads,
            open_timeout=settings.open_timeout,
            indexes=_saved_indexes(settings, storage),
        )
        self._listener: WebSocketServer | None = None
        self._sessions: set[Session] = set()
        self._draining = False

    async def start(self) -> ServerInfo:
        """Start the lanes, then listen. Raises StartError."""
        host, port = self._settings.address
        try:
            await self._check_bucket()
            await self._pool.start()
            self._listener = await websocket_serve(
                self._handle,
                host or None,
                port,
                compression=None,
                process_request=self._answer_http,
                max_size=HARD_MESSAGE_LIMIT,
                max_queue=4,
                close_timeout=CLOSE_TIMEOUT,
                server_header=None,
                logger=_listener_log(),
            )
        except LaneStartError as error:
            await self._release()
            raise StartError(f"The server cannot start: {error}") from None
        except OSError as error:
            await self._release()
            raise StartError(
                f"The server cannot listen on {self._settings.listen_addr}: {error.strerror or error}; "
                "choose another address"
            ) from None
        except BaseException:
            await self._release()
            raise
        bound = self._listener.sockets[0].getsockname()
        _log.info("Listening on %s port %d with %d decode lanes", bound[0], bound[1], self._settings.workers)
        return ServerInfo(
            host=bound[0], port=bound[1], lanes=self._settings.workers, videos=str(self._storage)
        )

    async def _check_bucket(self) -> None:
        """Say at the start what would otherwise fail with the first video. Raises StartError."""
        storage = self._storage
        if not isinstance(storage, S3Storage):
            return
        loop = asyncio.get_running_loop()
        try:
            listed = await loop.run_in_executor(self._open_threads, storage.check)
        except (StorageError, SourceError) as error:
            raise StartError(f"The bucket cannot be served: {error}") from None
        _log.info("Serving %s", storage)
        if not listed:
            _log.info("The bucket may not be listed; videos are found by their paths all the same")

    async def stop(self, *, grace: float | None = None) -> None:
        """Stop accepting, finish what was asked within `grace` seconds, close, end the lanes."""
        self._draining = True
        listener = self._listener
        if listener is not None:
            listener.close(close_connections=False)
            grace = self._settings.drain_timeout if grace is None else grace
            _log.info("Stopping: %d connections, at most %g s to finish", len(self._sessions), grace)
            await asyncio.gather(*(session.drain(grace) for session in list(self._sessions)))
            # A stranger who has connected and says nothing must not hold the end up.
            with suppress(TimeoutError):
                await asyncio.wait_for(listener.wait_closed(), timeout=1)
        await self._release()
        _log.info("Stopped")

    async def stats(self) -> list[VideoStats]:
        """Ask the lanes for the counters of their open videos. Raises TimeoutError."""
        async with asyncio.timeout(STATS_TIMEOUT):
            return [VideoStats(video.info.path, counters) for video, counters in await self._pool.stats()]

    @property
    def lane_pids(self) -> list[int]:
        """Process ids of the lanes that run."""
        return self._pool.pids

    def lane_of(self, path: str) -> int | None:
        """Process id of the lane that has this video open, None if none has."""
        return self._pool.pid_of(path)

    @property
    def sessions(self) -> Collection[Session]:
        """The connections of this moment."""
        return self._sessions

    async def __aenter__(self) -> Self:
        self.info = await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _release(self) -> None:
        await self._pool.stop()
        for executor in (self._read_threads, self._open_threads):
            executor.shutdown(wait=False, cancel_futures=True)

    def _answer_http(self, ws: ServerConnection, request: Request) -> Response | None:
        """Answer everything that is not the WebSocket itself."""
        path = request.path.partition("?")[0]
        if path == "/ws":
            if len(self._sessions) < self._settings.max_connections:
                return None
            return ws.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections; try again later\n")
        if path == "/health":
            return ws.respond(http.HTTPStatus.OK, "ok\n")
        return ws.respond(
            http.HTTPStatus.NOT_FOUND, "Not found: the WebSocket is at /ws, the health check at /health\n"
        )

    async def _handle(self, ws: ServerConnection) -> None:
        session = Session(ws, self._settings, self._pool, self._videos)
        self._sessions.add(session)
        try:
            if self._draining:
                await ws.close(SERVICE_RESTART, "the server is restarting")
                return
            await session.run()
        finally:
            self._sessions.discard(session)
            if _log.isEnabledFor(logging.DEBUG) and not self._draining:
                with suppress(TimeoutError):
                    for stats in await self.stats():
                        _log.debug("Stats of %s: %s", stats.path, stats.counters)


class Session:
    """One client: performs what its `Connection` decides."""

    def __init__(self, ws: ServerConnection, settings: Settings, pool: LanePool, videos: Videos) -> None:
        self._ws = ws
        self._settings = settings
        self._pool = pool
        self._videos = videos
        self._connection = connection.Connection(settings.limits)
        self._video: LaneVideo | None = None
        self._opening: asyncio.Task[None] | None = None
        self._jobs: dict[int, Job] = {}
        self._outbox: deque[connection.Send] = deque()
        self._changed = asyncio.Event()
        self._output = asyncio.Event()
        self._name = "{}:{}".format(*ws.remote_address[:2]) if ws.remote_address else "a client"

    @property
    def behind(self) -> bool:
        """True while answers wait for the client to read."""
        return bool(self._outbox)

    async def run(self) -> None:
        """Serve until the client leaves or is cut."""
        _log.info("%s connected", self._name)
        helpers = [asyncio.create_task(self._write()), asyncio.create_task(self._notice_end())]
        try:
            await self._read()
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._connection.close()
            self._perform()
            if self._opening is not None:
                self._opening.cancel()
            _log.info("%s disconnected (code %s)", self._name, self._ws.close_code)

    async def drain(self, grace: float) -> None:
        """Let what was asked be answered, for at most `grace` seconds; then close."""
        self._connection.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while not self._connection.idle and self._ws.close_code is None:
                    self._changed.clear()
                    await self._changed.wait()
        self._outbox.clear()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._ws.close(SERVICE_RESTART, "the server is restarting")
        except TimeoutError:
            self._ws.transport.abort()  # it does not read, so it cannot be told either

    async def _read(self) -> None:
        with suppress(websockets.ConnectionClosed):
            async for message in self._ws:
                if isinstance(message, str):
                    self._connection.receive_text(message)
                else:
                    self._connection.receive_binary(message)
                self._perform()
                while not self._connection.wants_input and self._ws.close_code is None:
                    self._changed.clear()
                    await self._changed.wait()

    async def _notice_end(self) -> None:
        """Wake whoever waits for the state to change when the client goes away meanwhile."""
        await self._ws.wait_closed()
        self._changed.set()

    async def _write(self) -> None:
        """Send answers in order; one sender alone, so that nothing comes between a frame and its bytes."""
        ws = self._ws
        with suppress(websockets.ConnectionClosed):
            while True:
                while self._outbox:
                    message = self._outbox.popleft()
                    try:
                        async with asyncio.timeout(self._settings.send_timeout):
                            await ws.send(message.text, text=True)
                            if message.binary is not None:
                                await ws.send(message.binary)
                    except TimeoutError:
                        _log.warning(
                            "%s does not read: nothing taken for %g s; cut",
                            self._name,
                            self._settings.send_timeout,
                        )
                        ws.transport.abort()
                        return
                    self._connection.sent(message)
                    self._perform()
                self._output.clear()
                await self._output.wait()

    def _perform(self) -> None:
        """Do what the connection wants done; called after everything that was told to it."""
        while actions := self._connection.actions():
            for action in actions:
                if isinstance(action, connection.Send):
                    self._outbox.append(action)
                    self._output.set()
                elif isinstance(action, connection.Decode):
                    self._decode(action)
                elif isinstance(action, connection.CancelDecode):
                    if (job := self._jobs.pop(action.ticket, None)) is not None:
                        self._pool.cancel(job)
                elif isinstance(action, connection.OpenVideo):
                    self._opening = asyncio.create_task(self._open(action.path))
                else:
                    assert isinstance(action, connection.CloseVideo)
                    if self._video is not None:
                        self._videos.release(self._video)
                        self._video = None
        self._changed.set()

    async def _open(self, path: str) -> None:
        try:
            video = await self._videos.acquire(path)
        except OpenError as error:
            _log.info("%s: %s cannot be opened (%s)", self._name, ascii(path[:200]), error.code)
            self._connection.video_failed(error.code, str(error))
        else:
            _log.info("%s set %s", self._name, path)
            self._video = video
            self._connection.video_opened()
        self._opening = None
        self._perform()

    def _decode(self, action: connection.Decode) -> None:
        ticket = action.ticket
        assert self._video is not None

        def done(outcome: Outcome) -> None:
            self._jobs.pop(ticket, None)
            if isinstance(outcome, Failure):
                self._connection.frame_failed(ticket, outcome.code, outcome.message)
            elif isinstance(outcome, Measured):
                self._connection.frame_done(ticket, outcome.jpeg, outcome.receipt)
            else:
                assert outcome is not None
                self._connection.frame_done(ticket, outcome)
            self._perform()

        self._jobs[ticket] = self._pool.decode(
            self._video,
            action.offset,
            action.irap_offset,
            self._settings.jpeg_quality,
            done,
            asked=action.asked,
        )


def make_storage(settings: Settings) -> Storage:
    """Make the back-end that the settings name. Raises ConfigError."""
    if settings.storage_backend == "s3":
        try:
            return S3Storage(settings.s3)
        except S3OptionsError as error:  # what the environment gives besides the settings
            raise ConfigError(f"s3_{error.name}: {error}") from None
    if not settings.local_path.is_dir():
        raise ConfigError(
            f"local_path is {str(settings.local_path)!r}, which is not a folder; "
            "make it or name the one with the videos"
        )
    return LocalStorage(settings.local_path, follow_symlinks=settings.follow_symlinks)


def _saved_indexes(settings: Settings, storage: Storage) -> SavedIndexes:
    return SavedIndexes(
        storage,
        folder=None if settings.index_cache == "off" else IndexFolder(settings.index_folder),
        writes=settings.index_cache == "write",
        beside_videos=settings.index_beside,
    )


def _listener_log() -> logging.Logger:
    """Logger of the WebSocket layer: a stranger's broken handshake is one line at debug, no traceback."""
    logger = logging.getLogger(f"{__name__}.websocket")
    logger.setLevel(logging.INFO)  # below, it would write out every frame
    if not logger.filters:
        logger.addFilter(_one_line)
    return logger


def _one_line(record: logging.LogRecord) -> bool:
    if record.getMessage().startswith(("connection handler failed", "process_request failed")):
        return True  # a fault of ours, wanted with all its details
    if record.exc_info:
        error = record.exc_info[1]
        cause = error.__cause__ if error is not None else None
        record.msg = f"{record.getMessage()}: {cause or error}"
        record.args = None
        record.exc_info = None
    record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return _log.isEnabledFor(logging.DEBUG)


def serve(settings: Settings, *, ready: Callable[[ServerInfo], None] | None = None) -> int:
    """Run a server until SIGTERM or SIGINT, then finish what was asked and end; a second signal ends it at
    once.

    `ready` is called once, with the address that was bound. Returns the exit status, 0. Raises ConfigError or
    StartError.
    """
    return asyncio.run(_serve(settings, ready))


async def _serve(settings: Settings, ready: Callable[[ServerInfo], None] | None) -> int:
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    server = Server(settings)
    start = asyncio.create_task(server.start())
    first = asyncio.create_task(signals.get())
    await asyncio.wait({start, first}, return_when=asyncio.FIRST_COMPLETED)
    if not start.done():
        start.cancel()
        with suppress(asyncio.CancelledError):
            await start
        return 0
    info = start.result()
    if ready is not None:
        try:
            ready(info)
        except BaseException:
            await server.stop(grace=0)
            raise
    _log.info("%s received", (await first).name)
    stop = asyncio.create_task(server.stop())
    again = asyncio.create_task(signals.get())
    await asyncio.wait({stop, again}, return_when=asyncio.FIRST_COMPLETED)
    if stop.done():
        again.cancel()
        stop.result()
    else:
        stop.cancel()
        with suppress(asyncio.CancelledError):
            await stop
        await server.stop(grace=0)
    return 0
