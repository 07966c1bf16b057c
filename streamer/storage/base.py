"""The interface of a storage back-end, the rules for paths, and a stored object as ffbind's `Source`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

from ffbind.errors import SourceError
from ffbind.fetching import Cost
from streamer.messages import Code

from .ranged import Rest

__all__ = [
    "HEAD_BYTES",
    "BadPathError",
    "ForbiddenError",
    "Look",
    "LookedUpSource",
    "NotFoundError",
    "ObjectInfo",
    "ObjectPage",
    "ObjectSource",
    "PathIsNotVideoError",
    "ReadForbiddenError",
    "Storage",
    "StorageError",
    "check_path",
    "too_large",
]

MAX_PATH_BYTES = 1024  # S3's limit for a key; local file systems stop at 4096 for a path and 255 for a name
MAX_NAME_BYTES = 255

HEAD_BYTES = 3 << 19
"""What is asked for of an object when it is looked up by name: the table of an hour, and a key frame behind it.

It is read only as far as the first bytes say that it is of use: see `ffbind.isobmff.bytes_of_use`.
"""


class StorageError(Exception):
    """A path that leads to no video that may be served; the text names the path as the client wrote it."""

    code: ClassVar[Code] = Code.INTERNAL


class BadPathError(StorageError):
    """The path breaks the rules of `check_path`."""

    code = Code.BAD_PATH


class ForbiddenError(StorageError):
    """The path leads out of the root, or the server may not read it."""

    code = Code.FORBIDDEN


class ReadForbiddenError(SourceError):
    """The store does not let the object be read any more, though it was found: keys that expired or were taken back.

    Unlike other SourceErrors it stays, until somebody puts it right.
    """

    code = Code.FORBIDDEN


class NotFoundError(StorageError):
    """Nothing is stored under this path."""

    code = Code.NOT_FOUND


class PathIsNotVideoError(StorageError):
    """The path is a folder, a FIFO or another thing without bytes to read at an offset."""

    code = Code.NOT_VIDEO


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object as it was when it was looked at."""

    path: str
    size: int
    identity: str
    """Changes when the bytes change: an ETag, or modification time, inode and device."""


class Look(NamedTuple):
    """An object that was looked up; its first bytes and what comes behind them (see `Head`), where that was done by reading it."""

    info: ObjectInfo
    head: bytes = b""
    rest: Rest | None = None


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """A part of a listing, ordered by path."""

    objects: tuple[ObjectInfo, ...]
    cursor: str | None
    """Give it to `list` for what follows; None at the end."""


class Storage(Protocol):
    """What a back-end does. All methods block, so the server calls them in threads, several at once."""

    def stat(self, path: str) -> ObjectInfo:
        """Look an object up. Raises StorageError, or ffbind's SourceError when the store does not answer."""

    def look(self, path: str, most: int) -> Look:
        """Look an object up, with those of its first bytes that opening it takes, at most `most`, where they come with that.

        Raises what `stat` raises.
        """

    def read_range(self, info: ObjectInfo, offset: int, length: int) -> bytes:
        """Read `length` bytes at `offset`; fewer only at the end of the object.

        Raises ffbind's SourceChangedError when the object is no longer the one of `info`, ReadForbiddenError when the
        store refuses, SourceError when it cannot be read: bytes of two versions are never mixed.
        """

    def read_whole(self, path: str, most: int) -> bytes:
        """Read an object of at most `most` bytes, with one request and without `stat`; the bytes are those of one version.

        Raises StorageError, and ffbind's SourceError when it is larger or cannot be read.
        """

    def place(self, path: str) -> str:
        """Name an object so that no other one, wherever it is, has the same name. Nothing is looked up."""

    def list(self, prefix: str, *, cursor: str | None = None, limit: int = 1000) -> ObjectPage:
        """List objects whose path begins with `prefix`, in the order of their paths as UTF-8 bytes."""


def too_large(path: str, most: int) -> SourceError:
    """The error of `Storage.read_whole` for an object that it does not read."""
    return SourceError(f"{path} has more than {most} bytes; it is not what was looked for")


class LookedUpSource(ABC):
    """A `Source` of ffbind for what was looked up by reading its first bytes: reads within them cost no request."""

    _head = b""
    """What came with the look and is of use; set by who looks, and so is what came besides."""

    _rest: Rest | None = None

    @property
    @abstractmethod
    def size(self) -> int: ...
    @property
    @abstractmethod
    def identity(self) -> str: ...

    @property
    def brought(self) -> int:
        """How many bytes have come with the look so far."""
        return len(self._head) + (self._rest.bytes if self._rest else 0)

    def held(self, offset: int, most: int) -> bytes:
        """Give what came with the look from a place on, at most `most` bytes."""
        return self._head[offset : offset + most]

    def read_at(self, offset: int, length: int) -> bytes:
        """Read a range; see `ffbind.sources.Source.read_at`. ReadForbiddenError where the store refuses now."""
        return self.read_counted(offset, length)[0]

    def read_counted(self, offset: int, length: int) -> tuple[bytes, Cost]:
        """Read a range, and say what that took; see `ffbind.fetching.CountingSource`."""
        held = self.held(offset, length) if min(offset, length) >= 0 else b""
        if held and (len(held) == length or offset + len(held) == self.size):
            return held, Cost(0, 0)
        data = self._read(offset + len(held), length - len(held))
        return held + data, Cost(1 if data else 0, len(data))

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | bytearray | memoryview]:
        """Read several ranges, one after the other."""
        return [self.read_at(offset, length) for offset, length in ranges]

    @abstractmethod
    def _read(self, offset: int, length: int) -> bytes:
        """Ask the store for a range of just the version that was looked up."""


class ObjectSource(LookedUpSource):
    """One stored object, pinned to the identity it had when it was looked up."""

    def __init__(self, storage: Storage, looked: Look) -> None:
        self._storage = storage
        self._info, self._head, self._rest = looked

    @property
    def size(self) -> int:
        return self._info.size

    @property
    def identity(self) -> str:
        return self._info.identity

    def _read(self, offset: int, length: int) -> bytes:
        return self._storage.read_range(self._info, offset, length)


def check_path(path: str) -> str:
    """Check a path from the wire: relative, POSIX, inside the root whatever the root is. Returns it
    unchanged.

    Names are taken literally: `%2e` is three characters, `~` and `*` mean nothing. Refused are absolute
    paths, `.` and `..`, empty names (`a//b`, `a/`), backslashes (a separator elsewhere), control characters,
    and what is too long. Raises BadPathError.
    """
    shown = ascii(path if len(path) <= 80 else path[:77] + "...")
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        raise BadPathError(
            f"The path {shown} is not valid Unicode; use a relative path such as videos/a.mp4"
        ) from None
    if not raw:
        raise BadPathError("The path is empty; use a relative path such as videos/a.mp4")
    if len(raw) > MAX_PATH_BYTES:
        raise BadPathError(f"The path {shown} has {len(raw)} bytes; the limit is {MAX_PATH_BYTES}")
    if path.startswith("/"):
        raise BadPathError(
            f"The path {shown} is absolute; leave the leading slash out, paths start at the server's root"
        )
    if "\\" in path or any(ord(character) < 32 or ord(character) == 127 for character in path):
        raise BadPathError(
            f"The path {shown} has a backslash or a control character; separate names by / alone"
        )
    for name in path.split("/"):
        if name in ("", ".", ".."):
            raise BadPathError(
                f"The path {shown} has an empty, . or .. part; write the path out from the server's root"
            )
        if len(name.encode()) > MAX_NAME_BYTES:
            raise BadPathError(f"The path {shown} has a name of more than {MAX_NAME_BYTES} bytes")
    return path
