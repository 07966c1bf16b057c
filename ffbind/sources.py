"""Where bytes come from: the `Source` protocol and the sources for paths, buffers and file objects.

A source reads ranges; it knows nothing of video. Anything with the four members of `Source` can be given to
`ffbind.open()`: a bucket, an archive member, a cache. `read_at` may be called from several threads at once.
"""

from __future__ import annotations

import io
import os
import stat
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import BinaryIO, Protocol, TypeAlias, cast, runtime_checkable

from .errors import ClosedError, NotVideoError, SourceChangedError, SourceError

__all__ = [
    "BytesSource",
    "FileObjectSource",
    "FileSource",
    "Source",
    "SourceLike",
    "as_exactly",
    "as_source",
    "as_view",
    "is_near",
    "read_exactly",
]


@runtime_checkable
class Source(Protocol):
    """Random access to the bytes of one immutable object."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    @property
    def identity(self) -> str:
        """What changes when the bytes change: an ETag, or modification time and inode. May be empty if unknown."""

    def read_at(self, offset: int, length: int) -> bytes | bytearray | memoryview:
        """Return up to `length` bytes from `offset`; fewer only at the end of the object.

        Raises SourceError (or an OSError of its own) when the bytes cannot be read, SourceChangedError when the object
        is no longer the one that was opened.
        """

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | bytearray | memoryview]:
        """Read several `(offset, length)` ranges, in the order given; a store may fetch them in parallel."""


SourceLike: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Source"


class _Ranges(ABC):
    """`read_ranges` for sources where one read after the other is the best there is."""

    @abstractmethod
    def read_at(self, offset: int, length: int) -> bytes | bytearray | memoryview: ...

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | bytearray | memoryview]:
        return [self.read_at(offset, length) for offset, length in ranges]


class BytesSource(_Ranges):
    """Bytes already in memory; ranges are views, not copies."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._view = memoryview(data).toreadonly().cast("B")

    @property
    def size(self) -> int:
        return len(self._view)

    @property
    def identity(self) -> str:
        return ""

    def read_at(self, offset: int, length: int) -> memoryview:
        if offset < 0 or length < 0:
            raise SourceError(f"cannot read {length} bytes at {offset}: both must be 0 or more")
        return self._view[offset : offset + length]


class FileSource(_Ranges):
    """A regular file, read with pread: no shared position, so threads do not wait for each other.

    The file stays open; it is pinned by size, modification time and inode, which are checked again on every read, so a
    file rewritten in place gives SourceChangedError instead of a mix. (A file replaced by rename goes on being the old
    one, since the descriptor keeps it.)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        try:
            # O_NONBLOCK so that a FIFO is refused below instead of waiting for a writer.
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError as error:
            raise SourceError(error.errno, "No such file; check the path", self.path) from error
        except PermissionError as error:
            raise SourceError(error.errno, "Permission denied; make the file readable", self.path) from error
        except OSError as error:
            raise SourceError(error.errno, error.strerror, self.path) from error
        try:
            status = os.fstat(fd)
            if stat.S_ISDIR(status.st_mode):
                raise NotVideoError(f"{self.path}: a folder, not a video file; name a file inside it")
            if not stat.S_ISREG(status.st_mode):
                raise NotVideoError(
                    f"{self.path}: not a regular file; copy it to one first (random access is needed)"
                )
        except BaseException:
            os.close(fd)
            raise
        self._fd: int | None = fd
        self._pin = self._fingerprint(status)

    @staticmethod
    def _fingerprint(status: os.stat_result) -> tuple[int, int, int, int]:
        return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev

    @property
    def size(self) -> int:
        return self._pin[0]

    @property
    def identity(self) -> str:
        _, mtime_ns, inode, device = self._pin
        return f"{mtime_ns:x}-{inode:x}-{device:x}"

    def read_at(self, offset: int, length: int) -> bytes:
        fd = self._fd
        if fd is None:
            raise ClosedError(f"{self.path}: this source was closed; open it again")
        try:
            parts = []
            while length > 0:
                part = os.pread(fd, length, offset)
                if not part:
                    break
                parts.append(part)
                offset += len(part)
                length -= len(part)
            changed = self._fingerprint(os.fstat(fd)) != self._pin
        except OSError as error:
            raise SourceError(error.errno, error.strerror, self.path) from error
        if changed:
            raise SourceChangedError(f"{self.path}: the file was changed while it was open; open it again")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Close the descriptor; closing twice is fine."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __del__(self) -> None:
        if getattr(self, "_fd", None) is not None:
            self.close()


class FileObjectSource(_Ranges):
    """A seekable binary file object; reads take a lock, since the object has one position. It is never closed here."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        try:
            if not file.seekable():
                raise NotVideoError("the file object cannot seek; read it into bytes first")
            self._size = file.seek(0, io.SEEK_END)
        except (OSError, ValueError) as error:
            raise SourceError(f"the file object cannot be read: {error}") from error

    @property
    def size(self) -> int:
        return self._size

    @property
    def identity(self) -> str:
        return ""

    def read_at(self, offset: int, length: int) -> bytes:
        parts = []
        with self._lock:
            if getattr(self._file, "closed", False):
                raise SourceError("the file object was closed while it was in use; keep it open")
            self._file.seek(offset)
            while length > 0:
                part = self._file.read(length)
                if not part:
                    break
                if not isinstance(part, (bytes, bytearray, memoryview)):
                    raise SourceError(
                        f"the file object returned {type(part).__name__}, not bytes; open it in mode 'rb'"
                    )
                if len(part) > length:
                    raise SourceError(f"the file object returned {len(part)} bytes where {length} were asked")
                parts.append(bytes(part))
                length -= len(part)
        return b"".join(parts)


def as_source(source: SourceLike) -> Source:
    """Turn what a caller may pass to `ffbind.open` into a `Source`.

    A `str` or path opens a local file; a bytes-like object is used in place; an object with `read_at` is taken as it is; a
    binary file object is read through its own `read` and `seek`.
    """
    if isinstance(source, (str, os.PathLike)):
        return FileSource(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return BytesSource(source)
    if isinstance(source, Source):
        return source
    if hasattr(source, "read") and hasattr(source, "seek"):
        return FileObjectSource(source)
    try:
        return BytesSource(memoryview(cast("bytes", source)))
    except TypeError:
        raise TypeError(
            f"cannot read a video from {type(source).__name__}: pass a path, bytes, a binary file object, or an object "
            "with size, identity, read_at and read_ranges"
        ) from None


def as_view(data: object, offset: int) -> memoryview:
    """View what `read_at(offset, ...)` returned as bytes; SourceError where it is no such thing."""
    try:
        return memoryview(cast("bytes", data)).cast("B")
    except TypeError:
        raise SourceError(f"read_at returned {type(data).__name__}, not bytes, at offset {offset}") from None


def is_near(source: Source) -> bool:
    """Tell whether a read is cheap, as those of paths, bytes and file objects are: anything else may be a store."""
    return isinstance(source, (BytesSource, FileSource, FileObjectSource))


def read_exactly(source: Source, offset: int, length: int) -> memoryview:
    """Read `length` bytes at `offset`; a shorter answer is an error, a longer one too."""
    return as_exactly(source.read_at(offset, length), offset, length)


def as_exactly(data: object, offset: int, length: int) -> memoryview:
    """View what a read returned as `length` bytes; SourceError where it is no such thing, or shorter or longer."""
    view = as_view(data, offset)
    if len(view) != length:
        raise SourceError(
            f"asked for {length} bytes at offset {offset}, got {len(view)}: the file was cut short while it was open, "
            "or its source is faulty"
        )
    return view
