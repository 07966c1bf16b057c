"""What all commands share on the terminal: the two consoles, mistakes, progress, numbers for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["Mistake", "err", "examples", "facts", "human_bytes", "out", "progress", "say"]

# Rich itself honours NO_COLOR and writes no escape codes when the stream is not a terminal.
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class Mistake(Exception):
    """Something the caller of a command can put right: a sentence for standard error, and an exit status."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


def say(text: str) -> None:
    """Print a line to standard output as it is: no markup, and no folding, so that a pipe gets it whole."""
    out.print(text, markup=False, soft_wrap=True)


def facts(rows: Iterable[tuple[str, str]], title: str) -> None:
    """Print names and values: a panel on a terminal, `name: value` lines in a pipe."""
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    if not out.is_terminal:
        print(title)
        for name, value in rows:
            print(f"{name + ':':<{width + 1}}  {value}")
        sys.stdout.flush()
        return
    # Imported here: a pipe needs none of them.
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(Text(name), Text(value))
    heading = Text(title, style="bold")
    out.print(Panel(grid, title=heading, title_align="left", border_style="cyan", expand=False))


@contextmanager
def progress(unit: str) -> Iterator[Progress]:
    """Give a progress bar on standard error that leaves nothing behind; none where that is no terminal."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[note]}", style="cyan"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
    with bar:
        yield bar


def human_bytes(count: float) -> str:
    """Give a number of bytes in decimal units: 45.2 kB, 1.3 GB."""
    if count < 1000:
        return f"{count:.0f} B"
    units = ["kB", "MB", "GB"]
    while (count := count / 1000) >= 1000 and len(units) > 1:
        units.pop(0)
    return f"{count:.1f} {units[0]}"


def examples(*lines: str) -> str:
    """Give the `epilog` of a command: one example to a line, in its help."""
    return "Examples:\n\n" + "\n\n".join(lines)
