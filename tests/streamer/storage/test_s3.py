"""The back-end for buckets: requests counted, and one sentence without secrets for each thing that is wrong."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from typing import Any

import pytest
from stores import ACCESS_KEY, SECRET_KEY, Store, bucket_of, publish

from ffbind.errors import SourceError
from streamer.storage import ForbiddenError, NotFoundError, Patience, S3Options, S3OptionsError, S3Storage

QUICK = Patience(tries=2, pause=0.01, connect_timeout=1, read_timeout=1)


def test_one_request_for_each_step_and_none_for_nothing(minio: Store, filled: str) -> None:
    storage = minio.storage(filled)
    info = storage.stat("a.mp4")
    assert storage.requests == 1
    storage.read_range(info, 2, 5)
    assert storage.requests == 2
    storage.read_range(info, 2, 0)
    storage.read_range(info, 10**6, 5)
    assert storage.requests == 2
    assert storage.check()
    assert storage.requests == 3


@pytest.mark.parametrize("store", ["minio", "versitygw"])
def test_a_look_brings_the_first_bytes_with_one_request(request: pytest.FixtureRequest, store: str) -> None:
    running: Store = request.getfixturevalue(store)
    bucket = bucket_of(running)
    for name, data in (("full.mp4", b"0123456789"), ("empty.mp4", b"")):
        running.admin().put_object(
            bucket_name=bucket, object_name=name, data=io.BytesIO(data), length=len(data)
        )
    storage = running.storage(bucket)
    for most, head in ((4, b"0123"), (10, b"0123456789"), (100, b"0123456789")):
        before = storage.requests
        assert storage.look("full.mp4", most) == (storage.stat("full.mp4"), head)
        assert storage.requests == before + 2
    assert storage.look("empty.mp4", 100) == (storage.stat("empty.mp4"), b"")
    with pytest.raises(NotFoundError, match=r"Video not found: none\.mp4"):
        storage.look("none.mp4", 100)


@pytest.mark.parametrize("store", ["minio", "versitygw"])
@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"bucket": "no-such-bucket"}, NotFoundError, "no bucket no-such-bucket"),
        ({"access_key": "nobody-here"}, ForbiddenError, "does not know the access key"),
        ({"secret_key": "not-the-secret"}, ForbiddenError, "secret key does not fit"),
        ({"endpoint": "http://127.0.0.1:1"}, SourceError, "no connection could be made"),
    ],
    ids=["bucket", "access key", "secret key", "endpoint"],
)
def test_what_is_wrong_is_one_sentence(
    request: pytest.FixtureRequest,
    store: str,
    changes: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    running: Store = request.getfixturevalue(store)
    options = running.options(bucket_of(running), patience=QUICK)
    storage = S3Storage(dataclasses.replace(options, **changes))
    works: list[Callable[[], object]] = [storage.check, lambda: storage.stat("a.mp4")]
    for work in works:
        with pytest.raises(error, match=words) as caught:
            work()
        said = str(caught.value)
        assert not any(secret in said for secret in (ACCESS_KEY, SECRET_KEY, "nobody-here", "not-the-secret"))
        assert "\n" not in said


def test_anonymous_requests_are_named_as_such(minio: Store, filled: str) -> None:
    options = S3Options(bucket=filled, endpoint=minio.endpoint, credentials="anonymous", patience=QUICK)
    storage = S3Storage(options)
    assert storage.anonymous
    with pytest.raises(ForbiddenError, match=r"does not let anonymous requests read a\.mp4"):
        storage.stat("a.mp4")


def test_a_public_bucket_is_read_without_credentials(minio: Store, filled: str) -> None:
    publish(minio, filled)
    storage = S3Storage(
        S3Options(bucket=filled, endpoint=minio.endpoint, credentials="anonymous", patience=QUICK)
    )
    assert not storage.check()  # it may be read, not listed
    assert storage.read_range(storage.stat("a.mp4"), 1, 3) == b"\x01\x02\x03"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"bucket": ""}, "bucket"),
        ({"bucket": "a/b"}, "bucket"),
        ({"prefix": "../up"}, "prefix"),
        ({"prefix": "/"}, "prefix"),
        ({"region": ""}, "region"),
        ({"endpoint": "localhost:9000"}, "endpoint"),
        ({"endpoint": "http://user:pass@host"}, "endpoint"),
        ({"endpoint": "http://host/path"}, "endpoint"),
        ({"access_key": "alone"}, "access_key"),
        ({"credentials": "magic"}, "credentials"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], name: str) -> None:
    with pytest.raises(S3OptionsError) as caught:
        S3Options(**{"bucket": "b", **options})
    assert caught.value.name == name


def test_secrets_are_not_in_the_repr() -> None:
    shown = repr(S3Options(bucket="b", access_key="key-1", secret_key="secret-1", session_token="token-1"))
    assert not any(secret in shown for secret in ("key-1", "secret-1", "token-1"))
