"""What a linear decode shows, by the `ffmpeg` command, and how a frame is compared with it: MD5 of the planes, as framemd5 has it."""

from __future__ import annotations

import functools
import hashlib
import subprocess
from pathlib import Path

import numpy as np

import ffbind


def picture_hash(frame: ffbind.Frame) -> str:
    """MD5 of the planes one after the other, as framemd5 has it for raw video."""
    digest = hashlib.md5(usedforsecurity=False)
    for plane in frame.planes:
        digest.update(np.ascontiguousarray(plane))
    return digest.hexdigest()


def read_framemd5(text: str) -> list[str]:
    """Hashes of a framemd5 listing, in its order."""
    return [line.rsplit(",", 1)[1].strip() for line in text.splitlines() if line and not line.startswith("#")]


@functools.cache
def _listing(path: Path, edits: bool, damaged: bool) -> tuple[str, ...]:
    # Slice threads would show other pictures (docs/ffmpeg.md).
    command = ["ffmpeg", "-v", "fatal", "-nostdin", "-noautorotate", "-threads", "1"]
    command += [] if edits else ["-ignore_editlist", "1"]
    command += ["-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=not damaged)
    return tuple(read_framemd5(done.stdout))


def linear_decode(path: Path, *, edits: bool = True, damaged: bool = False) -> list[str]:
    """Decode from the first byte to the last: hashes in the order of the command, pictures as decoded and not turned.

    `edits=False` ignores edit lists, so that hidden pictures are there too. `damaged`: errors do not stop it, damage is concealed.
    """
    return list(_listing(path, edits, damaged))
