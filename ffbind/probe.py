"""What a file is, where it is not one of ours: libavformat's opinion, through our AVIOContext, for a clear error."""

from __future__ import annotations

from .avio import SourceInput
from .errors import FFbindError, NotVideoError, UnsupportedError
from .sources import Source

__all__ = ["explain_foreign"]


def explain_foreign(source: Source, known: NotVideoError) -> FFbindError:
    """Make the error for bytes that our own reader does not take for a video: another container, or no video at all.

    `known` is what our reader said, which holds for MP4 and MOV, and where libavformat does not know the bytes either. What the
    source itself raises is not caught.
    """
    with SourceInput(source) as probe:
        try:
            format_name = probe.format_name()
            videos = [stream for stream in probe.streams() if stream.kind == "video"]
        except NotVideoError:
            return known
    if format_name.startswith("mov,"):
        return known
    if format_name.endswith("_pipe"):  # how libavformat calls files of one picture
        return NotVideoError(
            f"a still picture ({format_name.removesuffix('_pipe')}), not a video; give an MP4 or MOV file with HEVC video"
        )
    if not videos:
        return NotVideoError(
            f"no video track in it (FFmpeg calls it {format_name}); give an MP4 or MOV file with HEVC video"
        )
    if videos[0].codec != "hevc":
        return UnsupportedError(
            f"{videos[0].codec} video in {format_name}, but only HEVC (H.265) in MP4 or MOV is read"
        )
    return UnsupportedError(
        f"HEVC video in {format_name}, but only MP4 and MOV are read; put it into MP4 without re-encoding: "
        "ffmpeg -i IN -c copy OUT.mp4"
    )
