"""Storage back-ends: where the videos are, behind one small interface."""

from .base import (
    HEAD_BYTES,
    BadPathError,
    ForbiddenError,
    Look,
    LookedUpSource,
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
from .connections import Patience
from .http import HttpSource
from .indexes import INDEX_SUFFIX, IndexFolder, SavedIndexes, beside, default_folder, load_if_there
from .local import LocalStorage
from .s3 import S3Options, S3OptionsError, S3Storage, WritableS3Storage
from .url import bucket_and_key, is_bucket_url, is_url, place_of, saved_index, source

__all__ = [
    "HEAD_BYTES",
    "INDEX_SUFFIX",
    "BadPathError",
    "ForbiddenError",
    "HttpSource",
    "IndexFolder",
    "LocalStorage",
    "Look",
    "LookedUpSource",
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
    "SavedIndexes",
    "Storage",
    "StorageError",
    "WritableS3Storage",
    "beside",
    "bucket_and_key",
    "check_path",
    "default_folder",
    "is_bucket_url",
    "is_url",
    "load_if_there",
    "place_of",
    "saved_index",
    "source",
]
