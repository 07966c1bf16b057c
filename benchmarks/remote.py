"""Frames in a bucket, ours against its peers: `python -m benchmarks.remote` measures, prints and saves all rows.

MinIO is needed, on PATH or named by TEST_MINIO. An endpoint in front of it adds 50 ms to every request and counts them, for all alike.
`python -m benchmarks.report` prints the tables of a run again.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from datetime import datetime

from benchmarks.bucket import Bucket
from benchmarks.clips import CLIPS, ROOT, Library
from benchmarks.contenders import INDEXES, OURS, REMOTE, Environment, is_ours
from benchmarks.contest import gather, hold
from benchmarks.machine import describe
from benchmarks.remote_works import REMOTE_ROWS
from benchmarks.report import make_console, show_row, show_summary
from benchmarks.results import Results, RowResult
from benchmarks.works import Contest
from ffbind.cores import usable_cores

__all__ = ["main"]

_CACHE = ROOT / ".cache" / "bench"
_ROUNDS = 11


def main() -> int:
    """Measure, print and save. 1 if we gave a wrong frame or an error."""
    options = _options()
    console = make_console()

    def say(text: str) -> None:
        console.print(f"==> {text}", style="dim", markup=False)

    environment = Environment(_CACHE / "venv", say)
    library = Library(_CACHE / "clips", environment, say)
    rows = [row for row in REMOTE_ROWS if not options.row or row.name in options.row]
    wanted = [each for each in REMOTE if not options.peer or is_ours(each.name) or each.name in options.peer]
    date = datetime.now()
    path = _CACHE / f"remote-{date:%Y-%m-%d-%H%M%S}.json"
    with ExitStack() as stack:
        _CACHE.mkdir(parents=True, exist_ok=True)
        log = stack.enter_context((_CACHE / "workers.log").open("w"))
        bucket = stack.enter_context(
            Bucket(
                _CACHE / "remote" / "minio",
                delay=options.delay,
                indexes=ROOT / INDEXES,
                bandwidth=None if options.megabits is None else options.megabits * 1e6 / 8,
            )
        )
        contenders, versions, absent = gather(wanted, environment, log)
        for name, why in absent.items():
            say(f"{name} does not take part: {why}")
        results = Results(
            {
                "date": date.isoformat(timespec="seconds"),
                "rounds": options.rounds,
                "delay": options.delay,
                "megabits": options.megabits,
                "threads": options.threads,
                "machine": describe(),
                "versions": versions,
                "absent": absent,
            }
        )
        for row in rows:
            start = time.monotonic()
            clip = library.path(row.clip)
            if not bucket.has(clip):
                say(f"uploading {row.clip}")
            work = row.make(bucket.place(clip))
            repeats = CLIPS[row.clip].repeats
            pictures = row.clip if repeats is None else repeats[0]
            runs = hold(
                Contest(pictures, work, row.forms),
                library.path(pictures),
                [
                    each
                    for each in contenders
                    if each.name == OURS or not is_ours(each.name) or each.name in row.also
                ],
                environment,
                oracles=_CACHE / "oracles",
                threads=options.threads,
                rounds=options.rounds,
                log=log,
                say=say,
                stand_still=False,  # what somebody is being sent has to be taken, for the store to be asked how much it was
            )
            results.rows.append(RowResult(row.name, row.title, row.unit, list(row.goals), runs))
            show_row(results.rows[-1], console)
            say(f"{row.name} took {time.monotonic() - start:.0f} s")
            results.save(path)
    show_summary(results, console)
    say(f"saved as {path.relative_to(ROOT)}")
    return int(not results.ours_are_right)


def _options() -> argparse.Namespace:
    rows = [row.name for row in REMOTE_ROWS]
    peers = [each.name for each in REMOTE if not is_ours(each.name)]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.remote", description="Measure frames in a bucket, ours and its peers'."
    )
    parser.add_argument(
        "--row",
        action="append",
        choices=rows,
        metavar="NAME",
        help="only this row (may be repeated): " + ", ".join(rows),
    )
    parser.add_argument(
        "--peer",
        action="append",
        choices=peers,
        metavar="NAME",
        help="only this peer beside ours (may be repeated): " + "; ".join(f"'{peer}'" for peer in peers),
    )
    parser.add_argument(
        "--rounds", type=int, default=_ROUNDS, help="rounds of each row (default %(default)s)"
    )
    parser.add_argument(
        "--delay", type=float, default=0.05, help="seconds added to every request (default %(default)s)"
    )
    parser.add_argument(
        "--megabits",
        type=float,
        help="bits a second, in millions, of the line that all answers go through; default no limit",
    )
    parser.add_argument(
        "--threads", type=int, default=usable_cores(), help="threads for each, default all usable cores"
    )
    options = parser.parse_args()
    if options.megabits is not None and options.megabits <= 0:
        parser.error("--megabits is more than 0")
    return options


if __name__ == "__main__":
    sys.exit(main())
