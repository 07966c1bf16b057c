"""Receipts over the protocol: what a frame took, and that all of them together are what the store was asked for."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faults import Kind, by_chance, run_faulty
from stores import Store, bucket_of, bucket_settings

import ffbind
from streamer.config import Settings
from streamer.fetcher import Fetcher
from streamer.server import Server
from streamer.storage import S3Storage

BASE = {"type", "index", "offset", "size"}
RECEIPT = {"timing", "source", "requests", "fetched_bytes", "ahead_requests", "ahead_bytes"}


@dataclass(frozen=True)
class Table:
    """Addresses of a video's frames in presentation order."""

    offsets: list[int]
    iraps: list[int]
    first_size: int

    def run(self, place: int, ends: dict[int, int]) -> int:
        """Bytes from the IRAP of a frame to its end."""
        return ends[self.offsets[place]] - self.iraps[place]


@pytest.fixture(scope="module")
def far(clip: Callable[[str], Path]) -> Path:
    return clip("far_last.mp4")


@pytest.fixture(scope="module")
def table(far: Path) -> Table:
    with ffbind.open(far) as video:
        samples, order = video.index.samples, video.index.order
    offsets = samples["offset"]
    return Table(offsets[order].tolist(), offsets[samples["irap"][order]].tolist(), int(samples["size"][0]))


@pytest.fixture(scope="module")
def ends(far: Path) -> dict[int, int]:
    """Where the sample at each offset ends."""
    with ffbind.open(far) as video:
        samples = video.index.samples
    return {int(row["offset"]): int(row["offset"]) + int(row["size"]) for row in samples}


@pytest.fixture(params=["folder", "minio"])
def settings(request: pytest.FixtureRequest, far: Path) -> Settings:
    """A server of one lane in front of the video, as far.mp4 in a bucket or under its own name in a folder."""
    common = {"listen_addr": "127.0.0.1:0", "workers": 1}
    if request.param == "folder":
        folder = request.getfixturevalue("tmp_path")
        (folder / "far.mp4").symlink_to(far)
        return Settings(local_path=folder, follow_symlinks=True, **common)
    store: Store = request.getfixturevalue("minio")
    bucket = bucket_of(store)
    store.admin().fput_object(bucket_name=bucket, object_name="far.mp4", file_path=str(far))
    return bucket_settings(store, bucket, **common)


class Asking:
    """A client that asks for frames by their places, with receipts."""

    def __init__(self, client: Any, table: Table, fetcher: Fetcher) -> None:
        self.client = client
        self.table = table
        self.fetcher = fetcher
        self.requests = self.bytes = 0
        """Sums over all receipts so far."""

    async def send(self, *places: int, timing: object = True) -> None:
        """One request for frames of one GOP."""
        irap = min(self.table.iraps[place] for place in places)
        frames = [{"offset": self.table.offsets[place], "index": place} for place in places]
        message = {"type": "RequestFrames", "irap_offset": irap, "frames": frames, "timing": timing}
        await self.client.send(message)

    async def receipt(self) -> dict[str, Any]:
        message, _ = await self.client.receive()
        assert message.keys() == BASE | RECEIPT, message
        assert message["timing"].keys() == {"queue", "fetch", "decode", "encode"}
        assert all(milliseconds >= 0 for milliseconds in message["timing"].values())
        assert message["source"] == ("store" if message["requests"] else "cache")
        assert (message["requests"] == 0) is (message["fetched_bytes"] == 0)
        assert (message["ahead_requests"] == 0) is (message["ahead_bytes"] == 0)
        self.requests += message["requests"]
        self.bytes += message["fetched_bytes"]
        return message

    async def ask(self, place: int) -> dict[str, Any]:
        await self.send(place)
        return await self.receipt()

    async def settled(self, kept: int) -> dict[str, Any]:
        """Ask for a frame that is kept until what was fetched ahead has come and the sums are what the store was asked for.

        Fails by its timeout where they never are.
        """
        async with asyncio.timeout(60):
            while True:
                last = await self.ask(kept)
                assert (last["source"], last["timing"]["fetch"]) == ("cache", 0)
                spent = self.requests + last["ahead_requests"], self.bytes + last["ahead_bytes"]
                if spent == (self.fetcher.store_reads, self.fetcher.store_bytes):
                    return last


@asynccontextmanager
async def asking(settings: Settings, table: Table, connect: Any) -> AsyncIterator[Asking]:
    async with Server(settings) as server, connect(server.info.url) as client:
        await client.set_video("far.mp4")
        yield Asking(client, table, server._videos._fetcher)


async def test_without_timing_an_answer_is_as_it_always_was(
    settings: Settings, table: Table, connect: Any
) -> None:
    async with asking(settings, table, connect) as asker:
        client = asker.client
        await client.request(table.iraps[40], [(table.offsets[40], 40)])
        assert (await client.message()).keys() == BASE
        await asker.send(41, timing=False)
        assert (await client.message()).keys() == BASE
        await asker.send(42, timing="yes")
        answer = await client.message()
        assert (answer["type"], answer["code"]) == ("Error", "bad_message")
        assert (await asker.ask(42))["index"] == 42


async def test_what_a_request_brought_counts_for_the_frame_that_needed_it(
    settings: Settings, table: Table, ends: dict[int, int], connect: Any
) -> None:
    """Frames anywhere: the run from the IRAP on is the first one's, what is left of it the next one's, and nothing is fetched ahead."""
    async with asking(settings, table, connect) as client:
        # The first frame of a video asks for the first sample too, where that did not come from a store with the table.
        first = await client.ask(95)
        more = (1, table.first_size) if settings.storage_backend == "local" else (0, 0)
        assert (first["requests"], first["fetched_bytes"]) == (1 + more[0], table.run(95, ends) + more[1])
        assert first["timing"]["fetch"] > 0
        assert first["timing"]["decode"] > 0
        again = await client.ask(95)
        assert (again["source"], again["timing"]["fetch"]) == ("cache", 0)
        other = await client.ask(200)
        assert (other["requests"], other["fetched_bytes"]) == (1, table.run(200, ends))
        on_the_way = await client.ask(table.iraps.index(table.iraps[200]))
        assert on_the_way["source"] == "cache"
        # Several of one run in one request: the first one's, but for what the others need beyond it.
        await client.send(155, 151, 158)
        answers = [await client.receipt() for _ in range(3)]
        assert [answer["index"] for answer in answers] == [155, 151, 158]
        assert answers[0]["fetched_bytes"] == table.run(155, ends)
        assert answers[1]["requests"] == 0
        assert sum(answer["fetched_bytes"] for answer in answers) == max(
            table.run(place, ends) for place in (151, 155, 158)
        )
        last = await client.settled(95)
        assert (last["ahead_requests"], last["ahead_bytes"]) == (0, 0)


async def test_what_was_fetched_ahead_counts_for_the_frame_that_needs_it_first(
    settings: Settings, table: Table, connect: Any
) -> None:
    """Playing: whole GOPs come ahead, as the receipts say, and move to the frame that enters them. What nobody needs stays there."""
    async with asking(settings, table, connect) as client:
        for place in range(75):
            await client.ask(place)
        playing = await client.settled(74)
        assert playing["ahead_requests"] > 0
        asked, before = client.fetcher.store_reads, client.requests
        entered = [await client.ask(place) for place in range(75, 100)]
        assert sum(answer["requests"] for answer in entered) == client.requests - before > 0
        last = await client.settled(99)
        moved = playing["ahead_requests"] + (client.fetcher.store_reads - asked)
        assert client.requests - before + last["ahead_requests"] == moved
        # A jump drops what was not begun; what had come counts on, for nobody.
        await client.ask(290)
        assert (await client.settled(290))["ahead_bytes"] > 0


async def test_two_clients_of_one_video_pay_once(
    settings: Settings, table: Table, ends: dict[int, int], connect: Any
) -> None:
    async with (
        Server(settings) as server,
        connect(server.info.url) as one,
        connect(server.info.url) as two,
    ):
        fetcher = server._videos._fetcher
        both = [Asking(client, table, fetcher) for client in (one, two)]
        for each in both:
            await each.client.set_video("far.mp4")
        for place in (95, 200, 155):
            for each in both:
                await each.send(place)
            for each in both:
                await each.receipt()
        spent = sum(each.requests for each in both), sum(each.bytes for each in both)
        assert spent == (fetcher.store_reads, fetcher.store_bytes)
        runs = sum(table.run(place, ends) for place in (95, 200, 155))
        more = (1, table.first_size) if settings.storage_backend == "local" else (0, 0)
        assert spent == (3 + more[0], runs + more[1])


async def test_sums_are_the_counters_of_a_real_store(
    minio: Store, far: Path, table: Table, connect: Any
) -> None:
    """Requests as they went over HTTP, bytes as they came; of lanes that read what another one has read, none."""
    bucket = bucket_of(minio)
    minio.admin().fput_object(bucket_name=bucket, object_name="far.mp4", file_path=str(far))
    with run_faulty(minio) as counted:
        async with asking(bucket_settings(counted.store, bucket), table, connect) as client:
            storage = client.fetcher._storage
            assert isinstance(storage, S3Storage)
            counted.endpoint.settle()  # what comes behind the first bytes may still do so
            requests, sent = storage.requests, counted.endpoint.sent
            for place in (95, 200, 155, *range(10, 50), 7, 290, *range(160, 130, -1)):
                await client.ask(place)
            last = await client.settled(131)
            assert client.requests + last["ahead_requests"] == storage.requests - requests
            assert client.bytes + last["ahead_bytes"] == counted.endpoint.sent - sent


async def test_each_try_is_a_request(minio: Store, far: Path, table: Table, connect: Any) -> None:
    """A third of the answers break, and are asked for again until they are whole."""
    bucket = bucket_of(minio)
    minio.admin().fput_object(bucket_name=bucket, object_name="far.mp4", file_path=str(far))
    with run_faulty(minio) as counted:
        async with asking(bucket_settings(counted.store, bucket, s3_tries=30), table, connect) as client:
            storage = client.fetcher._storage
            assert isinstance(storage, S3Storage)
            requests = storage.requests
            kinds = (Kind.RESET, Kind.SLOW_DOWN, Kind.SHORT_BODY)
            counted.endpoint.plan = by_chance(8, 0.3, late=0, kinds=kinds)
            for place in range(35, 300, 30):
                answer = await client.ask(place)
                assert answer["requests"] >= 1
            assert counted.endpoint.broken
            last = await client.settled(275)
            assert client.requests + last["ahead_requests"] == storage.requests - requests > 10


async def test_the_latency_of_the_store_is_in_fetch(
    minio: Store, far: Path, table: Table, connect: Any
) -> None:
    bucket = bucket_of(minio)
    minio.admin().fput_object(bucket_name=bucket, object_name="far.mp4", file_path=str(far))
    with run_faulty(minio, latency=0.05) as slow:
        async with asking(bucket_settings(slow.store, bucket), table, connect) as client:
            for place in (95, 200, 155):
                cold = await client.ask(place)
                assert cold["source"] == "store"
                assert cold["timing"]["fetch"] >= 50
            kept = await client.ask(200)
            assert (kept["source"], kept["requests"], kept["timing"]["fetch"]) == ("cache", 0, 0)
            # A frame that waits behind another one's request waits in the queue.
            await client.send(35, 95)
            cold, behind = await client.receipt(), await client.receipt()
            assert cold["timing"]["fetch"] >= 50
            assert behind["timing"]["queue"] >= 50
            assert behind["timing"]["fetch"] == 0


async def test_a_bucket_is_read_by_as_many_requests_as_the_setting_says(
    minio: Store, far: Path, connect: Any
) -> None:
    """More than a folder has threads: all are under way before the first one is answered."""
    bucket = bucket_of(minio)
    minio.admin().fput_object(bucket_name=bucket, object_name="far.mp4", file_path=str(far))
    with run_faulty(minio) as slow:
        async with Server(bucket_settings(slow.store, bucket, s3_connections=12)) as server:
            fetcher = server._videos._fetcher
            info = await asyncio.to_thread(fetcher._storage.stat, "far.mp4")
            slow.endpoint.exchanges.clear()
            slow.endpoint.latency = 2.0
            reads = [asyncio.create_task(fetcher.read(info, [(place * 70_000, 10)])) for place in range(14)]
            async with asyncio.timeout(60):
                while len(slow.endpoint.exchanges) < 12:  # noqa: ASYNC110 - it is in another thread
                    await asyncio.sleep(0.01)
            assert not any(exchange.status for exchange in slow.endpoint.exchanges)
            assert len(slow.endpoint.exchanges) == 12
            slow.endpoint.latency = 0.0
            await asyncio.gather(*reads)


async def test_a_replaced_object_is_asked_for_once(
    minio: Store, far: Path, table: Table, connect: Any
) -> None:
    """All frames that need its bytes are told, whoever asks; and where the first version comes back, it can be set again."""
    bucket = bucket_of(minio)

    def put(data: bytes) -> None:
        minio.admin().put_object(
            bucket_name=bucket, object_name="far.mp4", data=io.BytesIO(data), length=len(data)
        )

    put(far.read_bytes())
    with run_faulty(minio) as counted:
        chosen = bucket_settings(counted.store, bucket, cache_bytes=0, picture_bytes=0)
        async with asking(chosen, table, connect) as client:
            await client.ask(95)
            put(far.read_bytes() + bytes([0, 0, 0, 8]) + b"free")
            await client.send(200)
            assert (await client.client.message())["code"] == "video_changed"
            asked = len(counted.endpoint.exchanges)
            assert counted.endpoint.exchanges[-1].status == 412
            await client.send(*range(210, 290))
            for _ in range(80):
                assert (await client.client.message())["code"] == "video_changed"
            assert len(counted.endpoint.exchanges) == asked
            put(far.read_bytes())  # the same bytes, so the same ETag
            await client.client.set_video("far.mp4")
            assert (await client.ask(200))["source"] == "store"
