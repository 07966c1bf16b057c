"""Instructions spent outside FFmpeg's libraries for each instruction inside them, counted by callgrind: the same on every machine.

    python -m benchmarks.instructions VIDEO linear|random FRAMES

is what runs under callgrind; a shorter run is taken off, so that starting Python, opening the file and what is done once for the first
frames do not count.
"""

from __future__ import annotations

import os
import random as randomness
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import ffbind
from benchmarks.peers.worker import touch

__all__ = ["by_library", "linear", "random"]

_FRAMES = 60
_BEFORE = 10
_DECODER = re.compile(r"libavcodec|libavutil")
_C_LIBRARY = re.compile(r"/lib(c|m|pthread)[.-]")


def linear(path: Path, rounds: int) -> dict[str, list[float]]:
    """Count over the first frames in order. One value: it would be the same each time."""
    return _overhead(path, "linear")


def random(path: Path, rounds: int) -> dict[str, list[float]]:
    """Count over random frames."""
    return _overhead(path, "random")


def _overhead(path: Path, order: str) -> dict[str, list[float]]:
    spent = _count(path, order, _BEFORE + _FRAMES)
    spent.subtract(_count(path, order, _BEFORE))
    inside = sum(count for library, count in spent.items() if _DECODER.search(library))
    outside = sum(spent.values()) - inside
    return {
        "overhead %": [100 * outside / inside],
        "instructions outside per frame": [outside / _FRAMES],
        "instructions inside per frame": [inside / _FRAMES],
    }


def _count(path: Path, order: str, frames: int) -> Counter[str]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "callgrind.out")
        command = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}"]
        command += [sys.executable, "-m", "benchmarks.instructions", str(path), order, str(frames)]
        # A fixed seed of string hashes, so that dictionaries are laid out alike in both runs; no threads of numpy's OpenBLAS, which
        # wait for work by looking for it over and over.
        steady = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | steady)
        if done.returncode != 0:
            raise RuntimeError(f"callgrind: {done.stderr[-2000:]}")
        return by_library(out.read_text())


def by_library(text: str) -> Counter[str]:
    """Sum a callgrind profile's own cost (not that of calls) by object file.

    What the C library does when FFmpeg's libraries call it (clearing coefficients, copying borders) is theirs.

    The format: https://valgrind.org/docs/manual/cl-format.html. Names are given once as `ob=(1) /lib/name`, later as `ob=(1)`; a line
    of cost is `position cost`; the one after `calls=` is what the callee cost, in the object of the last `cob=` before it, or in the
    same one.
    """
    names: dict[str, str] = {}
    spent: Counter[str] = Counter()
    library = callee = ""
    called = False
    for line in text.splitlines():
        if match := re.match(r"(c?)ob=(\(\d+\))(?: (.*))?", line):
            if match[3]:
                names[match[2]] = match[3]
            callee = names[match[2]]
            if not match[1]:
                library = callee
        elif line.startswith("calls="):
            called = True
        elif match := re.match(r"[+\-*\d]\S* (\d+)", line):
            cost = int(match[1])
            if not called:
                spent[library] += cost
            elif _DECODER.search(library) and _C_LIBRARY.search(callee):
                spent[library] += cost
                spent[callee] -= cost
            called, callee = False, library
    return spent


def main(path: str, order: str, frames: int) -> None:
    """Decode frames with one thread."""
    with ffbind.open(path, threads=1, kept_bytes=512 << 20) as video:
        indices = list(range(len(video)))
        if order == "random":
            randomness.Random(3).shuffle(indices)
        for index in indices[:frames]:
            touch(video[index].planes)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
