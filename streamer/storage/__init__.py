"""Storage back-ends: where the videos are, behind one small interface."""

from .base import (
    BadPathError,
    ForbiddenError,
    NotFoundError,
    ObjectInfo,
    ObjectPage,
    ObjectSource,
    PathIsNotVideoError,
    Storage,
    StorageError,
    check_path,
)
from .local import LocalStorage

__all__ = [
    "BadPathError",
    "ForbiddenError",
    "LocalStorage",
    "NotFoundError",
    "ObjectInfo",
    "ObjectPage",
    "ObjectSource",
    "PathIsNotVideoError",
    "Storage",
    "StorageError",
    "check_path",
]
