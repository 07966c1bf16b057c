"""Local storage: reads, pinning to one version of a file, and nothing outside the folder in reach."""

import os
import socket
from pathlib import Path

import pytest

from ffbind.errors import SourceChangedError, SourceError
from ffbind.sources import FileSource
from streamer.storage import (
    BadPathError,
    ForbiddenError,
    LocalStorage,
    Look,
    NotFoundError,
    ObjectSource,
    PathIsNotVideoError,
    StorageError,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "videos").mkdir(parents=True)
    (folder / "videos" / "a.mp4").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "secret").write_bytes(b"secret")
    return folder


def test_stat_and_reads(root: Path) -> None:
    storage = LocalStorage(root)
    info = storage.stat("videos/a.mp4")
    assert (info.path, info.size) == ("videos/a.mp4", 1024)
    assert storage.read_range(info, 0, 4) == b"\x00\x01\x02\x03"
    assert storage.read_range(info, 1022, 100) == b"\xfe\xff"
    assert storage.read_range(info, 1024, 1) == b""
    assert storage.read_range(info, 2**63, 2**70) == b""
    with pytest.raises(SourceError):
        storage.read_range(info, -1, 4)


def test_an_index_made_from_the_file_fits_the_object(root: Path) -> None:
    source = FileSource(root / "videos" / "a.mp4")
    info = LocalStorage(root).stat("videos/a.mp4")
    assert (source.size, source.identity) == (info.size, info.identity)
    source.close()


def test_as_a_source(root: Path) -> None:
    storage = LocalStorage(root)
    source = ObjectSource(storage, Look(storage.stat("videos/a.mp4")))
    assert source.read_ranges([(1, 2), (255, 2)]) == [b"\x01\x02", b"\xff\x00"]


@pytest.mark.parametrize(
    "how", ["rewritten", "grown", "replaced", "removed", "turned into a folder", "linked out"]
)
def test_a_changed_file_is_told_never_mixed(root: Path, tmp_path: Path, how: str) -> None:
    file = root / "videos" / "a.mp4"
    storage = LocalStorage(root)
    info = storage.stat("videos/a.mp4")
    if how == "rewritten":
        file.write_bytes(b"x" * 1024)
        os.utime(file, ns=(0, 0))
    elif how == "grown":
        with file.open("ab") as stream:
            stream.write(b"more")
    elif how == "replaced":
        other = tmp_path / "other"
        other.write_bytes(file.read_bytes())
        os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
        other.replace(file)
    else:
        file.unlink()
        if how == "turned into a folder":
            file.mkdir()
        elif how == "linked out":
            file.symlink_to(tmp_path / "secret")
    with pytest.raises(SourceChangedError) as caught:
        storage.read_range(info, 0, 4)
    assert str(tmp_path) not in str(caught.value)


def fifo(place: Path, _: Path) -> None:
    os.mkfifo(place)


def unix_socket(place: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(place))


NAMES = [
    ("../secret", BadPathError),
    ("videos/../../secret", BadPathError),
    ("/etc/passwd", BadPathError),
    ("%2e%2e/secret", NotFoundError),
    ("missing.mp4", NotFoundError),
    ("videos/a.mp4/b", NotFoundError),
    ("videos", PathIsNotVideoError),
]


@pytest.mark.parametrize(("path", "error"), NAMES)
def test_names_that_lead_to_no_file(root: Path, path: str, error: type[StorageError]) -> None:
    for follow in (False, True):
        storage = LocalStorage(root, follow_symlinks=follow)
        with pytest.raises(error) as caught:
            storage.stat(path)
        assert str(root) not in str(caught.value)


def test_the_message_for_a_missing_video_is_that_of_the_protocol_page(root: Path) -> None:
    with pytest.raises(NotFoundError, match=r"^Video not found: videos/missing\.mp4$"):
        LocalStorage(root).stat("videos/missing.mp4")


@pytest.mark.parametrize("make", [fifo, unix_socket], ids=["fifo", "socket"])
def test_things_that_are_not_files_are_refused_at_once(root: Path, tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(root / "thing", tmp_path)
    for follow in (False, True):
        with pytest.raises(PathIsNotVideoError):
            LocalStorage(root, follow_symlinks=follow).stat("thing")


@pytest.mark.parametrize("target", ["../secret", "{tmp}/secret", "..", "/dev/zero", "out2"])
def test_links_that_leave_the_folder_are_refused(root: Path, tmp_path: Path, target: str) -> None:
    (root / "out2").symlink_to(tmp_path / "secret")
    (root / "link").symlink_to(target.replace("{tmp}", str(tmp_path)))
    with pytest.raises(ForbiddenError) as caught:
        LocalStorage(root).stat("link")
    assert str(tmp_path) not in str(caught.value)


def test_a_linked_folder_that_leaves_the_folder_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "up").symlink_to(tmp_path)
    with pytest.raises(ForbiddenError):
        LocalStorage(root).stat("up/secret")
    assert LocalStorage(root, follow_symlinks=True).stat("up/secret").size == 6


def test_a_folder_with_the_same_beginning_is_outside(root: Path, tmp_path: Path) -> None:
    beside = tmp_path / "root-beside"
    beside.mkdir()
    (beside / "a.mp4").write_bytes(b"x")
    (root / "link").symlink_to(beside / "a.mp4")
    with pytest.raises(ForbiddenError):
        LocalStorage(root).stat("link")


def test_links_inside_the_folder_are_followed(root: Path) -> None:
    (root / "link.mp4").symlink_to("videos/a.mp4")
    (root / "folder").symlink_to(root / "videos")
    storage = LocalStorage(root)
    assert storage.stat("link.mp4").size == 1024
    info = storage.stat("folder/a.mp4")
    assert storage.read_range(info, 3, 1) == b"\x03"


def test_a_root_that_is_a_link_itself_is_fine(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    assert LocalStorage(tmp_path / "alias").stat("videos/a.mp4").size == 1024


def test_circles_and_dangling_links_are_not_found(root: Path) -> None:
    (root / "circle").symlink_to("circle")
    (root / "dangling").symlink_to("nothing")
    for follow in (False, True):
        for name in ("circle", "dangling"):
            with pytest.raises(NotFoundError):
                LocalStorage(root, follow_symlinks=follow).stat(name)


def test_no_descriptor_is_left_open(root: Path) -> None:
    storage = LocalStorage(root)
    (root / "up").symlink_to("..")
    before = len(os.listdir("/proc/self/fd"))
    info = storage.stat("videos/a.mp4")
    for path in ("videos/a.mp4", "videos", "missing", "up/secret", "../secret"):
        storage.read_range(info, 0, 10)
        if path != "videos/a.mp4":
            with pytest.raises(StorageError):
                storage.stat(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_list_in_pages_in_the_order_of_paths(root: Path, tmp_path: Path) -> None:
    for name in ("b.mp4", "videos.mp4", "videos-x/c.mp4", "videos/z/d.mp4", "bad\nname"):
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).write_bytes(b"x")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "in").symlink_to("b.mp4")
    os.mkfifo(root / "fifo")
    storage = LocalStorage(root)
    whole = [item.path for item in storage.list("").objects]
    assert whole == ["b.mp4", "in", "videos-x/c.mp4", "videos.mp4", "videos/a.mp4", "videos/z/d.mp4"]
    assert [item.path for item in storage.list("videos/").objects] == ["videos/a.mp4", "videos/z/d.mp4"]
    assert [item.path for item in storage.list("videos").objects] == whole[2:]
    pages: list[str] = []
    cursor: str | None = None
    while True:
        page = storage.list("", cursor=cursor, limit=2)
        pages += [item.path for item in page.objects]
        cursor = page.cursor
        if cursor is None:
            break
    assert pages == whole
    assert storage.list("../").objects == ()
