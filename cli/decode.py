"""`streamer decode`: exact frames of a video as picture files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ffbind

from .console import Mistake, err, examples, human_bytes, out, say, tracked
from .png import encode_png
from .video import open_video

if TYPE_CHECKING:
    from ffbind.frame import Frame
    from ffbind.pixels import Size
    from ffbind.video import Video

__all__ = ["EXAMPLES", "Format", "command"]

EXAMPLES = examples(
    "streamer decode drive.mp4 --frame 120                          one frame, drive-000120.jpg",
    "streamer decode drive.mp4 --frames 0:300:100 -o pictures/      every hundredth of the first 300",
    "streamer decode drive.mp4 --time 3.2 -o moment.png             what is on screen at 3.2 s",
    "streamer decode drive.mp4 --offset 48213 --irap-offset 1066    the sample at a byte offset",
    "streamer decode drive.mp4 --frames : --format npy --width 224  all frames as small RGB arrays",
)


class Format(StrEnum):
    """Picture formats: JPEG from the decoder's own planes, PNG and numpy arrays from RGB."""

    JPG = "jpg"
    PNG = "png"
    NPY = "npy"


_SUFFIXES = {".jpg": Format.JPG, ".jpeg": Format.JPG, ".png": Format.PNG, ".npy": Format.NPY}


def command(
    video: Annotated[Path, typer.Argument(help="An HEVC video (MP4, MOV).", metavar="VIDEO")],
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
    with open_video(video) as opened:
        getters = _getters(opened, frame, frames, time, offset, irap_offset)
        if not getters:
            raise Mistake(f"--frames {frames} chooses nothing; {video} has {len(opened)} frames")
        if file is not None and len(getters) > 1:
            raise Mistake(f"{len(getters)} frames do not fit into one file; give -o a folder, not {file}")
        if file is None:
            output.mkdir(parents=True, exist_ok=True)
        written = []
        failed = 0
        for label, get in tracked(getters, "Decoding", "frames"):
            try:
                picture = get()
                data = _encode(picture, chosen, 80 if quality is None else quality, size)
            except ffbind.FFbindError as error:
                if len(getters) == 1:
                    raise
                failed += 1
                err.print(f"streamer: {label}: {error}", markup=False, soft_wrap=True)
                continue
            target = file or output / f"{video.stem}-{_number(picture)}.{chosen}"
            target.write_bytes(data)
            written.append(target)
            if not out.is_terminal:
                say(str(target))
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


def _getters(
    video: Video,
    frame: list[int] | None,
    frames: str | None,
    time: list[float] | None,
    offset: list[int] | None,
    irap_offset: int | None,
) -> list[tuple[str, Callable[[], Frame]]]:
    """Give one function for each frame wanted, with its name for messages."""
    if time is not None:
        return [(f"time {at} s", partial(video.frame_at, at)) for at in time]
    if offset is not None:
        return [(f"offset {at}", partial(video.frame_at_offset, at, irap_offset)) for at in offset]
    numbers = frame if frame is not None else list(range(len(video)))[_slice(frames or "")]
    return [(f"frame {number}", partial(video.__getitem__, number)) for number in numbers]


def _slice(text: str) -> slice:
    match = re.fullmatch(r"\s*(-?\d+)?:(-?\d+)?(?::(-?\d+)?)?\s*", text)
    if match is None or (match[3] is not None and int(match[3]) == 0):
        raise Mistake(f"--frames is {text!r}; it must be START:STOP or START:STOP:STEP, such as 0:100:10")
    return slice(*(None if part is None else int(part) for part in match.groups()))


def _encode(frame: Frame, kind: Format, quality: int, size: Size | None) -> bytes:
    if kind is Format.JPG:
        return frame.to_jpeg(quality=quality, size=size)
    pixels = frame.to_numpy("rgb24", size=size)
    if kind is Format.PNG:
        return encode_png(pixels)
    import io

    import numpy as np

    file = io.BytesIO()
    np.save(file, pixels)
    return file.getvalue()


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
