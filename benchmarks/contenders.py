"""Who takes part: each contender with its worker, and the environment in which peers are installed, apart from the project's own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CONTENDERS", "INDEXES", "OURS", "REMOTE", "Contender", "Environment", "is_ours"]

OURS = "ffbind"


def is_ours(name: str) -> bool:
    """Tell whether a contender, or a row `name/form` of one, is ours: `ffbind`, or `ffbind-WAY` for another way to use it."""
    return name.partition("/")[0].partition("-")[0] == OURS


@dataclass(frozen=True, slots=True)
class Contender:
    """A row of the tables: a worker and how it is started.

    - `module`: the worker, with `arguments`
    - `requires`: what pip installs for it; nothing for what runs in the project's own environment
    - `threads`: threads it is given instead of the common number
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    threads: int | None = None


_NUMPY = "numpy==2.4.6"
_PYAV = ("av==18.1.0", _NUMPY)
_TORCHCODEC = ("torch==2.13.0", "torchcodec==0.13.0", _NUMPY)
_S3FS = "s3fs==2026.9.0"

CONTENDERS = (
    Contender(OURS, "benchmarks.peers.ours"),
    # libavcodec takes frame threads where both kinds are allowed (AUTO), so there is no third row.
    Contender("pyav-slice", "benchmarks.peers.pyav", ("SLICE",), _PYAV),
    Contender("pyav-frame", "benchmarks.peers.pyav", ("FRAME",), _PYAV),
    Contender("opencv", "benchmarks.peers.opencv", requires=("opencv-python-headless==5.0.0.93", _NUMPY)),
    Contender("video_reader", "benchmarks.peers.video_reader", requires=("video_reader-rs==0.4.5", _NUMPY)),
    Contender("decord2", "benchmarks.peers.decord2", requires=("decord2==3.4.0", _NUMPY)),
    Contender("torchcodec", "benchmarks.peers.torchcodec", requires=_TORCHCODEC),
    Contender("ffmpeg", "benchmarks.peers.ffmpeg"),
    Contender("ffmpeg-1", "benchmarks.peers.ffmpeg", threads=1),
)

INDEXES = Path(".cache", "bench", "remote", "indexes")
"""Folder of the saved indexes, from the project's folder."""

_BLOCKS = (("5 MiB", 5 << 20), ("1 MiB", 1 << 20))

REMOTE = (
    Contender(OURS, "benchmarks.peers.remote_ours"),
    Contender(f"{OURS}-http", "benchmarks.peers.remote_ours", ("--http",)),
    # An empty name is no folder of indexes, so the one beside the video is found.
    Contender(f"{OURS}-beside", "benchmarks.peers.remote_ours", ("--index", str(INDEXES / "none"))),
    Contender(f"{OURS}-folder", "benchmarks.peers.remote_ours", ("--index", str(INDEXES))),
    *(
        Contender(f"pyav, s3fs {name}", "benchmarks.peers.remote_pyav", (str(block),), (*_PYAV, _S3FS))
        for name, block in _BLOCKS
    ),
    Contender("pyav, URL", "benchmarks.peers.remote_pyav", requires=_PYAV),
    *(
        Contender(
            f"torchcodec, s3fs {name}",
            "benchmarks.peers.remote_torchcodec",
            (str(block),),
            (*_TORCHCODEC, _S3FS),
        )
        for name, block in _BLOCKS
    ),
    Contender("ffmpeg, URL", "benchmarks.peers.remote_ffmpeg"),
)
"""Those of the rows of frames in a bucket (benchmarks/remote.py), each opening an object in its own way."""


class Environment:
    """A virtual environment for the peers, made on first use: their packages never meet the project's own."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self._folder / "bin" / "python"

    def install(self, contender: Contender) -> None:
        """Make sure that what a contender requires is there. RuntimeError with pip's words where it cannot be installed."""
        if contender.module.endswith("ffmpeg") and shutil.which("ffmpeg") is None:
            raise RuntimeError("the ffmpeg command is not installed")
        if not contender.requires:
            return
        if not self.python.exists():
            venv.create(self._folder, with_pip=True)
        stamp = (
            self._folder
            / f"installed-{hashlib.sha256(' '.join(contender.requires).encode()).hexdigest()[:16]}"
        )
        if stamp.exists():
            return
        self._say(f"installing {' '.join(contender.requires)}")
        command = [
            str(self.python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *contender.requires,
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{contender.name} cannot be installed: {done.stderr.strip()}")
        stamp.touch()

    def command(self, contender: Contender) -> list[str]:
        """Give the command that starts a contender's worker, from the project's folder."""
        python = str(self.python) if contender.requires else sys.executable
        return [python, "-m", contender.module, *contender.arguments]

    def variables(self, contender: Contender) -> dict[str, str]:
        """Give the environment variables of a contender's worker."""
        variables = dict(os.environ)
        # Wheels of video_reader-rs hold FFmpeg's libraries but not the path to them.
        found = sorted(self._folder.glob(f"lib/python*/site-packages/{contender.name}_rs.libs"))
        if found:
            variables["LD_LIBRARY_PATH"] = str(found[0])
        return variables
