"""The `streamer` command: its sub-commands, and how a failure looks to the person who typed it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ffbind.errors import ArgumentError, FFbindError
from ffbind.report import package_version
from streamer.client import ClientError
from streamer.config import ConfigError
from streamer.server import StartError
from streamer.storage import S3OptionsError, StorageError

from . import bench, config, decode, doctor, index, serve
from .console import Mistake, err, out

__all__ = ["app", "main"]

# Typer's help panels are for people; a pipe gets plain text.
app = typer.Typer(
    name="streamer",
    rich_markup_mode="rich" if out.is_terminal else None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"streamer {package_version()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def streamer(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="On a failure, show where it came from; may stand anywhere."),
    ] = False,
) -> None:
    """Exact HEVC frames by byte offset, index or time: a server, its benchmark, and tools."""
    if context.invoked_subcommand is None:
        print(context.get_help(), end="")
        raise typer.Exit(2)


for name, module in (
    ("serve", serve),
    ("bench", bench),
    ("decode", decode),
    ("index", index),
    ("doctor", doctor),
    ("config", config),
):
    app.command(name, epilog=module.EXAMPLES)(module.command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; give its exit status: 0 done, 1 failed, 2 used wrongly, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        status = app(args=words, prog_name="streamer", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough (`streamer index x.mp4 | head`). Python would complain once more when it
        # closes standard output, so that is pointed elsewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as error:
        if debug:
            raise
        sentence, status = _explain(error)
        err.print(f"[bold red]streamer:[/bold red] {_escaped(sentence)}", soft_wrap=True)
        return status
    return status if isinstance(status, int) else 0


def _escaped(sentence: str) -> str:
    from rich.markup import escape

    return escape(" ".join(sentence.split()))


def _explain(error: Exception) -> tuple[str, int]:
    """Give the sentence and the exit status for a failure."""
    if isinstance(error, Mistake):
        return str(error), error.status
    if isinstance(error, typer.TyperException):
        return f"{error.format_message().rstrip('.')} (streamer --help tells more)", error.exit_code
    if isinstance(error, (ConfigError, ArgumentError, S3OptionsError)):
        return str(error), 2
    if isinstance(error, OSError) and error.strerror:
        # The standard text is "[Errno 2] No such file or directory: 'x.mp4'".
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        what = error.strerror if isinstance(error, FFbindError) else error.strerror.lower()
        return ": ".join([*names, what]), 1
    if isinstance(error, (FFbindError, StorageError, ClientError, StartError, OSError)):
        return str(error), 1
    return f"internal error, {type(error).__name__}: {error} (--debug shows where; please report it)", 1
