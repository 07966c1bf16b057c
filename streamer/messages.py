"""Messages of the WebSocket protocol as typed records, with their JSON form and the codes of all errors.

The records are those of the base protocol (docs: protocol reference) and of what clients may opt into. Clients may
send fields that are not named here; they are ignored. What nobody opted into is left out.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import msgspec

__all__ = [
    "RETRYABLE",
    "ClientMessage",
    "Code",
    "Error",
    "Frame",
    "FrameError",
    "FrameRequest",
    "MessageError",
    "Receipt",
    "RequestFrames",
    "ServerMessage",
    "SetVideo",
    "Timing",
    "VideoSet",
    "decode_client_message",
    "decode_server_message",
    "encode",
]


class Code(StrEnum):
    """Every code that an `Error` or `FrameError` may carry."""

    BAD_JSON = "bad_json"
    BAD_MESSAGE = "bad_message"
    UNKNOWN_TYPE = "unknown_type"
    TOO_LARGE = "too_large"
    TOO_MANY_FRAMES = "too_many_frames"
    NO_VIDEO = "no_video"
    BAD_PATH = "bad_path"
    FORBIDDEN = "forbidden"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    NOT_VIDEO = "not_video"
    UNSUPPORTED_CODEC = "unsupported_codec"
    ENCRYPTED = "encrypted"
    PICTURE_TOO_LARGE = "picture_too_large"
    BAD_OFFSET = "bad_offset"
    NOT_IRAP = "not_irap"
    BEFORE_IRAP = "before_irap"
    GOP_TOO_LONG = "gop_too_long"
    NEEDS_EARLIER_IRAP = "needs_earlier_irap"
    UNDECODABLE = "undecodable"
    NOT_SHOWN = "not_shown"
    NOT_EXACT = "not_exact"
    CORRUPT_SAMPLE = "corrupt_sample"
    DECODE_FAILED = "decode_failed"
    DECODE_TIMEOUT = "decode_timeout"
    DECODE_CRASH = "decode_crash"
    QUARANTINED = "quarantined"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    VIDEO_CHANGED = "video_changed"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    BUSY = "busy"
    DRAINING = "draining"
    INTERNAL = "internal"

    @classmethod
    def of(cls, word: str) -> Code:
        """The code of this name; INTERNAL for a word that is none."""
        return cls(word) if word in cls._value2member_map_ else cls.INTERNAL


RETRYABLE = frozenset(
    {
        Code.DECODE_TIMEOUT,
        Code.DECODE_CRASH,
        Code.STORAGE_UNAVAILABLE,
        Code.BUSY,
        Code.DRAINING,
        Code.QUARANTINED,
    }
)
"""Codes after which the same request may succeed later, so `retryable` is true."""

MAX_U32 = 2**32 - 1
MAX_U64 = 2**64 - 1

U32: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_U32)]
# The upper bound of a u64 does not fit into msgspec's own checks; see the __post_init__ methods below.
U64: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


def _check_u64(name: str, value: int) -> None:
    if value > MAX_U64:
        raise ValueError(f"`{name}` is larger than an unsigned 64-bit integer")


class SetVideo(msgspec.Struct, frozen=True, tag=True):
    """The client chooses the video that later requests are about; `path` is relative to the server's root."""

    path: str


class FrameRequest(msgspec.Struct, frozen=True):
    """One wanted frame: byte offset of its sample in the file, and a number of the client's own."""

    offset: U64
    index: U32

    def __post_init__(self) -> None:
        _check_u64("offset", self.offset)


class RequestFrames(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """The client asks for frames; `irap_offset` is where decoding may start at the latest, `timing` asks for receipts."""

    irap_offset: U64
    frames: tuple[FrameRequest, ...]
    timing: bool = False

    def __post_init__(self) -> None:
        _check_u64("irap_offset", self.irap_offset)


class VideoSet(msgspec.Struct, frozen=True, tag=True):
    """The answer to `SetVideo`; with `ok` false an `Error` follows that says why."""

    path: str
    ok: bool


class Timing(msgspec.Struct, frozen=True):
    """Where the time of a frame went, in milliseconds; see the protocol reference for where each begins and ends."""

    queue: float
    fetch: float
    decode: float
    encode: float


class Receipt(msgspec.Struct, frozen=True):
    """What a frame took.

    - `requests`, `fetched_bytes`: requests to the store that brought what this frame was the first one to need
    - `ahead_requests`, `ahead_bytes`: those made ahead for this video that no frame has needed so far
    """

    timing: Timing
    requests: int
    fetched_bytes: int
    ahead_requests: int
    ahead_bytes: int

    @property
    def source(self) -> str:
        """`store`, or `cache` where nothing was fetched for the frame."""
        return "store" if self.requests else "cache"


class Frame(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A frame; the next message is binary, of exactly `size` bytes: its JPEG.

    The other fields are its receipt, there where the request asked for it.
    """

    index: U32
    offset: U64
    size: U64
    timing: Timing | None = None
    source: str | None = None
    requests: U64 | None = None
    fetched_bytes: U64 | None = None
    ahead_requests: U64 | None = None
    ahead_bytes: U64 | None = None

    @classmethod
    def of(cls, index: int, offset: int, size: int, receipt: Receipt | None) -> Frame:
        """Make the message, with its receipt if there is one."""
        if receipt is None:
            return cls(index, offset, size)
        return cls(
            index,
            offset,
            size,
            timing=receipt.timing,
            source=receipt.source,
            requests=receipt.requests,
            fetched_bytes=receipt.fetched_bytes,
            ahead_requests=receipt.ahead_requests,
            ahead_bytes=receipt.ahead_bytes,
        )


class FrameError(msgspec.Struct, frozen=True, tag=True):
    """The answer for one frame that cannot be given; `error` and `code` are the same word."""

    index: U32
    offset: U64
    error: str
    code: str = ""
    message: str = ""
    retryable: bool = False


class Error(msgspec.Struct, frozen=True, tag=True):
    """The answer to a message that cannot be served; the connection stays."""

    message: str
    code: str = ""
    retryable: bool = False


ClientMessage: TypeAlias = SetVideo | RequestFrames
ServerMessage: TypeAlias = VideoSet | Frame | FrameError | Error

_CLIENT_TYPES = frozenset({"SetVideo", "RequestFrames"})
_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(SetVideo | RequestFrames)
_server_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(
    VideoSet | Frame | FrameError | Error
)
_encoder = msgspec.json.Encoder()

LONGEST_PROBLEM = 300
"""Characters of what is wrong with a message."""


class MessageError(Exception):
    """A message that does not follow the protocol; `code` says in which way, the text says where."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def encode(message: ClientMessage | ServerMessage) -> bytes:
    """Encode a message as UTF-8 JSON."""
    return _encoder.encode(message)


def decode_server_message(text: str | bytes) -> ServerMessage:
    """Decode a server's text message; raises MessageError."""
    try:
        return _server_decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MessageError(
            Code.BAD_MESSAGE, f"the server sent a message that is not understood: {error}"
        ) from None


def decode_client_message(text: str | bytes) -> ClientMessage:
    """Decode a client's text message.

    Raises MessageError with the code bad_json (not JSON), unknown_type (`type` is a word that is not known)
    or bad_message (a field is missing or has the wrong type or range).
    """
    try:
        return _client_decoder.decode(text)
    except msgspec.ValidationError as error:
        problem = str(error)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise MessageError(
            Code.BAD_JSON, f"The message is not JSON ({error}); send one JSON object"
        ) from None
    # Which kind of error it is costs a second look at the text, so that the good case costs one only.
    try:
        value: Any = msgspec.json.decode(text)
    except msgspec.ValidationError:
        value = None  # JSON with a number that no field could hold
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise MessageError(
            Code.BAD_JSON, f"The message is not JSON ({error}); send one JSON object"
        ) from None
    if isinstance(value, dict) and isinstance(kind := value.get("type"), str) and kind not in _CLIENT_TYPES:
        known = " and ".join(sorted(_CLIENT_TYPES))
        raise MessageError(Code.UNKNOWN_TYPE, f"Unknown message type {kind[:64]!r}; known are {known}")
    raise MessageError(Code.BAD_MESSAGE, f"The message does not follow the protocol: {_legible(problem)}")


def _legible(problem: str) -> str:
    """Cut short what quotes the client's own words, and spell out characters that a terminal would obey."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in problem[:LONGEST_PROBLEM])
