"""docs/promises.md names each row of promises.toml, no other, and tests that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "promises.md").read_text().splitlines()
    if line.startswith("|") and not line.startswith("|---")
][1:]


def test_rows_of_the_page_are_those_of_the_file() -> None:
    promises = {row["name"] for row in tomllib.loads((ROOT / "promises.toml").read_text())["promise"]}
    assert {name for row in ROWS for name in re.findall(r"`([^`]+)`", row[3])} == promises


def test_tests_that_are_named_exist() -> None:
    folder = ""
    for row in ROWS:
        for name in re.findall(r"`((?:tests/|test_)[^`]+)`", row[2]):
            path = ROOT / (name if name.startswith("tests/") else f"{folder}/{name}")
            assert path.exists(), name
            folder = str(path.parent.relative_to(ROOT)) if path.is_file() else folder
