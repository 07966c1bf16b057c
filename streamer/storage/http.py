"""A file on a web server as ffbind's `Source`: ranges over HTTP, held to the version that was found first (RFC 9110, 13 and 14)."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit, urlunsplit

from urllib3.response import BaseHTTPResponse

from ffbind.errors import ArgumentError, SourceError
from ffbind.isobmff import bytes_of_use

from .base import HEAD_BYTES, ForbiddenError, LookedUpSource, NotFoundError, ReadForbiddenError, StorageError
from .connections import PROXY_REFUSED, Patience, Pool, Refused
from .ranged import Version, explain_fault, may_pass, read_head, read_range, tried

__all__ = ["HttpSource"]

REDIRECTS = 5
_SIZE = re.compile(r"bytes (?:\d{1,20}-\d{1,20}|\*)/(\d{1,20})")


class HttpSource(LookedUpSource):
    """A file that a web server sends in ranges.

    The first request, for the first bytes, finds size and version: the strong ETag, else the date of the last change. Reads within
    those bytes cost no other; each further one asks for that version (If-Match, If-Unmodified-Since) and compares what comes. A
    server that sends no ranges, or gives nothing to tell versions by, is refused: there, no frame could be had without the whole
    file, or be trusted.

    Name and password may stand in the URL. Neither they nor the query, which may be a signature, are in `name` or in an error.
    Raises ArgumentError, NotFoundError, ForbiddenError, SourceError.
    """

    def __init__(self, url: str, *, patience: Patience | None = None) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise ArgumentError("this is no URL of a file: http:// or https://, a host and a path are needed")
        place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
        self.name = urlunsplit((parts.scheme, place, parts.path, "", ""))
        """The URL without name, password and query."""
        self._url = urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))
        self._headers = {"Accept-Encoding": "identity"}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        self._patience = patience or Patience()
        self._pool = Pool(self._patience, redirects=REDIRECTS)
        began = time.monotonic()
        self._version, looked = tried(self._look, self._patience, self._describe_opening)
        waited = time.monotonic() - began
        condition = "If-Match" if self._version.header == "etag" else "If-Unmodified-Since"
        quote = '"' if self._version.header == "etag" else ""
        self._condition = {condition: f"{quote}{self._version.validator}{quote}"}

        def ask(offset: int, length: int) -> BaseHTTPResponse:
            # What was asked for already has come; only what breaks of it is asked for again.
            return looked.pop() if looked else self._ask(offset, length)

        self._head, self._rest = read_head(
            self._version, HEAD_BYTES, ask, self._patience, self._describe, bytes_of_use, waited
        )

    @property
    def size(self) -> int:
        return self._version.size

    @property
    def identity(self) -> str:
        return self._version.validator

    @property
    def requests(self) -> int:
        """Requests sent so far, those that failed and those that were redirected included."""
        return self._pool.requests

    def _read(self, offset: int, length: int) -> bytes:
        return read_range(self._version, offset, length, self._ask, self._patience, self._describe)

    def _get(self, first: int, last: int, more: Mapping[str, str]) -> BaseHTTPResponse:
        headers = {**self._headers, **more, "Range": f"bytes={first}-{last}"}
        return self._pool.request("GET", self._url, headers=headers, preload_content=False)

    def _ask(self, offset: int, length: int) -> BaseHTTPResponse:
        return self._get(offset, offset + length - 1, self._condition)

    def _look(self) -> tuple[Version, list[BaseHTTPResponse]]:
        """Ask for the first bytes; give the version, and the answer, whose body is still to be read, where there is one."""
        try:
            response = self._get(0, HEAD_BYTES - 1, {})
        except Refused as refusal:
            if refusal.status != 416:
                raise
            # Of an empty file no byte can be asked for; the answer gives its size all the same.
            return self._version_of(refusal.headers), []
        try:
            if response.status != 206:
                raise SourceError(f"{self.name}: its server sends no ranges of a file; download it first")
            return self._version_of(response.headers), [response]
        except BaseException:
            response.close()
            raise

    def _version_of(self, headers: Mapping[str, str]) -> Version:
        match = _SIZE.fullmatch(headers.get("content-range", ""))
        if match is None:
            raise SourceError(
                f"{self.name}: its server does not say how large the file is; download it first"
            )
        size = int(match[1])
        etag = headers.get("etag", "")
        if (
            len(etag) > 2 and etag.startswith('"') and etag.endswith('"')
        ):  # W/"..." may stay while bytes change
            return Version(self.name, size, etag[1:-1], "etag")
        if date := headers.get("last-modified"):
            return Version(self.name, size, date, "last-modified")
        raise SourceError(
            f"{self.name}: its server gives neither a strong ETag nor Last-Modified, so a file that changes "
            "could not be noticed; download it first"
        )

    def _describe_opening(self, error: Exception) -> SourceError | StorageError:
        if isinstance(error, Refused):
            if error.status in (404, 410):
                return NotFoundError(f"{self.name}: there is no such file (status {error.status})")
            if error.status in (401, 403):
                return ForbiddenError(self._refusal(error))
        return self._describe(error)

    def _describe(self, error: Exception) -> SourceError:
        if not isinstance(error, Refused):
            advice = "try again" if may_pass(error) else "check the URL"
            return SourceError(f"{self.name} could not be read: {explain_fault(error)}; {advice}")
        if error.status in (401, 403):
            return ReadForbiddenError(self._refusal(error))
        if error.status == 407:
            return SourceError(f"{self.name} could not be read: {PROXY_REFUSED}")
        advice = "try again" if error.passing else "is the URL that of a file?"
        return SourceError(f"{self.name}: its server answered status {error.status}; {advice}")

    def _refusal(self, error: Refused) -> str:
        return f"{self.name}: its server does not let this file be read (status {error.status})"
