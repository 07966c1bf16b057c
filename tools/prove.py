"""Runs what promises.toml lists and prints one table: each promise or goal, the command that shows it, the figure it printed."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["Promise", "Proof", "load", "main", "prove"]

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Promise:
    """One row of promises.toml.

    `figure`: a regular expression with one group, searched in the command's output (the last match counts); where it is not found
    the promise is not shown. `at_least`, `at_most`: what the figure has to reach, as a number.
    """

    name: str
    says: str
    command: str
    figure: str
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    long: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """What running a promise's command gave. `problem` is empty when the promise was shown."""

    promise: Promise
    figure: str
    problem: str
    seconds: float
    output: str


def load(path: Path) -> list[Promise]:
    """Read promises.toml. ValueError for unknown fields, missing ones and double names."""
    with path.open("rb") as file:
        rows = tomllib.load(file).get("promise", [])
    try:
        promises = [Promise(**row) for row in rows]
    except TypeError as error:
        raise ValueError(f"{path.name}: {error}") from None
    names = [promise.name for promise in promises]
    if len(set(names)) != len(names):
        raise ValueError(f"{path.name}: two promises of one name")
    return promises


def prove(promise: Promise) -> Proof:
    """Run the command of a promise in the repository's root and look for its figure."""
    start = time.monotonic()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    done = subprocess.run(
        ["/bin/sh", "-c", promise.command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    figure, problem = judge(promise, done.returncode, done.stdout)
    return Proof(promise, figure, problem, time.monotonic() - start, done.stdout)


def judge(promise: Promise, status: int, output: str) -> tuple[str, str]:
    """Find the figure in what a command printed, and what keeps the promise from being shown, if anything."""
    found = re.findall(promise.figure, output)
    figure = str(found[-1]) if found else ""
    if status != 0:
        return figure, f"status {status}"
    if not found:
        return "", "no figure printed"
    if promise.at_least is not None and float(figure) < promise.at_least:
        return figure, f"at least {promise.at_least:g} was promised"
    if promise.at_most is not None and float(figure) > promise.at_most:
        return figure, f"at most {promise.at_most:g} was promised"
    return figure, ""


def main(arguments: list[str] | None = None) -> int:
    """Prove the promises that are named, or all (long ones only with --all). Status 1 where one is not shown."""
    parser = argparse.ArgumentParser(prog="./dev prove", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="promises to prove; default all that are not long"
    )
    parser.add_argument("--all", action="store_true", help="the long ones too")
    parser.add_argument("--list", action="store_true", help="only list them")
    options = parser.parse_args(arguments)
    promises = load(ROOT / "promises.toml")
    known = {promise.name for promise in promises}
    if unknown := sorted(set(options.names) - known):
        parser.error(f"no such promise: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    chosen = [
        promise
        for promise in promises
        if promise.name in options.names or (not options.names and (options.all or not promise.long))
    ]
    console = Console()
    if options.list:
        for promise in promises:
            console.print(f"{promise.name:<22} {promise.says}", markup=False, highlight=False)
        return 0

    proofs = []
    for promise in chosen:
        console.print(f"[dim]{escape(promise.name)}: {escape(promise.command)}[/dim]", highlight=False)
        proof = prove(promise)
        proofs.append(proof)
        if proof.problem:
            console.print("\n".join(proof.output.splitlines()[-25:]), markup=False, highlight=False)
    table = Table(title="Promises", title_justify="left", show_lines=False)
    for column in ("", "name", "what", "figure", "seconds"):
        table.add_column(column, justify="right" if column == "seconds" else "left", overflow="fold")
    for proof in proofs:
        table.add_row(
            "[red]no[/red]" if proof.problem else "[green]yes[/green]",
            escape(proof.promise.name),
            escape(proof.promise.says),
            escape(
                f"{proof.figure} {proof.promise.unit}".strip()
                + (f" ({proof.problem})" if proof.problem else "")
            ),
            f"{proof.seconds:.1f}",
        )
    console.print(table)
    return 1 if any(proof.problem for proof in proofs) else 0


if __name__ == "__main__":
    sys.exit(main())
