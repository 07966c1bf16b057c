"""The videos that commands take: a path, s3://BUCKET/KEY or http(s)://..., as text first and as a source for ffbind when opened."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, TypeAlias
from urllib.parse import unquote, urlsplit

import typer

from ffbind.sources import SourceLike
from streamer.storage import is_bucket_url, is_url, source

if TYPE_CHECKING:
    from ffbind.index import VideoIndex
    from ffbind.video import Video

__all__ = ["VIDEO_HELP", "VideoArgument", "file_name", "index_of", "to_open"]

VIDEO_HELP = "An HEVC video (MP4, MOV, Matroska, MPEG-TS, raw): a path, s3://BUCKET/KEY, http(s)://..."

VideoArgument: TypeAlias = Annotated[str, typer.Argument(help=VIDEO_HELP, metavar="VIDEO")]


def to_open(video: str) -> SourceLike:
    """Give what `ffbind.open` takes for the text of an argument; a URL is looked up now.

    Raises what `streamer.storage.source` raises. A path stays one, so that messages and pickles are those of a file.
    """
    return source(video) if is_url(video) else video


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
