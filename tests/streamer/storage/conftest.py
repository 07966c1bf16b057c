"""Fixtures of the storage tests: one folder or bucket of objects behind each back-end."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from stores import Place, Store, bucket_of

from streamer.storage import LocalStorage


def _local(folder: Path) -> Place:
    root = folder / "root"
    root.mkdir()

    def put(base: Path) -> Callable[[str, bytes], None]:
        def write(path: str, data: bytes) -> None:
            (base / path).parent.mkdir(parents=True, exist_ok=True)
            (base / path).write_bytes(data)

        return write

    return Place(LocalStorage(root), put(root), lambda path: (root / path).unlink(), put(folder))


def _bucket(store: Store, prefix: str) -> Place:
    bucket = bucket_of(store)
    admin = store.admin()

    def put(base: str) -> Callable[[str, bytes], None]:
        def write(path: str, data: bytes) -> None:
            admin.put_object(
                bucket_name=bucket, object_name=base + path, data=io.BytesIO(data), length=len(data)
            )

        return write

    def remove(path: str) -> None:
        admin.remove_object(bucket_name=bucket, object_name=f"{prefix}/{path}" if prefix else path)

    return Place(store.storage(bucket, prefix=prefix), put(f"{prefix}/" if prefix else ""), remove, put(""))


@pytest.fixture(params=["local", "minio", "versitygw"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place on each back-end: a folder, and a prefix in a bucket of each store."""
    if request.param == "local":
        return _local(tmp_path)
    return _bucket(request.getfixturevalue(request.param), "served/videos")


@pytest.fixture
def filled(minio: Store) -> str:
    """A bucket on MinIO with one object, `a.mp4`, of 1024 bytes."""
    bucket = bucket_of(minio)
    data = bytes(range(256)) * 4
    minio.admin().put_object(bucket_name=bucket, object_name="a.mp4", data=io.BytesIO(data), length=len(data))
    return bucket
