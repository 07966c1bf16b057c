"""Fixtures of the library's tests: what a linear decode shows, and how pictures are compared with it."""

from __future__ import annotations

from collections.abc import Callable

import linear
import pytest

import ffbind


@pytest.fixture(scope="session")
def picture_hash() -> Callable[[ffbind.Frame], str]:
    """Function that gives the MD5 of a frame's planes: linear.picture_hash."""
    return linear.picture_hash


@pytest.fixture(scope="session")
def linear_hashes() -> Callable[..., list[str]]:
    """Function that decodes a file from the first byte to the last: linear.linear_decode."""
    return linear.linear_decode
