"""No invalid access and no leak in our C or in libav, over AVIO with failures and over decoding: exercise.py under valgrind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WATCHED = ("_native.abi3.so", "libavformat", "libavcodec", "libavutil", "libswscale")


@dataclass(frozen=True)
class Finding:
    """One error that valgrind tells of: its kind, how many blocks are lost, and all of its stacks, innermost call first."""

    kind: str
    blocks: int
    functions: tuple[str, ...]
    objects: tuple[str, ...]

    @property
    def concerns_us(self) -> bool:
        """Whether our C or libav made the access or the block.

        The interpreter and its libraries have findings of their own. What cffi allocates for a module stays, as the module does.
        """
        return (
            any(name.startswith(WATCHED) for name in self.objects) and "PyInit__native" not in self.functions
        )


def _findings(report: Path) -> Iterator[Finding]:
    for error in ET.parse(report).getroot().iter("error"):
        frames = list(error.iter("frame"))
        yield Finding(
            kind=error.findtext("kind", ""),
            blocks=int(error.findtext("xwhat/leakedblocks", "0")),
            functions=tuple(frame.findtext("fn", "?") for frame in frames),
            objects=tuple(frame.findtext("obj", "?").rpartition("/")[2] for frame in frames),
        )


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_no_invalid_access_and_no_leak(clip: Callable[[str], Path], tmp_path: Path) -> None:
    report = tmp_path / "valgrind.xml"
    done = subprocess.run(
        [
            *("valgrind", "--xml=yes", f"--xml-file={report}", "--num-callers=60"),
            *("--leak-check=full", "--show-leak-kinds=definite"),
            *(sys.executable, ROOT / "tests" / "native" / "exercise.py", clip("plain.mp4")),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        # The interpreter's own allocator would hide what is behind a block of ours.
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"
    found = [finding for finding in _findings(report) if finding.concerns_us]
    on_purpose = [finding for finding in found if "av_packet_alloc" in finding.functions]
    assert [(finding.kind, finding.blocks) for finding in on_purpose] == [("Leak_DefinitelyLost", 1)]
    assert [finding for finding in found if finding not in on_purpose] == []
