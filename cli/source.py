"""The videos that commands take: a path, s3://BUCKET/KEY or http(s)://..., as text first and as a source for ffbind when opened."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, TypeAlias
from urllib.parse import unquote, urlsplit

import typer

from ffbind.sources import Source, SourceLike
from streamer.storage import LookedUpSource, is_bucket_url, is_url, source
from streamer.storage.connections import requests_sent

if TYPE_CHECKING:
    from ffbind.index import VideoIndex
    from ffbind.video import Video

__all__ = ["VIDEO_HELP", "CountedSource", "VideoArgument", "file_name", "index_of", "to_open"]

VIDEO_HELP = "An HEVC video (MP4, MOV, Matroska, MPEG-TS, raw): a path, s3://BUCKET/KEY, http(s)://..."

Bytes: TypeAlias = bytes | bytearray | memoryview
VideoArgument: TypeAlias = Annotated[str, typer.Argument(help=VIDEO_HELP, metavar="VIDEO")]


def to_open(video: str) -> SourceLike:
    """Give what `ffbind.open` takes for the text of an argument; a URL is looked up now.

    Raises what `streamer.storage.source` raises. A path stays one, so that messages and pickles are those of a file.
    """
    return source(video) if is_url(video) else video


class CountedSource:
    """What a URL names, with what it cost so far: `requests`, each try and the one that looked it up."""

    def __init__(self, url: str) -> None:
        before = requests_sent()
        self._source: Source = source(url)
        self._lock = threading.Lock()
        self.requests = requests_sent() - before
        self._bytes = 0  # that came after the look

    @property
    def size(self) -> int:
        return self._source.size

    @property
    def identity(self) -> str:
        return self._source.identity

    @property
    def bytes(self) -> int:
        """Bytes that the requests have brought so far."""
        looked = self._source.brought if isinstance(self._source, LookedUpSource) else 0
        return looked + self._bytes

    def read_at(self, offset: int, length: int) -> Bytes:
        """Read a range; see `ffbind.sources.Source.read_at`."""
        before = requests_sent()  # of this thread
        data = self._source.read_at(offset, length)
        requests = requests_sent() - before
        with self._lock:
            self.requests += requests
            self._bytes += len(data) if requests else 0
        return data

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[Bytes]:
        """Read several ranges, one after the other."""
        return [self.read_at(offset, length) for offset, length in ranges]


def index_of(video: Video, *, scan: bool) -> VideoIndex:
    """Give the index of an open video, scanned where that is wanted or needed.

    Without composition times in the file, only the stream itself says in which order frames are shown.
    """
    return video.scan() if scan or not video.index.has_composition_times else video.index


def file_name(video: str) -> str:
    """Name a video by the last part of its path or URL, without a URL's query."""
    if not is_url(video):
        return Path(video).name
    if is_bucket_url(video):
        return PurePosixPath(video).name
    return PurePosixPath(unquote(urlsplit(video).path)).name or "video"
