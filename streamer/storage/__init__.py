"""Storage back-ends: where the videos are, behind one small interface."""

from .base import (
    BadPathError,
    ForbiddenError,
    NotFoundError,
    ObjectInfo,
    ObjectPage,
    ObjectSource,
    PathIsNotVideoError,
    ReadForbiddenError,
    Storage,
    StorageError,
    check_path,
)
from .http import HttpSource
from .local import LocalStorage
from .ranged import Patience
from .s3 import S3Options, S3OptionsError, S3Storage
from .url import bucket_and_key, is_url, source

__all__ = [
    "BadPathError",
    "ForbiddenError",
    "HttpSource",
    "LocalStorage",
    "NotFoundError",
    "ObjectInfo",
    "ObjectPage",
    "ObjectSource",
    "PathIsNotVideoError",
    "Patience",
    "ReadForbiddenError",
    "S3Options",
    "S3OptionsError",
    "S3Storage",
    "Storage",
    "StorageError",
    "bucket_and_key",
    "check_path",
    "is_url",
    "source",
]
