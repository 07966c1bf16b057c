"""The page on configuration: its table is that of the code, its file is one that works."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import fields
from pathlib import Path

from streamer.config import Settings
from streamer.connection import Limits

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text()


def test_the_table_is_that_of_the_code() -> None:
    spec = importlib.util.spec_from_file_location("configuration", ROOT / "tools" / "configuration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.table() in PAGE, "run python tools/configuration.py --write"


def test_every_setting_is_in_the_table() -> None:
    named = set(re.findall(r"^\| `([a-z0-9_]+)` \|", PAGE, flags=re.MULTILINE))
    assert named == {entry.name for entry in (*fields(Settings), *fields(Limits))} - {"limits"}


def test_the_file_on_the_page_works(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "streamer.toml").write_text(block)
    settings = Settings.load(environment={}, folder=tmp_path).settings
    assert (settings.local_path, settings.jpeg_quality, settings.send_timeout) == (
        Path("/srv/videos"),
        85,
        30.0,
    )
