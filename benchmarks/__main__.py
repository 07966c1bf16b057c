"""Run the benchmarks: `./dev bench`, or `python -m benchmarks` where the project is installed."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import IO, Any

from benchmarks.clips import ROOT, Library
from benchmarks.contenders import CONTENDERS, OURS, Contender, Environment
from benchmarks.contest import gather, hold
from benchmarks.machine import describe
from benchmarks.report import make_console, show_row, show_summary
from benchmarks.results import Results, RowResult, Runs
from benchmarks.works import ROWS, Contest, Row
from ffbind.cores import usable_cores

__all__ = ["main"]

_CACHE = ROOT / ".cache" / "bench"
_ROUNDS, _QUICK_ROUNDS = 11, 5


def main() -> int:
    """Measure, print and save. 1 if we gave a wrong frame or an error."""
    options = _options()
    console = make_console()

    def say(text: str) -> None:
        console.print(f"==> {text}", style="dim", markup=False)

    environment = Environment(_CACHE / "venv", say)
    library = Library(_CACHE / "clips", environment, say)
    rows = (
        [row for row in ROWS if row.name in options.row]
        if options.row
        else [row for row in ROWS if row.quick or not options.quick]
    )
    peers = set(options.peer or (each.name for each in CONTENDERS)) - set(options.without or ())
    wanted = [each for each in CONTENDERS if each.name in peers | {OURS}]
    rounds = options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)
    date = datetime.now()
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "workers.log").open("w") as log:
        contenders, versions, absent = gather(wanted, environment, log)
        for name, why in absent.items():
            say(f"{name} does not take part: {why}")
        results = Results(
            {
                "date": date.isoformat(timespec="seconds"),
                "rounds": rounds,
                "quick": options.quick,
                "threads": options.threads,
                "machine": describe(),
                "versions": versions,
                "absent": absent,
            }
        )
        path = _CACHE / f"results-{date:%Y-%m-%d-%H%M%S}.json"
        for row in rows:
            start = time.monotonic()
            if options.quick and isinstance(row.task, Contest):
                row = replace(row, task=replace(row.task, work=row.task.work.shortened()))
            runs = _run(row, contenders, environment, library, rounds, options.threads, log, say)
            results.rows.append(RowResult(row.name, row.title, row.unit, list(row.goals), runs))
            show_row(results.rows[-1], console)
            say(f"{row.name} took {time.monotonic() - start:.0f} s")
            results.save(path)
    show_summary(results, console)
    say(f"saved as {path.relative_to(ROOT)}")
    return int(not results.ours_are_right)


def _run(
    row: Row,
    contenders: list[Contender],
    environment: Environment,
    library: Library,
    rounds: int,
    threads: int,
    log: IO[Any],
    say: Callable[[str], None],
) -> dict[str, Runs]:
    clip = library.path(row.task.clip)
    if not isinstance(row.task, Contest):
        figures = row.task.measure(clip, rounds)
        return {OURS: Runs("-", figures=figures)}
    also = row.task.also
    taking_part = [each for each in contenders if each.threads is None or each.name in also]
    return hold(
        row.task,
        clip,
        taking_part,
        environment,
        oracles=_CACHE / "oracles",
        threads=threads,
        rounds=rounds,
        log=log,
        say=say,
        stand_still=True,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev bench", description="Measure ffbind and its peers on the same work."
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"fewer rows, a third of the frames, {_QUICK_ROUNDS} rounds"
    )
    parser.add_argument(
        "--row",
        action="append",
        choices=[row.name for row in ROWS],
        metavar="NAME",
        help="only this row (may be repeated)",
    )
    parser.add_argument(
        "--peer",
        action="append",
        choices=[each.name for each in CONTENDERS if each.name != OURS],
        metavar="NAME",
        help="only this peer beside ours (may be repeated)",
    )
    parser.add_argument(
        "--without",
        action="append",
        choices=[each.name for each in CONTENDERS if each.name != OURS],
        metavar="NAME",
        help="not this peer (may be repeated); torchcodec takes 5 GB of disk with the torch that pip installs for it",
    )
    parser.add_argument("--rounds", type=int, help=f"rounds of each row, default {_ROUNDS}")
    parser.add_argument(
        "--threads", type=int, default=usable_cores(), help="threads for each, default all usable cores"
    )
    parser.add_argument("--list", action="store_true", help="list rows and peers")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{row.name:<18}{row.title}" for row in ROWS))
        print("peers: " + ", ".join(each.name for each in CONTENDERS if each.name != OURS))
        sys.exit()
    return options


if __name__ == "__main__":
    sys.exit(main())
