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
        ({"s3_access_key": "nobody-here"}, "does not know the access key"),
        ({"s3_secret_key": "not-the-secret"}, "the secret key does not fit"),
        ({"s3_session_token": "not-a-token"}, "the session token is not valid"),
        ({"s3_endpoint": "http://127.0.0.1:1", "s3_tries": 1}, "no connection could be made"),
    ],
)
async def test_a_bucket_that_cannot_be_served_is_one_sentence_at_the_start(
    minio, bucket, changes, words
) -> None:
    with pytest.raises(StartError) as caught:
        await Server(settings(minio, bucket, **changes)).start()
    assert words in str(caught.value)
    assert not any(secret in str(caught.value) for secret in (ACCESS_KEY, SECRET_KEY, "not-the-secret"))


async def test_https_asked_of_a_store_that_speaks_http_is_one_sentence_at_the_start(minio, bucket) -> None:
    chosen = settings(minio, bucket, s3_endpoint=minio.endpoint.replace("http:", "https:"))
    with pytest.raises(StartError, match="it does not speak https; write http://"):
        await Server(chosen).start()


async def test_another_region_is_one_sentence_at_the_start(versitygw) -> None:
    with pytest.raises(StartError, match="set the region of the bucket"):
        await Server(settings(versitygw, bucket_of(versitygw), s3_region="eu-west-9")).start()


async def test_what_the_store_refuses_is_one_sentence_on_the_wire(minio, bucket, connect) -> None:
    """Without permission the server starts, as not to list is fine; keys may be taken back while it runs, and the bucket removed."""
    admin = minio.accounts()
    admin.user_add("somebody", "the-password")
    chosen = settings(minio, bucket, s3_access_key="somebody", s3_secret_key="the-password")
    empty = bucket_of(minio)
    async with (
        Server(chosen) as server,
        Server(settings(minio, empty)) as other,
        connect(server.info.url) as client,
        connect(other.info.url) as watcher,
    ):

        async def told(client) -> tuple[str, str]:
            await client.send({"type": "SetVideo", "path": "a.mp4"})
            answer = await client.message()
            assert (answer["type"], answer["ok"]) == ("VideoSet", False)
            answer = await client.message()
            assert answer["type"] == "Error"
            assert "\n" not in answer["message"]
            secrets = (ACCESS_KEY, SECRET_KEY, "somebody", "the-password")
            assert not any(secret in answer["message"] for secret in secrets)
            return answer["code"], answer["message"]

        code, text = await told(client)
        assert code == "forbidden"
        assert "does not let these credentials read a.mp4" in text
        admin.user_remove("somebody")
        code, text = await told(client)
        assert code == "forbidden"
        assert "does not know the access key" in text
        minio.admin().remove_bucket(bucket_name=empty)
        code, text = await told(watcher)
        assert code == "not_found"
        assert f"There is no bucket {empty}" in text
