"""The wire between the server and a lane: msgpack records, each with raw bytes behind it, over a socket pair.

    +----------------+-----------------+-----------------+------------------+
    | record length  | payload length  | record, msgpack | payload, raw     |
    | u32, LE        | u32, LE         |                 |                  |
    +----------------+-----------------+-----------------+------------------+

The server trusts a lane no further than this: a lane runs native decoders on strangers' bytes, so what comes
from it is bounded and checked, and a lane that breaks the format is replaced.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Annotated, TypeAlias

import msgspec

__all__ = [
    "Cancel",
    "Close",
    "Decode",
    "DropRead",
    "Effort",
    "Failed",
    "FromLane",
    "HurryRead",
    "Open",
    "Opened",
    "Picture",
    "Read",
    "ReadDone",
    "ReadFailed",
    "Ready",
    "Started",
    "Stats",
    "StatsRequest",
    "ToLane",
    "WireError",
    "decode_from_lane",
    "decode_to_lane",
    "pack",
    "read_record",
    "receive_record",
]

MAX_RECORD = 1 << 20
MAX_PAYLOAD = 1 << 30

_LENGTHS = struct.Struct("<II")

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class WireError(Exception):
    """The other side does not speak the wire format, or has gone away in the middle of a record."""


# ---- from the server to a lane -----------------------------------------------------------------------------


class Open(msgspec.Struct, frozen=True, array_like=True, tag="open"):
    """Open a video under a number; the payload is its pickled VideoIndex. Answered by Opened or Failed."""

    job: int
    video: int
    path: str
    size: int
    identity: str


class Close(msgspec.Struct, frozen=True, array_like=True, tag="close"):
    """Close a video once the jobs before this record are done."""

    video: int


class Decode(msgspec.Struct, frozen=True, array_like=True, tag="decode"):
    """Decode a frame and compress it. Answered by Started, then Picture; or by Failed.

    `measured`: say what it took.
    """

    job: int
    video: int
    offset: int
    irap_offset: int
    quality: int
    measured: bool = False


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    """Nobody waits for this job any more: if it has not started, it is answered Failed without work."""

    job: int


class ReadDone(msgspec.Struct, frozen=True, array_like=True, tag="read_done"):
    """The bytes that a Read asked for: the payload holds the ranges one after the other, of these lengths.

    `requests`, `fetched_bytes`: what the store was asked for on its account.
    """

    read: int
    lengths: tuple[int, ...]
    requests: int = 0
    fetched_bytes: int = 0


class ReadFailed(msgspec.Struct, frozen=True, array_like=True, tag="read_failed"):
    """The bytes could not be read; `code` is a wire code of the WebSocket protocol. `dropped`: as DropRead wanted it."""

    read: int
    code: str
    message: str
    dropped: bool = False


class StatsRequest(msgspec.Struct, frozen=True, array_like=True, tag="stats_request"):
    """Ask for the counters of all open videos. Answered by Stats, after the frame in work."""

    request: int


# ---- from a lane to the server -----------------------------------------------------------------------------


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """The lane has loaded its libraries and waits for work."""


class Opened(msgspec.Struct, frozen=True, array_like=True, tag="opened"):
    """A video is open."""

    job: int


class Started(msgspec.Struct, frozen=True, array_like=True, tag="started"):
    """Work on a job begins: from here on its deadline runs, and a crash is laid at its door."""

    job: int


class Effort(msgspec.Struct, frozen=True, array_like=True):
    """What a job took in the lane; times in microseconds.

    `stood`: between decoding and compressing; `fetch` is no part of `decode`. The other fields are those of a receipt.
    """

    stood: Count
    fetch: Count
    decode: Count
    encode: Count
    requests: Count
    fetched_bytes: Count
    ahead_requests: Count
    ahead_bytes: Count


class Picture(msgspec.Struct, frozen=True, array_like=True, tag="picture"):
    """The frame of a job; the payload is its JPEG. `effort` is there where the job is measured."""

    job: int
    effort: Effort | None = None


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    """A job that cannot be done; `code` is a wire code of the WebSocket protocol."""

    job: int
    code: str
    message: str


class Read(msgspec.Struct, frozen=True, array_like=True, tag="read"):
    """The lane needs bytes of a video: `(offset, length)` ranges. Answered by ReadDone or ReadFailed.

    `ahead`: it does not wait for them yet. HurryRead says when it does, DropRead when it never will; both may cross the answer.
    """

    read: int
    video: int
    ranges: tuple[tuple[Count, Count], ...]
    ahead: bool = False


class HurryRead(msgspec.Struct, frozen=True, array_like=True, tag="hurry_read"):
    """The lane waits now for what it read ahead."""

    read: int


class DropRead(msgspec.Struct, frozen=True, array_like=True, tag="drop_read"):
    """The lane will not wait for what it read ahead: if it is not begun, it is answered ReadFailed."""

    read: int


class Stats(msgspec.Struct, frozen=True, array_like=True, tag="stats"):
    """Counters of the open videos, by video number and name of the counter."""

    request: int
    videos: dict[int, dict[str, int]]


ToLane: TypeAlias = Open | Close | Decode | Cancel | ReadDone | ReadFailed | StatsRequest
FromLane: TypeAlias = Ready | Opened | Started | Picture | Failed | Read | HurryRead | DropRead | Stats

_encoder = msgspec.msgpack.Encoder()
_to_lane: msgspec.msgpack.Decoder[ToLane] = msgspec.msgpack.Decoder(
    Open | Close | Decode | Cancel | ReadDone | ReadFailed | StatsRequest
)
_from_lane: msgspec.msgpack.Decoder[FromLane] = msgspec.msgpack.Decoder(
    Ready | Opened | Started | Picture | Failed | Read | HurryRead | DropRead | Stats
)


def pack(record: ToLane | FromLane, payload_length: int = 0) -> bytes:
    """Everything of a record that goes before its payload."""
    body = _encoder.encode(record)
    return _LENGTHS.pack(len(body), payload_length) + body


def decode_to_lane(body: bytes) -> ToLane:
    """Decode a record of the server; raises WireError."""
    try:
        return _to_lane.decode(body)
    except msgspec.DecodeError as error:
        raise WireError(f"a record of the server is not understood: {error}") from None


def decode_from_lane(body: bytes) -> FromLane:
    """Decode a record of a lane; raises WireError."""
    try:
        return _from_lane.decode(body)
    except msgspec.DecodeError as error:
        raise WireError(f"a record of a lane is not understood: {error}") from None


def _check_lengths(head: bytes | bytearray) -> tuple[int, int]:
    body_length, payload_length = _LENGTHS.unpack(head)
    if body_length > MAX_RECORD or payload_length > MAX_PAYLOAD:
        raise WireError(
            f"a record announces {body_length} + {payload_length} bytes, more than the format allows"
        )
    return body_length, payload_length


async def read_record(reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
    """Read one record and its payload in the server; None when the lane has closed its end between records.

    Raises WireError when it breaks off in the middle or announces too much.
    """
    try:
        head = await reader.readexactly(_LENGTHS.size)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise WireError("the lane has gone away in the middle of a record") from None
        return None
    body_length, payload_length = _check_lengths(head)
    try:
        body = await reader.readexactly(body_length)
        payload = await reader.readexactly(payload_length) if payload_length else b""
    except asyncio.IncompleteReadError:
        raise WireError("the lane has gone away in the middle of a record") from None
    return body, payload


def receive_record(sock: socket.socket) -> tuple[bytes, memoryview] | None:
    """Read one record and its payload in a lane, blocking; None when the server has closed its end.

    Raises WireError when it breaks off in the middle or announces too much.
    """
    head = _receive_exactly(sock, _LENGTHS.size)
    if head is None:
        return None
    body_length, payload_length = _check_lengths(head)
    rest = _receive_exactly(sock, body_length + payload_length)
    if rest is None:
        raise WireError("the server has gone away in the middle of a record")
    view = memoryview(rest).toreadonly()
    return bytes(view[:body_length]), view[body_length:]


def _receive_exactly(sock: socket.socket, length: int) -> bytearray | None:
    data = bytearray(length)
    view = memoryview(data)
    received = 0
    while received < length:
        count = sock.recv_into(view[received:])
        if count == 0:
            if received:
                raise WireError("the server has gone away in the middle of a record")
            return None
        received += count
    return data
