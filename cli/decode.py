"""`streamer decode`: exact frames of a video as picture files."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

import ffbind
from ffbind.errors import FFbindError

from .console import Mistake, err, examples, human_bytes, out, progress, say
from .png import encode_png
from .source import VideoArgument, file_name, to_open

if TYPE_CHECKING:
    from ffbind.frame import Frame
    from ffbind.pixels import Size
    from ffbind.video import Video

__all__ = ["EXAMPLES", "Format", "command"]

EXAMPLES = examples(
    "streamer decode drive.mp4 --frame 120                          one frame, drive-000120.jpg",
    "streamer decode drive.mp4 --frames 0:300:100 -o pictures/      every hundredth of the first 300",
    "streamer decode drive.mp4 --time 3.2 -o moment.png             what is on screen at 3.2 s",
    "streamer decode s3://videos/drive.mp4 --time 3.2               from a bucket, reading only what the frame takes",
    "streamer decode drive.mp4 --offset 48213 --irap-offset 1066    the sample at a byte offset",
    "streamer decode drive.mp4 --frames : --format npy --width 224  all frames as small RGB arrays",
)


class Format(StrEnum):
    """Picture formats: JPEG from the decoder's own planes, PNG and numpy arrays from RGB."""

    JPG = "jpg"
    PNG = "png"
    NPY = "npy"


_SAVING = 2  # threads that compress and write while the next pictures are decoded
_SUFFIXES = {".jpg": Format.JPG, ".jpeg": Format.JPG, ".png": Format.PNG, ".npy": Format.NPY}


def command(
    video: VideoArgument,
    frame: Annotated[
        list[int] | None,
        typer.Option("--frame", help="Number in presentation order, from 0; -1 is the last. Repeatable."),
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option("--frames", metavar="START:STOP:STEP", help="Numbers as a Python slice; : is all."),
    ] = None,
    time: Annotated[
        list[float] | None,
        typer.Option("--time", metavar="SECONDS", help="The frame on screen then. Repeatable."),
    ] = None,
    offset: Annotated[
        list[int] | None,
        typer.Option("--offset", metavar="BYTE", help="Where the sample starts. Repeatable."),
    ] = None,
    irap_offset: Annotated[
        int | None,
        typer.Option(
            "--irap-offset", metavar="BYTE", help="With --offset: the IRAP sample to start decoding from."
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="DIR|FILE", help="A folder, or a file whose suffix says the format."
        ),
    ] = Path(),
    picture_format: Annotated[
        Format | None, typer.Option("--format", help="Picture format.", show_default="jpg")
    ] = None,
    quality: Annotated[
        int | None, typer.Option("--quality", help="JPEG quality, 1 to 100.", show_default="80")
    ] = None,
    width: Annotated[
        int | None, typer.Option("--width", help="Width in pixels; alone it keeps the shape.")
    ] = None,
    height: Annotated[
        int | None, typer.Option("--height", help="Height in pixels; alone it keeps the shape.")
    ] = None,
) -> int:
    """Decode exact frames of VIDEO to picture files.

    Choose frames by exactly one of --frame, --frames, --time and --offset. Files are named after the video
    and the frame number (drive-000120.jpg); a sample that is never on screen is named after its byte offset.
    In a pipe, the paths written are printed, one to a line.

    A frame that cannot be decoded is reported and the others are still written; the exit status is 1 then.
    """
    selectors = [name for name, value in _selectors(frame, frames, time, offset) if value is not None]
    if len(selectors) != 1:
        given = f"{' and '.join(selectors)} were given" if selectors else "none was given"
        raise Mistake(f"choose frames by exactly one of --frame, --frames, --time and --offset; {given}")
    if irap_offset is not None and offset is None:
        raise Mistake("--irap-offset says where decoding of an --offset starts; give --offset too")
    file = output if output.suffix.lower() in _SUFFIXES and not output.is_dir() else None
    chosen = _settle(file, picture_format)
    if quality is not None and chosen is not Format.JPG:
        raise Mistake(f"--quality is for JPEG; {chosen} keeps every pixel")

    size = None if width is None and height is None else (width, height)
    save = partial(
        _save, file, output / Path(file_name(video)).stem, chosen, 80 if quality is None else quality, size
    )
    with ffbind.open(to_open(video)) as opened:
        choice = _choose(opened, frame, frames, time, offset, irap_offset)
        if not choice.values:
            raise Mistake(f"--frames {frames} chooses nothing; {file_name(video)} has {len(opened)} frames")
        if file is not None and len(choice.values) > 1:
            raise Mistake(
                f"{len(choice.values)} frames do not fit into one file; give -o a folder, not {file}"
            )
        if file is None:
            output.mkdir(parents=True, exist_ok=True)
        written: list[Path] = []
        failed = 0
        for value, result in _saved(choice, save):
            if isinstance(result, Path):
                written.append(result)
                if not out.is_terminal:
                    say(str(result))
            elif len(choice.values) == 1:
                raise result
            else:
                failed += 1
                err.print(f"streamer: {choice.name} {value}: {result}", markup=False, soft_wrap=True)
    if out.is_terminal:
        _summary(written)
    return 1 if failed else 0


def _selectors(*values: object) -> Iterator[tuple[str, object]]:
    return zip(("--frame", "--frames", "--time", "--offset"), values, strict=True)


def _settle(file: Path | None, wanted: Format | None) -> Format:
    """Settle the format from the file's suffix and --format, which must not disagree."""
    if file is None:
        return wanted or Format.JPG
    suffix = _SUFFIXES[file.suffix.lower()]
    if wanted is not None and wanted is not suffix:
        raise Mistake(f"--format {wanted} and the file name {file.name} disagree; leave one of them out")
    return suffix


@dataclass(frozen=True, slots=True)
class _Choice:
    """The frames wanted: their numbers, times or offsets, and how to get several of them, or one."""

    name: str
    values: Sequence[float]
    several: Callable[[Any], Iterator[Frame]]
    one: Callable[[Any], Frame]


def _choose(
    video: Video,
    frame: list[int] | None,
    frames: str | None,
    time: list[float] | None,
    offset: list[int] | None,
    irap_offset: int | None,
) -> _Choice:
    if time is not None:
        return _Choice("time", time, video.frames_at, video.frame_at)
    if offset is not None:
        return _Choice(
            "offset",
            offset,
            partial(video.frames_at_offsets, irap_offset=irap_offset),
            partial(video.frame_at_offset, irap_offset=irap_offset),
        )
    numbers = frame if frame is not None else range(len(video))[_slice(frames or "")]
    return _Choice("frame", numbers, video.frames, video.__getitem__)


def _decoded(choice: _Choice) -> Iterator[Frame | FFbindError]:
    """Decode the frames in their order, in batches; one that fails gives its error, and the rest goes on."""
    place = 0
    while place < len(choice.values):
        try:
            for frame in choice.several(choice.values[place:]):
                yield frame
                place += 1
        except FFbindError:
            # A batch is refused as a whole when one of its numbers is wrong; alone, each answers for itself.
            try:
                yield choice.one(choice.values[place])
            except FFbindError as error:
                yield error
            place += 1


def _saved(choice: _Choice, save: Callable[[Frame], Path]) -> Iterator[tuple[float, Path | FFbindError]]:
    """Save the frames while the next ones are decoded; give each value with its path or its error, in order."""
    waiting: deque[tuple[float, Future[Path | FFbindError]]] = deque()
    with ThreadPoolExecutor(_SAVING) as pool, progress("frames") as bar:
        task = bar.add_task("Decoding", total=len(choice.values), note="")
        for value, frame in zip(choice.values, _decoded(choice), strict=True):
            waiting.append((value, pool.submit(_result, save, frame)))
            bar.advance(task)
            if len(waiting) > 2 * _SAVING:
                value, result = waiting.popleft()
                yield value, result.result()
        for value, result in waiting:
            yield value, result.result()


def _result(save: Callable[[Frame], Path], frame: Frame | FFbindError) -> Path | FFbindError:
    if isinstance(frame, FFbindError):
        return frame
    try:
        return save(frame)
    except FFbindError as error:
        return error


def _slice(text: str) -> slice:
    match = re.fullmatch(r"\s*(-?\d+)?:(-?\d+)?(?::(-?\d+)?)?\s*", text)
    if match is None or (match[3] is not None and int(match[3]) == 0):
        raise Mistake(f"--frames is {text!r}; it must be START:STOP or START:STOP:STEP, such as 0:100:10")
    return slice(*(None if part is None else int(part) for part in match.groups()))


def _save(file: Path | None, stem: Path, kind: Format, quality: int, size: Size | None, frame: Frame) -> Path:
    """Write one frame to `file`, or to a name made of `stem` and its number."""
    target = file or stem.with_name(f"{stem.name}-{_number(frame)}.{kind}")
    if kind is Format.JPG:
        target.write_bytes(frame.to_jpeg(quality=quality, size=size))
    elif kind is Format.PNG:
        target.write_bytes(encode_png(frame.to_numpy("rgb24", size=size)))
    else:
        with target.open("wb") as opened:
            np.save(opened, frame.to_numpy("rgb24", size=size))
    return target


def _number(frame: Frame) -> str:
    return f"{frame.index:06d}" if frame.index >= 0 else f"at{frame.offset}"


def _summary(written: list[Path]) -> None:
    if not written:
        return
    total = human_bytes(sum(path.stat().st_size for path in written))
    if len(written) == 1:
        say(f"{written[0]}  ({total})")
    else:
        say(f"{len(written)} pictures, {total}: {written[0]} … {written[-1].name}")
