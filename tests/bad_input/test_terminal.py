"""Bad input in the terminal: one line on standard error, exit status 1, no traceback, and no picture written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Attempt = Callable[[Any], dict[str, Any]]


def chosen(kind: Any) -> bool:
    return bool(kind.commands)


def test_decode(
    kind: Any,
    table: Any,
    attempt: Attempt,
    is_a_sentence: Callable[[str], bool],
    clip: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    path, pictures = tmp_path / "input.mp4", tmp_path / "pictures"
    kind.make(path, clip)
    run = attempt({"words": ["decode", str(path), "--frame", str(kind.frame or 0), "-o", str(pictures)]})
    assert run["status"] == 1, run
    assert run["out"] == ""
    assert run["err"].endswith("\n")
    said = run["err"][:-1]
    assert is_a_sentence(said), said
    assert table.normal(said.replace(str(path), "FILE")) == "streamer: " + table.normal(kind.message)
    assert not pictures.exists() or not list(pictures.iterdir())


def test_index(kind: Any, table: Any, attempt: Attempt, clip: Callable[[str], Path], tmp_path: Path) -> None:
    """What cannot be opened has no index; where single frames cannot be shown, it has one."""
    path = tmp_path / "input.mp4"
    kind.make(path, clip)
    run = attempt({"words": ["index", str(path)]})
    said = run["err"].replace(str(path), "FILE")
    if kind.frame is None:
        assert run["status"] == 1
        assert run["out"] == ""
        assert table.normal(said) == "streamer: " + table.normal(kind.message) + "\n"
    else:
        assert (run["status"], said) == (0, "")
        assert run["out"].startswith("frame,offset,")
