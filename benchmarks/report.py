"""The tables that a run prints: `python -m benchmarks.report RESULTS.json` prints them again."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.contenders import OURS, is_ours
from benchmarks.intervals import Interval
from benchmarks.results import Goal, Results, RowResult
from benchmarks.verdicts import Verdict, duels, fastest, verdicts

__all__ = ["make_console", "show", "show_row", "show_summary"]

_WIDTH = 150
"""Columns of a table where there is no terminal to tell."""


def make_console() -> Console:
    """Make the console of the tables: as wide as the terminal, and wide where the output goes to a file."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)


def show(results: Results, console: Console) -> None:
    """Print everything: each row with all its contenders, then the summary."""
    for row in results.rows:
        show_row(row, console)
    show_summary(results, console)


def show_row(row: RowResult, console: Console) -> None:
    """Print a row: medians, what does not depend on the machine, wrong frames, and each peer's ratio to ours."""
    ratios = {duel.peer: duel.ratio for duel in duels(row)}
    figures = sorted({figure for run in row.runs.values() for figure in run.figures})
    table = Table(title=f"{row.name}: {row.title}", title_justify="left", title_style="bold")
    table.add_column("who", no_wrap=True)
    table.add_column("gives")
    timed = any(run.seconds for run in row.runs.values())
    if timed:
        table.add_column(row.unit, justify="right")
        table.add_column(f"CPU, {row.unit}", justify="right")
        table.add_column("takes, of ours (90 %)", justify="right", no_wrap=True)
        table.add_column("wrong frames, errors", justify="right")
    for figure in figures:
        table.add_column(figure, justify="right")
    scale = 1000 if row.unit.startswith("ms") else 1
    for name, run in row.runs.items():
        cells = [name, run.form]
        if timed:
            cells += [
                f"{statistics.median(times) * scale:.2f}" if times else "-"
                for times in (run.seconds, run.cpu)
            ]
            cells.append(_interval(ratios[name], " x") if name in ratios else "")
            tally = run.tally
            cells.append("" if run.exact else f"{tally.wrong}, {tally.errors} of {tally.answers}")
        cells += [
            _number(statistics.median(run.figures[figure])) if figure in run.figures else ""
            for figure in figures
        ]
        table.add_row(*cells, style="bold" if is_ours(name) else "" if run.exact else "yellow")
    console.print(table)
    for name, run in row.runs.items():
        for failure in run.failures:
            console.print(f"  {name}: {failure}", style="yellow", markup=False)


def show_summary(results: Results, console: Console) -> None:
    """Print the goals, what was found, and whether they are met."""
    about = results.about
    table = Table(
        title=f"goals: {about['rounds']} rounds, {about['threads']} threads, {about['machine']}",
        title_justify="left",
    )
    for column in ("row", "goal", "found (90 %)", "against", "met", "fastest of all (90 %)"):
        table.add_column(column)
    for row in results.rows:
        for i, verdict in enumerate(verdicts(row)):
            any_peer = (
                fastest(row, exact=False, of=verdict.goal.of)
                if verdict.goal.figure == "ratio" and verdict.goal.peer is None
                else None
            )
            table.add_row(
                row.title if i == 0 else "",
                _goal(verdict.goal),
                "-" if verdict.found is None else _interval(verdict.found),
                verdict.against,
                _met(verdict),
                ""
                if any_peer is None
                else f"{_interval(any_peer.ratio)} {any_peer.peer}"
                + ("" if any_peer.runs.exact else ", not exact"),
            )
    console.print(table)
    for absent, why in about["absent"].items():
        console.print(f"{absent} did not take part: {why}", style="yellow", markup=False)


def _goal(goal: Goal) -> str:
    of = "" if goal.of == OURS else f"{goal.of}: "
    match goal.figure:
        case "ratio":
            return f"{of}at least {goal.bound:g} x" + (f" {goal.peer}" if goal.peer else "")
        case "cpu":
            return f"{of}CPU at most {goal.bound:g} x {goal.peer}"
    return f"{of}{goal.figure} at most {goal.bound:g}"


def _met(verdict: Verdict) -> str:
    return {True: "[green]yes[/]", False: "[red]no[/]", None: "not measured"}[verdict.met]


def _interval(interval: Interval, unit: str = "") -> str:
    return f"{_number(interval.middle)}{unit} ({_number(interval.low)} to {_number(interval.high)})"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    show(Results.load(Path(sys.argv[1])), make_console())
