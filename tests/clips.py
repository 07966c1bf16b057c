"""Generated clips: each name with the `ffmpeg` command that makes it; tests/conftest.py runs it on first use.

A command is written without the program name and without the output path: the output is a file called like
the clip. An argument `{name}` stands for the path of another clip, which is made first.
"""

from __future__ import annotations

__all__ = ["CLIPS"]

# x265 as most encoders use it: B pyramid, open GOPs (CRA with RASL pictures), several GOPs in a short clip.
_OPEN_GOP = "-x265-params log-level=error:keyint=12:min-keyint=6:open-gop=1:bframes=3:scenecut=0"
_SOURCE = "-f lavfi -i testsrc2=size=192x108:rate=25:duration=2"
_HEVC = f"-c:v libx265 -preset ultrafast -pix_fmt yuv420p {_OPEN_GOP}"

CLIPS: dict[str, str] = {
    # Plain containers around the same 50 pictures.
    "plain.mp4": f"{_SOURCE} {_HEVC} -tag:v hvc1",
    "hev1.mp4": "-i {plain.mp4} -c copy -tag:v hev1",
    "faststart.mp4": "-i {plain.mp4} -c copy -tag:v hvc1 -movflags +faststart",
    "plain.mov": "-i {plain.mp4} -c copy -tag:v hvc1",
}
