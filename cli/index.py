"""`streamer index`: the table of byte offsets and IRAP samples that a client of the protocol needs."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

import ffbind
from ffbind.hevc import Kind

from .console import Mistake, examples, facts, human_bytes, out, say
from .source import VideoArgument, file_name, to_open

if TYPE_CHECKING:
    from ffbind.index import VideoIndex
    from ffbind.video import Video

__all__ = ["EXAMPLES", "Row", "command", "rows"]

EXAMPLES = examples(
    "streamer index drive.mp4                   a table for people; in a pipe, CSV of all frames",
    "streamer index drive.mp4 --json            all frames as JSON",
    "streamer index drive.mp4 -o drive.csv      to a file: .csv, .json, or .ffindex (ffbind.open takes it)",
    "streamer index s3://videos/drive.mp4 -o drive.ffindex",
    "streamer index drive.mp4 --scan            picture kinds and IRAPs from the stream itself",
)

_SUFFIXES = (".csv", ".json", ".ffindex")


@dataclass(frozen=True, slots=True)
class Row:
    """One sample; `frame` is its number in presentation order, None where it is never on screen."""

    frame: int | None
    offset: int
    size: int
    irap_offset: int | None
    time: float | None
    duration: float | None
    kind: str | None


def command(
    video: VideoArgument,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write here: .csv, .json or .ffindex."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: facts, and one object a sample.")
    ] = False,
    scan: Annotated[
        bool,
        typer.Option("--scan", help="Read all samples: kinds and IRAPs as the stream says."),
    ] = False,
    limit: Annotated[
        int,
        typer.Option("--rows", min=0, help="Rows of the table on a terminal; 0 is all.", show_default=True),
    ] = 40,
) -> None:
    """Print where each frame of VIDEO starts in the file, and the IRAP sample to decode it from.

    One row a sample, in presentation order (samples that are never on screen come last, without a frame
    number). These are the numbers that RequestFrames takes: offset, irap_offset.
    """
    if output is not None and as_json:
        raise Mistake("give either -o FILE or --json; -o FILE.json writes JSON to a file")
    if output is not None and output.suffix.lower() not in _SUFFIXES:
        raise Mistake(f"{output}: the name must end in .csv, .json or .ffindex, to say what to write")
    with ffbind.open(to_open(video)) as opened:
        # Without composition times in the file, only the stream itself says in which order frames are shown.
        index = opened.scan() if scan or not opened.index.has_composition_times else opened.index
        if output is not None:
            _write(opened, index, output)
        elif as_json:
            print(_json(opened, index))
        elif out.is_terminal:
            _show(file_name(video), opened, index, limit)
        else:
            sys.stdout.write(_csv(index))


def rows(index: VideoIndex) -> list[Row]:
    """One row for each sample: those on screen in presentation order, then the others in decode order."""
    samples = index.samples
    hidden = np.flatnonzero(samples["display"] < 0)
    offsets = samples["offset"].tolist()
    sizes = samples["size"].tolist()
    iraps = samples["irap"].tolist()
    kinds = [None if kind == Kind.UNKNOWN else Kind(kind).name for kind in samples["kind"].tolist()]

    def make(row: int, frame: int | None, time: float | None, duration: float | None) -> Row:
        irap = offsets[iraps[row]] if iraps[row] >= 0 else None
        return Row(frame, offsets[row], sizes[row], irap, time, duration, kinds[row])

    shown = zip(index.order.tolist(), index.times.tolist(), index.durations.tolist(), strict=True)
    table = [make(row, frame, time, duration) for frame, (row, time, duration) in enumerate(shown)]
    return table + [make(row, None, None, None) for row in hidden.tolist()]


def _write(video: Video, index: VideoIndex, path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix == ".ffindex":
        index.save(path)
    else:
        path.write_text(_json(video, index) + "\n" if suffix == ".json" else _csv(index))
    say(f"{path}  ({len(index.samples)} samples, {human_bytes(path.stat().st_size)})")


def _csv(index: VideoIndex) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows(astuple(row) for row in rows(index))
    return text.getvalue()


def _json(video: Video, index: VideoIndex) -> str:
    return json.dumps(
        {
            "codec": video.codec,
            "width": video.width,
            "height": video.height,
            "frame_rate": float(video.frame_rate),
            "duration": float(video.duration),
            "frames": len(video),
            "bytes": index.size,
            "samples": [asdict(row) for row in rows(index)],
        },
        indent=1,
    )


def _show(name: str, video: Video, index: VideoIndex, limit: int) -> None:
    from rich.table import Table

    iraps = np.flatnonzero(index.samples["irap"] == np.arange(len(index.samples)))
    longest = int(np.diff(np.append(iraps, len(index.samples))).max()) if len(iraps) else len(index.samples)
    known = bool(np.all(index.samples["kind"] != Kind.UNKNOWN))
    hidden = len(index.samples) - len(np.unique(index.order))
    facts(
        [
            ("Picture", f"{video.width}x{video.height}, {video.pixel_format}" + _turned(video)),
            ("Codec", video.codec),
            (
                "Frames",
                f"{len(video)} in {float(video.duration):.3f} s, {float(video.frame_rate):.3f} a second",
            ),
            ("Samples", f"{len(index.samples)}" + (f", {hidden} never on screen" if hidden else "")),
            (
                "IRAPs",
                f"{len(iraps)}, longest GOP {longest}"
                + ("" if known else " (as the file claims; --scan looks)"),
            ),
            ("File", human_bytes(index.size)),
        ],
        title=name,
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("frame", "offset", "size", "irap_offset", "time"):
        table.add_column(name, justify="right")
    if known:
        table.add_column("kind")
    listed = rows(index)
    for row in listed[: limit or None]:
        starts_gop = row.offset == row.irap_offset
        table.add_row(
            "-" if row.frame is None else str(row.frame),
            str(row.offset),
            str(row.size),
            "?" if row.irap_offset is None else str(row.irap_offset),
            "-" if row.time is None else f"{row.time:.3f}",
            *([row.kind] if known else []),
            style="cyan" if starts_gop else "",
        )
    out.print(table)
    if limit and len(listed) > limit:
        out.print(f"[dim]and {len(listed) - limit} more: --rows 0, -o FILE.csv, or a pipe shows all[/dim]")


def _turned(video: Video) -> str:
    return f", turned by {video.rotation} degrees" if video.rotation else ""
