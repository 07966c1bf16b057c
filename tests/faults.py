"""An endpoint in front of a real store (tools/endpoint.py) that breaks answers as the test's plan says; others it hands on."""

from __future__ import annotations

import asyncio
import fcntl
import random
import re
import socket
import struct
import termios
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from stores import Store

from tools.endpoint import Endpoint, Exchange, Head, Request, Upstream

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
class Fault:
    """What to do to one answer: `after` so many bytes of its body, or for LATE so many `seconds`."""

    kind: Kind
    after: int = 0
    seconds: float = 0.0


@dataclass
class FaultyExchange(Exchange):
    """A request with what was done to its answer."""

    fault: Fault | None = None


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


class FaultyEndpoint(Endpoint):
    """An endpoint with a plan: `with FaultyEndpoint("http://127.0.0.1:9000") as endpoint:`.

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
        super().__init__(upstream, latency=latency)
        self._presign = presign
        self.plan = plan
        """May be changed at any time."""

    @property
    def broken(self) -> list[Exchange]:
        """Requests that the plan broke."""
        return [
            exchange
            for exchange in self.exchanges
            if isinstance(exchange, FaultyExchange) and exchange.fault is not None
        ]

    async def _answer(
        self,
        request: Request,
        head: Head,
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream: Upstream,
    ) -> bool:
        fault = self.plan(request)
        method, target, span = request.method, request.target, request.span
        assert fault is None or span is not None or fault.kind not in IN_RANGES, (fault, request)
        exchange = FaultyExchange(request, fault=fault)
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
        exchange.status = answer.status
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

    def _other(self, head: Head, target: str, span: tuple[int, int] | None) -> Head:
        """Make a request for this range of the same object, or for all of it, whatever version it is."""
        wanted = [] if span is None else [f"Range: bytes={span[0]}-{span[1]}"]
        if self._presign is not None:
            target, host = self._presign(target), "{}:{}".format(*self._upstream)
            return Head(f"GET {target} HTTP/1.1", (f"Host: {host}", *wanted))
        kept = [line for line in head.lines if not line.lower().startswith(("range:", "if-"))]
        return Head(head.first, (*kept, *wanted))


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
    endpoint: FaultyEndpoint


@contextmanager
def run_faulty(store: Store, *, plan: Plan = no_fault, latency: float = 0.0) -> Iterator[FaultyStore]:
    """Put an endpoint in front of a running store; close it with the block."""
    admin = store.admin()

    def presign(target: str) -> str:
        bucket, _, key = unquote(urlsplit(target).path).lstrip("/").partition("/")
        parts = urlsplit(admin.presigned_get_object(bucket_name=bucket, object_name=key))
        return f"{parts.path}?{parts.query}"

    with FaultyEndpoint(store.endpoint, plan=plan, latency=latency, presign=presign) as endpoint:
        yield FaultyStore(replace(store, endpoint=endpoint.url), store, endpoint)
