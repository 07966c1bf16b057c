"""The server in front of a store that fails now and then, or whose objects are replaced: exact, or a named error, and it lives.

Promises 10 and 11, over the WebSocket protocol: an answer is the picture of one linear decode, bit for bit, or it says that the
store could not be read, or that the video was changed. No connection ends, no answer is missing, and afterwards all is right.
"""

from __future__ import annotations

import io
import itertools
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faults import Fault, FaultyStore, Kind, Request, by_chance, in_turn, no_fault, run_faulty
from stores import Store, bucket_of, bucket_settings, publish

import ffbind
from streamer.config import Settings
from streamer.server import Server

BATCH = 40  # frames in one request


@dataclass(frozen=True)
class Pictures:
    """A video as a linear decode shows it: the JPEG of the picture at each byte offset."""

    path: Path
    first: int
    jpegs: dict[int, bytes]


@pytest.fixture(scope="module")
def pictures(clip: Callable[[str], Path]) -> Callable[[str], Pictures]:
    """Function that decodes a clip from its beginning to its end."""

    def decode(name: str) -> Pictures:
        with ffbind.open(clip(name)) as video:
            jpegs = {frame.offset: frame.to_jpeg(quality=80) for frame in video}
            first = int(video.index.samples["offset"][0])
        assert len(set(jpegs.values())) == len(jpegs)
        return Pictures(clip(name), first, jpegs)

    return decode


@pytest.fixture(params=["minio", "versitygw"])
def faulty(request: pytest.FixtureRequest) -> Iterator[FaultyStore]:
    store: Store = request.getfixturevalue(request.param)
    with run_faulty(store) as running:
        yield running


def settings(faulty: FaultyStore, bucket: str, **changes: Any) -> Settings:
    """A server that keeps next to nothing, so that frames are read from the store again and again."""
    little = {"s3_read_timeout": 0.5, "cache_bytes": 0, "picture_bytes": 0}
    return bucket_settings(faulty.store, bucket, **{**little, **changes})


_versions = itertools.count()


def put(faulty: FaultyStore, bucket: str, path: Path) -> None:
    """Store a video as a.mp4: each time another object, by the number in an empty box at its end."""
    data = path.read_bytes() + struct.pack(">I4sI", 12, b"free", next(_versions))
    faulty.direct.admin().put_object(
        bucket_name=bucket, object_name="a.mp4", data=io.BytesIO(data), length=len(data)
    )


async def ask(client: Any, video: Pictures, offsets: list[int]) -> Counter[str]:
    """Ask for frames in one request and hold each answer to the linear decode; count pictures and error codes."""
    await client.request(video.first, list(zip(offsets, range(len(offsets)), strict=True)))
    found: Counter[str] = Counter()
    for index, offset in enumerate(offsets):
        message, jpeg = await client.receive()
        assert (message["index"], message["offset"]) == (index, offset)
        if message["type"] == "Frame":
            assert jpeg == video.jpegs[offset], f"offset {offset} shows another picture"
            found["Frame"] += 1
        else:
            assert message["retryable"] is (message["code"] == "storage_unavailable"), message
            found[message["code"]] += 1
    return found


@pytest.mark.parametrize(
    ("faulty", "tries", "frames"),
    [("minio", 1, 320), ("versitygw", 3, 320), pytest.param("minio", 2, 20_000, marks=pytest.mark.long)],
    indirect=["faulty"],
)
async def test_frames_asked_during_faults_are_right_or_told_and_the_connection_lives(
    faulty: FaultyStore, pictures: Any, connect: Any, tries: int, frames: int
) -> None:
    video = pictures("noisy.mp4")
    bucket = bucket_of(faulty.direct)
    put(faulty, bucket, video.path)
    dice = random.Random(frames)
    found: Counter[str] = Counter()
    async with (
        Server(settings(faulty, bucket, s3_tries=tries)) as server,
        connect(server.info.url) as client,
    ):
        lanes = server.lane_pids
        await client.set_video("a.mp4")
        offsets = list(video.jpegs)
        faulty.endpoint.exchanges.clear()
        faulty.endpoint.plan = by_chance(frames, 0.05, late=0.1)
        for _ in range(frames // BATCH):
            found += await ask(client, video, dice.choices(offsets, k=BATCH))
        broken = len(faulty.endpoint.broken)
        faulty.endpoint.plan = no_fault
        assert await ask(client, video, dice.choices(offsets, k=BATCH)) == {"Frame": BATCH}
        assert server.lane_pids == lanes, "a lane ended"
    assert found.total() == frames
    assert found.keys() <= {"Frame", "storage_unavailable"}
    assert len(faulty.endpoint.exchanges) > frames / 4, "too little was read from the store"
    assert broken > len(faulty.endpoint.exchanges) / 40
    # With one try a fault is an error, unless the first byte was only late; with more of them it is hardly ever one.
    if tries == 1:
        assert found["storage_unavailable"] >= broken / 3
    else:
        assert found["storage_unavailable"] <= frames / 100
    print(
        f"{frames} frames: {found['Frame']} right, {found['storage_unavailable']} told, 0 wrong, 0 lost; "
        f"{broken} of {len(faulty.endpoint.exchanges)} requests broken"
    )


@pytest.mark.parametrize("kind", [Kind.RESET, Kind.SLOW_DOWN, Kind.SHORT_BODY, Kind.STALL, Kind.WRONG_RANGE])
async def test_a_video_set_during_faults_is_set_late_or_told(
    faulty: FaultyStore, pictures: Any, connect: Any, kind: Kind
) -> None:
    video = pictures("noisy_a.mp4")
    bucket = bucket_of(faulty.direct)
    put(faulty, bucket, video.path)

    def at(request: Request) -> bool:
        return request.method == "GET" and request.span is not None

    async with Server(settings(faulty, bucket, s3_tries=2)) as server, connect(server.info.url) as client:
        faulty.endpoint.plan = in_turn(Fault(kind, after=10), Fault(kind, after=10), only=at)
        await client.send({"type": "SetVideo", "path": "a.mp4"})
        assert await client.message() == {"type": "VideoSet", "path": "a.mp4", "ok": False}
        error = await client.message()
        assert (error["type"], error["code"], error["retryable"]) == ("Error", "storage_unavailable", True)
        faulty.endpoint.plan = in_turn(Fault(kind, after=10), only=at)
        await client.set_video("a.mp4")
        assert await ask(client, video, [video.first]) == {"Frame": 1}


@pytest.mark.parametrize(
    ("faulty", "conditional", "rounds"),
    [
        ("minio", True, 12),
        ("versitygw", True, 12),
        ("minio", False, 12),
        pytest.param("minio", True, 100, marks=pytest.mark.long),
        pytest.param("minio", False, 100, marks=pytest.mark.long),
    ],
    indirect=["faulty"],
)
async def test_an_object_replaced_in_mid_session_is_told_each_time_and_never_mixed(
    faulty: FaultyStore, pictures: Any, connect: Any, conditional: bool, rounds: int
) -> None:
    """Another object, longer or shorter, comes between two reads of one request.

    Where the store looks at If-Match, it refuses. Where it does not, it sends bytes of the new object, or says that there is no
    such range.
    """
    versions = [pictures("noisy_a.mp4"), pictures("noisy_b.mp4")]
    assert versions[1].path.stat().st_size < max(versions[0].jpegs)
    bucket = bucket_of(faulty.direct)
    put(faulty, bucket, versions[0].path)
    dice = random.Random(rounds)
    found: Counter[str] = Counter()
    async with Server(settings(faulty, bucket)) as server, connect(server.info.url) as client:
        set_now, other = versions
        replaced = 0
        # A round may take fewer requests than it would to come to the moment.
        for _ in range(4 * rounds):
            await client.set_video("a.mp4")
            moment = len(faulty.endpoint.exchanges) + dice.randrange(1, 4)
            reached = False

            def replace(request: Request, moment: int = moment, other: Pictures = other) -> Fault | None:
                nonlocal reached
                if request.number >= moment and not reached:
                    reached = True
                    put(faulty, bucket, other.path)
                return None if conditional or request.span is None else Fault(Kind.UNCONDITIONAL)

            faulty.endpoint.plan = replace
            answers = await ask(client, set_now, dice.sample(list(set_now.jpegs), len(set_now.jpegs)))
            faulty.endpoint.plan = no_fault
            assert answers.keys() <= {"Frame", "video_changed"}
            assert (answers["video_changed"] > 0) is reached
            found += answers
            if not reached:  # all of it is at hand now, and would be for ever
                put(faulty, bucket, other.path)
            set_now, other = other, set_now
            replaced += reached
            if replaced == rounds:
                break
    assert replaced == rounds
    assert found["Frame"] >= rounds  # those before it are right
    statuses = Counter(
        exchange.status for exchange in faulty.endpoint.exchanges if exchange.request.span is not None
    )
    assert statuses.keys() == ({206, 412} if conditional else {206, 416})
    print(
        f"{replaced} times replaced, {replaced} times told, 0 mixed frames: {dict(found)}, {dict(statuses)}"
    )


async def test_an_object_that_is_removed_is_told(faulty: FaultyStore, pictures: Any, connect: Any) -> None:
    video = pictures("noisy_a.mp4")
    bucket = bucket_of(faulty.direct)
    put(faulty, bucket, video.path)
    async with Server(settings(faulty, bucket)) as server, connect(server.info.url) as client:
        await client.set_video("a.mp4")
        faulty.direct.admin().remove_object(bucket_name=bucket, object_name="a.mp4")
        assert await ask(client, video, [max(video.jpegs)]) == {"video_changed": 1}
        await client.send({"type": "SetVideo", "path": "a.mp4"})
        assert (await client.message())["ok"] is False
        assert (await client.message())["code"] == "not_found"


async def test_a_store_that_refuses_in_mid_session_is_told_as_what_stays(
    minio: Store, pictures: Any, connect: Any
) -> None:
    """The server reads a public bucket, which is then closed, and opened again."""
    video = pictures("noisy_a.mp4")
    bucket = bucket_of(minio)
    publish(minio, bucket)
    with run_faulty(minio) as faulty:
        put(faulty, bucket, video.path)
        chosen = settings(faulty, bucket, s3_credentials="anonymous", s3_access_key="", s3_secret_key="")
        async with Server(chosen) as server, connect(server.info.url) as client:
            await client.set_video("a.mp4")
            minio.admin().delete_bucket_policy(bucket_name=bucket)
            before = len(faulty.endpoint.exchanges)
            last = max(video.jpegs)
            await client.request(video.first, [(last, 0)])
            answer = await client.message()
            assert (answer["type"], answer["code"], answer["retryable"]) == ("FrameError", "forbidden", False)
            assert "does not let anonymous requests read a.mp4" in answer["message"]
            # The first sample and the frame's run are asked for side by side; what stays refused is asked once.
            assert before < len(faulty.endpoint.exchanges) <= before + 2
            publish(minio, bucket)
            # The second of the two reads may still be refused, and who asks meanwhile waits for that one.
            answers = [await ask(client, video, [last]) for _ in range(2)]
            assert answers[1] == {"Frame": 1}
