"""`streamer index`: the table of byte offsets and IRAP samples that a client of the protocol needs; saved indexes of many videos."""

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

from .arrow import ARROW_SUFFIXES, need_pyarrow, write_table
from .console import Mistake, examples, facts, human_bytes, out, say
from .saving import save_indexes
from .source import VIDEO_HELP, file_name, index_of, to_open

if TYPE_CHECKING:
    from ffbind.index import VideoIndex
    from ffbind.video import Video

__all__ = ["EXAMPLES", "Row", "command", "rows"]

EXAMPLES = examples(
    "streamer index drive.mp4                   a table for people; in a pipe, CSV of all frames",
    "streamer index drive.mp4 --json            all frames as JSON",
    "streamer index drive.mp4 -o drive.csv      to a file: .csv, .json, .parquet, .arrow, or .ffindex (ffbind.open takes it)",
    "streamer index drive.mp4 --scan            picture kinds and IRAPs from the stream itself",
    "streamer index --save videos/*.mp4         an index beside each, drive.mp4.ffindex; those that are there stay",
    "streamer index --beside s3://videos/2026/        an object beside each video below",
    "streamer index --save s3://videos/drive.mp4      in the folder of indexes, where `streamer serve` may look",
)

_SUFFIXES = (".csv", ".json", *ARROW_SUFFIXES, ".ffindex")


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
    videos: Annotated[list[str], typer.Argument(help=VIDEO_HELP, metavar="VIDEO")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help=f"Write here: {', '.join(_SUFFIXES)}."),
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
    save: Annotated[
        bool,
        typer.Option("--save", help="Save indexes: beside files, and of URLs in the folder of indexes."),
    ] = False,
    beside: Annotated[
        bool, typer.Option("--beside", help="Save indexes beside their videos, in buckets too.")
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            metavar="DIR",
            help="Save indexes in this folder, under names made from URL or path.",
            show_default="~/.cache/bucket-streamer/index",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, max=256, help="With --save: videos at a time.", show_default=True)
    ] = 4,
) -> int:
    """Print where each frame of VIDEO starts in the file, and the IRAP sample to decode it from.

    One row a sample, in presentation order (samples that are never on screen come last, without a frame
    number). These are the numbers that RequestFrames takes: offset, irap_offset.

    With --save, --beside or --cache nothing is printed but names: the indexes of all VIDEOs are saved, so that
    opening them again reads no table. A folder, or s3://BUCKET/PREFIX/ with a slash at its end, stands for all
    .mp4, .mov and .m4v below. Those that are there and fit their video stay as they are, so a run that
    was broken off is gone on with. What fails is told at the end, and the exit status is 1 then.
    """
    if save or beside or cache is not None:
        if output is not None or as_json:
            raise Mistake("--save, --beside and --cache save indexes; -o FILE and --json write a table")
        if beside and cache is not None:
            raise Mistake("give either --beside or --cache DIR; an index is saved in one place")
        return save_indexes(videos, folder=cache, beside_videos=beside, scan=scan, jobs=jobs)
    if len(videos) > 1:
        raise Mistake(
            f"{len(videos)} videos are given, and a table is that of one; --save saves their indexes"
        )
    if output is not None and as_json:
        raise Mistake("give either -o FILE or --json; -o FILE.json writes JSON to a file")
    if output is not None and output.suffix.lower() not in _SUFFIXES:
        raise Mistake(
            f"{output}: the name must end in {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}, to say what to write"
        )
    if output is not None and output.suffix.lower() in ARROW_SUFFIXES:
        need_pyarrow(output)
    with ffbind.open(to_open(videos[0])) as opened:
        index = index_of(opened, scan=scan)
        if output is not None:
            _write(opened, index, output)
        elif as_json:
            print(_json(opened, index))
        elif out.is_terminal:
            _show(file_name(videos[0]), opened, index, limit)
        else:
            sys.stdout.write(_csv(index))
    return 0


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
    elif suffix in ARROW_SUFFIXES:
        columns = zip(*(astuple(row) for row in rows(index)), strict=True)
        names = [field.name for field in fields(Row)]
        write_table(path, dict(zip(names, columns, strict=True)), _facts(video, index))
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
    return json.dumps(_facts(video, index) | {"samples": [asdict(row) for row in rows(index)]}, indent=1)


def _facts(video: Video, index: VideoIndex) -> dict[str, str | int | float]:
    return {
        "codec": video.codec,
        "width": video.width,
        "height": video.height,
        "frame_rate": float(video.frame_rate),
        "duration": float(video.duration),
        "frames": len(video),
        "bytes": index.size,
    }


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
