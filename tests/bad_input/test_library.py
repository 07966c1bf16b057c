"""Bad input in the library: the error that docs/errors.md names, in little memory and time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ffbind

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 300 << 20


def chosen(kind: Any) -> bool:
    return True


def test_kind(
    kind: Any,
    table: Any,
    attempt: Callable[[Any], dict[str, Any]],
    is_a_sentence: Callable[[str], bool],
    clip: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    path, index = tmp_path / "input.mp4", tmp_path / "saved.ffindex"
    kind.make(path, clip)
    if kind.index is not None:
        kind.index(index, clip)
    found = attempt({"kind": kind.name, "path": str(path), "index": str(index) if kind.index else None})
    message = found["message"].replace(str(path), "FILE").replace(str(index), "INDEX")
    assert (found["error"], found["code"]) == (kind.error, kind.code), found
    assert table.normal(message) == table.normal(kind.message)
    assert found["stage"] == ("open" if kind.frame is None else "frame")
    assert found["memory"] < MEMORY
    if kind.error:
        assert is_a_sentence(found["message"])
        assert issubclass(getattr(ffbind, kind.error), ffbind.FFbindError)
        if kind.frame is None:
            assert message.startswith(("FILE: ", "INDEX: ")), "what cannot be opened is named"


def test_there_are_thirty_kinds_each_with_a_reason(table: Any) -> None:
    assert len({kind.name for kind in table.KINDS}) == len(table.KINDS) >= 30
    assert all(kind.why for kind in table.KINDS)


def test_the_documentation_shows_this_table(table: Any) -> None:
    """To write it anew: `python tests/bad_input/kinds.py`."""
    text = (ROOT / "docs" / "errors.md").read_text()
    assert table.markdown() in text
