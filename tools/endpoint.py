"""An HTTP endpoint on loopback that hands requests on to a real store, a little later, and counts them: a store that is far away.

Requests go on byte for byte, Host included, since a signature covers it: what comes back is the store's own answer,
as fast as a line lets it.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Endpoint", "Exchange", "Head", "Request", "Upstream"]

_PIECE = 64 * 1024
"""Bytes of a body that are handed on at a time."""


@dataclass(frozen=True)
class Request:
    """One request as it came; `span`: the first and the last byte asked for, None without a range."""

    number: int
    method: str
    target: str
    span: tuple[int, int] | None


@dataclass
class Exchange:
    """A request and what became of it; `sent` counts bytes of the body that went back, `status` is 0 without an answer."""

    request: Request
    status: int = 0
    sent: int = 0


class Endpoint:
    """The endpoint, running in a thread of its own: `with Endpoint("http://127.0.0.1:9000", latency=0.05) as endpoint:`.

    `bandwidth`: bytes a second that all bodies together go back at, None for no limit.
    """

    def __init__(self, upstream: str, *, latency: float = 0.0, bandwidth: float | None = None) -> None:
        parts = urlsplit(upstream)
        if parts.hostname is None or parts.port is None:
            raise ValueError(f"{upstream} names no host and port")
        self._upstream = (parts.hostname, parts.port)
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="endpoint")
        self._active = 0
        self.latency = latency
        """Seconds added to every request; may be changed at any time."""
        self._bandwidth = bandwidth
        self._line_free = 0.0  # when what was sent so far has gone through it
        self.exchanges: list[Exchange] = []
        """Everything so far, in the order in which it came."""
        self.url = ""

    @property
    def sent(self) -> int:
        """Bytes of bodies that went back to clients."""
        return sum(exchange.sent for exchange in self.exchanges)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First and last byte of the ranges that were asked for, in order."""
        return [exchange.request.span for exchange in self.exchanges if exchange.request.span is not None]

    def settle(self, seconds: float = 30.0) -> None:
        """Wait until no request is being answered. RuntimeError if one still is after so many seconds."""
        deadline = time.monotonic() + seconds
        while self._active:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self._active} requests are still being answered after {seconds:g} s")
            time.sleep(0.002)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(10):
            raise RuntimeError("the endpoint does not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_PIECE)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        await self._end.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Also of a task that was cancelled before it began, or while it was closing.
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = Upstream(self._upstream)
        try:
            # A client that leaves, in the middle of whatever, is no error of the endpoint.
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._exchange(reader, writer, upstream):
                    pass
        finally:
            await upstream.close()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: Upstream
    ) -> bool:
        """Answer one request; False where the connection ends with it."""
        head = await Head.read(reader)
        if head is None:
            return False
        self._active += 1
        try:
            body = await reader.readexactly(int(head.get("content-length") or 0))
            method, target, _ = head.first.split(" ", 2)
            wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", head.get("range") or "")
            span = (int(wanted[1]), int(wanted[2])) if wanted else None
            request = Request(len(self.exchanges), method, target, span)
            return await self._answer(request, head, body, reader, writer, upstream)
        finally:
            self._active -= 1

    async def _answer(
        self,
        request: Request,
        head: Head,
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream: Upstream,
    ) -> bool:
        """Hand a request on, and the answer back; False where the connection ends with it."""
        exchange = Exchange(request)
        self.exchanges.append(exchange)
        await asyncio.sleep(self.latency)
        answer = await upstream.ask(head, body)
        exchange.status = answer.status
        writer.write(answer.raw)
        async for piece in upstream.body(request.method, answer):
            await self._go_through_the_line(len(piece))
            exchange.sent += len(piece)  # before a client can have it
            writer.write(piece)
            await writer.drain()
        return upstream.open

    async def _go_through_the_line(self, size: int) -> None:
        if self._bandwidth is not None:
            now = self._loop.time()
            self._line_free = max(self._line_free, now) + size / self._bandwidth
            await asyncio.sleep(self._line_free - now)


@dataclass(frozen=True)
class Head:
    """First line and header lines of a request or an answer (RFC 9112, 2.1)."""

    first: str
    lines: tuple[str, ...]

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Head | None:
        """Read a head; None where the connection ended before it."""
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return None
        first, *lines = raw[:-4].decode("latin-1").split("\r\n")
        return cls(first, tuple(lines))

    @property
    def status(self) -> int:
        """Status code of an answer."""
        return int(self.first.split(" ", 2)[1])

    @property
    def raw(self) -> bytes:
        """The bytes of it, with the empty line behind."""
        return "\r\n".join((self.first, *self.lines, "", "")).encode("latin-1")

    def get(self, name: str) -> str | None:
        """Give the value of a header, named in lower case."""
        start = f"{name}:"
        return next(
            (line[len(start) :].strip() for line in self.lines if line.lower().startswith(start)), None
        )

    def having(self, name: str, value: str) -> Head:
        """Give the same head with a header set."""
        kept = (line for line in self.lines if not line.lower().startswith(f"{name}:"))
        return Head(self.first, (*kept, f"{name}: {value}"))


class Upstream:
    """The connection to the store that belongs to one connection of a client."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def open(self) -> bool:
        """Whether the connection stands."""
        return self._streams is not None

    async def ask(self, head: Head, body: bytes) -> Head:
        """Send a request and give the head of the answer; once more where the store had closed a kept connection."""
        kept = self._streams is not None
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=_PIECE)
        reader, writer = self._streams
        answer = None
        with suppress(ConnectionError):
            writer.write(head.raw + body)
            await writer.drain()
            answer = await Head.read(reader)
        if answer is None:
            await self.close()
            if kept:
                return await self.ask(head, body)
            raise ConnectionResetError("the store gave no answer")
        return answer

    async def body(self, method: str, answer: Head) -> AsyncIterator[bytes]:
        """Give the body of the answer as it stands on the wire; afterwards the connection is kept where it can be."""
        if self._streams is None:
            raise ConnectionResetError("nothing was asked")
        reader = self._streams[0]
        length = answer.get("content-length")
        if method == "HEAD" or answer.status in (204, 304):
            length = "0"
        if answer.get("transfer-encoding") == "chunked" and method != "HEAD":
            size = -1
            while size != 0:
                line = await reader.readuntil(b"\r\n")
                size = int(line.split(b";")[0], 16)
                yield line + await reader.readexactly(size + 2)
        elif length is not None:
            left = int(length)
            while left:
                piece = await reader.read(min(left, _PIECE))
                if not piece:
                    raise ConnectionResetError("the store broke its answer")
                left -= len(piece)
                yield piece
        else:
            while piece := await reader.read(_PIECE):
                yield piece
            await self.close()
        if (answer.get("connection") or "").lower() == "close":
            await self.close()

    async def close(self) -> None:
        """Close the connection, if there is one."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with suppress(ConnectionError):
                await streams[1].wait_closed()
