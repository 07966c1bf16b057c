"""What a file is, where it is not one of ours: libavformat's opinion, put into a clear error."""

from __future__ import annotations

from collections.abc import Sequence

from .avio import Stream
from .errors import FFbindError, NotVideoError, UnsupportedError

__all__ = ["explain_foreign"]

_GIVE = "give a video with HEVC in MP4, MOV, Matroska, MPEG-TS or a raw stream"
_READ = "MP4, MOV, Matroska, MPEG-TS and raw streams"


def explain_foreign(format_name: str, videos: Sequence[Stream], known: NotVideoError) -> FFbindError:
    """Make the error for a file of a container or codec that is not read, by FFmpeg's name of its format and its video streams.

    `known` is what our reader of MP4 and MOV said, which holds for these.
    """
    if format_name.startswith("mov,"):
        return known
    if format_name.endswith("_pipe"):  # how libavformat calls files of one picture
        return NotVideoError(f"a still picture ({format_name.removesuffix('_pipe')}), not a video; {_GIVE}")
    if not videos:
        return NotVideoError(f"no video track in it (FFmpeg calls it {format_name}); {_GIVE}")
    if videos[0].codec != "hevc":
        return UnsupportedError(
            f"{videos[0].codec} video in {format_name}, but only HEVC (H.265) is shown; encode it again: "
            "ffmpeg -i IN -c:v libx265 -tag:v hvc1 OUT.mp4"
        )
    return UnsupportedError(
        f"HEVC video in {format_name}, but only {_READ} are read; put it into MP4 without re-encoding: ffmpeg -i IN -c copy OUT.mp4"
    )
