"""Frames of a video that is far away: ours against PyAV over file objects, with a delay added to each request.

    python -m benchmarks.remote VIDEO [--delay 0.05] [--frames 50] [--rounds 3]

Opening to the first frame, random frames one after the other, and the same frames as one batch: seconds, what the others take for
each second of ours, requests and bytes. Turn by turn, the median of the rounds, every picture compared. Only requests take
time: bytes come as fast as the file gives them.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.table import Table

import ffbind
from benchmarks.clips import ROOT
from benchmarks.contenders import CONTENDERS, OURS, Contender, Environment
from benchmarks.report import make_console
from benchmarks.session import Session
from ffbind.cores import usable_cores

__all__ = ["main"]

_WORKS = ("open to first frame", "random, one by one", "random, one batch")
_BLOCKS = (1 << 20, 5 << 20)


def main() -> int:
    """Measure and print. 1 if two of them gave different pictures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.remote", description="Frames of a video far away."
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds that each request waits")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    console = make_console()
    cache = ROOT / ".cache" / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    environment = Environment(cache / "venv", lambda text: console.print(f"==> {text}", markup=False))
    pyav = next(each for each in CONTENDERS if each.name == "pyav-slice")
    contenders = [Contender(OURS, "benchmarks.peers.delayed_ours", (str(options.delay),))]
    contenders += [
        Contender(
            f"pyav, {block >> 20} MiB blocks",
            "benchmarks.peers.delayed_pyav",
            (str(options.delay), str(block)),
            pyav.requires,
        )
        for block in _BLOCKS
    ]
    with ffbind.open(options.video) as video:
        indices = random.Random(7).choices(range(len(video)), k=options.frames)
    answers: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with ExitStack() as stack, (cache / "workers.log").open("w") as log:
        sessions = {}
        for contender in contenders:
            environment.install(contender)
            session = Session(
                environment.command(contender), environment.variables(contender), str(ROOT), log, 3600.0
            )
            sessions[contender.name] = stack.enter_context(session)
        video_file = {"path": str(options.video.resolve()), "threads": usable_cores(), "form": "planes"}
        for _ in range(options.rounds):
            for name, session in sessions.items():
                done = [session.ask(do="first", **video_file)]
                for work in ("frames", "batch"):
                    session.ask(do="open", **video_file)
                    done.append(session.ask(do=work, indices=indices))
                for title, answer in zip(_WORKS, done, strict=True):
                    answers.setdefault((title, name), []).append(answer)
    wrong = False
    for title in _WORKS:
        count = 1 if title == _WORKS[0] else len(indices)
        table = Table("", "seconds", f"x {OURS}", "requests a frame", "kB a frame", title=title)
        ours = _seconds(answers[title, OURS])
        for name in sessions:
            runs = answers[title, name]
            same = all(run["answers"] == answers[title, OURS][0]["answers"] for run in runs)
            wrong |= not same
            counters = runs[-1]["counters"]
            table.add_row(
                name if same else f"{name} (other pictures)",
                f"{_seconds(runs):.2f}",
                f"{_seconds(runs) / ours:.2f}",
                f"{counters['requests'] / count:.2f}",
                f"{counters['bytes'] / count / 1000:.0f}",
            )
        console.print(table)
    return int(wrong)


def _seconds(runs: list[dict[str, Any]]) -> float:
    return float(statistics.median(sum(run["seconds"]) for run in runs))


if __name__ == "__main__":
    sys.exit(main())
