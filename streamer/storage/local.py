"""Storage back-end: a folder of the local file system."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from ffbind.errors import SourceChangedError, SourceError

from .base import (
    BadPathError,
    ForbiddenError,
    Look,
    NotFoundError,
    ObjectInfo,
    ObjectPage,
    PathIsNotVideoError,
    check_path,
    too_large,
)

__all__ = ["LocalStorage"]

# O_NONBLOCK so that a FIFO is refused instead of waiting for a writer.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_FOLDER = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY


class LocalStorage:
    """Videos in a folder. Nothing outside the folder can be reached, and nothing is ever written.

    A symbolic link inside the folder is followed as long as it leads to a place inside the folder; with
    `follow_symlinks` it may lead anywhere. A file is opened by walking from the folder down without following
    links any more (the links were resolved before), so exchanging a file for a link at the right moment gains
    nothing.

    No file stays open between reads. Each read compares size, modification time, inode and device with those
    of the `stat`, after the bytes were read.
    """

    def __init__(self, root: str | os.PathLike[str], *, follow_symlinks: bool = False) -> None:
        self._root = os.path.realpath(root)
        self._follow_symlinks = follow_symlinks

    def __str__(self) -> str:
        """Name the folder, for people."""
        return self._root

    def stat(self, path: str) -> ObjectInfo:
        """Look a file up; see `Storage.stat`."""
        fd = self._open(path)
        try:
            return ObjectInfo(path, *_pin(os.fstat(fd)))
        finally:
            os.close(fd)

    def look(self, path: str, most: int) -> Look:
        """Look a file up, without its first bytes: they are at hand. See `stat`."""
        return Look(self.stat(path))

    def read_range(self, info: ObjectInfo, offset: int, length: int) -> bytes:
        """Read a range of a file; see `Storage.read_range`."""
        if offset < 0 or length < 0:
            raise SourceError(f"cannot read {length} bytes at {offset}: both must be 0 or more")
        try:
            fd = self._open(info.path)
        except (NotFoundError, ForbiddenError, PathIsNotVideoError) as error:
            raise SourceChangedError(
                f"{info.path} was removed or replaced while it was in use; set it again"
            ) from error
        try:
            parts = []
            # A signed 64-bit file offset is the most that pread takes; nothing is stored beyond it.
            wanted = max(0, min(length, info.size - offset))
            while wanted > 0:
                part = os.pread(fd, wanted, offset)
                if not part:
                    break
                parts.append(part)
                offset += len(part)
                wanted -= len(part)
            now = _pin(os.fstat(fd))
        except OSError as error:
            raise SourceError(error.errno, f"Reading failed: {error.strerror}", info.path) from error
        finally:
            os.close(fd)
        if now != (info.size, info.identity):
            raise SourceChangedError(f"{info.path} was changed while it was in use; set it again")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_whole(self, path: str, most: int) -> bytes:
        """Read a small file; see `Storage.read_whole`."""
        info = self.stat(path)
        if info.size > most:
            raise too_large(path, most)
        return self.read_range(info, 0, info.size)

    def place(self, path: str) -> str:
        """Name a file by its folder and its path; see `Storage.place`."""
        return f"file://{self._root}/{check_path(path)}"

    def list(self, prefix: str, *, cursor: str | None = None, limit: int = 1000) -> ObjectPage:
        """List files by path; see `Storage.list`. Links to folders are not followed."""
        found: list[ObjectInfo] = []
        for path in self._walk("", prefix, cursor or ""):
            if len(found) == limit:
                return ObjectPage(tuple(found), cursor=found[-1].path if found else cursor)
            # What vanishes, leaves the root or has a name that no client can write is left out.
            with suppress(BadPathError, ForbiddenError, NotFoundError, PathIsNotVideoError):
                found.append(self.stat(path))
        return ObjectPage(tuple(found), cursor=None)

    def _walk(self, folder: str, prefix: str, after: str) -> Iterator[str]:
        """Yield the paths of files below `folder` that begin with `prefix` and sort after `after`."""
        try:
            with os.scandir(os.path.join(self._root, folder)) as entries:
                # A folder sorts as if its slash belonged to its name, so that whole paths come in order.
                names = sorted(
                    (entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "") for entry in entries),
                    key=os.fsencode,
                )
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        for name in names:
            path = folder + name
            if not (path.startswith(prefix) or (name.endswith("/") and prefix.startswith(path))):
                continue
            if name.endswith("/"):
                if os.fsencode(path) > os.fsencode(after) or after.startswith(path):
                    yield from self._walk(path, prefix, after)
            elif os.fsencode(path) > os.fsencode(after):
                yield path

    def _open(self, path: str) -> int:
        """Open a file below the root for reading and return its descriptor."""
        check_path(path)
        try:
            fd = self._open_anywhere(path) if self._follow_symlinks else self._open_inside(path)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(f"Video not found: {path}") from None
        except PermissionError:
            raise ForbiddenError(f"The server may not read {path}; its permissions forbid it") from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise NotFoundError(f"Video not found: {path}") from None
            if error.errno == errno.ENAMETOOLONG:
                raise BadPathError(f"The path {path} is too long for the file system") from None
            if error.errno in (errno.ENXIO, errno.ENODEV):
                raise PathIsNotVideoError(f"{path} is not a regular file") from None
            raise SourceError(error.errno, f"Opening failed: {error.strerror}", path) from error
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            os.close(fd)
            what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise PathIsNotVideoError(f"{path} is {what}; name a video file")
        return fd

    def _open_anywhere(self, path: str) -> int:
        return os.open(os.path.join(self._root, path), _READ)

    def _open_inside(self, path: str) -> int:
        real = os.path.realpath(os.path.join(self._root, path), strict=True)
        relative = os.path.relpath(real, self._root)
        if relative == os.curdir:
            raise PathIsNotVideoError(f"{path} is a folder; name a video file")
        names = relative.split(os.sep)
        if names[0] == os.pardir:
            raise ForbiddenError(f"{path} is a link that leads out of the served folder")
        folder = os.open(self._root, _FOLDER)
        try:
            for name in names[:-1]:
                inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = inner
            return os.open(names[-1], _READ | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            os.close(folder)


def _pin(status: os.stat_result) -> tuple[int, str]:
    """Size and identity, in the form of ffbind's FileSource, so that an index made there fits here."""
    return status.st_size, f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_dev:x}"
