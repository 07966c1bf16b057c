"""`streamer config`: the settings that `streamer serve` would run with, and where each came from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.config import Origin, Settings, SettingValue

from .console import err, examples, out

if TYPE_CHECKING:
    from streamer.config import Loaded

__all__ = ["EXAMPLES", "command"]

EXAMPLES = examples(
    "streamer config                          all settings; in a pipe, one line each",
    "streamer config --config lab.toml        with that file in place of streamer.toml",
    "STREAMER_WORKERS=4 streamer config --json",
)


def command(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Settings as TOML.", show_default="streamer.toml", readable=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Show each setting of the server, its value, and where it came from.

    The command line wins over the environment (STREAMER_<NAME>), which wins over the file: --config, else
    what STREAMER_CONFIG names, else streamer.toml in the working folder. Of secrets, only whether they are
    set is shown.
    """
    loaded = Settings.load(config=config)
    if as_json:
        print(_json(loaded))
    elif out.is_terminal:
        _show(loaded)
    else:
        for value in loaded.values:
            # What can stand in a file reads as one.
            print(f"{'# ' if value.secret else ''}{value.name} = {_shown(value)}  # {_came_from(value)}")
    if loaded.unknown_variables:
        names = ", ".join(loaded.unknown_variables)
        err.print(f"streamer: not settings, and not used: {names}", markup=False, soft_wrap=True)


def _json(loaded: Loaded[Settings]) -> str:
    return json.dumps(
        {
            "file": None if loaded.file is None else str(loaded.file),
            "settings": [asdict(value) for value in loaded.values],
            "unknown_variables": loaded.unknown_variables,
        },
        indent=1,
    )


def _shown(value: SettingValue) -> str:
    """Give a value as it would stand in the file; of a secret, whether it is set."""
    if value.secret:
        return "(secret, set)" if value.value else "(secret, not set)"
    return json.dumps(value.value, ensure_ascii=False)


def _came_from(value: SettingValue) -> str:
    return f"{value.origin.value} {value.where}".strip()


def _show(loaded: Loaded[Settings]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("setting", "value", "from"):
        table.add_column(name, overflow="fold")
    for value in loaded.values:
        style = "dim" if value.origin is Origin.DEFAULT else "cyan"
        table.add_row(value.name, Text(_shown(value)), Text(_came_from(value), style=style))
    out.print(table)
