"""Real S3 servers for tests (tools/servers.py starts them), and buckets and back-ends on them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from minio import Minio
from minio.credentials.providers import StaticProvider
from minio.minioadmin import MinioAdmin

from streamer.config import Settings
from streamer.storage import Patience, S3Options, S3Storage, Storage
from tools import servers

ACCESS_KEY, SECRET_KEY = "test-access", "test-secret-key"
_numbers = itertools.count()


@dataclass(frozen=True)
class Store:
    """A running server, empty at first."""

    name: str
    endpoint: str

    def admin(self) -> Minio:
        """A client that may write."""
        return servers.client(self.endpoint, ACCESS_KEY, SECRET_KEY)

    def accounts(self) -> MinioAdmin:
        """Who makes and removes users; of MinIO only."""
        return MinioAdmin(
            endpoint=self.endpoint.removeprefix("http://"),
            credentials=StaticProvider(ACCESS_KEY, SECRET_KEY),
            region="us-east-1",
            secure=False,
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
    built = servers.binary(name)
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
    servers.publish(store.admin(), bucket)


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
    with servers.serve(binary(name), folder, access_key=ACCESS_KEY, secret_key=SECRET_KEY) as endpoint:
        yield Store(name, endpoint)
