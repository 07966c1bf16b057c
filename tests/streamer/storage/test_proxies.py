"""Stores that are reached through a proxy, which the environment names: a small one of our own, in front of MinIO and of TLS."""

from __future__ import annotations

import base64
import io
import os
import select
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from stores import Store, bucket_of, publish
from web import DATA, Simple, self_signed, serving

from ffbind.errors import ArgumentError, SourceError
from streamer.storage import HttpSource, Patience, S3Options, S3OptionsError, S3Storage, source
from streamer.storage.connections import trust

QUICK = Patience(tries=2, pause=0.01, read_timeout=2.0, connect_timeout=2.0)


class Proxy(BaseHTTPRequestHandler):
    """Forwards GET of a whole URL, and tunnels CONNECT (RFC 9110, 9.3.6); `seen`: what it was asked for."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[str]]
    credentials: ClassVar[str | None] = None

    def allowed(self) -> bool:
        self.seen.append(f"{self.command} {self.path}")
        given = self.headers.get("Proxy-Authorization")
        if (
            self.credentials is None
            or given == f"Basic {base64.b64encode(self.credentials.encode()).decode()}"
        ):
            return True
        self.send_response(407)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def do_GET(self) -> None:
        if not self.allowed():
            return
        parts = urlsplit(self.path)
        headers = {
            name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")
        }
        with closing(HTTPConnection(parts.netloc, timeout=5)) as upstream:
            upstream.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""), headers=headers)
            answer = upstream.getresponse()
            body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        if not self.allowed():
            return
        host, port = self.path.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=5) as upstream:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: upstream, upstream: self.connection}
            while True:
                for end in select.select(list(ends), [], [], 5)[0]:
                    data = end.recv(1 << 16)
                    if not data:
                        self.close_connection = True
                        return
                    ends[end].sendall(data)

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client that leaves
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Proxy]]:
    class Mine(Proxy):
        seen: ClassVar[list[str]] = []

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with serving(Mine) as address:
        monkeypatch.setenv("ALL_PROXY", address)
        yield Mine


@pytest.fixture
def bucket(minio: Store) -> str:
    name = bucket_of(minio)
    minio.admin().put_object(bucket_name=name, object_name="a.mp4", data=io.BytesIO(DATA), length=len(DATA))
    publish(minio, name)
    return name


def test_a_bucket_behind_a_proxy(
    minio: Store, bucket: str, proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"AWS_ENDPOINT_URL": minio.endpoint, "AWS_REGION": "us-east-1"}

    def read() -> bytes:
        return bytes(source(f"s3://{bucket}/a.mp4", variables=variables, patience=QUICK).read_at(100_000, 50))

    assert read() == DATA[100_000:100_050]
    assert proxy.seen == [f"GET {minio.endpoint}/{bucket}/a.mp4"] * 2
    monkeypatch.setenv("NO_PROXY", "example.org,127.0.0.1")
    assert read() == DATA[100_000:100_050]
    assert len(proxy.seen) == 2


def test_a_proxy_that_wants_a_name(
    minio: Store, bucket: str, proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{minio.endpoint}/{bucket}/a.mp4"
    monkeypatch.setattr(proxy, "credentials", "me:se:cret")
    refused = r"could not be read: the proxy .* wants a name and a password"
    with pytest.raises(SourceError, match=refused):
        HttpSource(url, patience=QUICK)
    with pytest.raises(SourceError, match=refused):
        source(f"s3://{bucket}/a.mp4", variables={"AWS_ENDPOINT_URL": minio.endpoint}, patience=QUICK)
    address = os.environ["ALL_PROXY"].replace("http://", "http://me:se%3Acret@")
    monkeypatch.setenv("HTTP_PROXY", address)
    assert HttpSource(url, patience=QUICK).read_at(3, 4) == DATA[3:7]
    monkeypatch.setattr(proxy, "credentials", "other:secret")
    with pytest.raises(SourceError, match=refused) as caught:
        HttpSource(url, patience=QUICK)
    assert "cret" not in str(caught.value)


def test_https_goes_through_a_tunnel(
    proxy: type[Proxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class File(Simple):
        headers_of = (("ETag", '"one"'),)

    server_side, certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    trust.cache_clear()
    try:
        with serving(File, server_side) as url:
            found = HttpSource(f"{url}/a.mp4", patience=QUICK)
            assert found.read_at(100_000, 50) == DATA[100_000:100_050]
            assert set(proxy.seen) == {f"CONNECT {urlsplit(url).netloc}"}
    finally:
        trust.cache_clear()


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1", "http://[", "http://me:secret@", "ftp://x"])
def test_what_is_no_proxy_is_told(proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", address)
    with pytest.raises(
        ArgumentError, match=r"the proxy that the environment names .* cannot be used: write"
    ) as caught:
        HttpSource("http://store.example/a.mp4", patience=QUICK)
    assert "secret" not in str(caught.value)


def test_a_bucket_says_which_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://me:secret@127.0.0.1:1")
    with pytest.raises(S3OptionsError, match="the proxy that the environment names") as caught:
        S3Storage(S3Options(bucket="videos", endpoint="http://127.0.0.1:1"))
    assert caught.value.name == "endpoint"
    assert "secret" not in str(caught.value)


def test_a_proxy_that_is_not_there(proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@127.0.0.1:1")
    with pytest.raises(
        SourceError, match="the proxy that the environment names does not lead to it"
    ) as caught:
        HttpSource("http://store.example/a.mp4", patience=QUICK)
    assert "secret" not in str(caught.value)
