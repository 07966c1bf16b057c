"""What the run with the sanitizers leaves out is there to be left out, and the sanitizers are at work in the rest."""

from __future__ import annotations

import os
import subprocess
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


@pytest.mark.skipif("SANITIZED" not in os.environ, reason="only in ./dev sanitize")
def test_an_access_behind_a_block_ends_the_process() -> None:
    """One that our C makes since it is told a wrong size."""
    sps = (ROOT / "tests" / "fuzz" / "corpus" / "sps" / "open_gop").read_bytes()
    code = (
        "from ffbind.native import ffi, lib; "
        f"sps, out = ffi.new('uint8_t[]', {list(sps)}), ffi.new('uint8_t[8192]'); "
        "print(lib.ffb_sps_without_delay(sps, {size}, out, 8192))"
    )
    command = [sys.executable, "-c", code.format(size=len(sps))]
    assert int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) == len(sps)
    command = [sys.executable, "-c", code.format(size=4096)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in done.stderr
