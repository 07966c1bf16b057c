"""Sources: bytes, files and file objects, at their edges and when they change, close or misbehave."""

from __future__ import annotations

import io
import os
import random
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from ffbind.errors import ClosedError, NotVideoError, SourceChangedError, SourceError
from ffbind.sources import (
    BytesSource,
    FileObjectSource,
    FileSource,
    Source,
    as_source,
    as_view,
    read_exactly,
)

DATA = random.Random(0).randbytes(100_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "data.bin"
    made.write_bytes(DATA)
    return made


@pytest.mark.parametrize(
    "kind", ["bytes", "bytearray", "memoryview", "numpy", "str", "path", "file", "unbuffered"]
)
def test_all_kinds_read_the_same(kind: str, path: Path) -> None:
    """Ranges inside, across the end, at and behind it, empty ones."""
    given: dict[str, object] = {
        "bytes": DATA,
        "bytearray": bytearray(DATA),
        "memoryview": memoryview(DATA),
        "numpy": np.frombuffer(DATA, "<u4"),
        "str": str(path),
        "path": path,
    }
    file: BinaryIO | None = None
    if kind in ("file", "unbuffered"):
        file = path.open("rb") if kind == "file" else path.open("rb", buffering=0)
        given[kind] = file
    source = as_source(given[kind])  # type: ignore[arg-type]
    assert isinstance(source, Source)
    assert source.size == len(DATA)
    ranges = [(0, 100_000), (0, 0), (5, 1), (99_990, 100), (100_000, 5), (200_000, 5), (65_536, 3)]
    for offset, length in ranges:
        assert bytes(source.read_at(offset, length)) == DATA[offset : offset + length]
    assert [bytes(part) for part in source.read_ranges(ranges)] == [DATA[o : o + n] for o, n in ranges]
    if file is not None:
        file.close()


def test_an_object_with_the_four_members_is_taken_as_it_is() -> None:
    class Own:
        size = 3
        identity = "etag"

        def read_at(self, offset: int, length: int) -> bytes:
            return b"abc"[offset : offset + length]

        def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | bytearray | memoryview]:
            return [self.read_at(*item) for item in ranges]

    own = Own()
    assert as_source(own) is own


@pytest.mark.parametrize("thing", [5, None, object(), ["a"], 1.5])
def test_what_no_video_can_be_read_from(thing: object) -> None:
    with pytest.raises(TypeError, match=r"cannot read a video from .*: pass a path, bytes"):
        as_source(thing)  # type: ignore[arg-type]


def test_ranges_of_bytes_are_views() -> None:
    data = bytearray(b"0123456789")
    source = BytesSource(data)
    view = source.read_at(2, 3)
    data[3] = ord("x")
    assert bytes(view) == b"2x4"
    assert view.readonly
    for offset, length in ((-1, 5), (5, -1)):
        with pytest.raises(SourceError, match="both must be 0 or more"):
            source.read_at(offset, length)


# Files


def test_a_file_rewritten_in_place_is_refused(path: Path) -> None:
    source = FileSource(path)
    identity = source.identity
    read_exactly(source, 0, 10)
    with path.open("r+b") as file:
        file.write(b"new")
    os.utime(path, ns=(1, 1))
    with pytest.raises(SourceChangedError, match="changed while it was open; open it again"):
        source.read_at(0, 10)
    other = FileSource(path)
    assert other.identity != identity
    assert other.read_at(0, 3) == b"new"


def test_a_file_cut_or_grown_is_refused(path: Path) -> None:
    for size in (10, 200_000):
        path.write_bytes(DATA)
        source = FileSource(path)
        os.truncate(path, size)
        with pytest.raises(SourceChangedError):
            source.read_at(0, 20)


def test_a_file_replaced_by_rename_stays_the_old_one(path: Path) -> None:
    source = FileSource(path)
    other = path.with_name("other")
    other.write_bytes(b"other")
    other.replace(path)
    assert source.read_at(0, 100_000) == DATA


def test_a_file_deleted_stays_readable(path: Path) -> None:
    source = FileSource(path)
    path.unlink()
    assert source.read_at(50_000, 10) == DATA[50_000:50_010]


def test_close_gives_the_descriptor_back(path: Path) -> None:
    """By close, twice, and by the last reference; use after it is an error that says so."""
    count = len(os.listdir("/dev/fd"))
    source = FileSource(path)
    assert len(os.listdir("/dev/fd")) == count + 1
    source.close()
    source.close()
    with pytest.raises(ClosedError, match=r"data\.bin: this source was closed; open it again"):
        source.read_at(0, 1)
    assert len(os.listdir("/dev/fd")) == count
    source = FileSource(path)
    del source
    assert len(os.listdir("/dev/fd")) == count


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    """A folder, a FIFO that nobody writes to (without waiting for one), a device, nothing: errors that name the path."""
    count = len(os.listdir("/dev/fd"))
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for thing, message in (
        (tmp_path, "a folder"),
        (fifo, "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
    ):
        with pytest.raises(NotVideoError, match=f"{thing}: {message}"):
            FileSource(thing)
    missing = tmp_path / "missing.mp4"
    with pytest.raises(SourceError, match="No such file; check the path") as caught:
        FileSource(missing)
    assert caught.value.filename == str(missing)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert len(os.listdir("/dev/fd")) == count


def test_a_file_that_may_not_be_read(path: Path) -> None:
    path.chmod(0)
    with ordinary_user(), pytest.raises(SourceError, match="Permission denied; make the file readable"):
        FileSource(path)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may read everything, so it is somebody else for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_wrong_offset_is_a_source_error(path: Path) -> None:
    with pytest.raises(SourceError, match="Invalid argument"):
        FileSource(path).read_at(-5, 5)


# File objects


def test_a_file_object_is_shared_by_threads(path: Path) -> None:
    """It has one position: reads of many threads do not mix."""
    failures: list[tuple[int, int]] = []
    with path.open("rb") as file:
        source = FileObjectSource(file)

        def work(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(300):
                offset, length = chance.randrange(len(DATA)), chance.randrange(3000)
                if source.read_at(offset, length) != DATA[offset : offset + length]:
                    failures.append((offset, length))

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert not file.closed


def test_a_file_object_closed_under_the_source(path: Path) -> None:
    file = path.open("rb")
    source = FileObjectSource(file)
    file.close()
    with pytest.raises(SourceError, match="closed while it was in use"):
        source.read_at(0, 1)
    with pytest.raises(SourceError, match="cannot be read"):
        FileObjectSource(file)


def test_a_file_object_without_seeking() -> None:
    with subprocess.Popen(["true"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with pytest.raises(NotVideoError, match="cannot seek; read it into bytes first"):
            as_source(process.stdout)  # type: ignore[arg-type]


def test_a_file_object_in_text_mode(path: Path) -> None:
    with (
        path.open("r", encoding="latin-1") as file,
        pytest.raises(SourceError, match="returned str, not bytes; open it"),
    ):
        FileObjectSource(file).read_at(0, 5)  # type: ignore[arg-type]


def test_a_file_object_that_gives_less_and_more() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 7))

    assert FileObjectSource(Slow(DATA)).read_at(100, 1000) == DATA[100:1100]

    class Generous(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read((size or 0) + 1)

    with pytest.raises(SourceError, match="returned 11 bytes where 10 were asked"):
        FileObjectSource(Generous(DATA)).read_at(0, 10)


# Exactly


class Answering(BytesSource):
    """A source that answers what the test says."""

    def __init__(self, answer: object) -> None:
        super().__init__(DATA)
        self._answer = answer

    def read_at(self, offset: int, length: int) -> memoryview:
        return self._answer  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            b"abc",
            "asked for 4 bytes at offset 9, got 3: the file was cut short while it was open, or its source is faulty",
        ),
        (b"abcde", "asked for 4 bytes at offset 9, got 5"),
        ("abcd", "returned str, not bytes, at offset 9"),
        (None, "returned NoneType, not bytes, at offset 9"),
    ],
)
def test_read_exactly(answer: object, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_exactly(Answering(answer), 9, 4)
    assert read_exactly(Answering(np.array([1, 2], "<u2")), 9, 4) == b"\1\0\2\0"
    assert as_view(bytearray(b"x"), 0) == b"x"
