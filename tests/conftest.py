"""Fixtures of all tests: real media beside the repository, clips that the `ffmpeg` command makes, and real S3 servers."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from clips import make_clip

if TYPE_CHECKING:
    from stores import Store

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> None:
    """In the background of a shell interrupts are ignored, and so they would be by what tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    from stores import run_store  # needs the server, which tests of the library do without

    with run_store("minio", tmp_path_factory.mktemp("minio")) as store:
        yield store


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    from stores import run_store  # needs the server, which tests of the library do without

    with run_store("versitygw", tmp_path_factory.mktemp("versitygw")) as store:
        yield store
