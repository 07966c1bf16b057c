"""`streamer config` and the file of settings: what is shown is what `streamer serve` runs with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamer.config import Settings


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but those of the test."""
    for name in [name for name in os.environ if name.startswith("STREAMER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_in_a_pipe_it_is_a_configuration_file(
    streamer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "streamer.toml").write_text("workers = 3\nlocal_path = 'a \"b\"'\n")
    monkeypatch.setenv("STREAMER_JPEG_QUALITY", "55")
    run = streamer("config")
    assert (run.status, run.err) == (0, "")
    assert "workers = 3  # file streamer.toml" in run.out.splitlines()
    assert "jpeg_quality = 55  # environment STREAMER_JPEG_QUALITY" in run.out.splitlines()
    assert 'log_level = "info"  # default' in run.out.splitlines()
    (tmp_path / "again.toml").write_text(run.out)
    again = Settings.load(environment={}, config=tmp_path / "again.toml").settings
    assert again == Settings.load(config=tmp_path / "streamer.toml").settings
    assert tomllib.loads(run.out)["local_path"] == 'a "b"'


def test_json_has_values_and_origins(
    streamer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.toml").write_text("open_timeout = 3\n")
    monkeypatch.setenv("STREAMER_WORKRES", "4")
    run = streamer("config", "--config", tmp_path / "x.toml", "--json")
    document = json.loads(run.out)
    settings = {value["name"]: value for value in document["settings"]}
    assert document["file"] == str(tmp_path / "x.toml")
    assert settings["open_timeout"] == {
        "name": "open_timeout",
        "value": 3.0,
        "secret": False,
        "origin": "file",
        "where": str(tmp_path / "x.toml"),
    }
    assert document["unknown_variables"] == ["STREAMER_WORKRES"]
    assert run.err == "streamer: not settings, and not used: STREAMER_WORKRES\n"


def test_a_mistake_in_the_file_is_one_sentence(streamer: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "streamer.toml").write_text("jpeg_qualty = 3\n")
    for command in (["config"], ["serve", "--local-path", tmp_path]):
        run = streamer(*command)
        assert (run.status, run.out) == (2, "")
        assert run.err == "streamer: streamer.toml: jpeg_qualty is no setting; did you mean jpeg_quality?\n"


def test_serve_takes_the_file_and_the_command_line_wins(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "s.toml").write_text(
        "listen_addr = '127.0.0.1:0'\nlocal_path = 'videos'\nworkers = 1\njpeg_quality = 33\n"
    )
    command = [
        sys.executable,
        "-m",
        "streamer_cli",
        "serve",
        "--config",
        tmp_path / "s.toml",
        "--jpeg-quality",
        "44",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        panel = "".join(process.stdout.readline() for _ in range(7))
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 0
    assert re.search(r"ws://127\.0\.0\.1:\d+/ws", panel)
    assert str(tmp_path / "videos") in panel
    assert "1 processes" in panel
    assert "quality 44" in panel
