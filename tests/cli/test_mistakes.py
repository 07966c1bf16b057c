"""Every mistake gives one sentence on standard error that says what and why, a status, and no traceback."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Command line, status, what the sentence says; {clip} is a good video of 50 frames, the rest is made below.
MISTAKES = [
    ("decode", 2, "Missing argument 'VIDEO'"),
    ("decode {clip}", 2, "exactly one of --frame, --frames, --time and --offset; none was given"),
    ("decode {clip} --frame 1 --time 2", 2, "--frame and --time were given"),
    ("decode {clip} --frame x", 2, "'--frame'.*valid integer"),
    ("decode {clip} --no-such-option", 2, "No such option"),
    ("decode {clip} --frame 50", 1, "frame 50 of a video of 50 frames"),
    ("decode {clip} --frame -51", 1, "frame -51 of a video of 50 frames"),
    ("decode {clip} --frames 1-5", 2, "START:STOP:STEP"),
    ("decode {clip} --frames 0:10:0", 2, "START:STOP:STEP"),
    ("decode {clip} --frames 90:100", 2, "chooses nothing; .* has 50 frames"),
    ("decode {clip} --time 99", 1, "no frame is on screen at 99"),
    ("decode {clip} --time nan", 1, "nan is not a time"),
    ("decode {clip} --offset 3", 1, "3"),
    ("decode {clip} --offset -1", 1, "-1"),
    ("decode {clip} --frame 1 --irap-offset 5", 2, "give --offset too"),
    ("decode {clip} --frame 1 --frame 2 -o {tmp}/x.jpg", 2, "2 frames do not fit into one file"),
    ("decode {clip} --frame 1 -o {tmp}/x.png --format jpg", 2, "disagree"),
    ("decode {clip} --frame 1 -o {tmp}/x.png --quality 90", 2, "--quality is for JPEG"),
    ("decode {clip} --frame 1 -o {tmp} --format gif", 2, "gif"),
    ("decode {clip} --frame 1 -o {tmp} --quality 0", 2, "quality .* from 1 to 100"),
    ("decode {clip} --frame 1 -o {tmp} --quality 101", 2, "quality .* from 1 to 100"),
    ("decode {clip} --frame 1 -o {tmp} --width 0", 2, "0"),
    ("decode {clip} --frame 1 -o {tmp}/none/x.jpg", 1, "none/x.jpg: no such file or directory"),
    ("decode {clip} --frame 1 -o {text}/sub", 1, "not a directory"),
    ("decode {tmp}/missing.mp4 --frame 1", 1, "missing.mp4: No such file; check the path"),
    ("decode {tmp} --frame 1", 1, "a folder, not a video file"),
    ("decode {empty} --frame 1", 1, "empty.mp4"),
    ("decode {text} --frame 1", 1, "text.mp4"),
    ("decode {fifo} --frame 1", 1, "not a regular file"),
    ("index {tmp}/missing.mp4", 1, "missing.mp4: No such file; check the path"),
    ("index {text}", 1, "text.mp4"),
    ("index {clip} -o {tmp}/x.xls", 2, "must end in .csv, .json, .parquet, .arrow or .ffindex"),
    ("index {clip} -o {tmp}/none/x.csv", 1, "none/x.csv: no such file or directory"),
    ("index {clip} -o {tmp}/none/x.ffindex", 1, "none/x.ffindex: The index could not be saved"),
    ("index", 2, "Missing argument 'VIDEO'"),
    ("index {clip} -o {tmp}/none/x.parquet", 1, "none/x.parquet: no such file or directory"),
    ("index {clip} --json -o {tmp}/x.json", 2, "either -o FILE or --json"),
    ("index {clip} --rows -1", 2, "--rows"),
    ("serve --listen-addr nonsense --local-path {tmp}", 2, "nonsense.*must be HOST:PORT"),
    ("serve --listen-addr 127.0.0.1:0 --local-path {tmp}/none", 2, "none.*not a folder"),
    ("serve --listen-addr 127.0.0.1:{taken} --local-path {tmp}", 1, "cannot listen on 127.0.0.1:"),
    ("serve --listen-addr 127.0.0.1:0 --local-path {tmp} --jpeg-quality 0", 2, "jpeg_quality is 0"),
    ("serve --listen-addr 127.0.0.1:0 --local-path {tmp} --workers 0", 2, "workers is 0"),
    ("serve --listen-addr 127.0.0.1:0 --local-path {tmp} --log-level loud", 2, "loud"),
    ("serve --listen-addr 127.0.0.1:0 --storage-backend ftp", 2, "ftp"),
    ("bench {tmp}/missing.mp4", 1, "missing.mp4: No such file; check the path"),
    ("bench {clip} --path x.mp4", 2, "--path names the video on the server of --url"),
    ("bench {clip} --url http://127.0.0.1:1/", 2, "must start with ws://"),
    ("bench {clip} --url ws://127.0.0.1:{closed}/ws", 1, "Cannot connect to ws://127.0.0.1:"),
    ("bench {clip} --frames 0", 2, "--frames"),
    ("bench {clip} --in-flight 0", 2, "--in-flight"),
    ("bench {clip} --pattern zigzag", 2, "zigzag"),
    ("doctor {tmp}/missing.mp4", 1, "missing.mp4: No such file; check the path"),
    ("doctor {text}", 1, "text.mp4"),
    ("doctor {tmp} --json", 1, "a folder, not a video file"),
    ("config --config {tmp}/none.toml", 2, "none.toml: the configuration file cannot be read: No such file"),
    ("serve --config {text}", 2, "text.mp4: not a TOML file"),
    ("no-such-command", 2, "No such command"),
]


@pytest.fixture(scope="module")
def names(clip: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Things that the table speaks of."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("To be or not to be, that is the question.\n" * 50)
    os.mkfifo(folder / "fifo.mp4")
    with socket.socket() as taken, socket.socket() as closed:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        closed.bind(("127.0.0.1", 0))  # bound but not listening: connecting is refused
        yield {
            "clip": clip("plain.mp4"),
            "tmp": folder,
            "empty": folder / "empty.mp4",
            "text": folder / "text.mp4",
            "fifo": folder / "fifo.mp4",
            "taken": taken.getsockname()[1],
            "closed": closed.getsockname()[1],
        }


@pytest.mark.parametrize(("line", "status", "says"), MISTAKES, ids=[line for line, _, _ in MISTAKES])
def test_mistake(
    line: str, status: int, says: str, names: dict[str, Any], streamer: Callable[..., Any]
) -> None:
    run = streamer(*shlex.split(line.format(**names)))
    assert run.status == status, run
    assert run.out == ""
    assert run.err.startswith("streamer: ")
    assert run.err.count("\n") == 1, "one sentence, one line"
    assert "Traceback" not in run.err
    assert "internal error" not in run.err
    assert re.search(says, run.err), run.err


def test_debug_shows_where_it_came_from(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "streamer_cli",
        "decode",
        tmp_path / "missing.mp4",
        "--frame",
        "1",
        "--debug",
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "Traceback" in run.stderr
    assert "SourceError" in run.stderr


def test_a_reader_that_leaves_is_no_failure(clip: Callable[[str], Path]) -> None:
    command = (
        f"{shlex.quote(sys.executable)} -m streamer_cli index {shlex.quote(str(clip('plain.mp4')))} --json"
    )
    run = subprocess.run(
        ["sh", "-c", f"{command} | head -c 1; {command} | head -c 1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "{{"
    assert run.stderr == ""
