"""What people write to name a video: a path, `s3://bucket/key` or `http(s)://...`, turned into a `Source` of ffbind."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from ffbind.errors import ArgumentError
from ffbind.sources import FileSource, Source

from .base import ObjectSource
from .http import HttpSource
from .ranged import Patience
from .s3 import S3Options, S3Storage

__all__ = ["bucket_and_key", "is_url", "source"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def is_url(text: str) -> bool:
    """Tell whether this is a URL, of whatever kind, and no path."""
    return _SCHEME.match(text) is not None


def bucket_and_key(url: str) -> tuple[str, str]:
    """Take `s3://bucket/key` apart; the key is literal, `%41` is three characters. Raises ArgumentError."""
    bucket, _, key = url[len("s3://") :].partition("/")
    if not bucket or not key:
        raise ArgumentError(f"{url} does not name an object; write s3://BUCKET/KEY")
    return bucket, key


def source(
    url: str | os.PathLike[str],
    *,
    variables: Mapping[str, str] | None = None,
    patience: Patience | None = None,
) -> Source:
    """Open what a path or URL names, for `ffbind.open`.

    - `s3://bucket/key`: endpoint, region and credentials as `S3Options.from_environment` finds them in `variables` (default:
      `os.environ`); anonymous where there are no credentials
    - `http://` and `https://`: a server that sends ranges; name and password may stand in the URL
    - anything else is the path of a local file

    The object is looked up once, and held to the version that it has then. Raises ArgumentError for a URL of another kind,
    S3OptionsError, StorageError where there is no such object or it may not be read, SourceError where it cannot be.

    >>> source("s3://videos")
    Traceback (most recent call last):
    ffbind.errors.ArgumentError: s3://videos does not name an object; write s3://BUCKET/KEY
    """
    text = os.fspath(url)
    match = _SCHEME.match(text)
    if match is None:
        return FileSource(text)
    scheme = match[1].lower()
    if scheme == "s3":
        bucket, key = bucket_and_key(text)
        storage = S3Storage(S3Options.from_environment(bucket, variables, patience=patience))
        return ObjectSource(storage, storage.stat(key))
    if scheme in ("http", "https"):
        return HttpSource(text, patience=patience)
    raise ArgumentError(f"{scheme}:// is not known; give a path, s3://BUCKET/KEY, http:// or https://")
