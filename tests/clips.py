"""Clips of the tests: generated ones, each name with the `ffmpeg` command that makes it, run on first use by `make_clip`.

A command is written without the program name and without the output path: the output is a file called like
the clip. Behind ` || ` stands what an FFmpeg is asked for that does not know the first way.
An argument `{name}` stands for the path of another clip, which is made first.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from ctypes.util import find_library
from pathlib import Path

__all__ = ["CLIPS", "ELEMENTARY", "MP4", "REAL", "make_clip"]

_FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "clips"


def _two_temporal_layers() -> str:
    """Value of x265's temporal-layers for two of them: a switch up to build 209 (3.6), a number from 4.0 on."""
    build = re.search(r"\.so\.(\d+)$", find_library("x265") or "")
    return "1" if build and int(build[1]) <= 209 else "2"


# x265 as most encoders use it: B pyramid, open GOPs (CRA with RASL pictures), several GOPs in a short clip.
_OPEN_GOP = "-x265-params log-level=error:keyint=12:min-keyint=6:open-gop=1:bframes=3:scenecut=0"
_CLOSED_GOP = "-x265-params log-level=error:keyint=12:min-keyint=12:open-gop=0:bframes=3:scenecut=0"
_NO_B = "-x265-params log-level=error:keyint=12:bframes=0:scenecut=0"
_SOURCE = "-f lavfi -i testsrc2=size=192x108:rate=25:duration=2"
_TONE = "-f lavfi -i sine=duration=2"
_HEVC = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -tag:v hvc1"

# Noise without loss: so many bytes that no reader keeps all of them, pictures that differ from each other everywhere.
_NOISY = (
    "-vf noise=alls=80:allf=t -c:v libx265 -preset ultrafast -pix_fmt yuv420p -tag:v hvc1 "
    "-x265-params log-level=error:lossless=1:keyint=8:min-keyint=8:scenecut=0:bframes=2"
)
_MOTION = "-f lavfi -i testsrc2=size=208x120:rate=25:duration=3,noise=alls=12:allf=t"
_X265 = "-c:v libx265 -preset fast -pix_fmt yuv420p -tag:v hvc1 -x265-params log-level=error"

CLIPS: dict[str, str] = {
    # Plain containers around the same 50 pictures.
    "plain.mp4": f"{_SOURCE} {_HEVC} {_OPEN_GOP}",
    "closed.mp4": f"{_SOURCE} {_HEVC} {_CLOSED_GOP}",
    "no_b.mp4": f"{_SOURCE} {_HEVC} {_NO_B}",
    "one_frame.mp4": f"{_SOURCE} {_HEVC} {_OPEN_GOP} -frames:v 1",
    "hev1.mp4": "-i {plain.mp4} -c copy -tag:v hev1",
    "faststart.mp4": "-i {plain.mp4} -c copy -movflags +faststart",
    "plain.mov": "-i {plain.mp4} -c copy",
    "with_sound.mp4": f"{_SOURCE} {_TONE} {_HEVC} {_OPEN_GOP} -c:a aac",
    "timescale_1000.mp4": "-i {plain.mp4} -c copy -video_track_timescale 1000",
    "timescale_30000.mp4": "-i {plain.mp4} -c copy -video_track_timescale 30000",
    "negative_offsets.mp4": "-i {plain.mp4} -c copy -movflags +negative_cts_offsets",
    "two_tracks.mp4": "-i {plain.mp4} -i {one_frame.mp4} -map 1:v -map 0:v -c copy",
    "no_edit_list.mp4": "-i {plain.mp4} -c copy -use_editlist 0",
    # Fragmented.
    "fragmented.mp4": "-i {plain.mp4} -c copy -movflags frag_keyframe+empty_moov",
    "fragmented_moof_base.mp4": "-i {plain.mp4} -c copy -movflags frag_keyframe+empty_moov+default_base_moof",
    "fragment_each_frame.mp4": "-i {plain.mp4} -c copy -movflags frag_every_frame+empty_moov",
    "fragmented_negative.mp4": (
        "-i {plain.mp4} -c copy -movflags frag_keyframe+empty_moov+negative_cts_offsets"
    ),
    "fragmented_after_moov.mp4": "-i {plain.mp4} -c copy -movflags frag_keyframe",
    "fragmented_with_sound.mp4": "-i {with_sound.mp4} -c copy -movflags frag_keyframe+empty_moov",
    "fragmented_separate.mp4": (
        "-i {with_sound.mp4} -c copy -movflags frag_keyframe+empty_moov+separate_moof+default_base_moof"
    ),
    "fragmented_omit_tfhd.mp4": (
        "-i {with_sound.mp4} -c copy -movflags frag_keyframe+empty_moov+omit_tfhd_offset"
    ),
    "dash.mp4": "-i {plain.mp4} -c copy -movflags dash+frag_keyframe+global_sidx",
    # Cut by `-c copy`: the edit list hides what comes before the cut, and the first key frame may be a CRA.
    "cut_start.mp4": "-ss 0.7 -i {plain.mp4} -c copy",
    "cut_both.mp4": "-ss 0.7 -i {plain.mp4} -t 0.83 -c copy",
    "cut_closed.mp4": "-ss 0.7 -i {closed.mp4} -t 0.5 -c copy",
    "cut_with_sound.mp4": "-ss 0.55 -i {with_sound.mp4} -t 0.9 -c copy",
    "delayed.mp4": "-itsoffset 0.5 -i {plain.mp4} -i {with_sound.mp4} -map 0:v -map 1:a -c copy",
    # What encoders do differently, for exactness. `hash=1` puts an MD5 of each picture into the stream: a second oracle.
    "open_gop.mp4": f"{_MOTION} {_X265}:keyint=20:min-keyint=10:bframes=4:b-pyramid=1:ref=4:scenecut=40:hash=1",
    "radl.mp4": f"{_MOTION} {_X265}:keyint=15:min-keyint=15:bframes=3:open-gop=0:radl=2:scenecut=0",
    "two_layers.mp4": f"{_MOTION} {_X265}:keyint=24:bframes=4:temporal-layers={_two_temporal_layers()}:scenecut=0",
    "slices.mp4": f"{_MOTION} {_X265}:keyint=16:slices=3:hash=2",
    "intra_refresh.mp4": f"{_MOTION} {_X265}:keyint=20:intra-refresh=1:bframes=0",
    "poc_wrap.mp4": f"{_MOTION} {_X265}:keyint=-1:log2-max-poc-lsb=4:bframes=3:scenecut=0",
    "in_band.mp4": f"{_MOTION} {_X265}:keyint=12:repeat-headers=1:aud=1 -tag:v hev1",
    "weighted.mp4": f"{_MOTION},fade=t=in:d=1 {_X265}:keyint=30:weightb=1:weightp=1",
    "lossless_ten_bit.mp4": f"{_MOTION} {_X265}:keyint=20:lossless=1 -pix_fmt yuv420p10le",
    "yuv422.mp4": f"{_MOTION} {_X265}:keyint=20 -pix_fmt yuv422p10le",
    "yuv444_full.mp4": f"{_MOTION} {_X265}:keyint=20:range=full -pix_fmt yuvj444p",
    "gray.mp4": f"{_MOTION} {_X265}:keyint=20 -pix_fmt gray",
    "rgb.mp4": f"{_MOTION} {_X265}:keyint=20 -pix_fmt gbrp",
    "cropped.mp4": f"{_MOTION} {_X265}:keyint=20 -vf crop=186:102",
    "turned.mp4": "-display_rotation 270 -i {open_gop.mp4} -c copy || -i {open_gop.mp4} -c copy -metadata:s:v rotate=90",
    "small.mp4": f"{_MOTION} {_X265}:keyint=20:min-keyint=10:bframes=4 -vf scale=96:64",
    "variable_rate.mp4": (
        f"{_MOTION} {_X265}:keyint=20:bframes=3 -vf settb=1/12800,setpts=N*512+170*sin(N) -fps_mode passthrough "
        "-enc_time_base 1/12800"
    ),
    "all_intra.mp4": f"{_MOTION} {_X265}:keyint=1:no-wpp=1:no-sao=1 -frames:v 12",
    "eight_k.mp4": (
        "-f lavfi -i testsrc2=size=7680x4320:rate=25 -frames:v 2 -c:v libx265 -preset ultrafast -pix_fmt yuv420p -tag:v hvc1 "
        "-x265-params log-level=error:bframes=0:qp=40"
    ),
    # Coding tree blocks of 16, and the last of five slices is one row of them.
    "small_blocks.mp4": f"{_MOTION} {_X265}:keyint=20:ctu=16:slices=5 -vf crop=208:112",
    # Pictures that take memory, in GOPs of six.
    "hd.mp4": (
        "-f lavfi -i testsrc2=size=1920x1080:rate=25 -frames:v 36 -c:v libx265 -preset ultrafast -pix_fmt yuv420p -tag:v hvc1 "
        "-x265-params log-level=error:keyint=6:min-keyint=6:scenecut=0:open-gop=0:ctu=64:min-cu-size=8:bframes=0:ref=3"
    ),
    # Large enough for the reads of a store to be told apart: ten GOPs of some 300 kB.
    "far_last.mp4": (
        "-f lavfi -i testsrc2=size=320x180:rate=25:duration=12,noise=alls=20:allf=t -c:v libx265 -preset ultrafast -pix_fmt yuv420p "
        "-tag:v hvc1 -x265-params log-level=error:keyint=30:min-keyint=30:open-gop=0:bframes=3:scenecut=0:qp=24"
    ),
    "far_open_gop.mp4": (
        "-f lavfi -i testsrc2=size=320x180:rate=25:duration=4,noise=alls=20:allf=t -c:v libx265 -preset ultrafast -pix_fmt yuv420p "
        "-tag:v hvc1 -x265-params log-level=error:keyint=30:min-keyint=30:open-gop=1:bframes=3:scenecut=0:qp=24"
    ),
    "far_first.mp4": "-i {far_last.mp4} -c copy -movflags +faststart",
    "far_fragments.mp4": "-i {far_last.mp4} -c copy -movflags frag_keyframe+empty_moov",
    "far_dash.mp4": "-i {far_last.mp4} -c copy -movflags dash+frag_keyframe+global_sidx",
    "far_short_fragments.mp4": "-i {far_last.mp4} -c copy -movflags empty_moov+skip_trailer+frag_every_frame",
    "far_no_hints.mp4": "-i {far_last.mp4} -c copy -movflags frag_keyframe+empty_moov+skip_trailer",
    # Samples larger than what opening brings of the first one; and the same with parameter sets in them.
    "far_large.mp4": f"-f lavfi -i testsrc2=size=640x360:rate=25 {_NOISY} -frames:v 24",
    "far_large_in_band.mp4": f"-f lavfi -i testsrc2=size=640x360:rate=25 {_NOISY}:repeat-headers=1 -tag:v hev1 -frames:v 24",
    # Fragments that are GOPs, and such that are less; leading pictures, and parameter sets in the samples.
    "open_gop_fragments.mp4": "-i {open_gop.mp4} -c copy -movflags frag_keyframe+empty_moov",
    "open_gop_short_fragments.mp4": "-i {open_gop.mp4} -c copy -movflags frag_every_frame+empty_moov+default_base_moof",
    "open_gop_dash.mp4": "-i {open_gop.mp4} -c copy -movflags dash+frag_keyframe+global_sidx",
    "in_band_fragments.mp4": "-i {in_band.mp4} -c copy -movflags frag_keyframe+empty_moov -tag:v hev1",
    # The same streams in other containers, and in none.
    "open_gop.mkv": "-i {open_gop.mp4} -c copy",
    "open_gop.ts": "-i {open_gop.mp4} -c copy",
    "open_gop.m2ts": "-i {open_gop.mp4} -c copy",
    "open_gop.hevc": "-i {open_gop.mp4} -c copy",
    "small.hevc": "-i {small.mp4} -c copy",
    "resized.hevc": "-i concat:{open_gop.hevc}|{small.hevc} -c copy",
    # The same size and ids, other chroma offsets in the PPS: whoever takes the wrong set gets pictures that look right.
    "offset_chroma.mp4": f"{_MOTION} {_X265}:keyint=20:min-keyint=10:bframes=4:b-pyramid=1:ref=4:cbqpoffs=6:crqpoffs=-6",
    "offset_chroma.hevc": "-i {offset_chroma.mp4} -c copy",
    "all_intra.hevc": "-i {all_intra.mp4} -c copy",
    "radl.ts": "-i {radl.mp4} -c copy",
    "radl.hevc": "-i {radl.mp4} -c copy",
    "two_layers.hevc": "-i {two_layers.mp4} -c copy",
    "poc_wrap.hevc": "-i {poc_wrap.mp4} -c copy",
    "slices.mkv": "-i {slices.mp4} -c copy",
    "slices.hevc": "-i {slices.mp4} -c copy",
    "in_band.hevc": "-i {in_band.mp4} -c copy",
    "in_band.ts": "-i {in_band.mp4} -c copy",
    "ten_bit.ts": "-i {lossless_ten_bit.mp4} -c copy",
    "ten_bit.mkv": "-i {lossless_ten_bit.mp4} -c copy",
    "ten_bit.hevc": "-i {lossless_ten_bit.mp4} -c copy",
    "with_sound.mkv": "-i {with_sound.mp4} -c copy",
    "with_sound.ts": "-i {with_sound.mp4} -c copy",
    "one_frame.hevc": "-i {one_frame.mp4} -c copy",
    "one_frame.ts": "-i {one_frame.mp4} -c copy",
    # Cut in front of a CRA picture: no decoder shows its RASL pictures.
    "cut.mkv": "-ss 1.1 -i {open_gop.mp4} -c copy",
    "cut.ts": "-ss 1.1 -i {open_gop.mp4} -c copy",
    "cut.hevc": "-ss 1.1 -i {open_gop.mp4} -c copy",
    "half_rate.hevc": "-i {plain.mp4} -c copy -bsf:v hevc_mp4toannexb,hevc_metadata=tick_rate=25/2",
    "live.mkv": "-i {with_sound.mp4} -c copy -live 1 -cluster_time_limit 200",
    "fine_times.mkv": "-i {open_gop.mp4} -c copy -default_mode infer_no_subs -cluster_time_limit 50",
    # The 33 bits of a time stamp (95 443.7 s) are used up in the middle.
    "wrap.ts": "-i {open_gop.mp4} -c copy -muxdelay 0 -output_ts_offset 95442",
    "two_programs.ts": (
        "-i {open_gop.mp4} -i {radl.mp4} -map 0:v -map 1:v -c copy -program title=a:st=0 -program title=b:st=1"
    ),
    # Five pictures of a few bytes each: NAL units short enough for lengths of one byte.
    "tiny.mp4": (
        "-f lavfi -i color=gray:size=64x64:rate=25:duration=0.2 -c:v libx265 -pix_fmt yuv420p -tag:v hvc1 "
        "-x265-params log-level=error:bframes=1"
    ),
    # As encoders make it that were asked for small files: a single GOP of 14 seconds.
    "one_gop.mp4": (
        "-f lavfi -i testsrc2=size=64x64:rate=25:duration=14 -c:v libx265 -preset ultrafast -pix_fmt yuv420p -tag:v hvc1 "
        "-x265-params log-level=error:keyint=-1:bframes=0"
    ),
    # Nothing in it stands still, so that a picture can be told from its neighbours by a few of its pixels.
    "moving.mp4": (
        "-f lavfi -i nullsrc=s=80x46:r=25,geq=lum='128+180*(random(1)-0.5)':cb=128:cr=128,loop=loop=-1:size=1,setpts=N/25/TB,"
        "scale=640x360:flags=bicubic,scroll=h=0.011:v=0.017 -frames:v 60 -c:v libx265 -preset ultrafast -pix_fmt yuv420p "
        "-tag:v hvc1 -x265-params log-level=error:keyint=20:min-keyint=20:open-gop=0:bframes=3:scenecut=0"
    ),
    # One long GOP at 720p: enough work that threads and a server have something to do.
    "large.mp4": (
        "-f lavfi -i testsrc2=size=1280x720:rate=30:duration=10 -c:v libx265 -preset ultrafast -pix_fmt yuv420p -tag:v hvc1 "
        "-x265-params log-level=error:keyint=60:bframes=4"
    ),
    # Read from a store piece by piece: 75 MB, and two of 4 and 3 MB to put in the place of each other.
    "noisy.mp4": f"-f lavfi -i testsrc2=size=256x144:rate=30:duration=40 {_NOISY}",
    "noisy_a.mp4": f"-f lavfi -i testsrc2=size=256x144:rate=30 {_NOISY} -frames:v 64",
    "noisy_b.mp4": f"-f lavfi -i testsrc=size=256x144:rate=30 {_NOISY} -frames:v 48",
}

_HEAVY = ("large.mp4", "eight_k.mp4", "noisy.mp4", "noisy_a.mp4", "noisy_b.mp4")
MP4 = tuple(
    name
    for name in CLIPS
    if name.endswith((".mp4", ".mov")) and name not in _HEAVY and not name.startswith("far_")
)
"""Clips that the reader of MP4 takes, without those that take long."""

# Real files of the media folder that hold HEVC: in MP4 and MOV, and as elementary streams.
REAL = (
    "mp4parser/foreman-hevc-384.mp4",
    "mp4parser/h265-sample.mp4",
    "torchcodec/h265_video.mp4",
    "torchcodec/h265_10bits.mp4",
    "torchcodec/testsrc2_444_8bit_hevc.mp4",
    "torchcodec/testsrc2_444_12bit_hevc.mp4",
    "torchcodec/bt2020_10bit.mp4",
    "torchcodec/nasa_13013_hdr.mp4",
    "mediabunny/video-h265.mp4",
    "hevcjs/hevcjs_dash_720p_frag.mp4",
    "androidx-media/sample_edit_list.mp4",
    "androidx-media/h265_bframes.mp4",
    "androidx-media/hev1_08_05.mp4",
    "androidx-media/water_180_mvhevc_5frames.mov",
    "androidx-media/fragmented_captions_h265.mp4",
    "androidx-media/dolbyVision-hdr.MOV",
    "mp4parse-rust/hevc_white_frame.mp4",
)
ELEMENTARY = (
    "vk-gl-cts/hevc-itu-slist-a.h265",
    "gen2brain-h265/ctu64_wpp.h265",
    "gen2brain-h265/dep_slices.h265",
    "gen2brain-h265/multi_slice.h265",
    "gen2brain-h265/main10_422_176x144.h265",
    "gen2brain-h265/mono_176x144.h265",
    "gen2brain-h265/realworld_320x240.h265",
)


def _expanded(name: str) -> str:
    """Give the command with those of the clips it is made from put in: what the clip depends on."""
    return re.sub(r"\{([^}]+)\}", lambda match: f"<{_expanded(match[1])}>", CLIPS[name])


def make_clip(name: str) -> Path:
    """Give the path of a generated clip, making it on first use. RuntimeError where no way to make it works.

    Clips are kept in .cache/clips, in folders named after the commands: a changed command makes a new clip.
    """
    digest = hashlib.sha256(_expanded(name).encode()).hexdigest()[:16]
    target = _FOLDER / digest / name
    if target.exists():
        return target
    command = re.sub(r"\{([^}]+)\}", lambda match: shlex.quote(str(make_clip(match[1]))), CLIPS[name])
    target.parent.mkdir(parents=True, exist_ok=True)
    # Made under another name, then renamed: several test processes may want the same clip at once.
    part = target.with_name(f"{os.getpid()}.{name}")
    failures = []
    for way in command.split(" || "):
        arguments = ["ffmpeg", "-v", "error", "-nostdin", "-y", *shlex.split(way), str(part)]
        done = subprocess.run(arguments, check=False, capture_output=True, text=True)
        if done.returncode == 0:
            part.replace(target)
            return target
        failures.append(f"{shlex.join(arguments)}\n{done.stderr}")
    part.unlink(missing_ok=True)
    raise RuntimeError(f"clip {name}: {''.join(failures)}")
