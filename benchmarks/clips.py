"""Clips of the benchmarks: each name with the command that makes it, on first use, in .cache/bench/clips.

Commands are written as in tests/clips.py: without the program and without the output path, `{name}` for the path of another clip,
which is made first. `ffmpeg` is the command, and `x265` is `benchmarks/encode.py`, run with the x265 of the peers' PyAV: version 4,
where Debian's 3.5 writes two temporal layers at most. 600 pictures at 1080p take two cores one to two minutes each; all clips
together about ten minutes and 4.5 GB.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import CONTENDERS, Environment

__all__ = ["CLIPS", "ROOT", "Clip", "Library"]

ROOT = Path(__file__).resolve().parent.parent

# What a hand-held camera sees: texture from coarse to fine (a still picture made of noise at three scales), panned and turned a
# little at a time so that motion falls between pixels, something that moves by itself before it, and the noise of a sensor.
_STILL = (
    "nullsrc=s={size}:r=30:d=0.04,format=yuv444p,"
    "geq=lum='128+{lum}*(random(1)-0.5)':cb='128+{chroma}*(random(2)-0.5)':cr='128+{chroma}*(random(3)-0.5)',"
    "scale=2880x1728:flags=bicubic,trim=end_frame=1"
)
_SCENE = ";".join(
    (
        _STILL.format(size="30x18", lum=90, chroma=60) + "[coarse]",
        _STILL.format(size="180x108", lum=110, chroma=30) + "[middle]",
        _STILL.format(size="1440x864", lum=60, chroma=0) + "[fine]",
        "[coarse][middle]blend=all_expr='A+B-128'[both]",
        "[both][fine]blend=all_expr='A+B-128',format=yuv420p,loop=loop=-1:size=1,setpts=N/30/TB,"
        "rotate=a='0.02*sin(t*0.9)+0.004*sin(t*7.3)':bilinear=1,"
        "crop=1920:1080:x='480+220*sin(t*0.5)+9*sin(t*5.1)':y='324+110*cos(t*0.37)+7*sin(t*6.3)'[far]",
        "testsrc2=s=320x180:r=30[near]",
        "[far][near]overlay=x='800+760*sin(t*0.8)':y='450+400*cos(t*1.1)',noise=alls=7:allf=t,format=yuv420p",
    )
)
_COLOUR = "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv"
_X265 = f"-c:v libx265 -pix_fmt yuv420p -tag:v hvc1 {_COLOUR}"
_GOP_60 = "keyint=60:min-keyint=60:scenecut=0:open-gop=0"


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip: `program` makes it from `arguments`; `about` says what it stands for.

    `repeats`: the clip that it shows over and over, and how often; None for one with pictures of its own.
    """

    about: str
    arguments: str
    program: str = "ffmpeg"
    repeats: tuple[str, int] | None = None


CLIPS: dict[str, Clip] = {
    "scene.mkv": Clip(
        "the source of all others",
        f"-filter_complex {shlex.quote(_SCENE)} -frames:v 600 -c:v libx264 -preset ultrafast -crf 16 {_COLOUR}",
    ),
    "open250.mp4": Clip(
        "x265 as it comes: open GOPs of 250, B-frames",
        f"-i {{scene.mkv}} {_X265} -preset medium -x265-params log-level=error",
    ),
    "closed60.mp4": Clip(
        "closed GOPs of 60 with B-frames, 20 Mb/s",
        f"-i {{scene.mkv}} {_X265} -preset fast -b:v 20M -x265-params log-level=error:{_GOP_60}",
    ),
    "p60.mp4": Clip(
        "GOPs of 60 without B-frames, 12 Mb/s",
        f"-i {{scene.mkv}} {_X265} -preset fast -b:v 12M -x265-params log-level=error:{_GOP_60}:bframes=0",
    ),
    "layers4.mp4": Clip(
        "four temporal layers, GOPs of 60",
        f"{{scene.mkv}} preset=fast crf=26 x265-params=log-level=error:{_GOP_60}:temporal-layers=4",
        "x265",
    ),
    "one_gop.mp4": Clip(
        "one GOP of 300 pictures with B-frames",
        f"-i {{scene.mkv}} -frames:v 300 {_X265} -preset fast -x265-params log-level=error:keyint=-1:scenecut=0",
    ),
    "vga30.mp4": Clip(
        "VGA, GOPs of 30",
        f"-i {{scene.mkv}} -vf scale=640:480 {_X265} -preset fast -x265-params log-level=error:keyint=30:scenecut=0",
    ),
    "turned.mp4": Clip(
        "shown turned by 90 degrees",
        "-display_rotation 270 -i {closed60.mp4} -frames:v 60 -c copy || "
        "-i {closed60.mp4} -frames:v 60 -c copy -metadata:s:v rotate=90",
    ),
    "thin.mp4": Clip(
        "at a low rate, to be repeated",
        f"-i {{scene.mkv}} {_X265} -preset fast -crf 36 -x265-params log-level=error:{_GOP_60}",
    ),
    "hour_moov_last.mp4": Clip(
        "an hour, tables at the end", "-stream_loop 179 -i {thin.mp4} -c copy", repeats=("thin.mp4", 180)
    ),
    "closed60_long.mp4": Clip(
        "ten minutes of closed GOPs of 60, 20 Mb/s",
        "-stream_loop 29 -i {closed60.mp4} -c copy",
        repeats=("closed60.mp4", 30),
    ),
    "vga30_long.mp4": Clip(
        "an hour of VGA, GOPs of 30", "-stream_loop 179 -i {vga30.mp4} -c copy", repeats=("vga30.mp4", 180)
    ),
    "hour_moov_first.mp4": Clip(
        "an hour, tables at the start",
        "-i {hour_moov_last.mp4} -c copy -movflags +faststart",
        repeats=("thin.mp4", 180),
    ),
    "hour_fragments.mp4": Clip(
        "an hour in 1800 fragments, their index at the start",
        "-i {hour_moov_last.mp4} -c copy -movflags dash+frag_keyframe+global_sidx",
        repeats=("thin.mp4", 180),
    ),
}


class Library:
    """Makes clips and keeps them, in folders named after the commands: a changed command makes a new clip.

    - `folder`: where they are kept
    - `environment`: where PyAV is, for clips made by `x265`
    - `say`: told about each clip before it is made
    """

    def __init__(self, folder: Path, environment: Environment, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._environment = environment
        self._say = say

    def path(self, name: str) -> Path:
        """Give the path of a clip, making it first where it is not there. RuntimeError with the program's words where that fails."""
        digest = hashlib.sha256(_expanded(name).encode()).hexdigest()[:16]
        target = self._folder / digest / name
        if target.exists():
            return target
        arguments = re.sub(
            r"\{([^}]+)\}", lambda match: shlex.quote(str(self.path(match[1]))), CLIPS[name].arguments
        )
        self._say(f"making {name}: {CLIPS[name].about}")
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{os.getpid()}.{name}")
        failures = []
        for way in arguments.split(" || "):
            command = self._command(CLIPS[name].program, shlex.split(way), part)
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode == 0:
                part.replace(target)
                return target
            failures.append(f"{shlex.join(command)}\n{done.stderr}")
        part.unlink(missing_ok=True)
        raise RuntimeError(f"clip {name} cannot be made: {''.join(failures)}")

    def _command(self, program: str, arguments: list[str], output: Path) -> list[str]:
        if program == "x265":
            pyav = next(contender for contender in CONTENDERS if contender.name == "pyav-slice")
            self._environment.install(pyav)
            return [
                str(self._environment.python),
                str(ROOT / "benchmarks" / "encode.py"),
                *arguments,
                str(output),
            ]
        return ["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments, str(output)]


def _expanded(name: str) -> str:
    """Give the command with those of the clips it is made from put in: what the clip depends on."""
    clip = CLIPS[name]
    return f"{clip.program} " + re.sub(
        r"\{([^}]+)\}", lambda match: f"<{_expanded(match[1])}>", clip.arguments
    )
