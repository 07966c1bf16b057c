"""Requests that frames cost on a real store: of the library over `S3Storage`, and of the server with its lanes."""

from __future__ import annotations

import asyncio
import io
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import Fault, Kind, in_turn, run_faulty
from linear import picture_hash
from stores import Store, bucket_of, bucket_settings, publish
from waiting import until

import ffbind
from ffbind.isobmff import bytes_of_use
from streamer.server import Server
from streamer.storage import HEAD_BYTES, Look, LookedUpSource, ObjectSource, Patience, S3Storage, source

GOP = 30


@pytest.fixture(scope="module")
def far(clip: Callable[[str], Path]) -> Path:
    return clip("far_last.mp4")


@pytest.fixture
def bucket(minio: Store, far: Path) -> str:
    name = bucket_of(minio)
    minio.admin().fput_object(bucket_name=name, object_name="far.mp4", file_path=str(far))
    return name


@pytest.fixture
def storage(minio: Store, bucket: str) -> S3Storage:
    return minio.storage(bucket)


def test_opening_frames_and_batches(storage: S3Storage, far: Path) -> None:
    source = ObjectSource(storage, Look(storage.stat("far.mp4")))
    count = storage.requests
    assert count == 1

    def spent() -> int:
        nonlocal count
        before, count = count, storage.requests
        return count - before

    with ffbind.open(far) as near, ffbind.open(source, fetch=ffbind.FetchSettings(gap=0)) as video:
        assert spent() == 2
        for place in (GOP * 3 + 20, GOP * 7 + 3, GOP * 5 + 10):
            assert picture_hash(video[place]) == picture_hash(near[place])
            assert spent() == 1
            video[place - place % GOP]  # on the way to it
            assert spent() == 0
        assert video.stats.source_reads == 3
        places = [GOP * 9 + 4, GOP * 2 + 4, GOP * 6 + 4, GOP * 9 + 5, GOP * 6 + 1]
        frames = list(video.frames(places))
        assert spent() == 3
        assert [picture_hash(frame) for frame in frames] == [picture_hash(near[place]) for place in places]
        assert video.stats.source_reads == 6
        needed = video.plan([GOP * 3 + 20, GOP * 7 + 3, GOP * 5 + 10, *places]).bytes
        assert needed <= video.stats.source_bytes <= 1.05 * needed


@pytest.mark.parametrize(("name", "opening"), [("far_first.mp4", 1), ("far_last.mp4", 2)])
@pytest.mark.parametrize("scheme", ["s3", "http"])
def test_opening_brings_the_first_frame(
    minio: Store, bucket: str, clip: Callable[[str], Path], scheme: str, name: str, opening: int
) -> None:
    """The look for the object brings the table with a key frame behind it, or the key frame, and no more than is of use."""
    path = clip(name)
    data = path.read_bytes()
    minio.admin().put_object(
        bucket_name=bucket, object_name="v.mp4", data=io.BytesIO(padded(data)), length=len(padded(data))
    )
    publish(minio, bucket)
    with run_faulty(minio, latency=0.2) as counted, ffbind.open(path) as near:
        url = f"s3://{bucket}/v.mp4" if scheme == "s3" else f"{counted.endpoint.url}/{bucket}/v.mp4"
        variables = {"AWS_ENDPOINT_URL": counted.endpoint.url, "AWS_REGION": "us-east-1"}
        looked = source(url, variables=variables)
        assert isinstance(looked, LookedUpSource)
        with ffbind.open(looked) as video:
            assert picture_hash(video[0]) == picture_hash(near[0])
        assert counted.endpoint.spans[0] == (0, HEAD_BYTES - 1)
        assert len(counted.endpoint.exchanges) == opening
        held = len(looked.held(0, HEAD_BYTES))
        assert held == bytes_of_use(data[:held]) < HEAD_BYTES
        # On loopback what is left comes sooner than another answer would begin.
        counted.endpoint.settle()
        until(lambda: looked.brought == HEAD_BYTES)
        assert looked.read_at(held - 10, 100) == padded(data)[held - 10 : held + 90]
        assert len(counted.endpoint.exchanges) == opening + 1


def test_what_is_of_no_use_is_not_waited_for(minio: Store, bucket: str, clip: Callable[[str], Path]) -> None:
    """Behind the last byte of use the answer stands still, which would be an error of whoever waits for it."""
    data = padded(clip("far_first.mp4").read_bytes())
    minio.admin().put_object(bucket_name=bucket, object_name="v.mp4", data=io.BytesIO(data), length=len(data))
    publish(minio, bucket)
    needed = bytes_of_use(data)
    with run_faulty(minio, latency=0.2) as slow:
        slow.endpoint.plan = in_turn(Fault(Kind.STALL, after=needed))
        patience = Patience(read_timeout=0.5, pause=0.01, tries=1)
        looked = source(f"{slow.endpoint.url}/{bucket}/v.mp4", patience=patience)
        assert isinstance(looked, LookedUpSource)
        assert looked.held(0, HEAD_BYTES) == data[:needed]
        assert looked.read_at(needed, 100) == data[needed : needed + 100]
        assert len(slow.endpoint.broken) == 1
        assert looked.brought == needed


def padded(data: bytes) -> bytes:
    """Give the bytes of a video with a box behind it, so that it is longer than what a look asks for."""
    return data + struct.pack(">I4s", 8 + (4 << 20), b"free") + bytes(4 << 20)


def test_iterating_costs_each_byte_once(storage: S3Storage, far: Path) -> None:
    source = ObjectSource(storage, Look(storage.stat("far.mp4")))
    with ffbind.open(source) as video:
        count = storage.requests
        assert sum(1 for _ in video) == 10 * GOP
        assert storage.requests - count <= 10
        assert video.stats.source_bytes < far.stat().st_size


async def test_frames_of_the_server(minio: Store, bucket: str, far: Path, connect) -> None:
    """One request for each run, however many clients ask for it, in whatever lane."""
    with ffbind.open(far) as near:
        offsets = near.index.samples["offset"].tolist()
        samples = near.index.samples
        iraps = [int(samples["irap"][row]) for row in range(len(offsets))]
        expected = {row: near.frame_at_offset(offsets[row]).to_jpeg(quality=80) for row in (100, 50, 230)}
    settings = bucket_settings(minio, bucket, workers=2)
    async with (
        Server(settings) as server,
        connect(server.info.url) as client,
        connect(server.info.url) as other,
    ):
        storage, fetcher = server._storage, server._videos._fetcher
        assert isinstance(storage, S3Storage)
        await asyncio.gather(client.set_video("far.mp4"), other.set_video("far.mp4"))
        before = storage.requests, fetcher.store_reads, fetcher.store_bytes
        runs = 0
        for row in expected:
            for who in (client, other):
                await who.request(offsets[iraps[row]], [(offsets[row], row)])
            for who in (client, other):
                message, jpeg = await who.receive()
                assert (message["type"], message["index"]) == ("Frame", row)
                assert jpeg == expected[row]
            runs += offsets[row] + int(samples["size"][row]) - offsets[iraps[row]]
        # Whether the first sample brings parameter sets is known: it came with the table.
        assert storage.requests - before[0] == fetcher.store_reads - before[1] == len(expected)
        assert fetcher.store_bytes - before[2] == runs


async def test_what_comes_with_the_table_is_not_fetched_again(
    minio: Store, bucket: str, clip: Callable[[str], Path], connect
) -> None:
    """moov in front of the media: the server has the first frame by then."""
    path = clip("far_first.mp4")
    minio.admin().fput_object(bucket_name=bucket, object_name="first.mp4", file_path=str(path))
    async with Server(bucket_settings(minio, bucket)) as server, connect(server.info.url) as client:
        storage = server._storage
        assert isinstance(storage, S3Storage)
        before = storage.requests
        await client.set_video("first.mp4")
        assert storage.requests - before == 1
        with ffbind.open(path) as near:
            offset = int(near.index.samples["offset"][0])
            await client.request(offset, [(offset, 0)])
            message, jpeg = await client.receive()
            assert message["type"] == "Frame"
            assert jpeg == near.frame_at_offset(offset).to_jpeg(quality=80)
        assert storage.requests - before == 1


@pytest.mark.parametrize(("name", "opening"), [("far_dash.mp4", 1), ("far_fragments.mp4", 2)])
async def test_of_a_fragmented_file_the_fragments_are_read_that_frames_need(
    minio: Store, bucket: str, clip: Callable[[str], Path], connect, name: str, opening: int
) -> None:
    """Where sidx or mfra name them: one request for a frame, with the table of its fragment in it."""
    path = clip(name)
    minio.admin().fput_object(bucket_name=bucket, object_name="fragments.mp4", file_path=str(path))
    with ffbind.open(path) as near:
        samples = near.index.samples
        offsets = samples["offset"].tolist()
        rows = (275, 125, 215, 140, 5, 274)
        expected = {row: near.frame_at_offset(offsets[row]).to_jpeg(quality=80) for row in rows}
    async with (
        Server(bucket_settings(minio, bucket, workers=1)) as server,
        connect(server.info.url) as client,
    ):
        storage = server._storage
        assert isinstance(storage, S3Storage)
        before = storage.requests
        await client.set_video("fragments.mp4")
        assert storage.requests - before == opening
        for row in rows:
            count = storage.requests
            await client.request(offsets[int(samples["irap"][row])], [(offsets[row], row)])
            message, jpeg = await client.receive()
            assert (message["type"], message["index"]) == ("Frame", row)
            assert jpeg == expected[row]
            assert storage.requests - count == {140: 1, 5: 0, 274: 0}.get(row, 1), row
        await client.request(offsets[120], [(offsets[120] + 1, 0)])
        message, _ = await client.receive()
        assert (message["type"], message["code"]) == ("FrameError", "bad_offset")


# Stepping at 30 frames a second: a GOP lasts one second, so that what comes ahead has fifty times its latency to come


def test_stepping_at_30_frames_a_second_waits_for_nothing_after_the_first_gop(
    minio: Store, bucket: str
) -> None:
    with run_faulty(minio, latency=0.02) as slow:
        storage = slow.store.storage(bucket)
        source = ObjectSource(storage, Look(storage.stat("far.mp4")))
        with ffbind.open(source) as video:
            waits = []
            for place in range(GOP, 5 * GOP):
                before = video.stats.waits
                assert video[place].index == place
                waits.append(video.stats.waits - before)
                time.sleep(1 / 30)
            assert waits[0] >= 1  # the counter counts
            assert sum(waits[GOP:]) == 0


@pytest.mark.parametrize("name", ["far_last.mp4", "far_dash.mp4"])
async def test_stepping_through_the_server_waits_for_nothing_after_the_first_gop(
    minio: Store, bucket: str, clip: Callable[[str], Path], connect, name: str
) -> None:
    """While another client jumps about in the same video, in the other lane's videos and in the fetcher that all share."""
    far = clip(name)
    minio.admin().fput_object(bucket_name=bucket, object_name="far.mp4", file_path=str(far))
    with ffbind.open(far) as near:
        samples, order = near.index.samples, near.index.order
        offsets = samples["offset"][order].tolist()
        iraps = samples["offset"][samples["irap"][order]].tolist()
    minio.admin().fput_object(bucket_name=bucket, object_name="other.mp4", file_path=str(far))
    with run_faulty(minio, latency=0.02) as slow:
        settings = bucket_settings(slow.store, bucket, workers=2, cache_bytes=0)
        async with (
            Server(settings) as server,
            connect(server.info.url) as client,
            connect(server.info.url) as other,
        ):
            await client.set_video("far.mp4")
            await other.set_video("other.mp4")

            async def waits() -> int:
                return sum(each.counters["waits"] for each in await server.stats() if each.path == "far.mp4")

            async def jump() -> None:
                place = 0
                while True:
                    place = (place + 97) % len(offsets)
                    await other.request(iraps[place], [(offsets[place], place)])
                    await other.receive()

            jumping = asyncio.create_task(jump())
            for place in range(GOP, 5 * GOP):
                if place == 2 * GOP:
                    before = await waits()
                    assert before >= 1
                await client.request(iraps[place], [(offsets[place], place)])
                message, _ = await client.receive()
                assert (message["type"], message["index"]) == ("Frame", place)
                await asyncio.sleep(1 / 30)
            assert await waits() == before
            jumping.cancel()
