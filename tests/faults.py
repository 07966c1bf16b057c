"""An HTTP endpoint on loopback that hands requests on to a real store and breaks answers as the test's plan says.

Requests go on byte for byte, Host included, since a signature covers it: what is not broken is the store's own answer. The
endpoint adds `latency` seconds to every request, and remembers what was asked and how many bytes went back.
"""

from __future__ import annotations

import asyncio
import fcntl
import random
import re
import socket
import struct
import termios
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from stores import Store

PIECE = 64 * 1024
_SLOW_DOWN = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code><Message>Slow down</Message></Error>'


class Kind(StrEnum):
    """What can be done to an answer, or to the request for it."""

    RESET = "reset instead of an answer"
    SLOW_DOWN = "503 SlowDown"
    LATE = "first byte late"
    SHORT_BODY = "connection closed in the body"
    RESET_BODY = "reset in the body"
    STALL = "body stands still"
    TRICKLE = "body goes on byte by byte"
    WRONG_LABEL = "Content-Range of another range"
    WRONG_RANGE = "another range of the object, and said so"
    WHOLE = "200 with the whole object"
    UNCONDITIONAL = "If-Match not looked at, as in stores that do not know it"


IN_RANGES = frozenset(
    {
        Kind.SHORT_BODY,
        Kind.RESET_BODY,
        Kind.STALL,
        Kind.TRICKLE,
        Kind.WRONG_LABEL,
        Kind.WRONG_RANGE,
        Kind.WHOLE,
        Kind.UNCONDITIONAL,
    }
)
"""Kinds that only an answer to a GET with a range can have."""

BREAKING = frozenset(Kind) - {Kind.UNCONDITIONAL}
"""Kinds that spoil an answer whatever is in the store."""


@dataclass(frozen=True)
class Request:
    """One request as it came; `span`: the first and the last byte asked for, None without a range."""

    number: int
    method: str
    target: str
    span: tuple[int, int] | None


@dataclass(frozen=True)
class Fault:
    """What to do to one answer: `after` so many bytes of its body, or for LATE so many `seconds`."""

    kind: Kind
    after: int = 0
    seconds: float = 0.0


@dataclass
class Exchange:
    """A request and what became of it; `sent` counts bytes of the body that went back, `status` is 0 without an answer."""

    request: Request
    fault: Fault | None
    status: int = 0
    sent: int = 0


_ENDS_BODY = (Kind.SHORT_BODY, Kind.RESET_BODY, Kind.STALL)

Plan = Callable[[Request], Fault | None]


def no_fault(request: Request) -> Fault | None:
    """Plan of an endpoint that breaks nothing."""
    return None


def in_turn(*faults: Fault | None, only: Callable[[Request], bool] = lambda request: True) -> Plan:
    """Plan that breaks the first requests (that `only` chooses) in this way, and no more."""
    left = list(faults)
    return lambda request: left.pop(0) if left and only(request) else None


def by_chance(
    seed: int, share: float, *, late: float, kinds: Collection[Kind] = BREAKING, path: str = ""
) -> Plan:
    """Plan that breaks this share of the requests whose path ends with `path`, drawn by `seed`.

    Bodies break anywhere within the range. `late`: seconds of a late first byte.
    """
    dice = random.Random(seed)

    def plan(request: Request) -> Fault | None:
        drawn = dice.random() < share
        kind = dice.choice(sorted(kinds))
        place = dice.random()
        if not drawn or not unquote(urlsplit(request.target).path).endswith(path):
            return None
        if request.span is None:
            return None if kind in IN_RANGES else Fault(kind, seconds=late)
        first, last = request.span
        return Fault(kind, after=int(place * (last - first + 1)), seconds=late)

    return plan


class Endpoint:
    """The endpoint, running in a thread of its own: `with Endpoint("http://127.0.0.1:9000") as endpoint:`.

    `presign` turns the path of an object into a target that the store answers without a signature in headers: needed where requests
    are signed, Range and If-Match included, for WRONG_RANGE, WHOLE and UNCONDITIONAL.
    """

    def __init__(
        self,
        upstream: str,
        *,
        plan: Plan = no_fault,
        latency: float = 0.0,
        presign: Callable[[str], str] | None = None,
    ) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname is not None
        assert parts.port is not None
        self._upstream = (parts.hostname, parts.port)
        self._presign = presign
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="faulty endpoint")
        self.plan = plan
        """May be changed at any time."""
        self.latency = latency
        """Seconds added to every request; may be changed at any time."""
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

    @property
    def broken(self) -> list[Exchange]:
        """Requests that the plan broke."""
        return [exchange for exchange in self.exchanges if exchange.fault is not None]

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=PIECE)
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
        upstream = _Upstream(self._upstream)
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
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: _Upstream
    ) -> bool:
        """Answer one request; False where the connection ends with it."""
        head = await _Head.read(reader)
        if head is None:
            return False
        body = await reader.readexactly(int(head.get("content-length") or 0))
        method, target, _ = head.first.split(" ", 2)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", head.get("range") or "")
        span = (int(wanted[1]), int(wanted[2])) if wanted else None
        request = Request(len(self.exchanges), method, target, span)
        fault = self.plan(request)
        assert fault is None or span is not None or fault.kind not in IN_RANGES, (fault, request)
        exchange = Exchange(request, fault)
        self.exchanges.append(exchange)
        await asyncio.sleep(self.latency + (fault.seconds if fault and fault.kind is Kind.LATE else 0))

        kind = fault.kind if fault else None
        if kind is Kind.RESET:
            _reset(writer)
            return False
        if kind is Kind.SLOW_DOWN:
            exchange.status = 503
            text = b"" if method == "HEAD" else _SLOW_DOWN
            writer.write(
                b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(text), text)
            )
            await writer.drain()
            return True
        if kind in (Kind.WRONG_RANGE, Kind.WHOLE, Kind.UNCONDITIONAL):
            assert span is not None
            spans = {Kind.WRONG_RANGE: _beside(span), Kind.WHOLE: None, Kind.UNCONDITIONAL: span}
            head = self._other(head, target, spans[kind])
        answer = await upstream.ask(head, body)
        exchange.status = int(answer.first.split(" ", 2)[1])
        if kind is Kind.WRONG_LABEL:
            answer = answer.having("content-range", _beside_label(answer.get("content-range") or ""))
        writer.write(answer.raw)
        limit = fault.after if fault and kind in _ENDS_BODY else None
        async for piece in upstream.body(method, answer):
            if limit is not None:
                piece = piece[: limit - exchange.sent]
            for part, pause in _paced(
                piece, exchange.sent, fault.after if fault and kind is Kind.TRICKLE else None
            ):
                exchange.sent += len(part)  # before a client can have it
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            if exchange.sent == limit:
                break
        if limit is not None:
            await upstream.close()
            if kind is Kind.RESET_BODY:
                await _delivered(writer)
                _reset(writer)
            elif kind is Kind.STALL:
                await reader.read(1)  # until the client gives up
            return False
        return upstream.open

    def _other(self, head: _Head, target: str, span: tuple[int, int] | None) -> _Head:
        """Make a request for this range of the same object, or for all of it, whatever version it is."""
        wanted = [] if span is None else [f"Range: bytes={span[0]}-{span[1]}"]
        if self._presign is not None:
            target, host = self._presign(target), "{}:{}".format(*self._upstream)
            return _Head(f"GET {target} HTTP/1.1", (f"Host: {host}", *wanted))
        kept = [line for line in head.lines if not line.lower().startswith(("range:", "if-"))]
        return _Head(head.first, (*kept, *wanted))


@dataclass(frozen=True)
class _Head:
    """First line and header lines of a request or an answer (RFC 9112, 2.1)."""

    first: str
    lines: tuple[str, ...]

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> _Head | None:
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
    def raw(self) -> bytes:
        return "\r\n".join((self.first, *self.lines, "", "")).encode("latin-1")

    def get(self, name: str) -> str | None:
        start = f"{name}:"
        return next(
            (line[len(start) :].strip() for line in self.lines if line.lower().startswith(start)), None
        )

    def having(self, name: str, value: str) -> _Head:
        kept = (line for line in self.lines if not line.lower().startswith(f"{name}:"))
        return _Head(self.first, (*kept, f"{name}: {value}"))


class _Upstream:
    """The connection to the store that belongs to one connection of a client."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def open(self) -> bool:
        return self._streams is not None

    async def ask(self, head: _Head, body: bytes) -> _Head:
        """Send a request and give the head of the answer; once more where the store had closed a kept connection."""
        kept = self._streams is not None
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=PIECE)
        reader, writer = self._streams
        answer = None
        with suppress(ConnectionError):
            writer.write(head.raw + body)
            await writer.drain()
            answer = await _Head.read(reader)
        if answer is None:
            await self.close()
            if kept:
                return await self.ask(head, body)
            raise ConnectionResetError("the store gave no answer")
        return answer

    async def body(self, method: str, answer: _Head) -> AsyncIterator[bytes]:
        """Give the body of the answer as it stands on the wire; afterwards the connection is kept where it can be."""
        assert self._streams is not None
        reader = self._streams[0]
        status = answer.first.split(" ", 2)[1]
        length = answer.get("content-length")
        if method == "HEAD" or status in ("204", "304"):
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
                piece = await reader.read(min(left, PIECE))
                if not piece:
                    raise ConnectionResetError("the store broke its answer")
                left -= len(piece)
                yield piece
        else:
            while piece := await reader.read(PIECE):
                yield piece
            await self.close()
        if (answer.get("connection") or "").lower() == "close":
            await self.close()

    async def close(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with suppress(ConnectionError):
                await streams[1].wait_closed()


def _paced(piece: bytes, sent: int, slow_from: int | None) -> Iterator[tuple[bytes, float]]:
    """Give a piece of a body with the seconds to wait behind it: from byte `slow_from` of the body on, byte by byte."""
    quick = len(piece) if slow_from is None else max(0, slow_from - sent)
    yield piece[:quick], 0.0
    for place in range(quick, len(piece)):
        yield piece[place : place + 1], 0.05


async def _delivered(writer: asyncio.StreamWriter) -> None:
    """Wait until all that was written is at the other side: a reset throws away what is on its way."""
    sock = writer.get_extra_info("socket")
    while not writer.transport.is_closing() and (  # noqa: ASYNC110 - the kernel tells nobody
        writer.transport.get_write_buffer_size()
        or struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]
    ):
        await asyncio.sleep(0.001)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection so that the other side is told of it as an error."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _beside(span: tuple[int, int]) -> tuple[int, int]:
    """A range that differs from this one and lies within the object where this one does (bytes 0-0 have none)."""
    first, last = span
    return (first - 1, last - 1) if first else (min(1, last), last)


def _beside_label(label: str) -> str:
    """The Content-Range of the range one byte further on."""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", label)
    assert match is not None, label
    first, last, size = map(int, match.groups())
    return f"bytes {first + 1}-{last + 1}/{size}"


@dataclass(frozen=True)
class FaultyStore:
    """A store behind an endpoint: `store` is reached through it, `direct` beside it."""

    store: Store
    direct: Store
    endpoint: Endpoint


@contextmanager
def run_faulty(store: Store, *, plan: Plan = no_fault, latency: float = 0.0) -> Iterator[FaultyStore]:
    """Put an endpoint in front of a running store; close it with the block."""
    admin = store.admin()

    def presign(target: str) -> str:
        bucket, _, key = unquote(urlsplit(target).path).lstrip("/").partition("/")
        parts = urlsplit(admin.presigned_get_object(bucket_name=bucket, object_name=key))
        return f"{parts.path}?{parts.query}"

    with Endpoint(store.endpoint, plan=plan, latency=latency, presign=presign) as endpoint:
        yield FaultyStore(replace(store, endpoint=endpoint.url), store, endpoint)
