"""What there is to know of an installation and of a video, as records: what `streamer doctor` shows.

Nothing here prints. `describe_system` works without FFmpeg too, since that is when it is asked for.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .color import Color
from .cores import usable_cores
from .errors import DecoderError, FFbindError, LimitError, NativeError, UnsupportedError
from .fetching import FetchingSource
from .framing import FramingKind
from .hevc import Kind
from .index import VideoIndex
from .isobmff.layout import EditEntry, Layout, TrackFacts, read_layout
from .magic import HEAD_BYTES, name_container
from .names import name_profile
from .sources import Source, is_near

if TYPE_CHECKING:
    from .scan import Scanned
    from .video import Video

__all__ = [
    "AccessCost",
    "Container",
    "Cpu",
    "Extent",
    "FFmpeg",
    "FFmpegCommand",
    "Finding",
    "Gops",
    "Level",
    "Package",
    "Picture",
    "Pictures",
    "SyncMistake",
    "SyncTable",
    "SystemReport",
    "VideoReport",
    "describe_ffmpeg",
    "describe_system",
    "describe_video",
    "libjpeg_turbo_version",
    "package_version",
]


class Level(StrEnum):
    """How much a finding matters: something cannot work, something works worse than it could, good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found: what it is, in a sentence, and what to do about it."""

    level: Level
    what: str
    advice: str


# The installation

_PACKAGES = ("cffi", "numpy", "PyTurboJPEG")
_DANGEROUS = 61 << 16 | 19 << 8 | 100  # libavcodec of FFmpeg 7.1.0

# What FFmpeg and libjpeg-turbo have hand-written code for, newest last, by machine.
_X86_FEATURES = ("sse4_1", "avx", "avx2", "avx512f", "avx512_vbmi2")
_ARM_FEATURES = ("asimd", "asimddp", "i8mm", "sve", "sve2")

_FFMPEG_ADVICE = (
    "Debian, Ubuntu: apt-get install libavformat-dev libavcodec-dev libavutil-dev libswscale-dev; "
    "Fedora (with RPM Fusion): dnf install ffmpeg-devel; macOS: brew install ffmpeg; then install bucket-streamer again"
)
_TURBOJPEG_ADVICE = "Debian, Ubuntu: apt-get install libturbojpeg0; Fedora: dnf install turbojpeg; macOS: brew install jpeg-turbo"
_COMMAND_ADVICE = "Debian, Ubuntu: apt-get install ffmpeg; Fedora (with RPM Fusion): dnf install ffmpeg; macOS: brew install ffmpeg"

# A grey-blue picture of 64x64 made by x265: VPS, SPS, PPS, IDR, and an SEI with its MD5, which libavcodec checks.
_PROBE_SETS = (
    "40010c01ffff01600000030090000003000003001e959409",
    "42010101600000030090000003000003001ea0208105965654a4c2f0168080000003008000000c84",
    "4401c073c089",
)
_PROBE_SAMPLE = (
    "2801ac76242be1cfc34828c982ae5b38",
    "5001843100da58825fd943479325a374c4053f2ee82e96e4438de3000da7c6734ff03cc76b7c301b043b483743286398"
    "0644f6415380",
)


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package; `version` None where it is not installed."""

    name: str
    version: str | None


@dataclass(frozen=True, slots=True)
class FFmpeg:
    """The FFmpeg that is loaded. `libraries`: name and version of each, such as ('libavcodec', '59.37.100')."""

    version: str
    licence: str
    libraries: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """Version and licence, with the version of libavcodec, which is what behaviour depends on."""
        return f"{self.version}, libavcodec {dict(self.libraries)['libavcodec']}, {self.licence}"


@dataclass(frozen=True, slots=True)
class FFmpegCommand:
    """The `ffmpeg` command, which tests and advice need, the library does not."""

    path: str
    version: str
    has_x265: bool


@dataclass(frozen=True, slots=True)
class Cpu:
    """The processor: its name, the cores that this process may use, features that fast code exists for."""

    name: str
    machine: str
    cores: int
    features: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SystemReport:
    """An installation. What is None is missing, and a finding says so."""

    version: str
    python: str
    system: str
    packages: tuple[Package, ...]
    ffmpeg: FFmpeg | None
    libjpeg_turbo: str | None
    command: FFmpegCommand | None
    cpu: Cpu
    findings: tuple[Finding, ...]


def package_version() -> str:
    """Version of the installed distribution."""
    return _installed("bucket-streamer") or "(not installed)"


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def describe_ffmpeg() -> FFmpeg:
    """Tell which FFmpeg is loaded. NativeError where that does not work, or it is not one that is supported."""
    from .native import ffi, lib, version_text

    return FFmpeg(
        version=bytes(ffi.string(lib.av_version_info())).decode(),
        licence=bytes(ffi.string(lib.avutil_license())).decode(),
        libraries=(
            ("libavformat", version_text(lib.avformat_version())),
            ("libavcodec", version_text(lib.avcodec_version())),
            ("libavutil", version_text(lib.avutil_version())),
            ("libswscale", version_text(lib.swscale_version())),
        ),
    )


def libjpeg_turbo_version() -> str:
    """Version of libjpeg-turbo, 'not known' where it does not say; FFbindError where it is missing.

    The library has no function for that, but its table of messages says "libjpeg-turbo version 2.1.5 (build ...)", so the file
    that was loaded is searched for it.
    """
    from .jpeg import load_encoder

    load_encoder()
    for path in _loaded("turbojpeg"):
        if match := re.search(rb"libjpeg-turbo version ([0-9][0-9.a-z]*)", path.read_bytes()):
            return match[1].decode()
    return "not known"


def _loaded(name: str) -> list[Path]:
    """Paths of the shared libraries of that name in this process; none where the system does not tell."""
    maps = Path("/proc/self/maps")
    if sys.platform != "linux" or not maps.exists():
        return []
    paths = re.findall(rf"(/\S*lib{name}\S*)$", maps.read_text(), flags=re.MULTILINE)
    return [Path(path) for path in dict.fromkeys(paths)]


def describe_system(packages: Sequence[str] = _PACKAGES) -> SystemReport:
    """Describe this installation: versions, processor, and what is missing or will not work, with how to get it.

    `packages`: the Python packages that have to be there. Decodes a small picture to see that it works.
    """
    findings: list[Finding] = []
    ffmpeg, jpeg = _check_native(findings)
    cpu = _describe_cpu()
    command = _describe_command()
    present = tuple(Package(name, _installed(name)) for name in packages)
    missing = [package.name for package in present if package.version is None]
    if missing:
        what = f"Python packages are missing: {', '.join(missing)}"
        findings.append(Finding(Level.ERROR, what, f"{sys.executable} -m pip install {' '.join(missing)}"))
    if "avx" in cpu.features and "avx2" in cpu.missing:
        findings.append(
            Finding(
                Level.NOTE,
                "the processor has no AVX2, which FFmpeg's HEVC decoder has its fast code for",
                "use a newer processor; in a virtual machine, have the host's passed through",
            )
        )
    if command is None or not command.has_x265:
        what = "the ffmpeg command is not there" if command is None else "the ffmpeg command has no libx265"
        advice = f"only ./dev demo and the tests need it, to make clips; {_COMMAND_ADVICE}"
        findings.append(Finding(Level.NOTE, what, advice))
    return SystemReport(
        version=package_version(),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        packages=present,
        ffmpeg=ffmpeg,
        libjpeg_turbo=jpeg,
        command=command,
        cpu=cpu,
        findings=tuple(findings),
    )


def _check_native(findings: list[Finding]) -> tuple[FFmpeg | None, str | None]:
    """FFmpeg and libjpeg-turbo, loaded and tried."""
    try:
        ffmpeg = describe_ffmpeg()
    except NativeError as error:
        findings.append(Finding(Level.ERROR, str(error), _FFMPEG_ADVICE))
        return None, None
    from .native import lib

    if lib.avcodec_version() == _DANGEROUS:
        findings.append(
            Finding(
                Level.NOTE,
                "this is FFmpeg 7.1.0, whose slice threads can deadlock; ffbind uses none, so its frames are safe",
                "upgrade to 7.1.1 for the sake of other programs",
            )
        )
    try:
        jpeg = libjpeg_turbo_version()
    except FFbindError as error:
        findings.append(Finding(Level.ERROR, str(error), _TURBOJPEG_ADVICE))
        return ffmpeg, None
    try:
        _decode_probe()
    except FFbindError as error:
        what = f"a picture that this FFmpeg should decode gives an error: {error}"
        advice = f"its HEVC decoder may have been left out, as in Fedora's own build; {_FFMPEG_ADVICE}"
        findings.append(Finding(Level.ERROR, what, advice))
    return ffmpeg, jpeg


def _decode_probe() -> None:
    """Decode and compress a picture that is known; FFbindError where that fails."""
    from .decoder import Decoder

    units = [bytes.fromhex(unit) for unit in _PROBE_SAMPLE]
    sample = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
    with Decoder([bytes.fromhex(unit) for unit in _PROBE_SETS]) as decoder:
        frame = decoder.decode(sample)
        if frame is None:
            raise DecoderError("it puts out no picture")
        frame.to_jpeg()


def _describe_cpu() -> Cpu:
    machine = platform.machine()
    wanted = _X86_FEATURES if machine.lower() in ("x86_64", "amd64") else _ARM_FEATURES
    name, there = _cpu_of_linux() if sys.platform == "linux" else _cpu_of_macos()
    return Cpu(
        name=name or machine,
        machine=machine,
        cores=usable_cores(),
        features=tuple(feature for feature in wanted if feature in there),
        missing=tuple(feature for feature in wanted if feature not in there),
    )


def _cpu_of_linux() -> tuple[str, set[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "", set()
    name = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return name[1] if name else "", set(flags[1].split()) if flags else set()


def _cpu_of_macos() -> tuple[str, set[str]]:
    name = _output("sysctl", "-n", "machdep.cpu.brand_string").strip()
    flags = _output("sysctl", "-n", "machdep.cpu.features", "machdep.cpu.leaf7_features").lower()
    features = {flag.replace("sse4.1", "sse4_1").replace("avx1.0", "avx") for flag in flags.split()}
    if platform.machine() == "arm64":
        features |= {"asimd"}
    return name, features


def _describe_command() -> FFmpegCommand | None:
    path = shutil.which("ffmpeg")
    if path is None:
        return None
    said = re.match(r"ffmpeg version (\S+)", _output(path, "-version"))
    encoders = _output(path, "-hide_banner", "-encoders")
    return FFmpegCommand(path, said[1] if said else "not known", " libx265 " in encoders)


def _output(*command: str) -> str:
    """What a command prints; nothing where it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


# A video


@dataclass(frozen=True, slots=True)
class Picture:
    """What pictures are. Sizes in pixels as shown; `rotation` in degrees clockwise; colour in code points of H.273."""

    codec: str
    profile: str
    width: int
    height: int
    bit_depth: int
    pixel_format: str
    pixel_aspect: tuple[int, int]
    rotation: int
    mirrored: bool
    color: Color
    dolby_vision_profile: int | None


@dataclass(frozen=True, slots=True)
class Container:
    """How the file holds them; the parts of `Layout` that are facts of the file, and sizes in bytes.

    `format`: MP4 (MOV too), Matroska, MPEG-TS or raw stream; what only an MP4 has is empty, 0 or False of the others.
    `hidden`: samples that are never on screen; `repeated`: frames shown beyond the first time of their sample;
    `outside`: samples that reach beyond the end of the file; `first_frame`: seconds at which the first frame is shown.
    """

    format: str
    brand: str
    size: int
    media_bytes: int
    sample_entries: tuple[str, ...]
    tracks: tuple[TrackFacts, ...]
    track_id: int
    moov_offset: int
    moov_last: bool
    fragments: int
    has_segment_index: bool
    has_composition_times: bool
    edits: tuple[EditEntry, ...]
    samples: int
    hidden: int
    repeated: int
    outside: int
    frames: int
    frame_rate: float
    constant_frame_rate: bool
    first_frame: float
    duration: float


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the headers of all samples say.

    - `kinds`: how many of each kind, by name, the most frequent first
    - `temporal_layers`: how many samples of each TemporalId, from 0
    - `in_band`: samples that carry parameter sets; `sets_in_entry`: whether the sample entries hold any
    - `undecodable`: leading pictures (RASL) that no decoder shows, since what they refer to is not in the stream (H.265 8.3.3)
    - `broken`: pictures that refer to others that are missing although they should be there, or that come before any IRAP
    - `unreadable`: samples whose headers cannot be read; `empty`: samples without a picture; `not_output`: pictures that the
      stream marks as never shown (pic_output_flag)
    - `reordered`: frames are shown in another order than they are decoded in (B-frames)
    """

    kinds: tuple[tuple[str, int], ...]
    temporal_layers: tuple[int, ...]
    in_band: int
    sets_in_entry: bool
    undecodable: int
    broken: int
    unreadable: int
    empty: int
    not_output: int
    reordered: bool


@dataclass(frozen=True, slots=True)
class SyncMistake:
    """A sample that the file's tables have wrong: its row in decode order, its offset and its true kind."""

    row: int
    offset: int
    kind: str


@dataclass(frozen=True, slots=True)
class SyncTable:
    """Random access points: the stream's IRAP pictures against those that the file names.

    `tables`: what names them ('stss', 'sgpd sync', ...), empty where nothing does, which formally means every sample. `false`:
    samples that are named and are none, `missing`: IRAP pictures that are not named; of both the first few are listed.
    """

    tables: tuple[str, ...]
    iraps: int
    named: int
    false: int
    missing: int
    first_false: tuple[SyncMistake, ...]
    first_missing: tuple[SyncMistake, ...]


@dataclass(frozen=True, slots=True)
class Extent:
    """How long a GOP is, in each measure by itself."""

    samples: float
    bytes: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Gops:
    """Groups of pictures, each from one IRAP to the next. `open`: those with RASL pictures, which need the group before."""

    count: int
    open: int
    longest: Extent
    median: Extent


@dataclass(frozen=True, slots=True)
class AccessCost:
    """What one frame costs from a standing start: samples decoded and bytes read, on average over all frames and at worst."""

    samples: float
    bytes: float
    worst_samples: int
    worst_bytes: int


@dataclass(frozen=True, slots=True)
class VideoReport:
    """A video. `gops` is None without an IRAP, `access` where nothing is shown."""

    picture: Picture
    container: Container
    pictures: Pictures
    sync: SyncTable
    gops: Gops | None
    access: AccessCost | None
    findings: tuple[Finding, ...]


_LISTED = 5
_PQ, _HLG = 16, 18
_LONG_WAY = 150  # samples to decode for one frame: a second or so at 1080p on one core
_MANY_FRAGMENTS = 1000
_MATROSKA = "Matroska"
_FORMATS = {FramingKind.ANNEX_B: "raw stream", FramingKind.TRANSPORT_STREAM: "MPEG-TS"}


def describe_video(video: Video, progress: Callable[[int, int], None] | None = None) -> VideoReport:
    """Describe a video. Reads the headers of all samples, which reads the whole track, and decodes two frames to see that it works.

    `progress` is called with the number of samples read and of all, now and then. The video is scanned after that
    (`Video.scan`). Raises what opening and scanning raise; what is wrong with single samples is a finding.
    """
    file_format, layout = _layout_of(video)
    has_composition_times = video.index.has_composition_times
    sets_in_entry = any(entry.parameter_sets for entry in video.index.entries)
    scan = _Scan(len(video.index.samples), progress)
    index = video.scan(scan.watch)
    picture = _describe_picture(video)
    container = _describe_container(video, file_format, layout, has_composition_times)
    pictures = scan.result(index, sets_in_entry=sets_in_entry)
    sync = _compare_sync(index, layout)
    gops = _measure_gops(index)
    access = _measure_access(index)
    report = VideoReport(picture, container, pictures, sync, gops, access, ())
    findings = (*_find_damage(report), *_find_troubles(report), *_try_frames(video))
    return VideoReport(picture, container, pictures, sync, gops, access, findings)


class _Scan:
    """Counts what the headers say while a video is scanned."""

    def __init__(self, samples: int, progress: Callable[[int, int], None] | None) -> None:
        self._samples = samples
        self._progress = progress
        self._verdicts: Counter[str] = Counter()
        self._in_band = self._unreadable = self._not_output = 0

    def watch(self, scanned: Scanned) -> None:
        if scanned.header is None or scanned.step is None:
            self._unreadable += 1
        else:
            self._verdicts[scanned.step.verdict.name] += 1
            self._in_band += scanned.header.has_parameter_sets
            self._not_output += scanned.header.kind is not None and not scanned.header.shown
        done = scanned.row + 1
        if self._progress is not None and (done % 256 == 0 or done == self._samples):
            self._progress(done, self._samples)

    def result(self, index: VideoIndex, *, sets_in_entry: bool) -> Pictures:
        known = index.samples[index.samples["kind"] != Kind.UNKNOWN]
        kinds = Counter(known["kind"].tolist())
        return Pictures(
            kinds=tuple((Kind(kind).name, count) for kind, count in kinds.most_common()),
            temporal_layers=tuple(np.bincount(known["temporal_id"]).tolist()),
            in_band=self._in_band,
            sets_in_entry=sets_in_entry,
            undecodable=self._verdicts["SKIPPED"],
            broken=self._verdicts["MISSING"] + self._verdicts["NOT_STARTED"],
            unreadable=self._unreadable,
            empty=self._verdicts["EMPTY"],
            not_output=self._not_output,
            reordered=bool((np.diff(index.order) < 0).any()),
        )


def _describe_picture(video: Video) -> Picture:
    return Picture(
        codec=video.codec,
        profile=name_profile(video.profile),
        width=video.width,
        height=video.height,
        bit_depth=video.bit_depth,
        pixel_format=video.pixel_format,
        pixel_aspect=video.pixel_aspect,
        rotation=video.rotation,
        mirrored=video.index.mirrored,
        color=video.color,
        dolby_vision_profile=video.index.entries[0].dolby_vision_profile,
    )


def _layout(source: Source, track_id: int) -> Layout:
    """Read the boxes again; of what is far several at a time."""
    if is_near(source):
        return read_layout(source, track_id)
    reading = FetchingSource(source)
    try:
        return read_layout(reading, track_id)
    finally:
        reading.close()


def _layout_of(video: Video) -> tuple[str, Layout]:
    """Give the format of the file and what only an MP4 has; of other files that the IRAP pictures were found by reading them."""
    kind = video.index.framing.kind
    head = bytes(video.source.read_at(0, min(HEAD_BYTES, video.source.size)))
    if kind is FramingKind.LENGTH_PREFIXED and name_container(head) != _MATROSKA:
        return "MP4", _layout(video.source, video.index.track_id)
    found = Layout(
        brand="",
        moov_offset=0,
        mdat_offset=None,
        fragments=0,
        has_segment_index=False,
        tracks=(),
        edits=(),
        sync_tables=(),
        sync=_irap_rows(video.index),
    )
    return _FORMATS.get(kind, _MATROSKA), found


def _describe_container(
    video: Video, file_format: str, layout: Layout, has_composition_times: bool
) -> Container:
    index = video.index
    ends = index.samples["offset"] + index.samples["size"].astype(np.uint64)
    lasting = (index.ends - index.starts)[:-1]  # how long the last one is shown is another field of the file
    return Container(
        format=file_format,
        brand=layout.brand,
        size=index.size,
        media_bytes=index.media_bytes,
        sample_entries=tuple(entry.fourcc for entry in index.entries),
        tracks=layout.tracks,
        track_id=index.track_id,
        moov_offset=layout.moov_offset,
        moov_last=layout.mdat_offset is not None and layout.mdat_offset < layout.moov_offset,
        fragments=layout.fragments,
        has_segment_index=layout.has_segment_index,
        has_composition_times=has_composition_times,
        edits=layout.edits,
        samples=len(index.samples),
        hidden=int(np.count_nonzero(index.samples["display"] < 0)),
        repeated=len(index) - len(np.unique(index.order)),
        outside=int(np.count_nonzero(ends > index.size)),
        frames=len(index),
        frame_rate=video.frame_rate,
        constant_frame_rate=not len(lasting) or int(lasting.max() - lasting.min()) <= 1,
        first_frame=float(index.times[0]) if len(index) else 0.0,
        duration=video.duration,
    )


def _compare_sync(index: VideoIndex, layout: Layout) -> SyncTable:
    iraps = _irap_rows(index)
    false = np.setdiff1d(layout.sync, iraps)
    missing = np.setdiff1d(iraps, layout.sync)

    def listed(rows: NDArray[np.int64]) -> tuple[SyncMistake, ...]:
        samples = index.samples[rows[:_LISTED]]
        return tuple(
            SyncMistake(row, offset, Kind(kind).name)
            for row, offset, kind in zip(
                rows[:_LISTED].tolist(), samples["offset"].tolist(), samples["kind"].tolist(), strict=True
            )
        )

    return SyncTable(
        tables=layout.sync_tables,
        iraps=len(iraps),
        named=len(layout.sync),
        false=len(false),
        missing=len(missing),
        first_false=listed(false),
        first_missing=listed(missing),
    )


def _irap_rows(index: VideoIndex) -> NDArray[np.int64]:
    kind = index.samples["kind"]
    return np.flatnonzero((kind >= Kind.BLA_W_LP) & (kind <= Kind.RSV_IRAP_VCL23))


def _measure_gops(index: VideoIndex) -> Gops | None:
    iraps = _irap_rows(index)
    if not len(iraps):
        return None
    samples = index.samples
    lengths = np.diff(iraps, append=len(samples))
    sizes = np.add.reduceat(samples["size"].astype(np.int64), iraps)
    seconds = np.add.reduceat(samples["duration"], iraps) / index.timescale
    rasl = np.isin(samples["kind"], (Kind.RASL_N, Kind.RASL_R))
    return Gops(
        count=len(iraps),
        open=int(np.count_nonzero(np.add.reduceat(rasl.astype(np.int64), iraps))),
        longest=Extent(int(lengths.max()), int(sizes.max()), float(seconds.max())),
        median=Extent(float(np.median(lengths)), float(np.median(sizes)), float(np.median(seconds))),
    )


def _measure_access(index: VideoIndex) -> AccessCost | None:
    """What `plan_frames` says of each frame alone, for all at once."""
    if not len(index):
        return None
    samples = index.samples
    rows = index.order.astype(np.int64)
    starts = samples["irap"].astype(np.int64)
    rasl = np.isin(samples["kind"], (Kind.RASL_N, Kind.RASL_R)) & (starts > 0)
    starts[rasl] = starts[starts[rasl] - 1]
    starts = np.maximum(starts, 0)[rows]
    ends = np.cumsum(samples["size"], dtype=np.int64)
    counts = rows - starts + 1
    sizes = ends[rows] - ends[starts] + samples["size"][starts]
    return AccessCost(
        samples=float(counts.mean()),
        bytes=float(sizes.mean()),
        worst_samples=int(counts.max()),
        worst_bytes=int(sizes.max()),
    )


def _try_frames(video: Video) -> tuple[Finding, ...]:
    """Decode the first and the middle frame, and make pictures of them."""
    for place in dict.fromkeys((0, len(video) // 2) if len(video) else ()):
        try:
            video[place].to_jpeg()
        except LimitError as error:
            what = f"frame {place} is refused: {error}"
            return (Finding(Level.ERROR, what, "a larger limit can be given to ffbind.open"),)
        except UnsupportedError as error:
            what = f"there are no pictures of this video: {error}"
            return (
                Finding(
                    Level.ERROR, what, "the decoded values can be had where decoding works (Frame.planes)"
                ),
            )
        except FFbindError as error:
            what = f"frame {place} gives an error: {error}"
            return (Finding(Level.ERROR, what, "look for the cause in what else is said here"),)
    return ()


def _find_damage(report: VideoReport) -> list[Finding]:
    """What keeps frames from being shown."""
    found: list[Finding] = []

    def add(level: Level, what: str, advice: str) -> None:
        found.append(Finding(level, what, advice))

    container, pictures = report.container, report.pictures
    if container.outside:
        what = f"{container.outside} of {container.samples} samples reach beyond the end of the file: it was cut short"
        add(Level.ERROR, what, "copy or download it again; the frames before can be shown")
    if unreadable := pictures.unreadable - container.outside:
        what = f"the headers of {unreadable} samples cannot be read: the file is damaged"
        add(Level.ERROR, what, "copy it again; frames that do not depend on these samples can be shown")
    if pictures.broken:
        what = f"{pictures.broken} pictures refer to pictures that are not in the stream, and give an error"
        add(Level.ERROR, what, "if the file was cut, cut it again at an IDR picture; otherwise it is damaged")
    if report.gops is None:
        add(
            Level.ERROR,
            "no sample is an IRAP picture, so decoding can start nowhere",
            "encode the video again",
        )
    if not container.frames:
        what = "the edit list shows no frame"
        add(Level.WARNING, what, "ask for samples by byte offset, or make the file again without edit list")
    if pictures.undecodable:
        what = (
            f"{pictures.undecodable} leading pictures (RASL) refer to pictures from before the cut at which the stream starts; "
            "no decoder can show them, and asked for they give an error"
        )
        add(Level.WARNING, what, "cut at an IDR picture, or further in front")
    return found


def _find_troubles(report: VideoReport) -> list[Finding]:
    """What works, but not as well as it could, or not as one may expect."""
    found: list[Finding] = []

    def add(level: Level, what: str, advice: str) -> None:
        found.append(Finding(level, what, advice))

    container, sync, picture = report.container, report.sync, report.picture
    if container.format != "MP4":
        add(
            Level.NOTE,
            f"opening a {container.format} file reads all of it, to find its pictures",
            "save the index once (`streamer index VIDEO -o VIDEO.ffindex`) and open with it; the server takes MP4 and MOV only",
        )
    index_advice = "take irap_offset from `streamer index --scan`, not from the file's own tables"
    if not sync.tables and sync.false:
        what = f"the file has no table of random access points, which formally makes all {sync.named} samples such points"
        add(Level.WARNING, f"{what}; {sync.iraps} are", index_advice)
    elif sync.false:
        add(
            Level.WARNING,
            f"{sync.false} samples are named as random access points and are none",
            index_advice,
        )
    if sync.missing:
        what = f"{sync.missing} IRAP pictures are not named as random access points"
        add(Level.WARNING, f"{what}, so seeking by the file's tables starts too early", index_advice)
    if not container.has_composition_times and report.pictures.reordered:
        add(
            Level.WARNING,
            "the file does not say in which order frames are shown; the stream does, but all of it has to be read for that",
            "save the index once (`streamer index VIDEO --scan -o VIDEO.ffindex`) and open with it",
        )
    if report.access is not None and report.access.samples > _LONG_WAY:
        add(
            Level.WARNING,
            f"a random frame takes {report.access.samples:.0f} samples to decode on average",
            "for quick access, encode with an IRAP picture every second or two (x265: keyint=60)",
        )
    if container.moov_last and not container.fragments:
        add(
            Level.NOTE,
            "the index (moov) stands at the end of the file, which costs one more request when it is opened from a store",
            "ffmpeg -i IN -c copy -movflags +faststart OUT.mp4",
        )
    if container.fragments > _MANY_FRAGMENTS:
        what = f"the file has {container.fragments} fragments, and its table of frames takes reading the header of each"
        add(Level.NOTE, what, "ffmpeg -i IN -c copy -movflags +faststart OUT.mp4, or keep a saved index")
    in_band = report.pictures.in_band
    if in_band and all(fourcc in ("hvc1", "dvh1") for fourcc in container.sample_entries):
        what = f"{in_band} samples carry parameter sets, which {container.sample_entries[0]} does not allow (ISO/IEC 14496-15)"
        add(
            Level.NOTE,
            what,
            "fine here; a player that trips over it takes ffmpeg -i IN -c copy -tag:v hev1 OUT.mp4",
        )
    if picture.color.transfer in (_PQ, _HLG):
        add(
            Level.NOTE,
            "the video is HDR; pictures are not tone mapped, so they look flat on an ordinary screen",
            'to map tones yourself, take Frame.to_numpy("rgb48"), which keeps all bits',
        )
    return found
