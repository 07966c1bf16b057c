"""Saved indexes: requests to the first exact frame with one, and what is done with one that is stale, damaged or of something else.

Requests are counted at an endpoint in front of a real store, so all of them, whoever sent them.
"""

from __future__ import annotations

import logging
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from faults import Fault, FaultyStore, Kind, in_turn, no_fault, run_faulty
from linear import picture_hash
from stores import ACCESS_KEY, SECRET_KEY, Store, bucket_of, bucket_settings

import ffbind
from ffbind.errors import SourceChangedError
from ffbind.index import VideoIndex
from streamer.config import Settings
from streamer.server import Server
from streamer.storage import INDEX_SUFFIX, IndexFolder, place_of, saved_index, source

MIDDLE = 137
"""A frame in the middle of a GOP of 30, far from the first sample."""


@dataclass(frozen=True)
class Bucket:
    """A bucket with `far.mp4` behind an endpoint that counts, and a folder for indexes."""

    name: str
    faulty: FaultyStore
    folder: Path
    video: Path

    @property
    def url(self) -> str:
        return f"s3://{self.name}/far.mp4"

    @property
    def variables(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL": self.faulty.endpoint.url}

    def put(self, path: Path, name: str = "far.mp4") -> None:
        admin = self.faulty.direct.admin()
        admin.fput_object(bucket_name=self.name, object_name=name, file_path=str(path))

    def objects(self) -> list[str]:
        found = self.faulty.direct.admin().list_objects(bucket_name=self.name, recursive=True)
        return sorted(entry.object_name for entry in found)

    def index(self, *, scan: bool) -> VideoIndex:
        """The index of the object, identity included."""
        with ffbind.open(source(self.url, variables=self.variables)) as opened:
            return opened.scan() if scan else opened.index

    def save(self, place: str, index: VideoIndex | bytes) -> None:
        """Put an index, or other bytes, where one is looked for."""
        data = index if isinstance(index, bytes) else index.to_bytes()
        if place == "beside":
            path = self.folder.parent / "upload"
            path.write_bytes(data)
            self.put(path, f"far.mp4{INDEX_SUFFIX}")
        else:
            self.folder.mkdir(exist_ok=True)
            self.file.write_bytes(data)

    @property
    def file(self) -> Path:
        """The file of the index in the folder."""
        storage = self.faulty.store.storage(self.name)
        return IndexFolder(self.folder).path(storage.place("far.mp4"))

    def settings(self, **changes: Any) -> Settings:
        chosen = {"s3_read_timeout": 2.0, "index_folder": self.folder}
        return bucket_settings(self.faulty.store, self.name, **{**chosen, **changes})

    def spent(self) -> int:
        """Requests since this was asked the last time."""
        count = len(self.faulty.endpoint.exchanges)
        self.faulty.endpoint.exchanges.clear()
        return count


@pytest.fixture
def bucket(
    minio: Store, clip: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bucket]:
    for variable in ("AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "S3_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    with run_faulty(minio) as faulty:
        made = Bucket(bucket_of(minio), faulty, tmp_path / "indexes", clip("far_last.mp4"))
        made.put(made.video)
        yield made


PLACES = {"folder": {"index_cache": "read"}, "beside": {"index_beside": True}}


# ---- the library ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "requests"), [("folder", 1), ("beside", 2)])
def test_the_library_to_its_first_exact_frame(bucket: Bucket, place: str, requests: int) -> None:
    """Any frame, where the index is that of a scan; else those behind the first sample, and one request more for others."""
    with ffbind.open(bucket.video) as near:
        expected = {number: picture_hash(near[number]) for number in (0, MIDDLE)}
    for scan, number, more in ((True, MIDDLE, 0), (True, 0, 0), (False, 0, 0), (False, MIDDLE, 1)):
        bucket.save(place, bucket.index(scan=scan))
        bucket.spent()
        index = saved_index(bucket.url, folder=bucket.folder, variables=bucket.variables)
        assert index is not None
        with ffbind.open(source(bucket.url, index=index, variables=bucket.variables), index=index) as video:
            assert picture_hash(video[number]) == expected[number]
            assert bucket.spent() == requests + more


def test_the_library_without_one(bucket: Bucket) -> None:
    assert saved_index(bucket.url, folder=bucket.folder, variables=bucket.variables) is None
    bucket.spent()
    with (
        ffbind.open(source(bucket.url, variables=bucket.variables)) as video,
        ffbind.open(bucket.video) as near,
    ):
        assert picture_hash(video[MIDDLE]) == picture_hash(near[MIDDLE])
        assert bucket.spent() == 3  # the first bytes, which hold the first sample; moov; the frame's run


@pytest.mark.parametrize("place", PLACES)
def test_an_object_that_was_replaced_is_told_by_the_first_read(
    bucket: Bucket, clip: Callable[[str], Path], place: str
) -> None:
    bucket.save(place, bucket.index(scan=True))
    bucket.put(clip("far_open_gop.mp4"))
    index = saved_index(bucket.url, folder=bucket.folder, variables=bucket.variables)
    assert index is not None
    with ffbind.open(source(bucket.url, index=index, variables=bucket.variables), index=index) as video:
        for number in (0, MIDDLE):
            with pytest.raises(SourceChangedError):
                video[number]


def test_of_a_local_file(clip: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    shutil.copy(clip("far_last.mp4"), path)
    assert saved_index(path, folder=tmp_path / "none") is None
    with ffbind.open(path) as video:
        video.index.save(f"{path}{INDEX_SUFFIX}")
        assert saved_index(path, folder=tmp_path / "none") == video.index


# ---- the server ----------------------------------------------------------------------------------------------


async def frame_of(client: Any, near: Any, number: int) -> None:
    """Ask for a frame by its place in presentation order, and see that it is the one of a linear decode."""
    expected = near[number]
    samples = near.index.samples
    irap = int(samples["offset"][samples["irap"][near.index.row_of_offset(expected.offset)]])
    await client.request(irap, [(expected.offset, number)])
    message, jpeg = await client.receive()
    assert (message["type"], message["index"]) == ("Frame", number), message
    assert jpeg == expected.to_jpeg(quality=80)


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize(("place", "requests"), [(None, 2), ("folder", 1), ("beside", 2)])
async def test_the_server_to_the_first_exact_frame(
    bucket: Bucket, connect: Any, place: str | None, requests: int, scan: bool
) -> None:
    if place is not None:
        bucket.save(place, bucket.index(scan=scan))
    settings = bucket.settings(**PLACES.get(place or "", {}))
    with ffbind.open(bucket.video) as near:
        for first, more in ((0, 0), (MIDDLE, 1)):
            async with Server(settings) as server, connect(server.info.url) as client:
                bucket.spent()
                await client.set_video("far.mp4")
                await frame_of(client, near, first)
                assert bucket.spent() == requests + more
                await frame_of(client, near, 270)
                assert bucket.spent() == 1
                assert server._videos.indexes.used == (place is not None)
                assert server._videos.indexes.refused == 0


async def test_the_folder_comes_first_and_none_beside_costs_a_request(bucket: Bucket, connect: Any) -> None:
    settings = bucket.settings(index_cache="read", index_beside=True)
    async with Server(settings) as server, connect(server.info.url) as client:
        bucket.spent()
        await client.set_video("far.mp4")
        assert bucket.spent() == 1 + 2
    bucket.save("folder", bucket.index(scan=False))
    bucket.save("beside", bucket.index(scan=False))
    async with Server(settings) as server, connect(server.info.url) as client:
        bucket.spent()
        await client.set_video("far.mp4")
        assert bucket.spent() == 1


async def test_an_open_video_is_looked_up_for_the_next_client(
    bucket: Bucket, clip: Callable[[str], Path], connect: Any
) -> None:
    """By an index too, a replaced object is another video for who sets it then."""
    other = clip("far_open_gop.mp4")
    bucket.save("folder", bucket.index(scan=False))
    async with (
        Server(bucket.settings(index_cache="read")) as server,
        connect(server.info.url) as client,
        connect(server.info.url) as late,
    ):
        await client.set_video("far.mp4")
        bucket.put(other)
        await late.set_video("far.mp4")
        with ffbind.open(other) as near:
            await frame_of(late, near, 50)
        with ffbind.open(bucket.video) as near:
            samples = near.index.samples
            await client.request(int(samples["offset"][0]), [(int(samples["offset"][9]), 9)])
            assert (await client.message())["code"] == "video_changed"


def stale(bucket: Bucket) -> bytes:
    return replace(bucket.index(scan=True), identity="0123456789abcdef0123456789abcdef").to_bytes()


def of_another_size(bucket: Bucket) -> bytes:
    index = bucket.index(scan=True)
    return replace(index, size=index.size - 1).to_bytes()


def outside(bucket: Bucket) -> bytes:
    index = bucket.index(scan=False)
    samples = index.samples.copy()
    samples["offset"] += index.size
    return replace(index, samples=samples).to_bytes()


def empty_samples(bucket: Bucket) -> bytes:
    index = bucket.index(scan=False)
    samples = index.samples.copy()
    samples["size"] = 0
    return replace(index, samples=samples).to_bytes()


def of_a_stream(bucket: Bucket) -> bytes:
    index = bucket.index(scan=True)
    framing = ffbind.index.Framing(ffbind.index.FramingKind.ANNEX_B)
    return replace(index, framing=framing).to_bytes()


def too_many(bucket: Bucket) -> bytes:
    """More samples than any video may have, and a checksum that is right."""
    data = bucket.index(scan=True).to_bytes()[:-4].replace(b'"sample_count": 300', b'"sample_count": 9999999')
    length = int.from_bytes(data[12:16], "little") + 4
    data = data[:12] + length.to_bytes(4, "little") + data[16:]
    return data + zlib.crc32(data).to_bytes(4, "little")


BAD = {
    "another version": stale,
    "another size": of_another_size,
    "outside of the file": outside,
    "samples of no bytes": empty_samples,
    "a stream": of_a_stream,
    "no index": lambda bucket: bucket.video.read_bytes()[:5000],
    "nothing": lambda bucket: b"",
    "cut short": lambda bucket: bucket.index(scan=True).to_bytes()[:-9],
    "a bit of its header": lambda bucket: flipped(bucket.index(scan=True).to_bytes(), 200),
    "a bit of its tables": lambda bucket: flipped(bucket.index(scan=True).to_bytes(), -20),
    "too many samples": too_many,
}


def flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", BAD)
async def test_a_bad_index_is_not_used_and_breaks_nothing(
    bucket: Bucket, connect: Any, caplog: pytest.LogCaptureFixture, place: str, how: str
) -> None:
    caplog.set_level(logging.INFO)
    bucket.save(place, BAD[how](bucket))
    with ffbind.open(bucket.video) as near:
        async with (
            Server(bucket.settings(**PLACES[place])) as server,
            connect(server.info.url) as client,
        ):
            await client.set_video("far.mp4")
            await frame_of(client, near, MIDDLE)
            assert (server._videos.indexes.used, server._videos.indexes.refused) == (0, 1)
    said = [record.getMessage() for record in caplog.records if "index" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("far.mp4: the index ")
    assert "is not used: " in said[0]


@pytest.mark.parametrize("place", PLACES)
async def test_an_index_whose_object_was_replaced_is_not_used(
    bucket: Bucket, clip: Callable[[str], Path], connect: Any, place: str
) -> None:
    other = clip("far_open_gop.mp4")
    bucket.save(place, bucket.index(scan=True))
    bucket.put(other)
    with ffbind.open(other) as near:
        async with (
            Server(bucket.settings(**PLACES[place])) as server,
            connect(server.info.url) as client,
        ):
            await client.set_video("far.mp4")
            for number in (60, 0, 99):
                await frame_of(client, near, number)
            assert server._videos.indexes.refused == 1


async def test_a_video_that_is_gone_is_not_found_whatever_its_index_says(
    bucket: Bucket, connect: Any
) -> None:
    bucket.save("folder", bucket.index(scan=True))
    bucket.faulty.direct.admin().remove_object(bucket_name=bucket.name, object_name="far.mp4")
    async with Server(bucket.settings(index_cache="read")) as server, connect(server.info.url) as client:
        await client.send({"type": "SetVideo", "path": "far.mp4"})
        assert (await client.message())["ok"] is False
        answer = await client.message()
        assert (answer["type"], answer["code"]) == ("Error", "not_found")


async def test_a_server_that_may_fills_the_folder_and_never_the_bucket(
    bucket: Bucket, clip: Callable[[str], Path], connect: Any
) -> None:
    before = bucket.objects()
    other = clip("far_open_gop.mp4")
    for path, used, refused in ((bucket.video, 0, 0), (bucket.video, 1, 0), (other, 0, 1), (other, 1, 0)):
        if refused:
            bucket.put(other)
        settings = bucket.settings(index_cache="write", index_beside=True)
        async with Server(settings) as server, connect(server.info.url) as client:
            await client.set_video("far.mp4")
            with ffbind.open(path) as near:
                await frame_of(client, near, 70)
            assert (server._videos.indexes.used, server._videos.indexes.refused) == (used, refused)
        assert list(bucket.folder.iterdir()) == [bucket.file]
    assert bucket.objects() == before
    methods = {exchange.request.method for exchange in bucket.faulty.endpoint.exchanges}
    assert methods == {"GET"}


async def test_reading_leaves_the_folder_alone(bucket: Bucket, connect: Any) -> None:
    async with Server(bucket.settings(index_cache="read")) as server, connect(server.info.url) as client:
        await client.set_video("far.mp4")
    assert not bucket.folder.exists()


async def test_a_folder_that_cannot_be_written_is_no_error(
    bucket: Bucket, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.folder.write_text("not a folder")
    with ffbind.open(bucket.video) as near:
        async with Server(bucket.settings(index_cache="write")) as server, connect(server.info.url) as client:
            await client.set_video("far.mp4")
            await frame_of(client, near, MIDDLE)
    assert [r.levelname for r in caplog.records if "its index could not be kept" in r.getMessage()] == [
        "WARNING"
    ]


KINDS = (
    Kind.RESET,
    Kind.SLOW_DOWN,
    Kind.SHORT_BODY,
    Kind.RESET_BODY,
    Kind.STALL,
    Kind.WRONG_LABEL,
    Kind.WHOLE,
)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_with_an_index_that_breaks(bucket: Bucket, connect: Any, kind: Kind) -> None:
    """It is read on or not used; the video opens, and its frames are exact."""
    bucket.save("beside", bucket.index(scan=True))
    with ffbind.open(bucket.video) as near:
        async with Server(bucket.settings(index_beside=True)) as server, connect(server.info.url) as client:
            bucket.faulty.endpoint.plan = in_turn(Fault(kind, after=1000))
            await client.set_video("far.mp4")
            assert len(bucket.faulty.endpoint.broken) == 1
            bucket.faulty.endpoint.plan = no_fault
            await frame_of(client, near, MIDDLE)
            indexes = server._videos.indexes
            assert (indexes.used, indexes.refused) in ((1, 0), (0, 1))
            assert indexes.used == 1 or kind in (Kind.WHOLE, Kind.WRONG_LABEL)


# ---- local files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
async def test_of_local_files(clip: Callable[[str], Path], tmp_path: Path, connect: Any, place: str) -> None:
    served, folder = tmp_path / "served", tmp_path / "indexes"
    (served / "cam").mkdir(parents=True)
    path = served / "cam" / "a.mp4"
    shutil.copy(clip("far_last.mp4"), path)
    with ffbind.open(path) as near:
        if place == "beside":
            near.index.save(f"{path}{INDEX_SUFFIX}")
        else:
            IndexFolder(folder).save(place_of(path), near.index)
    settings = Settings(
        listen_addr="127.0.0.1:0", workers=1, local_path=served, index_folder=folder, **PLACES[place]
    )
    for used, refused in ((1, 0), (0, 1)):
        async with Server(settings) as server, connect(server.info.url) as client:
            await client.set_video("cam/a.mp4")
            with ffbind.open(path) as near:
                await frame_of(client, near, MIDDLE)
            assert (server._videos.indexes.used, server._videos.indexes.refused) == (used, refused)
        os.utime(path, ns=(2, 2))


async def test_matroska_is_served_where_it_has_an_index(
    clip: Callable[[str], Path], tmp_path: Path, connect: Any
) -> None:
    path = tmp_path / "a.mkv"
    shutil.copy(clip("open_gop.mkv"), path)
    settings = Settings(listen_addr="127.0.0.1:0", workers=1, local_path=tmp_path, index_beside=True)
    async with Server(settings) as server, connect(server.info.url) as client:
        await client.send({"type": "SetVideo", "path": "a.mkv"})
        assert (await client.message())["ok"] is False
        assert (await client.message())["code"] == "unsupported_codec"
        with ffbind.open(path) as near:
            near.index.save(f"{path}{INDEX_SUFFIX}")
            await client.set_video("a.mkv")
            for number in (0, 33, 70):
                await frame_of(client, near, number)
