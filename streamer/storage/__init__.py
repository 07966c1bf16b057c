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
from .local import LocalStorage
from .ranged import Patience
from .s3 import S3Options, S3OptionsError, S3Storage

__all__ = [
    "BadPathError",
    "ForbiddenError",
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
    "check_path",
]
