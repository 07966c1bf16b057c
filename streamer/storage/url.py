"""What people write to name a video: a path, `s3://bucket/key` or `http(s)://...`, turned into a `Source` of ffbind."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from ffbind.errors import ArgumentError
from ffbind.index import VideoIndex
from ffbind.sources import FileSource, Source

from .base import HEAD_BYTES, Look, ObjectInfo, ObjectSource
from .connections import Patience
from .http import HttpSource
from .indexes import INDEX_SUFFIX, IndexFolder, beside, default_folder, load_if_there
from .s3 import S3Options, S3Storage

__all__ = ["bucket_and_key", "is_bucket_url", "is_url", "place_of", "saved_index", "source"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def _scheme(text: str) -> str:
    """Give the scheme of a URL in lower case, empty for a path."""
    match = _SCHEME.match(text)
    return "" if match is None else match[1].lower()


def is_url(text: str) -> bool:
    """Tell whether this is a URL, of whatever kind, and no path."""
    return _scheme(text) != ""


def is_bucket_url(text: str) -> bool:
    """Tell whether this names an object in a bucket: `s3://...`."""
    return _scheme(text) == "s3"


def bucket_and_key(url: str) -> tuple[str, str]:
    """Take `s3://bucket/key` apart; the key is literal, `%41` is three characters. Raises ArgumentError."""
    bucket, _, key = url[len("s3://") :].partition("/")
    if not bucket or not key:
        raise ArgumentError(f"{url} does not name an object; write s3://BUCKET/KEY")
    return bucket, key


def source(
    url: str | os.PathLike[str],
    *,
    index: VideoIndex | None = None,
    variables: Mapping[str, str] | None = None,
    patience: Patience | None = None,
) -> Source:
    """Open what a path or URL names, for `ffbind.open`.

    - `s3://bucket/key`: endpoint, region and credentials as `S3Options.from_environment` finds them in `variables` (default:
      `os.environ`); anonymous where there are no credentials
    - `http://` and `https://`: a server that sends ranges; name and password may stand in the URL
    - anything else is the path of a local file

    The object is looked up by reading its first bytes, where most tables begin, and held to the version that it has then. With an
    `index`, which says what size and ETag its object had, one of `s3://` is not: it is held to that version, and the first read raises
    SourceChangedError where it is another now.

    Raises ArgumentError for a URL of another kind, S3OptionsError, StorageError where there is no such object or it may not be read,
    SourceError where it cannot be.

    >>> source("s3://videos")
    Traceback (most recent call last):
    ffbind.errors.ArgumentError: s3://videos does not name an object; write s3://BUCKET/KEY
    """
    text = os.fspath(url)
    scheme = _scheme(text)
    if not scheme:
        return FileSource(text)
    if scheme == "s3":
        bucket, key = bucket_and_key(text)
        storage = S3Storage(S3Options.from_environment(bucket, variables, patience=patience))
        if index is not None:
            return ObjectSource(storage, Look(ObjectInfo(key, index.size, index.identity)))
        return ObjectSource(storage, storage.look(key, HEAD_BYTES))
    if scheme in ("http", "https"):
        return HttpSource(text, patience=patience)
    raise ArgumentError(f"{scheme}:// is not known; give a path, s3://BUCKET/KEY, http:// or https://")


def place_of(url: str | os.PathLike[str], *, variables: Mapping[str, str] | None = None) -> str:
    """Name what a path or URL names as `Storage.place` does, so that a folder of indexes is the same for commands and the server.

    Of a web server's file it is the URL without name and password. Nothing is looked up. Raises ArgumentError, S3OptionsError,
    BadPathError.
    """
    text = os.fspath(url)
    if not is_url(text):
        folder, name = os.path.split(text)
        return f"file://{os.path.realpath(folder or os.curdir)}/{name}"
    if is_bucket_url(text):
        bucket, key = bucket_and_key(text)
        return S3Options.from_environment(bucket, variables).place(key)
    parts = urlsplit(text)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))


def saved_index(
    url: str | os.PathLike[str],
    *,
    folder: str | os.PathLike[str] | None = None,
    variables: Mapping[str, str] | None = None,
    patience: Patience | None = None,
) -> VideoIndex | None:
    """Give the index that `streamer index --save` made of a video: from `folder` (default: `default_folder`), else from beside it.

    None where there is none. It is not checked against the video here: `ffbind.open` does that, or the first read of
    `source(url, index=...)`. Raises CorruptError, LimitError or SourceError for one that cannot be read, and what `place_of` raises.

    >>> index = saved_index("s3://videos/drive.mp4")  # doctest: +SKIP
    >>> video = ffbind.open(source("s3://videos/drive.mp4", index=index), index=index)  # doctest: +SKIP
    """
    found = IndexFolder(folder or default_folder(variables)).load(place_of(url, variables=variables))
    if found is not None:
        return found
    text = os.fspath(url)
    if not is_url(text):
        return load_if_there(Path(text + INDEX_SUFFIX))
    if not is_bucket_url(text):
        return None
    bucket, key = bucket_and_key(text)
    return beside(S3Storage(S3Options.from_environment(bucket, variables, patience=patience)), key)
