"""Files on web servers: MinIO's own HTTP behind the endpoint that breaks answers, and servers that know less than it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from faults import BREAKING, Fault, FaultyEndpoint, Kind, in_turn
from stores import Store, bucket_of, publish
from waiting import until
from web import DATA, Simple, self_signed, serving

import ffbind
from ffbind.errors import SourceChangedError, SourceError
from streamer.storage import ForbiddenError, HttpSource, NotFoundError, Patience, ReadForbiddenError
from streamer.storage.connections import trust

HEAD = 64 << 10  # what is read at first of what is no MP4
QUICK = Patience(tries=2, pause=0.01, read_timeout=1.0, connect_timeout=1.0)


def put(minio: Store, bucket: str, data: bytes, name: str = "a b.mp4") -> None:
    minio.admin().put_object(bucket_name=bucket, object_name=name, data=io.BytesIO(data), length=len(data))


@pytest.fixture
def bucket(minio: Store) -> str:
    """A bucket that everybody may read, with `a b.mp4`."""
    name = bucket_of(minio)
    publish(minio, name)
    put(minio, name, DATA)
    return name


@pytest.fixture
def endpoint(minio: Store) -> Iterator[FaultyEndpoint]:
    with FaultyEndpoint(minio.endpoint) as running:
        yield running


def test_one_request_to_open_and_one_for_each_read(endpoint: FaultyEndpoint, bucket: str) -> None:
    source = HttpSource(f"{endpoint.url}/{bucket}/a%20b.mp4", patience=QUICK)
    assert source.size == len(DATA)
    assert source.identity
    assert source.requests == len(endpoint.exchanges) == 1
    assert source.read_ranges([(5, HEAD), (len(DATA) - 3, 100)]) == [
        DATA[5 : 5 + HEAD],
        DATA[-3:],
    ]
    assert source.requests == len(endpoint.exchanges) == 3
    assert source.read_at(len(DATA), 5) == source.read_at(3, 0) == b""
    assert source.read_at(5, HEAD - 5) == DATA[5:HEAD], "it came with the look"
    assert source.requests == 3


@pytest.mark.parametrize("kind", sorted(BREAKING - {Kind.LATE, Kind.TRICKLE, Kind.WHOLE}))
def test_opening_that_breaks_is_read_on_from_there(endpoint: FaultyEndpoint, bucket: str, kind: Kind) -> None:
    endpoint.plan = in_turn(Fault(kind, after=1234))
    source = HttpSource(f"{endpoint.url}/{bucket}/a%20b.mp4", patience=QUICK)
    assert source.requests == 2
    assert source.read_at(0, HEAD) == DATA[:HEAD]
    assert source.requests == 2


@pytest.mark.parametrize("kind", sorted(BREAKING - {Kind.LATE, Kind.TRICKLE}))
def test_what_breaks_is_read_on_from_there(endpoint: FaultyEndpoint, bucket: str, kind: Kind) -> None:
    source = HttpSource(f"{endpoint.url}/{bucket}/a%20b.mp4", patience=QUICK)
    endpoint.exchanges.clear()
    endpoint.plan = in_turn(Fault(kind, after=1234))
    assert source.read_at(HEAD, 200_000) == DATA[HEAD : HEAD + 200_000]
    broke = 1234 if kind in (Kind.SHORT_BODY, Kind.RESET_BODY, Kind.STALL) else 0
    assert endpoint.spans == [(HEAD, HEAD + 199_999), (HEAD + broke, HEAD + 199_999)]


@pytest.mark.parametrize("conditional", [True, False])
def test_a_file_that_is_replaced_is_told(
    minio: Store, endpoint: FaultyEndpoint, bucket: str, conditional: bool
) -> None:
    source = HttpSource(f"{endpoint.url}/{bucket}/a%20b.mp4", patience=QUICK)
    put(minio, bucket, DATA[::-1])
    endpoint.plan = in_turn(None if conditional else Fault(Kind.UNCONDITIONAL))
    with pytest.raises(SourceChangedError):
        source.read_at(0, HEAD + 1)
    assert endpoint.exchanges[-1].status == (412 if conditional else 206)


def test_a_video_by_its_url(
    endpoint: FaultyEndpoint, minio: Store, bucket: str, clip: Callable[[str], Path]
) -> None:
    put(minio, bucket, clip("open_gop.mp4").read_bytes(), "v.mp4")
    with (
        ffbind.open(HttpSource(f"{endpoint.url}/{bucket}/v.mp4")) as video,
        ffbind.open(clip("open_gop.mp4")) as local,
    ):
        assert video[33].to_jpeg() == local[33].to_jpeg()


def test_a_signed_url_and_its_secrets(minio: Store, bucket: str) -> None:
    private = bucket_of(minio)
    put(minio, private, DATA)
    url = minio.admin().presigned_get_object(bucket_name=private, object_name="a b.mp4")
    assert HttpSource(url, patience=QUICK).read_at(7, 3) == DATA[7:10]
    with pytest.raises(ForbiddenError, match="does not let this file be read") as caught:
        HttpSource(url[:-1] + ("0" if url[-1] != "0" else "1"), patience=QUICK)
    assert "Signature" not in str(caught.value)
    missing = minio.admin().presigned_get_object(bucket_name=private, object_name="missing.mp4")
    with pytest.raises(NotFoundError, match=r"missing\.mp4: there is no such file \(status 404\)$"):
        HttpSource(missing, patience=QUICK)


def test_what_is_refused_later_is_told_as_what_stays(minio: Store, bucket: str) -> None:
    source = HttpSource(f"{minio.endpoint}/{bucket}/a%20b.mp4", patience=QUICK)
    minio.admin().delete_bucket_policy(bucket_name=bucket)
    with pytest.raises(ReadForbiddenError) as caught:
        source.read_at(0, HEAD + 1)
    assert caught.value.code == "forbidden"
    assert source.requests == 2


def test_nothing_listens_there() -> None:
    with pytest.raises(SourceError, match=r"^http://127\.0\.0\.1:1/a\.mp4 could not be read: no connection"):
        HttpSource("http://user:word@127.0.0.1:1/a.mp4?secret", patience=QUICK)


@pytest.mark.parametrize(
    "url", ["http://", "http:///a.mp4", "http://[a", "http://host:x/a.mp4", "ftp://host/a"]
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ffbind.ArgumentError):
        HttpSource(url)


# Servers that know less -------------------------------------------------------------------------------------------------


DATE = ("Last-Modified", "Tue, 01 Sep 2026 10:00:00 GMT")
LATER = ("Last-Modified", "Tue, 01 Sep 2026 10:00:01 GMT")


@pytest.mark.parametrize("headers", [(DATE,), (("ETag", 'W/"1"'), DATE)], ids=["date", "weak ETag"])
def test_without_a_strong_etag_the_date_of_the_last_change_is_held_to(
    headers: tuple[tuple[str, str], ...],
) -> None:
    class Handler(Simple):
        headers_of = headers

    with serving(Handler) as url:
        source = HttpSource(f"{url}/file", patience=QUICK)
        assert source.identity == DATE[1]
        assert source.read_at(9, 4) == DATA[9:13]
        Handler.headers_of = (LATER,)
        with pytest.raises(SourceChangedError):
            source.read_at(9, HEAD)


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
def test_what_is_left_of_a_look_is_drained_where_that_is_soon_done(slow: bool) -> None:
    """Where the answer takes half a second to begin, and where its body takes its time: then the connection is closed."""
    connections = set()

    class Handler(Simple):
        headers_of = (DATE,)

        def answer(self, status: int, body: bytes, *more: tuple[str, str]) -> None:
            connections.add(self.client_address)
            if not slow:
                time.sleep(0.5)
            super().answer(status, body, *more)

        def setup(self) -> None:
            super().setup()
            write = self.wfile.write

            def slowly(data: bytes) -> int:
                for start in range(0, len(data), 16 << 10) if slow else [0]:
                    write(data[start : start + (16 << 10)] if slow else data)
                    time.sleep(0.02 if slow else 0)
                return len(data)

            self.wfile.write = slowly  # type: ignore[method-assign]

        def handle(self) -> None:
            with suppress(ConnectionError):  # a client that leaves
                super().handle()

        def finish(self) -> None:
            with suppress(ConnectionError):
                super().finish()

    with serving(Handler) as url:
        source = HttpSource(f"{url}/file", patience=QUICK)
        assert source.held(0, len(DATA)) == DATA[:HEAD]
        if not slow:
            until(lambda: source.brought == len(DATA))
        assert source.brought == (HEAD if slow else len(DATA))
        assert source.read_at(HEAD, 10) == DATA[HEAD : HEAD + 10]
        assert len(connections) == (2 if slow else 1)


def test_a_server_that_gives_nothing_to_tell_versions_by_is_refused() -> None:
    with serving(Simple) as url, pytest.raises(SourceError, match="neither a strong ETag nor Last-Modified"):
        HttpSource(f"{url}/file", patience=QUICK)


def test_a_server_without_ranges_is_refused(tmp_path: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the base class
            pass

    (tmp_path / "a.mp4").write_bytes(DATA)
    with (
        serving(partial(Quiet, directory=str(tmp_path))) as url,
        pytest.raises(SourceError, match=r"a\.mp4: its server sends no ranges of a file; download it first"),
    ):
        HttpSource(f"{url}/a.mp4", patience=QUICK)


def test_an_empty_file_a_redirect_and_a_password() -> None:
    class Handler(Simple):
        headers_of = (DATE,)

    with serving(Handler) as url:
        moved = HttpSource(f"{url}/moved", patience=QUICK)
        assert moved.read_at(9, 4) == DATA[9:13]
        with pytest.raises(ForbiddenError, match="status 401") as caught:
            HttpSource(url.replace("//", "//me:wrong@") + "/private", patience=QUICK)
        assert "wrong" not in str(caught.value)
        private = HttpSource(url.replace("//", "//me:a%20b@") + "/private", patience=QUICK)
        assert private.read_at(0, 3) == DATA[:3]
        assert private.name == f"{url}/private"
        Handler.data = b""
        assert HttpSource(f"{url}/file", patience=QUICK).size == 0


def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is read from where the system trusts its certificate, which is looked up once, and refused where not."""

    class Handler(Simple):
        headers_of = (DATE,)

    server_side, certificate = self_signed(tmp_path)
    trust.cache_clear()
    try:
        with serving(Handler, server_side) as url:
            assert url.startswith("https://")
            with pytest.raises(SourceError, match="certificate"):
                HttpSource(f"{url}/file", patience=QUICK)
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            trust.cache_clear()
            assert HttpSource(f"{url}/file", patience=QUICK).read_at(9, 4) == DATA[9:13]
    finally:
        trust.cache_clear()
