"""`streamer bench`: frames a second, latency, and what frames take of the store, as a client sees them over the protocol."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ffbind
from streamer.client import Client, ClientError, FrameAnswer
from streamer.storage import S3Options, bucket_and_key, is_bucket_url, is_url

from .child import ServerProcess, own_server
from .console import Mistake, examples, human_bytes, out, progress, say
from .measure import PERCENTILES, STAGES, Measurement, Receipts
from .source import file_name, to_open

if TYPE_CHECKING:
    from rich.progress import TaskID

    from ffbind.index import VideoIndex
    from streamer.messages import Frame

__all__ = ["EXAMPLES", "Pattern", "Wanted", "choose", "command"]

EXAMPLES = examples(
    "streamer bench drive.mp4                    on a server of its own, started and ended",
    "streamer bench drive.mp4 --pattern random --frames 500",
    "streamer bench s3://videos/drive.mp4        the same, the server reading the bucket",
    "streamer bench drive.mp4 --url ws://gpu7:3000/ws --path robots/drive.mp4",
    "streamer bench drive.mp4 --json > result.json",
)


class Pattern(StrEnum):
    """Which frames are asked for: one after the other as when playing, or anywhere as when sampling."""

    SEQUENTIAL = "sequential"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Addresses of one frame: what RequestFrames takes."""

    offset: int
    irap_offset: int


def command(
    video: Annotated[
        str,
        typer.Argument(
            help="An HEVC video, for its index: a path, s3://BUCKET/KEY, http(s)://...", metavar="VIDEO"
        ),
    ],
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="ws://...", help="A running server; default: one of its own."),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option("--path", help="VIDEO's path on the server of --url.", show_default="file name"),
    ] = None,
    pattern: Annotated[Pattern, typer.Option("--pattern", help="Order of the frames.")] = Pattern.SEQUENTIAL,
    frames: Annotated[
        int, typer.Option("--frames", min=1, help="Frames to ask for; short videos repeat.")
    ] = 100,
    in_flight: Annotated[int, typer.Option("--in-flight", min=1, help="Requests under way at once.")] = 8,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the random pattern.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON instead.")] = False,
) -> int:
    """Measure a server with frames of VIDEO, one frame a request.

    The offsets come from the index of VIDEO; everything else goes over the WebSocket protocol. Latency runs
    from sending a request to the last byte of its JPEG. The run is repeated with one request in flight, for
    the latency of an idle server; it finds what the first run left in the caches. Where the time of a frame
    goes, and how many requests to the store it takes, is what the server's receipts say.

    The exit status is 1 when any frame was answered by an error.
    """
    if path is not None and url is None:
        raise Mistake("--path names the video on the server of --url; give both or neither")
    if url is not None and not url.startswith(("ws://", "wss://")):
        raise Mistake(f"--url is {url!r}; it must start with ws:// or wss://, such as ws://127.0.0.1:3000/ws")
    served = own_place(video) if url is None else None
    with ffbind.open(to_open(video)) as opened:
        # A file's own table of sync samples may be wrong either way; the server wants IRAPs of the bitstream.
        opened.scan()
        wanted = choose(opened.index, pattern, frames, seed)
        what = f"{file_name(video)}: {opened.width}x{opened.height}, {len(opened)} frames"
    name = served.name if served is not None else path or file_name(video)
    with own_server(served.place) if served is not None else nullcontext(ServerProcess(url or "")) as server:
        main, single = asyncio.run(_runs(server.url, name, wanted, in_flight))
    server_cpu = None if served is None else server.cpu_seconds
    if as_json:
        print(_json(main, single, server_cpu))
    else:
        _show(what, pattern, main, single, server_cpu)
    return 1 if main.errored or (single is not None and single.errored) else 0


@dataclass(frozen=True, slots=True)
class Served:
    """Where a server of our own finds a video: what it serves, and the video's path below that."""

    place: Path | S3Options
    name: str


def own_place(video: str) -> Served:
    """Choose what a server of our own serves. Raises Mistake for what it cannot."""
    if not is_url(video):
        # Links are followed here: the server would refuse one that leads out of its folder.
        real = Path(video).resolve()
        return Served(real.parent, real.name)
    if not is_bucket_url(video):
        raise Mistake(
            "a server serves a folder or a bucket; give --url and --path to measure one with a copy of VIDEO"
        )
    bucket, key = bucket_and_key(video)
    return Served(S3Options.from_environment(bucket), key)


def choose(index: VideoIndex, pattern: Pattern, frames: int, seed: int) -> list[Wanted]:
    """Choose the frames to ask for, in presentation order or at random (each once before any comes again)."""
    order = index.order.tolist()
    if not order:
        raise Mistake("the video shows no frame, so there is nothing to measure", 1)
    rows: list[int] = []
    dice = random.Random(seed)
    while len(rows) < frames:
        rows += order if pattern is Pattern.SEQUENTIAL else dice.sample(order, len(order))
    offsets, iraps = index.samples["offset"], index.samples["irap"]
    # A sample before the first IRAP has none to name; what the server says of the first sample then counts.
    return [Wanted(int(offsets[row]), int(offsets[max(iraps[row], 0)])) for row in rows[:frames]]


async def _runs(
    url: str, path: str, wanted: list[Wanted], in_flight: int
) -> tuple[Measurement, Measurement | None]:
    """Measure with `in_flight` requests under way, then with one (None where that would be the same)."""
    async with Client.connect(url) as client:
        await client.set_video(path)
        with progress("frames") as bar:
            results = []
            for depth in dict.fromkeys((in_flight, 1)):
                task = bar.add_task(f"{depth} in flight", total=len(wanted), note="")

                def tick(done: int, seconds: float, task: TaskID = task) -> None:
                    bar.update(task, completed=done, note=f"{done / seconds:.0f} frames/s")

                results.append(await _run(client, wanted, depth, tick))
    return results[0], results[1] if len(results) > 1 else None


async def _run(
    client: Client, wanted: list[Wanted], in_flight: int, tick: Callable[[int, float], None]
) -> Measurement:
    sent: dict[int, float] = {}
    latencies: list[float] = []
    announced: list[Frame] = []
    codes: list[str] = []

    async def send(index: int) -> None:
        frame = wanted[index]
        sent[index] = time.perf_counter()
        await client.request_frames(frame.irap_offset, [(frame.offset, index)], timing=True)

    cpu = time.process_time()
    start = time.perf_counter()
    for index in range(min(in_flight, len(wanted))):
        await send(index)
    following = len(sent)
    now = start
    while sent:
        answer = await client.answer()
        now = time.perf_counter()
        if answer.index not in sent:
            said = "" if isinstance(answer, FrameAnswer) else f": {answer.code}, {answer.message}"
            raise ClientError(f"the server's answer belongs to no request{said}")
        asked = sent.pop(answer.index)
        if isinstance(answer, FrameAnswer):
            latencies.append(now - asked)
            announced.append(answer.meta)
        else:
            codes.append(answer.code)
        if following < len(wanted):
            await send(following)
            following += 1
        tick(len(latencies) + len(codes), now - start)
    return Measurement(
        requested=len(wanted),
        in_flight=in_flight,
        latencies=tuple(latencies),
        sizes=tuple(frame.size for frame in announced),
        codes=tuple(codes),
        seconds=now - start,
        client_cpu=time.process_time() - cpu,
        receipts=Receipts.of(announced),
    )


def _json(main: Measurement, single: Measurement | None, server_cpu: float | None) -> str:
    return json.dumps(
        {
            "benchmark": main.record(),
            "one_in_flight": None if single is None else single.record(),
            "server_cpu_seconds": server_cpu,
        },
        indent=1,
    )


def _show(
    what: str, pattern: Pattern, main: Measurement, single: Measurement | None, server_cpu: float | None
) -> None:
    from rich.table import Table

    title, figures = main.block().split("\n", 1)
    say("")
    out.print(title, style="bold cyan")
    say(figures)
    say("")
    say(f"{what}, {pattern}, one frame a request")
    say("")
    runs = [main] if single is None else [main, single]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    table.add_column("")
    for run in runs:
        table.add_column(f"{run.in_flight} in flight", justify="right")

    def row(name: str, values: Iterable[str]) -> None:
        table.add_row(name, *values)

    def heading(name: str) -> None:
        table.add_row("")
        table.add_row(name, style="bold")

    row("frames a second", [f"{run.frames_per_second:.1f}" for run in runs])
    for name, at in PERCENTILES:
        row(f"latency {name}", [_milliseconds(run.percentile(at)) for run in runs])
    receipts = [run.receipts for run in runs if run.receipts is not None]
    if len(receipts) == len(runs):
        heading("where the time goes, median")
        for stage in STAGES:
            row(f"  {stage}", [_milliseconds(each.medians[stage]) for each in receipts])
        heading("from the store")
        row("  frames", [f"{each.frames - each.cached} of {each.frames}" for each in receipts])
        waits = ["-" if each.fetch_median is None else _milliseconds(each.fetch_median) for each in receipts]
        row("  their fetch, median", waits)
        row("  requests per frame", [f"{each.requests_per_frame:.2f}" for each in receipts])
        row("  bytes per frame", [human_bytes(each.bytes_per_frame) for each in receipts])
        row("  bytes per JPEG byte", [f"{each.fetched_to_jpeg:.2f}" for each in receipts])
        row("  fetched ahead, unused", [human_bytes(each.ahead_bytes) for each in receipts])
    heading("to the client")
    row("  JPEG in all", [human_bytes(sum(run.sizes)) for run in runs])
    row("  JPEG average", [human_bytes(sum(run.sizes) / max(run.received, 1)) for run in runs])
    row("  client CPU", [f"{run.client_cpu:.2f} s" for run in runs])
    if codes := sorted({code for run in runs for code in run.codes}):
        heading("errors")
        for code in codes:
            row(f"  {code}", [str(run.errors().get(code, 0)) for run in runs])
    out.print(table)
    if server_cpu is not None:
        say("")
        say(f"server CPU: {server_cpu:.2f} s for start-up and all runs, decode lanes included")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
