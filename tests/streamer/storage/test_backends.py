"""What every back-end does alike, on a folder, MinIO and versitygw: reads, pinning, paths, listing."""

from __future__ import annotations

import pytest
from stores import Place

from ffbind.errors import SourceChangedError, SourceError
from streamer.storage import BadPathError, Look, NotFoundError, ObjectSource, S3Storage, StorageError

DATA = bytes(range(256)) * 4


def test_stat_and_reads(place: Place) -> None:
    place.put("videos/a.mp4", DATA)
    info = place.storage.stat("videos/a.mp4")
    assert (info.path, info.size) == ("videos/a.mp4", 1024)
    assert info.identity
    assert place.storage.read_range(info, 0, 4) == b"\x00\x01\x02\x03"
    assert place.storage.read_range(info, 0, 1024) == DATA
    assert place.storage.read_range(info, 1022, 100) == b"\xfe\xff"
    assert place.storage.read_range(info, 10, 0) == b""
    assert place.storage.read_range(info, 1024, 1) == b""
    assert place.storage.read_range(info, 2**63, 2**70) == b""
    with pytest.raises(SourceError):
        place.storage.read_range(info, -1, 4)


def test_an_empty_object(place: Place) -> None:
    place.put("empty.mp4", b"")
    info = place.storage.stat("empty.mp4")
    assert info.size == 0
    assert place.storage.read_range(info, 0, 100) == b""


def test_a_small_object_is_read_whole(place: Place) -> None:
    place.put("videos/a", DATA)
    place.put("empty", b"")
    place.outside("secret", b"secret")
    storage = place.storage
    before = getattr(storage, "requests", 0)
    assert storage.read_whole("videos/a", 1024) == DATA
    assert storage.read_whole("videos/a", 1 << 30) == DATA
    if isinstance(storage, S3Storage):
        assert storage.requests - before == 2
    assert storage.read_whole("empty", 10) == b""
    with pytest.raises(SourceError, match="videos/a has more than 1023 bytes"):
        storage.read_whole("videos/a", 1023)
    for path, error in (
        ("missing", NotFoundError),
        ("../secret", BadPathError),
        ("/etc/passwd", BadPathError),
    ):
        with pytest.raises(error):
            storage.read_whole(path, 10)


def test_places_are_those_of_one_object_each(place: Place) -> None:
    names = {place.storage.place(path) for path in ("a", "b", "a/b", "a b", "%20")}
    assert len(names) == 5
    with pytest.raises(BadPathError):
        place.storage.place("../a")


def test_as_a_source(place: Place) -> None:
    place.put("a.mp4", DATA)
    source = ObjectSource(place.storage, Look(place.storage.stat("a.mp4")))
    assert source.read_ranges([(1, 2), (255, 2)]) == [b"\x01\x02", b"\xff\x00"]


@pytest.mark.parametrize("how", ["rewritten", "grown", "cut short", "removed"])
def test_a_changed_object_is_told_never_mixed(place: Place, how: str) -> None:
    place.put("a.mp4", DATA)
    info = place.storage.stat("a.mp4")
    if how == "removed":
        place.remove("a.mp4")
    else:
        place.put("a.mp4", {"rewritten": b"x" * 1024, "grown": DATA + b"more", "cut short": DATA[:8]}[how])
    for offset in (0, 1000):  # the second lies outside what is left of the one that was cut short
        with pytest.raises(SourceChangedError):
            place.storage.read_range(info, offset, 4)


NAMES = [
    ("../secret", BadPathError),
    ("a/../../secret", BadPathError),
    ("/etc/passwd", BadPathError),
    ("a\0b", BadPathError),
    ("a\\b", BadPathError),
    ("x" * 256, BadPathError),
    ("%2e%2e/secret", NotFoundError),
    ("..%2fsecret", NotFoundError),
    ("missing.mp4", NotFoundError),
    ("a/b.mp4/c", NotFoundError),
    ("a", StorageError),
]


@pytest.mark.parametrize(("path", "error"), NAMES)
def test_names_that_lead_to_no_video(place: Place, path: str, error: type[StorageError]) -> None:
    place.outside("secret", b"secret")
    place.put("a/b.mp4", DATA)
    with pytest.raises(error):
        place.storage.stat(path)


def test_names_are_taken_literally(place: Place) -> None:
    for name in ("a b/\u00e4+\u00e9 %41?#&.mp4", "...", "~"):
        place.put(name, name.encode())
        assert place.storage.read_range(place.storage.stat(name), 0, 100) == name.encode()


def test_the_message_for_a_missing_video_is_that_of_the_protocol_page(place: Place) -> None:
    with pytest.raises(NotFoundError, match=r"^Video not found: videos/missing\.mp4$"):
        place.storage.stat("videos/missing.mp4")


def test_list_in_pages_in_the_order_of_paths(place: Place) -> None:
    place.outside("other", b"x")
    names = ["b.mp4", "videos-x/c.mp4", "videos.mp4", "videos/a.mp4", "videos/z/d.mp4"]
    for name in reversed(names):
        place.put(name, b"x")
    whole = place.storage.list("").objects
    assert [item.path for item in whole] == names
    assert [place.storage.stat(item.path) for item in whole] == list(whole)
    assert [item.path for item in place.storage.list("videos/").objects] == names[3:]
    pages: list[str] = []
    cursor: str | None = None
    while True:
        page = place.storage.list("", cursor=cursor, limit=2)
        pages += [item.path for item in page.objects]
        cursor = page.cursor
        if cursor is None:
            break
    assert pages == names
    assert place.storage.list("../").objects == ()
