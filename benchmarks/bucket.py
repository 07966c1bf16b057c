"""The clips in a bucket of MinIO on loopback, behind an endpoint that adds a delay to every request and counts them."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from minio import Minio
from minio.error import S3Error

import ffbind
from streamer.storage import INDEX_SUFFIX, IndexFolder, place_of, source
from tools import servers
from tools.endpoint import Endpoint

__all__ = ["Bucket", "Place", "Traffic"]

_NAME = "clips"
_ACCESS_KEY, _SECRET_KEY = "bench-access", "bench-secret-key"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the store was asked: requests, whatever their answer, and bytes of bodies that it sent."""

    requests: int
    bytes: int

    def __sub__(self, other: Traffic) -> Traffic:
        return Traffic(self.requests - other.requests, self.bytes - other.bytes)


class Bucket:
    """A running store: `with Bucket(folder, delay=0.05, indexes=indexes) as bucket:`.

    - `folder`: where MinIO keeps its data; what it has from another time is not uploaded again
    - `delay`: seconds added to every request; `bandwidth`: bytes a second of all answers together, None for no limit
    - `indexes`: a folder that is emptied, for indexes of this run: they are named after the endpoint, whose port is another each time

    Within the block the environment names endpoint and keys, as it does for whoever uses a bucket, and no others.
    RuntimeError where there is no MinIO.
    """

    def __init__(self, folder: Path, *, delay: float, indexes: Path, bandwidth: float | None = None) -> None:
        self._folder = folder
        self._delay, self._bandwidth = delay, bandwidth
        self._indexes = indexes
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        program = servers.binary("minio")
        if program is None:
            raise RuntimeError("MinIO is needed: put minio on PATH, or name it by TEST_MINIO")
        shutil.rmtree(self._indexes, ignore_errors=True)
        with self._stack as stack:
            direct = stack.enter_context(
                servers.serve(program, self._folder, access_key=_ACCESS_KEY, secret_key=_SECRET_KEY)
            )
            self._client: Minio = servers.client(direct, _ACCESS_KEY, _SECRET_KEY)
            if not self._client.bucket_exists(bucket_name=_NAME):
                self._client.make_bucket(bucket_name=_NAME)
            servers.publish(self._client, _NAME)
            self._endpoint = stack.enter_context(
                Endpoint(direct, latency=self._delay, bandwidth=self._bandwidth)
            )
            stack.callback(_restore, dict(os.environ))
            for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "S3_ENDPOINT"):
                os.environ.pop(name, None)
            os.environ.update(
                AWS_ENDPOINT_URL=self._endpoint.url,
                AWS_ACCESS_KEY_ID=_ACCESS_KEY,
                AWS_SECRET_ACCESS_KEY=_SECRET_KEY,
                AWS_REGION="us-east-1",
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def has(self, clip: Path) -> bool:
        """Tell whether a clip is there already."""
        try:
            found = self._client.stat_object(bucket_name=_NAME, object_name=_key(clip))
        except S3Error as error:
            if error.code != "NoSuchKey":
                raise
            return False
        return bool(found.size == clip.stat().st_size)

    def place(self, clip: Path) -> Place:
        """Put a clip into the bucket, and its index beside it and into the folder of indexes."""
        if not self.has(clip):
            self._client.fput_object(bucket_name=_NAME, object_name=_key(clip), file_path=str(clip))
        address = f"s3://{_NAME}/{_key(clip)}"
        with ffbind.open(source(address)) as video:
            index = video.index
        IndexFolder(self._indexes).save(place_of(address), index)
        saved = index.to_bytes()
        self._client.put_object(
            bucket_name=_NAME,
            object_name=_key(clip) + INDEX_SUFFIX,
            data=io.BytesIO(saved),
            length=len(saved),
        )
        return Place(self, address, index)

    def traffic(self) -> Traffic:
        """Count what the store was asked so far."""
        return Traffic(len(self._endpoint.exchanges), self._endpoint.sent)

    def settle(self) -> None:
        """Wait until the store answers nothing: for requests that nobody waits for any more."""
        self._endpoint.settle()


class Place:
    """A clip in a bucket.

    - `address`: `s3://BUCKET/KEY`
    - `frames`: how many it has
    """

    def __init__(self, bucket: Bucket, address: str, index: ffbind.VideoIndex) -> None:
        self.bucket = bucket
        self.address = address
        self._samples = index.samples
        self._rows = np.flatnonzero(self._samples["display"] >= 0)[
            np.argsort(self._samples["display"][self._samples["display"] >= 0])
        ]

    @property
    def frames(self) -> int:
        return len(self._rows)

    def sample(self, index: int) -> tuple[int, int]:
        """Give the byte offsets of a frame's sample and of that of its IRAP."""
        row = int(self._rows[index])
        offsets, irap = self._samples["offset"], int(self._samples["irap"][row])
        return int(offsets[row]), int(offsets[irap])

    def needed(self, indices: Sequence[int]) -> int:
        """Count the bytes that these frames need together, each once: from the IRAP to the last frame wanted of its GOP.

        A picture shown before the IRAP that it comes behind (3.74 of ITU-T H.265, a leading picture) is decoded from the one before.
        """
        wanted = np.zeros(len(self._samples), bool)
        pts, iraps = self._samples["pts"], self._samples["irap"]
        for row in self._rows[list(indices)].tolist():
            start = int(iraps[row])
            if pts[row] < pts[start] and start > 0:
                start = int(iraps[start - 1])
            wanted[start : row + 1] = True
        return int(self._samples["size"][wanted].sum())


def _key(clip: Path) -> str:
    """Name a clip's object after its folder, which is named after the command that made it."""
    return f"{clip.parent.name}/{clip.name}"


def _restore(variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)
