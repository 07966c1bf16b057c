"""Fixtures of all tests: real media beside the repository, and clips that the `ffmpeg` command makes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from clips import make_clip

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def media() -> Path:
    """Folder of real files with oracles: BUCKET_STREAMER_MEDIA, else ../shared/media."""
    folder = Path(os.environ.get("BUCKET_STREAMER_MEDIA") or ROOT.parent / "shared" / "media")
    if not (folder / "MANIFEST.tsv").is_file():
        pytest.skip(f"no real media at {folder}; set BUCKET_STREAMER_MEDIA to a folder with MANIFEST.tsv")
    return folder


@pytest.fixture(scope="session")
def clip() -> Callable[[str], Path]:
    """Function that gives the path of a generated clip by its name in tests/clips.py: clips.make_clip."""

    def make(name: str) -> Path:
        if shutil.which("ffmpeg") is None:
            pytest.skip("the ffmpeg command is not installed")
        return make_clip(name)

    return make
