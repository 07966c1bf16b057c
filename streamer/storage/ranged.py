"""Reads over HTTP that end in the right bytes or in one error: the tries, and a range held to one version."""

from __future__ import annotations

import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from urllib3.exceptions import (
    HTTPError,
    IncompleteRead,
    LocationValueError,
    NameResolutionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as PoolTimeoutError
from urllib3.response import BaseHTTPResponse

from ffbind.errors import SourceChangedError, SourceError

from .connections import Patience, Refused

__all__ = [
    "Head",
    "Rest",
    "Version",
    "content_range",
    "explain_fault",
    "may_pass",
    "read_head",
    "read_range",
    "tried",
]

CHUNK = 256 * 1024
FIRST_LOOK = 4 * 1024  # bytes after which a look may know how many more are of use
STALL_BYTES = 16 * 1024  # a body that brings less than this in the seconds of the read timeout stands still
LONGEST_PAUSE = 2.0  # seconds between two tries
# With which an object is not what it was. versitygw answers 404 to a key that it does not know, too.
_GONE_CODES = frozenset(
    {"", "NoSuchKey", "NoSuchVersion", "NoSuchBucket", "PreconditionFailed", "InvalidRange"}
)

# What broke, in words: the first kind that fits, so particular ones stand before those that they are kinds of.
_FAULTS: tuple[tuple[type[Exception], str], ...] = (
    (IncompleteRead, "its body ended early"),
    (ReadTimeoutError, "it did not answer in time"),
    (NameResolutionError, "its host name is not known"),
    (PoolTimeoutError, "no connection could be made in time"),
    (ProtocolError, "it broke the connection"),
    (ProxyError, "the proxy that the environment names does not lead to it"),
)

T = TypeVar("T")


class Broken(Exception):
    """An answer that is not what was asked for, though the object is the right one: to be asked again."""


@dataclass(frozen=True, slots=True)
class Version:
    """The object that a read is about; `validator`: its ETag without quotes, or the date of its last change."""

    name: str
    size: int
    validator: str
    header: str = "etag"
    """Where answers repeat the validator: `etag` or `last-modified`."""


class Ask(Protocol):
    """Sends one request for `length` bytes (1 or more) at `offset`; the body is not read yet."""

    def __call__(self, offset: int, length: int) -> BaseHTTPResponse: ...


def tried(work: Callable[[], T], patience: Patience, describe: Callable[[Exception], Exception]) -> T:
    """Call `work` until it succeeds, fails for good, or was called `tries` times.

    `describe` makes the sentence out of the last failure. Raises what it gives, and SourceError of `work` as it is.
    """
    for attempt in range(1, patience.tries + 1):
        try:
            return work()
        except (Refused, Broken, HTTPError, OSError) as error:
            if isinstance(error, SourceError):
                raise
            if attempt == patience.tries or not may_pass(error):
                raise describe(error) from error
        time.sleep(min(LONGEST_PAUSE, patience.pause * 2 ** (attempt - 1)) * random.uniform(0.5, 1.5))
    raise AssertionError("tries is 1 or more")


def may_pass(error: Exception) -> bool:
    """Tell whether the same request may succeed in a moment."""
    if isinstance(error, Refused):
        return error.passing
    # A certificate or an address that is wrong stays wrong.
    return not isinstance(error, (SSLError, LocationValueError, NameResolutionError))


def read_range(
    version: Version,
    offset: int,
    length: int,
    ask: Ask,
    patience: Patience,
    describe: Callable[[Exception], SourceError],
) -> bytes:
    """Read a range of one version of an object; fewer bytes only at its end, none without a request.

    Every answer is checked before a byte of it counts: status 206, the range asked for, the size and the validator
    of the version. A body that breaks is asked for again from there. Raises SourceChangedError, SourceError.
    """
    if offset < 0 or length < 0:
        raise SourceError(f"cannot read {length} bytes at {offset}: both must be 0 or more")
    return _Reading(version, offset, length, ask, patience.read_timeout).read(patience, describe)


class Rest:
    """What comes of an answer behind the bytes that were of use, and is thrown away; `bytes`: how much has come so far."""

    def __init__(self) -> None:
        self.bytes = 0

    def drain(self, response: BaseHTTPResponse) -> None:
        """Read an answer to its end, for the sake of its connection."""
        try:
            while part := response.read1(CHUNK, decode_content=False):
                self.bytes += len(part)
        except (HTTPError, OSError):
            response.close()
        else:
            response.release_conn()


class Head(NamedTuple):
    """The first bytes of an object that are of use, and what comes behind them."""

    data: bytes
    rest: Rest


def read_head(
    version: Version,
    most: int,
    ask: Ask,
    patience: Patience,
    describe: Callable[[Exception], SourceError],
    of_use: Callable[[bytes], int] | None = None,
    waited: float = 0.0,
) -> Head:
    """Read the first bytes of one version of an object as `read_range` does, at most `most`.

    `of_use` says how many of them are of use, given the first ones, and more than it was given where it cannot tell yet. The rest of
    the answer is not waited for: it comes in the background where that takes no longer than an answer takes to begin, so that the
    connection can be used again, which is closed otherwise. `waited`: seconds until the answer began that `ask` gives first.
    """
    reading = _Reading(version, 0, most, ask, patience.read_timeout, of_use, waited)
    return Head(reading.read(patience, describe), reading.rest)


class _Reading:
    """One range on its way."""

    def __init__(
        self,
        version: Version,
        offset: int,
        length: int,
        ask: Ask,
        timeout: float,
        of_use: Callable[[bytes], int] | None = None,
        waited: float = 0.0,
    ) -> None:
        self._version = version
        self._offset = offset
        self._ask = ask
        self._timeout = timeout
        self._of_use = of_use
        self._waited = waited
        self._wanted = max(0, min(length, version.size - offset))
        self._parts: list[bytes] = []
        self._filled = 0
        self.rest = Rest()

    def read(self, patience: Patience, describe: Callable[[Exception], SourceError]) -> bytes:
        """Give the bytes; see `read_range`."""
        if self._wanted:
            tried(self._attempt, patience, describe)
        return self._so_far()

    def _so_far(self) -> bytes:
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    def _attempt(self) -> None:
        first = self._offset + self._filled
        left = self._wanted - self._filled
        if left == 0:  # the last try broke after the last byte
            return
        began = time.monotonic()
        try:
            response = self._ask(first, left)
        except Refused as refusal:
            # 412: If-Match failed. 416: what was asked lay within the object. 404, 410: it is gone.
            if refusal.status in (404, 410, 412, 416) and refusal.code in _GONE_CODES:
                raise changed(self._version) from None
            raise
        try:
            answered = time.monotonic()
            _check(response, self._version, first, left)
            self._take(response)
            left = first + left - self._offset - self._filled
            if left:
                took, waited = time.monotonic() - answered, max(answered - began, self._waited)
                self._leave(response, soon=left * took <= waited * self._filled)
                return
            response.drain_conn()  # the end of a chunked body, so that the connection can be used again
        except BaseException:
            response.close()
            raise
        response.release_conn()

    def _take(self, response: BaseHTTPResponse) -> None:
        """Read a body as far as it is wanted."""
        since, at = time.monotonic(), self._filled
        enough = min(FIRST_LOOK, self._wanted) if self._of_use else self._wanted
        while self._filled < self._wanted:
            if self._filled >= enough and self._of_use:
                enough = min(self._of_use(self._so_far()), self._wanted)
                if enough <= self._filled:
                    self._wanted = self._filled
                    return
            part = response.read1(min(CHUNK, enough - self._filled), decode_content=False)
            if not part:
                raise Broken(f"its body ended {self._wanted - self._filled} bytes early")
            self._parts.append(part)
            self._filled += len(part)
            if (now := time.monotonic()) - since > self._timeout:
                if self._filled < self._wanted and self._filled - at < STALL_BYTES:
                    raise Broken("its body hardly moves")
                since, at = now, self._filled

    def _leave(self, response: BaseHTTPResponse, *, soon: bool) -> None:
        """Let go of an answer whose last bytes are of no use; `soon`: they will be here soon."""
        if soon:
            thread = threading.Thread(
                target=self.rest.drain, args=(response,), name="streamer-drain", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter ends
                pass
            else:
                return
        response.close()


def changed(version: Version) -> SourceChangedError:
    """The error for an object that is no longer the one that was looked up."""
    return SourceChangedError(f"{version.name} was changed or removed while it was in use; set it again")


def _check(response: BaseHTTPResponse, version: Version, offset: int, length: int) -> None:
    """Hold an answer to what was asked for (RFC 9110, 14.4 and 15.3.7)."""
    headers = response.headers
    said = headers.get(version.header)
    if said is not None and said.strip('"') != version.validator:
        raise changed(version)
    if response.status != 206:
        raise Broken("it sent the object from its start instead of the range asked for")
    said_range = content_range(headers)
    if said_range is None:
        raise Broken("it did not say which range it sent")
    first, last, size = said_range
    if size != version.size:
        raise changed(version)
    if (first, last) != (offset, offset + length - 1):
        raise Broken("it sent another range than the one asked for")
    if headers.get("content-length", str(length)) != str(length):
        raise Broken("the length it gave is not that of the range")


def content_range(headers: Mapping[str, str]) -> tuple[int, int, int] | None:
    """Give the first and the last byte of the range that an answer brings, and the size of the whole; None where it does not say."""
    match = re.fullmatch(r"bytes (\d{1,20})-(\d{1,20})/(\d{1,20})", headers.get("content-range", ""))
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))


def explain_fault(error: Exception) -> str:
    """Say what broke, in words without addresses and secrets; what `tried` catches can be given, but for Refused."""
    if isinstance(error, Broken):
        return str(error)
    # urllib3 hides in its arguments that a body was too short.
    error = next((inner for inner in error.args if isinstance(inner, IncompleteRead)), error)
    if isinstance(error, SSLError):
        return _explain_tls(error)
    return next((words for kind, words in _FAULTS if isinstance(error, kind)), "no connection could be made")


def _explain_tls(error: SSLError) -> str:
    inner = next((inner for inner in error.args if isinstance(inner, ssl.SSLError)), None)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not trusted ({inner.verify_message})"
    # What OpenSSL says when the first bytes are those of an answer in clear text.
    if inner is not None and inner.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return "it does not speak https; write http:// where that is meant"
    return "its TLS protocol was not accepted"
