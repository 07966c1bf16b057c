"""The back-end for buckets: requests counted, and one sentence without secrets for each thing that is wrong."""

from __future__ import annotations

import dataclasses
import datetime
import io
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from stores import ACCESS_KEY, SECRET_KEY, Store, binary, bucket_of, publish

from ffbind.errors import SourceError
from streamer.storage import (
    ForbiddenError,
    NotFoundError,
    ObjectInfo,
    Patience,
    ReadForbiddenError,
    S3Options,
    S3OptionsError,
    S3Storage,
)

SECRETS = (ACCESS_KEY, SECRET_KEY, "nobody-here", "not-the-secret", "not-a-token")
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
        looked = storage.look("full.mp4", most)
        assert (looked.info, looked.head) == (storage.stat("full.mp4"), head)
        assert storage.requests == before + 2
    assert storage.look("empty.mp4", 100) == (storage.stat("empty.mp4"), b"", None)
    with pytest.raises(NotFoundError, match=r"Video not found: none\.mp4"):
        storage.look("none.mp4", 100)


@pytest.mark.parametrize("store", ["minio", "versitygw"])
@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"bucket": "no-such-bucket"}, NotFoundError, "no bucket no-such-bucket"),
        ({"access_key": "nobody-here"}, ForbiddenError, "does not know the access key"),
        ({"secret_key": "not-the-secret"}, ForbiddenError, "secret key does not fit"),
        ({"session_token": "not-a-token"}, ForbiddenError, "the session token is not valid"),
        ({"endpoint": "http://127.0.0.1:1"}, SourceError, "no connection could be made"),
    ],
    ids=["bucket", "access key", "secret key", "token", "endpoint"],
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
        assert not any(secret in said for secret in SECRETS)
        assert "\n" not in said


@pytest.mark.parametrize("store", ["minio", "versitygw"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"access_key": "nobody-here"}, "does not know the access key"),
        ({"secret_key": "not-the-secret"}, "secret key does not fit"),
        ({"session_token": "not-a-token"}, "the session token is not valid"),
    ],
)
def test_keys_that_are_wrong_are_told_by_reads_too(
    request: pytest.FixtureRequest, store: str, changes: dict[str, Any], words: str
) -> None:
    """And not as an object that has changed, with whatever status the store refuses."""
    running: Store = request.getfixturevalue(store)
    options = running.options(bucket_of(running), patience=QUICK)
    storage = S3Storage(dataclasses.replace(options, **changes))
    with pytest.raises(ReadForbiddenError, match=words):
        storage.read_range(ObjectInfo("a.mp4", 100, "some-etag"), 0, 10)


def test_another_region_is_told_by_a_store_that_has_one(versitygw: Store, minio: Store) -> None:
    """MinIO takes requests for any region as long as it has none itself."""
    for store in (minio, versitygw):
        options = store.options(bucket_of(store), patience=QUICK)
        storage = S3Storage(dataclasses.replace(options, region="eu-west-9"))
        if store is minio:
            assert storage.check()
            continue
        with pytest.raises(ForbiddenError, match="signed for another region; set the region of the bucket"):
            storage.check()


def test_a_clock_that_is_off(minio: Store, versitygw: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import minio.time as clock

    for store in (minio, versitygw):
        storage = store.storage(bucket_of(store))
        now = clock.utcnow
        with monkeypatch.context() as wrong:
            wrong.setattr(clock, "utcnow", lambda now=now: now() - datetime.timedelta(hours=1))
            with pytest.raises(
                ForbiddenError, match="clock of this machine is wrong by more than 15 minutes"
            ):
                storage.check()


def test_credentials_without_permission(minio: Store, filled: str) -> None:
    """A user of the store whom no policy lets do anything: not to list is fine, not to read is told."""
    admin = minio.accounts()
    admin.user_add("somebody", "the-password")
    options = minio.options(filled, patience=QUICK)
    storage = S3Storage(dataclasses.replace(options, access_key="somebody", secret_key="the-password"))
    assert storage.check() is False
    with pytest.raises(ForbiddenError, match=r"does not let these credentials read a\.mp4"):
        storage.stat("a.mp4")
    admin.user_remove("somebody")
    with pytest.raises(ForbiddenError, match="does not know the access key"):
        storage.check()


@pytest.mark.parametrize("store", ["minio", "versitygw"])
def test_https_asked_of_a_store_that_speaks_http(request: pytest.FixtureRequest, store: str) -> None:
    running: Store = request.getfixturevalue(store)
    endpoint = running.endpoint.replace("http:", "https:")
    storage = S3Storage(dataclasses.replace(running.options("videos", patience=QUICK), endpoint=endpoint))
    for work in (storage.check, lambda: storage.stat("a.mp4")):
        with pytest.raises(SourceError, match="it does not speak https; write http://") as caught:
            work()
        assert "try again" not in str(caught.value)
    assert storage.requests == 2  # what stays wrong is not tried again


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.parametrize("store", ["minio", "versitygw"])
def test_a_store_that_speaks_https(store: str, tmp_path: Path) -> None:
    """In clear text it says no word of S3, and a certificate that it signed itself is not trusted."""
    with run_with_tls(store, tmp_path) as address:
        options = S3Options(
            bucket="videos",
            endpoint=f"http://{address}",
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            patience=QUICK,
        )
        with pytest.raises(SourceError, match="https:// where that is what it speaks"):
            S3Storage(options).check()
        with pytest.raises(SourceError, match=r"TLS certificate is not trusted.*; check the endpoint"):
            S3Storage(dataclasses.replace(options, endpoint=f"https://{address}")).check()


@contextmanager
def run_with_tls(name: str, folder: Path) -> Iterator[str]:
    """Start a store with a certificate of its own; gives host and port."""
    key, certificate = folder / "private.key", folder / "public.crt"
    request = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*request.split(), *files], check=True, capture_output=True)
    (folder / "data").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    if name == "minio":
        words = [
            "server",
            "data",
            "--address",
            address,
            "--console-address",
            "127.0.0.1:0",
            "--certs-dir",
            ".",
        ]
    else:
        words = ["--port", address, "--cert", str(certificate), "--key", str(key), "posix", "data"]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "MINIO_ROOT_USER": ACCESS_KEY,
        "MINIO_ROOT_PASSWORD": SECRET_KEY,
        "ROOT_ACCESS_KEY": ACCESS_KEY,
        "ROOT_SECRET_KEY": SECRET_KEY,
    }
    trusted = ssl.create_default_context(cafile=str(certificate))
    process = subprocess.Popen(
        [binary(name), *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:  # until it answers something, be it that nobody may ask
            try:
                urllib.request.urlopen(f"https://{address}/", timeout=5, context=trusted).close()
                break
            except urllib.error.HTTPError as error:
                error.close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait()


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
        ({"bucket": "Name!"}, "bucket"),
        ({"bucket": "ab"}, "bucket"),
        ({"bucket": "192.168.0.1"}, "bucket"),
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
        S3Options(**{"bucket": "videos", **options})
    assert caught.value.name == name


def test_a_region_that_no_request_can_be_made_for() -> None:
    options = S3Options(bucket="videos", region="eu west", access_key="key", secret_key="secret")
    with pytest.raises(S3OptionsError, match="it cannot be used") as caught:
        S3Storage(options)
    assert caught.value.name == "region"


def test_secrets_are_not_in_the_repr() -> None:
    shown = repr(
        S3Options(bucket="videos", access_key="key-1", secret_key="secret-1", session_token="token-1")
    )
    assert not any(secret in shown for secret in ("key-1", "secret-1", "token-1"))
