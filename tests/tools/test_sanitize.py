"""What the run with the sanitizers leaves out is there to be left out (that they are at work it checks itself)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import sanitize  # noqa: E402


@pytest.mark.parametrize("test", sanitize.LEFT_OUT)
def test_what_is_left_out_exists(test: str) -> None:
    path, _, name = test.partition("::")
    assert (ROOT / path).exists()
    function, _, case = name.partition("[")
    assert not function or f"def {function}(" in (ROOT / path).read_text()
    assert not case or case.rstrip("]") in (ROOT / path).with_name("kinds.py").read_text()
