"""`streamer serve` as a process: what it prints, where its settings come from, how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ffbind.report import describe_ffmpeg


@contextmanager
def serving(*words: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Start a server and give it with what its first lines say."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("STREAMER_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "streamer_cli", "serve", *(str(word) for word in words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=inherited | environment,
    )
    try:
        assert process.stdout is not None
        title = process.stdout.readline()
        assert title.startswith("streamer ")
        lines = [process.stdout.readline() for _ in range(6)]
        yield process, dict(line.rstrip("\n").split(":  ", 1) for line in lines)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_panel_health_and_clean_end(tmp_path: Path) -> None:
    with serving(
        "--listen-addr", "127.0.0.1:0", "--local-path", tmp_path, "--jpeg-quality", 71, "--workers", 1
    ) as (
        process,
        panel,
    ):
        assert re.fullmatch(r"ws://127\.0\.0\.1:\d+/ws", panel["WebSocket"])
        assert panel["Videos"].strip() == str(tmp_path)
        assert panel["FFmpeg"].strip() == str(describe_ffmpeg())
        assert re.search(r"quality 71, libjpeg-turbo \d+\.\d+", panel["JPEG"])
        with urllib.request.urlopen(panel["Health"].strip()) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
        assert process.returncode == 0
        assert out == ""
        assert "Traceback" not in err


def test_command_line_wins_over_environment(tmp_path: Path) -> None:
    settings = {
        "STREAMER_LISTEN_ADDR": "127.0.0.1:0",
        "LOCAL_PATH": str(tmp_path),
        "STREAMER_JPEG_QUALITY": "33",
    }
    with serving("--workers", 1, **settings) as (_, panel):
        assert panel["WebSocket"].startswith("ws://127.0.0.1:")
        assert panel["Videos"].strip() == str(tmp_path)
        assert "quality 33" in panel["JPEG"]
    with serving("--workers", 1, "--jpeg-quality", 44, **settings) as (_, panel):
        assert "quality 44" in panel["JPEG"]
