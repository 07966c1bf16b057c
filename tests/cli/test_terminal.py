"""On a terminal the commands have colour and frames, in a pipe or under NO_COLOR they are plain."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ESCAPE = "\x1b["


def on_terminal(*words: object, **environment: str) -> str:
    """Run `streamer` on a pseudo-terminal of 100 columns and give all that it wrote."""
    keep = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    settings = keep | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"} | environment
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "streamer_cli", *(str(word) for word in words)],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=settings,
    )
    os.close(follower)
    parts = []
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(leader)
    assert process.wait() == 0
    return b"".join(parts).decode()


def test_index_is_a_table_on_a_terminal(clip: Callable[[str], Path]) -> None:
    text = on_terminal("index", clip("plain.mp4"), "--rows", 5)
    assert ESCAPE in text
    assert "╭" in text
    assert "irap_offset" in text
    assert "and 45 more" in text


def test_doctor_and_config_are_for_people_on_a_terminal(clip: Callable[[str], Path]) -> None:
    text = on_terminal("doctor", clip("plain.mp4"))
    assert text.index("Reading headers") < text.index("Random access") < text.index("faststart")
    assert ESCAPE in text
    assert "╭" in text
    assert "libavcodec" in on_terminal("doctor")
    table = on_terminal("config", STREAMER_WORKERS="3")
    assert "environment STREAMER_WORKERS" in table
    assert ESCAPE in table


def test_saving_indexes_shows_how_far_it_is_and_then_their_names(
    clip: Callable[[str], Path], tmp_path: Path
) -> None:
    videos = [shutil.copy(clip("plain.mp4"), tmp_path / name) for name in ("a.mp4", "b.mp4")]
    text = on_terminal("index", "--save", *videos)
    assert text.index("Indexing") < text.rindex("2/2") < text.index(".ffindex")
    assert ESCAPE in text


def test_no_color_is_honoured(clip: Callable[[str], Path]) -> None:
    text = on_terminal("index", clip("plain.mp4"), "--rows", 5, NO_COLOR="1")
    colours = [f"{ESCAPE}{code}m" for code in (*range(30, 38), *range(90, 98))]
    assert not any(colour in text for colour in colours)
    assert f"{ESCAPE}38" not in text


@pytest.mark.parametrize("command", ["serve", "bench", "decode", "index", "doctor", "config"])
def test_help_has_examples(command: str) -> None:
    for text in (
        on_terminal(command, "--help"),
        subprocess.run(
            [sys.executable, "-m", "streamer_cli", command, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout,
    ):
        assert "Examples" in text
        assert text.count(f"streamer {command}") >= 3
    assert ESCAPE not in text
    assert "╭" not in text


def test_version_and_bare_command() -> None:
    version = subprocess.run(
        [sys.executable, "-m", "streamer_cli", "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith("streamer ")
    bare = subprocess.run([sys.executable, "-m", "streamer_cli"], capture_output=True, text=True, check=False)
    assert bare.returncode == 2
    assert all(
        command in bare.stdout for command in ("serve", "bench", "decode", "index", "doctor", "config")
    )
