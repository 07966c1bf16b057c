"""Fixtures of the library's tests: what a linear decode shows, and how pictures are compared with it."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffbind


@pytest.fixture(scope="session")
def picture_hash() -> Callable[[ffbind.Frame], str]:
    """Function that gives the MD5 of a frame's planes one after the other, as framemd5 has it for raw video."""

    def digest_of(frame: ffbind.Frame) -> str:
        digest = hashlib.md5(usedforsecurity=False)
        for plane in frame.planes:
            digest.update(np.ascontiguousarray(plane))
        return digest.hexdigest()

    return digest_of


@pytest.fixture(scope="session")
def linear_hashes() -> Callable[..., list[str]]:
    """Function that decodes a file from the first byte to the last with the `ffmpeg` command: picture hashes in its order.

    `edits=False` ignores edit lists, so that hidden pictures are there too. Errors do not stop it: damage is concealed.
    """
    done: dict[tuple[Path, bool], list[str]] = {}

    def decode(path: Path, *, edits: bool = True) -> list[str]:
        if (path, edits) not in done:
            command = ["ffmpeg", "-v", "fatal", "-nostdin", "-noautorotate", "-threads", "1"]
            command += [] if edits else ["-ignore_editlist", "1"]
            command += ["-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"]
            text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            lines = [line for line in text.splitlines() if line and not line.startswith("#")]
            done[path, edits] = [line.rsplit(",", 1)[1].strip() for line in lines]
        return done[path, edits]

    return decode
