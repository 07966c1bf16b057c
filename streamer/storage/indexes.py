"""Saved indexes of videos: an object beside a video, or a file in a folder of this machine, named after the video's place.

An index is a hint. It is used for the version of the video that it was made from, and whoever reads by it asks for that version.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from ffbind.errors import FFbindError
from ffbind.framing import LENGTH_PREFIXED
from ffbind.index import VideoIndex

from .base import Storage, StorageError

__all__ = [
    "INDEX_SUFFIX",
    "IndexFolder",
    "IndexPlace",
    "SavedIndexes",
    "beside",
    "default_folder",
    "load_if_there",
]

_log = logging.getLogger(__name__)

INDEX_SUFFIX = ".ffindex"
"""What an index is called beside its video: `drive.mp4.ffindex` for `drive.mp4`."""

MAX_BYTES = 64 << 20
"""An object that is larger is no index, or one of a video beyond the limits: the table of 5 000 000 samples takes some 15 MB."""


def default_folder(variables: Mapping[str, str] | None = None) -> Path:
    """Give the folder for indexes that have no other place: below XDG_CACHE_HOME, else `~/.cache`; with `~` where no home is known.

    >>> default_folder({"XDG_CACHE_HOME": "/var/cache/lab"})
    PosixPath('/var/cache/lab/bucket-streamer/index')
    """
    base = (os.environ if variables is None else variables).get("XDG_CACHE_HOME", "")
    # The XDG Base Directory Specification: a path that is not absolute is not used.
    cache = Path(base) if Path(base).is_absolute() else Path(os.path.expanduser("~"), ".cache")
    return cache / "bucket-streamer" / "index"


def load_if_there(path: Path) -> VideoIndex | None:
    """Load a saved index, None where there is no such file. CorruptError, LimitError, SourceError."""
    return VideoIndex.load(path) if path.exists() else None


class IndexFolder:
    """A folder of indexes, each under a name made from the place of its video (`Storage.place`)."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def path(self, place: str) -> Path:
        """Give the file for the video at a place; it need not be there."""
        return self.folder / (hashlib.sha256(os.fsencode(place)).hexdigest()[:40] + INDEX_SUFFIX)

    def load(self, place: str) -> VideoIndex | None:
        """Load the index of the video at a place, None where there is none. CorruptError, LimitError, SourceError."""
        return load_if_there(self.path(place))

    def save(self, place: str, index: VideoIndex) -> Path:
        """Put an index into the folder, which is made where it is missing; give its file. Raises SourceError, OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.path(place)
        index.save(path)
        return path


def beside(storage: Storage, path: str) -> VideoIndex | None:
    """Load the index beside a video with one request, None where there is none that may be read.

    Raises CorruptError, LimitError, SourceError.
    """
    try:
        return VideoIndex.from_bytes(storage.read_whole(path + INDEX_SUFFIX, MAX_BYTES))
    except StorageError:
        # A store that does not let its bucket be listed says of what is not there that it may not be read.
        return None


class IndexPlace(StrEnum):
    """Where a server looks for an index, in this order."""

    FOLDER = "folder"
    BESIDE = "beside"


class SavedIndexes:
    """Where a server looks for the index of a video, and what came of it. Its methods block.

    `folder`: looked into first; with `writes`, `keep` puts the index of a video that had none there. `beside_videos`: whether an
    object beside the video is looked for. `used`, `refused`: indexes that videos were opened with, and those that were damaged or of
    another version.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        folder: IndexFolder | None = None,
        writes: bool = False,
        beside_videos: bool = False,
    ) -> None:
        self._storage = storage
        self._folder = folder
        self.writes = writes and folder is not None
        self.places = tuple(
            place
            for place, wanted in (
                (IndexPlace.FOLDER, folder is not None),
                (IndexPlace.BESIDE, beside_videos),
            )
            if wanted
        )
        self._lock = threading.Lock()
        self.used = 0
        self.refused = 0

    def load(self, place: IndexPlace, path: str) -> VideoIndex | None:
        """Load the index of a video; None where there is none, or it cannot be used, which is logged and no error.

        Raises BadPathError for a path that is none.
        """
        name = self._storage.place(path)
        try:
            if place is IndexPlace.BESIDE:
                index = beside(self._storage, path)
            else:
                index = None if self._folder is None else self._folder.load(name)
            if index is not None and index.framing != LENGTH_PREFIXED:
                raise ValueError("it is that of a stream, and only MP4 and MOV are served")
        except (FFbindError, OSError, ValueError) as error:
            self.refuse(place, path, error)
            return None
        return index

    def refuse(self, place: IndexPlace, path: str, why: Exception) -> None:
        """Count an index that is not used, and say why."""
        with self._lock:
            self.refused += 1
        where = "in the folder" if place is IndexPlace.FOLDER else "beside it"
        _log.info("%s: the index %s is not used: %s", path, where, why)

    def keep(self, path: str, index: VideoIndex) -> None:
        """Put an index into the folder, where that is wanted; a failure is logged and no error."""
        if self._folder is None or not self.writes:
            return
        try:
            self._folder.save(self._storage.place(path), index)
        except OSError as error:
            _log.warning("%s: its index could not be kept: %s", path, error)
