"""Connections to stores: a pool whose answers are successes or errors, certificates, proxies, and how long one waits."""

from __future__ import annotations

import functools
import re
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3 import HTTPHeaderDict
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.response import BaseHTTPResponse

from ffbind.errors import ArgumentError

__all__ = ["PROXY_REFUSED", "Patience", "Pool", "Refused", "requests_sent", "trust"]

PROXY_REFUSED = "the proxy that the environment names wants a name and a password that it knows: http://NAME:PASSWORD@HOST:PORT"
"""What status 407 says."""

ERROR_BODY = 64 * 1024
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_PASSING_CODES = frozenset({"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"})

_thread = threading.local()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a store is waited for, and how often it is asked."""

    connections: int = 16
    """Connections that are kept open; more are made while they are all busy, and closed afterwards."""
    connect_timeout: float = 5.0
    """Seconds until a connection stands."""
    read_timeout: float = 10.0
    """Seconds without a byte, or with next to none, until an answer counts as broken."""
    tries: int = 5
    """Times that one read is asked for; after a body that broke, from the byte where it did."""
    pause: float = 0.1
    """Seconds before the second try, doubled before each later one and spread by half at random."""


class Refused(Exception):  # an answer, not a fault of the program
    """A status other than success. `code`: the word that S3 gives with it, empty where there is none."""

    def __init__(self, status: int, code: str, headers: Mapping[str, str]) -> None:
        super().__init__(f"status {status}" + (f", {code}" if code else ""))
        self.status = status
        self.code = code
        self.headers = headers

    @property
    def passing(self) -> bool:
        """True where the same request may succeed in a moment."""
        return self.status in _PASSING or self.code in _PASSING_CODES


class Pool(urllib3.PoolManager):
    """Connections to stores. Answers other than success are raised as `Refused`; nothing is tried again in here.

    Proxies are those that the environment names (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, in either case) when it is made.
    One that cannot be used raises ArgumentError. Redirects are followed only where `redirects` says so: a signed request goes to no
    other place. `requests` counts what was sent.
    """

    def __init__(self, patience: Patience, *, redirects: int = 0) -> None:
        self._settings: dict[str, Any] = {
            "maxsize": patience.connections,
            "timeout": urllib3.Timeout(connect=patience.connect_timeout, read=patience.read_timeout),
            "retries": urllib3.Retry(
                total=None, connect=0, read=0, status=0, other=0, redirect=redirects, raise_on_redirect=False
            ),
        }
        super().__init__(**self._settings)
        self._redirect = redirects > 0
        self._lock = threading.Lock()
        named = getproxies()
        self._proxies = {
            scheme: _Proxy.named(named[scheme]) for scheme in ("http", "https", "all") if named.get(scheme)
        }
        self._through: dict[_Proxy, urllib3.ProxyManager] = {}
        self.requests = 0

    def _new_pool(
        self, scheme: str, host: str, port: int, request_context: dict[str, Any] | None = None
    ) -> urllib3.HTTPConnectionPool:
        context = dict(self.connection_pool_kw if request_context is None else request_context)
        if scheme == "https":
            context["ssl_context"] = trust()
        return super()._new_pool(scheme, host, port, context)

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **options: Any
    ) -> BaseHTTPResponse:
        with self._lock:
            self.requests += 1
        _thread.requests = requests_sent() + 1
        proxy = self._proxy_of(url)
        send = super().urlopen if proxy is None else proxy.urlopen
        try:
            response = send(method, url, redirect=redirect and self._redirect, **options)
        except MaxRetryError as error:
            # What broke is inside, and says more: whether to try again, and what to tell.
            raise error.reason or error from None
        if response.status in (200, 204, 206):
            return response
        try:
            # With the body already read (preload_content), `data` holds it.
            body = response.data if options.get("preload_content", True) else response.read(ERROR_BODY)
        except HTTPError:
            body = b""
        finally:
            response.close()
        found = re.search(rb"<Code>([A-Za-z]{1,64})</Code>", body)
        raise Refused(response.status, found[1].decode() if found else "", response.headers)

    def _proxy_of(self, url: str) -> urllib3.ProxyManager | None:
        """Give the way to a proxy that a request goes through, None for none."""
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all")
        if proxy is None or proxy_bypass(parts.netloc.rpartition("@")[2]):
            return None
        with self._lock:
            if proxy not in self._through:
                self._through[proxy] = urllib3.ProxyManager(
                    proxy.url, proxy_headers=proxy.headers(), ssl_context=trust(), **self._settings
                )
            return self._through[proxy]


class _Proxy(NamedTuple):
    """A proxy; `pair`: name and password for it, empty where it wants none."""

    url: str
    pair: str

    @classmethod
    def named(cls, address: str) -> _Proxy:
        """Read the address of a proxy, which may be without scheme. ArgumentError, without what is in it."""
        try:
            parts = urlsplit(address if "://" in address else f"http://{address}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or parts.scheme not in ("http", "https"):
            raise ArgumentError(
                "the proxy that the environment names (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) cannot be used: write http://HOST:PORT or "
                "https://HOST:PORT, or take the variable away"
            )
        place = f"[{host}]" if ":" in host else host
        pair = "" if parts.username is None else f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return cls(f"{parts.scheme}://{place}:{port or (443 if parts.scheme == 'https' else 80)}", pair)

    def headers(self) -> HTTPHeaderDict | None:
        return HTTPHeaderDict(urllib3.make_headers(proxy_basic_auth=self.pair)) if self.pair else None


@functools.cache
def trust() -> ssl.SSLContext:
    """Load the system's certificates, once: that takes longer than everything else before the first request."""
    return ssl.create_default_context()


def requests_sent() -> int:
    """Count the requests that the calling thread has sent so far, each try of its own: before and after a read, what that took."""
    return getattr(_thread, "requests", 0)
