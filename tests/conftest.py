"""Fixtures of all tests: real media beside the repository, and clips that the `ffmpeg` command makes."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from clips import CLIPS

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
    """Function that gives the path of a generated clip by its name in tests/clips.py, making it on first use.

    Clips are kept in .cache/clips, in folders named after the commands: a changed command makes a new clip.
    """
    folder = ROOT / ".cache" / "clips"

    def expanded(name: str) -> str:
        """Give the command with those of the clips it is made from put in: what the clip depends on."""
        return re.sub(r"\{([^}]+)\}", lambda match: f"<{expanded(match[1])}>", CLIPS[name])

    def make(name: str) -> Path:
        digest = hashlib.sha256(expanded(name).encode()).hexdigest()[:16]
        target = folder / digest / name
        if target.exists():
            return target
        if shutil.which("ffmpeg") is None:
            pytest.skip("the ffmpeg command is not installed")
        command = re.sub(r"\{([^}]+)\}", lambda match: shlex.quote(str(make(match[1]))), CLIPS[name])
        target.parent.mkdir(parents=True, exist_ok=True)
        # Made under another name, then renamed: several test processes may want the same clip at once.
        part = target.with_name(f"{os.getpid()}.{name}")
        failures = []
        for way in command.split(" || "):
            arguments = ["ffmpeg", "-v", "error", "-nostdin", "-y", *shlex.split(way), str(part)]
            done = subprocess.run(arguments, check=False, capture_output=True, text=True)
            if done.returncode == 0:
                break
            failures.append(f"{shlex.join(arguments)}\n{done.stderr}")
        else:
            part.unlink(missing_ok=True)
            pytest.fail(f"clip {name}: {''.join(failures)}")
        part.replace(target)
        return target

    return make
