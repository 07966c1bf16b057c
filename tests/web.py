"""Web servers for tests: one of a file, in ranges, and whatever a test makes of it; over TLS with a certificate of its own."""

from __future__ import annotations

import base64
import random
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["DATA", "Simple", "self_signed", "serving"]

DATA = random.Random(2).randbytes(300_000)


@contextmanager
def serving(
    handler: Callable[..., BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Simple(BaseHTTPRequestHandler):
    """A server of one file, `data`, whose `headers_of` are sent with each answer; conditions are not looked at."""

    protocol_version = "HTTP/1.1"
    data = DATA
    headers_of: tuple[tuple[str, str], ...] = ()

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.answer(302, b"", ("Location", "/file"))
        elif self.path == "/private" and self.headers["Authorization"] != "Basic " + base64.b64encode(
            b"me:a b"
        ).decode("ascii"):
            self.answer(401, b"who?")
        elif not self.data:
            self.answer(416, b"", ("Content-Range", "bytes */0"))
        else:
            first, last = (int(number) for number in self.headers["Range"][6:].split("-"))
            part = self.data[first : last + 1]
            span = f"bytes {first}-{first + len(part) - 1}/{len(self.data)}"
            self.answer(206, part, ("Content-Range", span))

    def answer(self, status: int, body: bytes, *more: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Length", str(len(body))), *self.headers_of, *more):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the base class
        pass


def self_signed(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate for 127.0.0.1; give a server's context with it, and its file."""
    key, certificate = folder / "key", folder / "certificate"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=store -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=60
    )
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    return server_side, certificate
