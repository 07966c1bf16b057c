"""The server in front of a bucket: exact frames over the protocol, and a replaced object told, never mixed."""

from __future__ import annotations

import io

import pytest
from stores import ACCESS_KEY, SECRET_KEY, bucket_of, bucket_settings

import ffbind
from streamer.config import Settings
from streamer.server import Server, StartError


def settings(store, bucket, **changes) -> Settings:
    chosen = {"s3_prefix": "served", "s3_tries": 2}
    return bucket_settings(store, bucket, **{**chosen, **changes})


@pytest.fixture
def bucket(minio, videos) -> str:
    name = bucket_of(minio)
    minio.admin().fput_object(bucket_name=name, object_name="served/clip.mp4", file_path=str(videos.clip))
    return name


async def test_frames_from_a_bucket_are_those_of_one_linear_decode(minio, bucket, videos, connect) -> None:
    samples = videos.index().samples
    first = int(samples["offset"][0])
    with ffbind.open(videos.clip) as linear:
        expected = [(frame.offset, frame.to_jpeg(quality=80)) for frame in linear]
    assert len({jpeg for _, jpeg in expected}) == 300
    wanted = list(enumerate(expected))[::-7]  # backwards, from GOP to GOP
    async with Server(settings(minio, bucket)) as server, connect(server.info.url) as client:
        await client.set_video("clip.mp4")
        await client.request(first, [(offset, index) for index, (offset, _) in wanted])
        for index, (offset, jpeg) in wanted:
            message, binary = await client.receive()
            assert (message["type"], message["index"], message["offset"]) == ("Frame", index, offset)
            assert binary == jpeg


async def test_an_object_replaced_between_frames_is_told(minio, bucket, videos, large_file, connect) -> None:
    index = videos.index(large_file)
    first, last = int(index.samples["offset"][0]), int(index.samples["offset"][-1])

    def put(data: bytes) -> None:
        minio.admin().put_object(
            bucket_name=bucket, object_name="served/a.mp4", data=io.BytesIO(data), length=len(data)
        )

    put(large_file.read_bytes())
    async with (
        Server(settings(minio, bucket, cache_bytes=0)) as server,
        connect(server.info.url) as client,
    ):
        await client.set_video("a.mp4")
        await client.request(first, [(first, 0)])
        assert (await client.message())["type"] == "Frame"
        put(
            large_file.read_bytes() + bytes([0, 0, 0, 8]) + b"free"
        )  # an empty box: the same video, another object
        await client.request(first, [(last, 1)])
        answer = await client.message()
        assert (answer["type"], answer["code"]) == ("FrameError", "video_changed")
        await client.set_video("a.mp4")
        await client.request(first, [(last, 2)])
        assert (await client.message())["type"] == "Frame"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"s3_bucket": "no-such-bucket"}, "There is no bucket no-such-bucket"),
        ({"s3_secret_key": "not-the-secret"}, "the secret key does not fit"),
        ({"s3_endpoint": "http://127.0.0.1:1"}, "no connection could be made"),
    ],
)
async def test_a_bucket_that_cannot_be_served_is_one_sentence_at_the_start(
    minio, bucket, changes, words
) -> None:
    with pytest.raises(StartError) as caught:
        await Server(settings(minio, bucket, **changes)).start()
    assert words in str(caught.value)
    assert not any(secret in str(caught.value) for secret in (ACCESS_KEY, SECRET_KEY, "not-the-secret"))
