"""Real S3 servers for tests, on loopback: MinIO and versitygw, as binaries on PATH or as `./dev test` built them."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from minio import Minio

from streamer.config import Settings
from streamer.storage import Patience, S3Options, S3Storage, Storage

ACCESS_KEY, SECRET_KEY = "test-access", "test-secret-key"
START_SECONDS = 60
_numbers = itertools.count()


@dataclass(frozen=True)
class Store:
    """A running server, empty at first."""

    name: str
    endpoint: str

    def admin(self) -> Minio:
        """A client that may write."""
        return Minio(
            endpoint=self.endpoint.removeprefix("http://"),
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            secure=False,
            region="us-east-1",
        )

    def storage(self, bucket: str, *, prefix: str = "", patience: Patience | None = None) -> S3Storage:
        """The back-end under test in front of a bucket."""
        return S3Storage(self.options(bucket, prefix=prefix, patience=patience))

    def options(self, bucket: str, *, prefix: str = "", patience: Patience | None = None) -> S3Options:
        return S3Options(
            bucket=bucket,
            prefix=prefix,
            endpoint=self.endpoint,
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            patience=patience or Patience(pause=0.01),
        )


def binary(name: str) -> str:
    """Path of a server's binary; without one the test is skipped, or fails where `./dev test` should have built it."""
    built = os.environ.get(f"TEST_{name.upper()}") or shutil.which(name)
    if built is None:
        if os.environ.get("REQUIRE_STORES"):
            pytest.fail(f"{name} is missing although Go is there")
        pytest.skip(f"{name} is not installed: put it on PATH, or run ./dev test where Go is installed")
    return built


@dataclass(frozen=True)
class Place:
    """An empty place for objects, and the back-end that serves it."""

    storage: Storage
    put: Callable[[str, bytes], None]
    remove: Callable[[str], None]
    outside: Callable[[str, bytes], None]
    """Stores an object beside the place: outside the folder, or in the bucket outside the prefix."""


def publish(store: Store, bucket: str) -> None:
    """Let everybody read the objects of a bucket, and nobody list them."""
    policy = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},'
        f'"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::{bucket}/*"]}}]}}'
    )
    store.admin().set_bucket_policy(bucket_name=bucket, policy=policy)


def bucket_of(store: Store) -> str:
    """Make a new bucket."""
    name = f"bucket-{next(_numbers)}"
    store.admin().make_bucket(bucket_name=name)
    return name


def bucket_settings(store: Store, bucket: str, **changes: Any) -> Settings:
    """Settings of a server with one lane that serves a bucket."""
    chosen = {
        "listen_addr": "127.0.0.1:0",
        "workers": 1,
        "storage_backend": "s3",
        "s3_bucket": bucket,
        "s3_endpoint": store.endpoint,
        "s3_access_key": ACCESS_KEY,
        "s3_secret_key": SECRET_KEY,
    }
    return Settings(**{**chosen, **changes})


@contextmanager
def run_store(name: str, folder: Path) -> Iterator[Store]:
    """Start `minio` or `versitygw` with its data in an empty folder; end it with the block."""
    program = binary(name)
    data = folder / "data"
    data.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    if name == "minio":
        command = [program, "server", str(data), "--address", f"127.0.0.1:{port}", "--quiet"]
        command += ["--console-address", "127.0.0.1:0"]
    else:
        command = [program, "--port", f"127.0.0.1:{port}", "posix", str(data)]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "MINIO_ROOT_USER": ACCESS_KEY,
        "MINIO_ROOT_PASSWORD": SECRET_KEY,
        "MINIO_UPDATE": "off",
        "ROOT_ACCESS_KEY": ACCESS_KEY,
        "ROOT_SECRET_KEY": SECRET_KEY,
    }
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait(process, endpoint, log)
        yield Store(name, endpoint)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], endpoint: str, log: Path) -> None:
    """Wait until the server answers anything but that it is still starting."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(endpoint, timeout=5):
                return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 503:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"it does not answer: {log.read_text()}"
        time.sleep(0.05)
