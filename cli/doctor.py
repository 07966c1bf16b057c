"""`streamer doctor`: what this installation is and lacks and whether its bucket can be served, or what a video is and costs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ffbind
from ffbind.errors import SourceError
from ffbind.names import MATRICES, PRIMARIES, TRANSFERS, name_code_point
from ffbind.report import Finding, Level, SystemReport, VideoReport, describe_system, describe_video
from streamer.config import ConfigError, Settings
from streamer.server import make_storage
from streamer.storage import S3Storage, StorageError, is_url

from .console import examples, facts, human_bytes, out, progress
from .source import VIDEO_HELP, CountedSource, file_name

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from ffbind.color import Color
    from ffbind.report import Extent, SyncMistake

__all__ = ["EXAMPLES", "command"]

EXAMPLES = examples(
    "streamer doctor                       versions, what is missing and how to get it; the bucket, if one is set",
    "streamer doctor drive.mp4             what is in the file, and what a random frame costs",
    "streamer doctor drive.mp4 --json      the same for programs",
)

_PACKAGES = ("cffi", "numpy", "PyTurboJPEG", "websockets", "msgspec", "minio", "rich", "typer")
_STYLES = {Level.ERROR: "bold red", Level.WARNING: "bold yellow", Level.NOTE: "bold cyan"}


def command(
    video: Annotated[
        str | None,
        typer.Argument(help=f"{VIDEO_HELP}; without one: this installation.", metavar="[VIDEO]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Settings as TOML.", show_default="streamer.toml", readable=False
        ),
    ] = None,
) -> int:
    """Check this installation, or look into VIDEO, and say what to do about what is found.

    Where the settings of the server name a bucket, it is asked once, as `streamer serve` does at its start: whether the store
    answers, the bucket is there, the keys are accepted and the clock is right.

    Of a video, the headers of all samples are read, which reads the whole track; two frames are decoded. Of one in a store, the report
    says how many requests and bytes that took.

    The exit status is 1 where something cannot work: a library that is missing, a bucket that cannot be served, a file that is cut
    short.
    """
    if video is None:
        system, bucket = describe_system(_PACKAGES), _check_bucket(config)
        if bucket is not None and bucket.problem is not None:
            finding = Finding(
                Level.ERROR,
                bucket.problem,
                "put the settings right; streamer config shows where each came from",
            )
            system = replace(system, findings=(*system.findings, finding))
        if as_json:
            print(_json(system, bucket=bucket))
        else:
            _show_system(system, bucket)
        return _status(system.findings)
    far = CountedSource(video) if is_url(video) else None
    with ffbind.open(video if far is None else far) as opened, progress("samples") as bar:
        task = bar.add_task("Reading headers", total=len(opened.index.samples), note="")
        report = describe_video(opened, lambda done, _: bar.update(task, completed=done))
    cost = None if far is None else _Cost(far.requests, far.bytes)
    if as_json:
        print(_json(report, cost=cost))
    else:
        _show_video(file_name(video), report, cost)
    return _status(report.findings)


@dataclass(frozen=True, slots=True)
class _Bucket:
    """The bucket that the settings name. `listable`: whether it may be listed, which is no need; None where that is not known."""

    where: str | None
    """For people; None where the settings do not say it."""
    listable: bool | None
    problem: str | None
    """Why it cannot be served, in a sentence; None where it can."""


@dataclass(frozen=True, slots=True)
class _Cost:
    """What a report took of a store."""

    requests: int
    bytes: int


def _check_bucket(config: Path | None) -> _Bucket | None:
    """Ask the bucket that the settings name, with one request; None where they name none."""
    try:
        settings = Settings.load(config=config).settings
    except ConfigError as error:
        return _Bucket(None, None, f"the settings of the server cannot be used: {error}")
    if settings.storage_backend != "s3":
        return None
    where = f"s3://{settings.s3_bucket}"
    try:
        storage = make_storage(settings)
        assert isinstance(storage, S3Storage)
        where = str(storage)
        return _Bucket(where, storage.check(), None)
    except (ConfigError, StorageError, SourceError) as error:
        return _Bucket(where, None, f"the bucket cannot be served: {error}")


def _status(findings: Iterable[Finding]) -> int:
    return int(any(finding.level is Level.ERROR for finding in findings))


def _json(report: DataclassInstance, **more: DataclassInstance | None) -> str:
    found = {name: asdict(part) for name, part in more.items() if part is not None}
    return json.dumps(asdict(report) | found, indent=1)


def _show_system(system: SystemReport, bucket: _Bucket | None) -> None:
    ffmpeg, command = system.ffmpeg, system.command
    rows = [("Python", f"{system.python} ({sys.executable})"), ("System", system.system)]
    if ffmpeg is not None:
        rows.append(("FFmpeg", f"{ffmpeg.version}, {ffmpeg.licence} (5.1 to 9 are supported)"))
        rows.append(("Its libraries", ", ".join(" ".join(library) for library in ffmpeg.libraries)))
    else:
        rows.append(("FFmpeg", "cannot be used"))
    rows.append(("libjpeg-turbo", system.libjpeg_turbo or "not loaded"))
    rows.append(
        (
            "Packages",
            ", ".join(f"{package.name} {package.version or 'missing'}" for package in system.packages),
        )
    )
    cpu = system.cpu
    rows.append(("Processor", f"{cpu.name}, {_count(cpu.cores, 'core')} for this process"))
    lacking = f"; without {', '.join(cpu.missing)}" if cpu.missing else ""
    rows.append(("Instructions", (", ".join(cpu.features) or "none that are fast") + lacking))
    if command is not None:
        x265 = "with libx265" if command.has_x265 else "without libx265"
        rows.append(("ffmpeg command", f"{command.version}, {x265} ({command.path})"))
    else:
        rows.append(("ffmpeg command", "not found"))
    if bucket is not None and bucket.where is not None:
        rows.append(("Bucket", bucket.where))
        if bucket.problem is None:
            unlisted = "" if bucket.listable else "; it may not be listed, which is no need"
            rows.append(("The store", f"answers: the bucket, the keys and the clock are right{unlisted}"))
    facts(rows, title=f"streamer {system.version}")
    _show_findings(system.findings, "Everything is in its place.")


def _show_video(name: str, report: VideoReport, cost: _Cost | None) -> None:
    facts(_picture_rows(report), title=name)
    facts(_file_rows(report), title="File")
    facts(_access_rows(report), title="Random access")
    if cost is not None:
        took = f"{_count(cost.requests, 'request')}, {human_bytes(cost.bytes)}"
        facts([("This report took", took)], title="Store")
    _show_findings(report.findings, "Nothing to complain about.")


def _picture_rows(report: VideoReport) -> list[tuple[str, str]]:
    picture, container = report.picture, report.container
    color = picture.color
    rows = [
        (
            "Codec",
            f"{picture.codec.upper()} {picture.profile}, {picture.bit_depth} bits, {picture.pixel_format}",
        ),
        ("Size", f"{picture.width}x{picture.height}" + _shape(report)),
        (
            "Colour",
            f"{_color(color)}, {'full' if color.full_range else 'limited'} range",
        ),
        (
            "Time",
            f"{container.duration:.3f} s, {_count(container.frames, 'frame')}, {container.frame_rate:.3f} a second"
            + (" (constant)" if container.constant_frame_rate else " on average (variable)"),
        ),
    ]
    if picture.dolby_vision_profile is not None:
        rows.insert(3, ("Dolby Vision", f"profile {picture.dolby_vision_profile}"))
    return rows


def _color(color: Color) -> str:
    primaries = name_code_point(color.primaries, PRIMARIES)
    transfer = name_code_point(color.transfer, TRANSFERS)
    matrix = name_code_point(color.matrix, MATRICES)
    if primaries == transfer == matrix:
        return primaries
    return f"primaries {primaries}, transfer {transfer}, matrix {matrix}"


def _shape(report: VideoReport) -> str:
    picture = report.picture
    parts = [
        f"turned clockwise by {picture.rotation} degrees" if picture.rotation else "",
        "mirrored" if picture.mirrored else "",
        "" if picture.pixel_aspect == (1, 1) else "pixels {}:{}".format(*picture.pixel_aspect),
    ]
    return "".join(f", {part}" for part in parts if part)


def _file_rows(report: VideoReport) -> list[tuple[str, str]]:
    container, pictures = report.container, report.pictures
    if container.format != "MP4":
        layout = "no index in the file"
    elif container.fragments:
        layout = (
            f"{container.fragments} fragments, {'with' if container.has_segment_index else 'without'} sidx"
        )
    else:
        layout = f"index (moov) {'behind' if container.moov_last else 'in front of'} the data"
    name = (container.brand or "no brand") if container.format == "MP4" else container.format
    tracks = ", ".join(
        f"{track.track_id} {track.handler} {'+'.join(track.entries)}".strip() for track in container.tracks
    )
    hidden = f", {container.hidden} never on screen" if container.hidden else ""
    repeated = f", {container.repeated} shown again" if container.repeated else ""
    outside = f", {container.outside} beyond the end of the file" if container.outside else ""
    sets = "in the sample entry" if pictures.sets_in_entry else "not in the sample entry"
    in_band = f", in {_count(pictures.in_band, 'sample')}" if pictures.in_band else ", in no sample"
    entries = " ".join(dict.fromkeys(container.sample_entries))
    return [
        ("Container", f"{name}, {human_bytes(container.size)}, {layout}"),
        ("Tracks", f"{tracks}; this is {container.track_id}" if tracks else f"this is {container.track_id}"),
        ("Sample entries", f"{len(container.sample_entries)} ({entries})"),
        ("Samples", f"{container.samples}, {human_bytes(container.media_bytes)}{hidden}{repeated}{outside}"),
        ("Edits", _edits(report)),
        ("Parameter sets", sets + in_band),
    ]


def _edits(report: VideoReport) -> str:
    container = report.container
    parts = []
    for edit in container.edits[:4]:
        lasts = f"{edit.duration:.3f} s" if edit.duration or not container.fragments else "to the end"
        parts.append(f"nothing for {lasts}" if edit.start is None else f"from {edit.start:.3f} s {lasts}")
    more = f" and {len(container.edits) - 4} more" if len(container.edits) > 4 else ""
    return ", ".join(parts) + more if parts else "none"


def _access_rows(report: VideoReport) -> list[tuple[str, str]]:
    pictures, sync, gops, access = report.pictures, report.sync, report.gops, report.access
    rows = [("Pictures", ", ".join(f"{count} {kind}" for kind, count in pictures.kinds) or "none")]
    if len(pictures.temporal_layers) > 1:
        rows.append(("Temporal layers", ", ".join(str(count) for count in pictures.temporal_layers)))
    rows.append(("IRAP pictures", f"{sync.iraps}; {_named(report)}"))
    if sync.tables:
        rows += [("Named falsely", _mistake(mistake)) for mistake in sync.first_false]
        rows += [("Not named", _mistake(mistake)) for mistake in sync.first_missing]
    if gops is not None:
        opened = f"{gops.open} open (with RASL pictures)" if gops.open else "all closed"
        rows.append(("GOPs", f"{gops.count}, {opened}"))
        rows.append(("Longest GOP", _extent(gops.longest)))
        rows.append(("Median GOP", _extent(gops.median)))
    if access is not None:
        rows.append(
            ("A random frame", f"{access.samples:.1f} samples, {human_bytes(access.bytes)} on average")
        )
        rows.append(
            ("At worst", f"{_count(access.worst_samples, 'sample')}, {human_bytes(access.worst_bytes)}")
        )
    return rows


def _named(report: VideoReport) -> str:
    sync = report.sync
    if not sync.tables:
        return "the file has no table of them"
    tables = " and ".join(sync.tables)
    if not (sync.false or sync.missing):
        return f"all named, and no others ({tables})"
    return f"{sync.named} samples are named ({tables}), {sync.false} of them falsely; {sync.missing} are not named"


def _mistake(mistake: SyncMistake) -> str:
    return f"sample {mistake.row} at byte {mistake.offset}, {mistake.kind}"


def _count(number: float, thing: str) -> str:
    """Give a number of things: 1 sample, 24.5 samples."""
    whole = f"{number:.0f}" if number == int(number) else f"{number:.1f}"
    return f"{whole} {thing}" if number == 1 else f"{whole} {thing}s"


def _extent(extent: Extent) -> str:
    return f"{_count(extent.samples, 'sample')}, {human_bytes(extent.bytes)}, {extent.seconds:.3f} s"


def _show_findings(findings: Iterable[Finding], fine: str) -> None:
    findings = list(findings)
    if not out.is_terminal:
        for finding in findings:
            print(f"{finding.level.value}: {finding.what}\n  {finding.advice}")
        if not findings:
            print(fine)
        sys.stdout.flush()
        return
    from rich.table import Table
    from rich.text import Text

    if not findings:
        out.print(Text(fine, style="green"))
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for finding in findings:
        advice = Text.assemble(
            f"{finding.what[0].upper()}{finding.what[1:].rstrip('.')}.\n", (f"→ {finding.advice}", "dim")
        )
        grid.add_row(Text(finding.level.value, style=_STYLES[finding.level]), advice)
    out.print(grid)
