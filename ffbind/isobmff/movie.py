"""The movie: tracks of moov, the choice of one, and the index made from it.

Source: ISO/IEC 14496-12 8.2 to 8.4 and 8.7.2 (dref); QuickTime File Format for the display matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffbind.columns import PRESENTATION_DTYPE, SAMPLE_DTYPE, as_table, display_column, last_marked_row
from ffbind.errors import NotVideoError, UnsupportedError
from ffbind.hevc import Kind
from ffbind.index import SampleEntry, VideoIndex
from ffbind.limits import Limits
from ffbind.sources import Source

from .boxes import Box, Boxes, Fields, children, corrupt, find
from .edits import Edit, Rates, present, read_elst
from .entries import DescribedEntry, read_stsd
from .fragments import Defaults, Run, expand_runs, read_fragments, read_trex
from .table import Columns, read_sample_table
from .top_level import TopLevel, walk_top_level

__all__ = [
    "Movie",
    "VideoTrack",
    "build_index",
    "describe",
    "index_of",
    "read_index",
    "read_movie",
    "read_tracks",
]

_IDENTITY = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """A video track, read as far as choosing one needs it."""

    track_id: int
    enabled: bool
    matrix: tuple[int, ...]
    mdia: Boxes
    stbl: memoryview
    minf: Boxes
    edts: Box | None
    samples_in_moov: int


def read_index(source: Source, track: int | None = None, *, limits: Limits | None = None) -> VideoIndex:
    """Read the sample table of a video track of an MP4 or MOV file, plain or fragmented.

    Reads the box headers of the top level, moov and every moof; no sample. `track` is a track id; without it
    the video track with most samples is taken, HEVC before other codecs, enabled before disabled, the first
    of equals.

    Raises NotVideoError where the bytes are no such file or hold no (such) video track, UnsupportedError for
    another codec or something that cannot be shown exactly, EncryptedError, LimitError, and CorruptError for
    damaged tables. Samples that reach beyond the end of the file keep their row: only their frames are lost.
    """
    limits = limits or Limits()
    return index_of(source, walk_top_level(source, limits), track, limits)


def index_of(source: Source, top: TopLevel, track: int | None, limits: Limits) -> VideoIndex:
    """Make the index of a file whose boxes were read to the last; see `read_index`."""
    movie = read_movie(top.moov, limits)
    runs = read_fragments(top.moofs, movie.trex, source.size, limits)
    chosen = movie.choose(runs, track)
    own = runs.get(chosen.track_id, [])
    return build_index(movie, chosen, describe(chosen, limits), own, source.size, source.identity, limits)


@dataclass(frozen=True, slots=True)
class Movie:
    """What moov says: its time base and matrix, the video tracks, and what fragments leave out, by track id (`trex`)."""

    timescale: int
    matrix: tuple[int, ...]
    tracks: list[VideoTrack]
    trex: dict[int, Defaults]

    def choose(self, runs: dict[int, list[Run]], track: int | None) -> VideoTrack:
        """Choose the track of this id, else the one with most samples, HEVC before others, enabled before disabled.

        `runs`: those of fragments, by track id.
        """
        if track is not None:
            for candidate in self.tracks:
                if candidate.track_id == track:
                    return candidate
            known = ", ".join(str(candidate.track_id) for candidate in self.tracks)
            raise NotVideoError(f"the file has no video track {track}; its video tracks are {known}")

        def worth(candidate: VideoTrack) -> tuple[bool, bool, int]:
            fragments = sum(run.count for run in runs.get(candidate.track_id, []))
            return _is_hevc(candidate), candidate.enabled, candidate.samples_in_moov + fragments

        return max(self.tracks, key=worth)

    def choose_before(self, track: int | None) -> VideoTrack | None:
        """Choose the track before any fragment was read; None where samples in fragments decide."""
        best = self.choose({}, track)
        rivals = [
            other
            for other in self.tracks
            if (_is_hevc(other), other.enabled) == (_is_hevc(best), best.enabled) and other is not best
        ]
        return None if track is None and rivals else best


def read_movie(moov: memoryview, limits: Limits) -> Movie:
    """Read moov, but for the tables of its tracks."""
    boxes = find(moov, "moov")
    if b"cmov" in boxes:
        raise UnsupportedError(
            "the moov box is compressed (cmov); convert the file with `ffmpeg -c copy` first"
        )
    timescale, matrix = _read_mvhd(boxes)
    tracks = read_tracks(moov, limits)
    mvex = boxes.get(b"mvex")
    return Movie(timescale, matrix, tracks, read_trex(mvex.payload) if mvex else {})


def _read_mvhd(moov: Boxes) -> tuple[int, tuple[int, ...]]:
    """Movie time base and matrix (8.2.2); like libavformat, 1 tick a second where the time base is 0."""
    if b"mvhd" not in moov:
        return 1, _IDENTITY
    fields = moov[b"mvhd"].fields()
    version, _ = fields.version_and_flags()
    fields.take(16 if version == 1 else 8)
    timescale = fields.unsigned(4)
    fields.take((8 if version == 1 else 4) + 16)
    return timescale or 1, _read_matrix(fields)


def _read_matrix(fields: Fields) -> tuple[int, ...]:
    return tuple(fields.signed(4) for _ in range(9))


def read_tracks(moov: memoryview, limits: Limits) -> list[VideoTrack]:
    """Read the video tracks; the tables of other tracks do not matter.

    Ids are unique (8.3.2.3); where they are not, the first complete track of an id counts.
    """
    tracks: dict[int, VideoTrack] = {}
    video_seen = False
    count = 0
    for box in children(moov, "moov"):
        if box.type != b"trak":
            continue
        count += 1
        limits.check(count, limits.tracks, "tracks")
        trak = find(box.payload, "trak")
        mdia = find(trak[b"mdia"].payload, "mdia") if b"mdia" in trak else {}
        if _handler(mdia) != b"vide":
            continue
        video_seen = True
        minf = find(mdia[b"minf"].payload, "minf") if b"minf" in mdia else {}
        stbl = find(minf[b"stbl"].payload, "stbl") if b"stbl" in minf else {}
        if b"tkhd" not in trak or b"mdhd" not in mdia or b"stbl" not in minf:
            continue
        track_id, enabled, matrix = _read_tkhd(trak[b"tkhd"].fields())
        found = VideoTrack(
            track_id=track_id,
            enabled=enabled,
            matrix=matrix,
            mdia=mdia,
            stbl=minf[b"stbl"].payload,
            minf=minf,
            edts=trak.get(b"edts"),
            samples_in_moov=_count(stbl.get(b"stsz") or stbl.get(b"stz2"), 8),
        )
        tracks.setdefault(track_id, found)
    if not tracks:
        if video_seen:
            raise corrupt("its video track lacks tkhd, mdhd or stbl")
        raise NotVideoError("the file has no video track, only sound or other data; give a file with video")
    return list(tracks.values())


def _handler(mdia: Boxes) -> bytes:
    hdlr = mdia.get(b"hdlr")
    return b"" if hdlr is None else bytes(hdlr.payload[8:12])


def _count(box: Box | None, place: int) -> int:
    """Peek at the entry count of a table; 0 where it has none."""
    return 0 if box is None else int.from_bytes(box.payload[place : place + 4], "big")


def _read_tkhd(fields: Fields) -> tuple[int, bool, tuple[int, ...]]:
    """Track id, whether it is enabled, matrix (8.3.2)."""
    version, flags = fields.version_and_flags()
    fields.take(16 if version == 1 else 8)
    track_id = fields.unsigned(4)
    fields.take((12 if version == 1 else 8) + 16)
    return track_id, bool(flags & 1), _read_matrix(fields)


def _is_hevc(track: VideoTrack) -> bool:
    stsd = find(track.stbl, "stbl").get(b"stsd")
    return stsd is not None and bytes(stsd.payload[12:16]) in (b"hvc1", b"hev1", b"dvh1", b"dvhe")


def describe(track: VideoTrack, limits: Limits) -> list[DescribedEntry]:
    """Read the sample entries of a track, or say why none of its samples can be shown."""
    stbl = find(track.stbl, "stbl")
    if b"stsd" not in stbl:
        raise corrupt("its video track has no stsd box, so its codec is not known")
    described = read_stsd(stbl[b"stsd"], limits)
    # Another codec is said before anything that is wrong with its tables.
    if described and all(candidate.error is not None for candidate in described):
        assert described[0].error is not None
        raise described[0].error
    return described


def build_index(
    movie: Movie,
    track: VideoTrack,
    described: list[DescribedEntry],
    runs: list[Run],
    size: int,
    identity: str,
    limits: Limits,
    breaks: Sequence[int] = (),
) -> VideoIndex:
    """Make the index of a track: of the samples in moov, and of those in the runs of its fragments, in file order.

    `described`: its sample entries. `size`, `identity`: of the source. `breaks`: rows in front of which fragments are left out; no IRAP
    is named across one.
    """
    timescale = _read_timescale(track.mdia)
    in_moov = read_sample_table(track.stbl, size, limits)
    first_dts = int(in_moov.dts[-1] + in_moov.duration[-1]) if len(in_moov) else 0
    groups = [box for box in children(track.stbl, "stbl") if box.type == b"sgpd"]
    in_fragments = expand_runs(runs, first_dts, groups)
    columns = in_moov.followed_by(in_fragments)
    if len(columns) == 0:
        raise corrupt(
            "its video track has no samples", "give the whole file, not only its initialization segment"
        )
    limits.check(len(columns), limits.samples, "samples")
    entries, entry_column = _use_entries(described, columns, _external_references(track.minf))
    edits = _read_edits(track.edts, limits)
    shown = present(in_moov, in_fragments, edits, Rates(movie.timescale, timescale), limits)
    rotation, mirrored = _orientation(track.matrix, movie.matrix)
    samples = _sample_columns(columns, entry_column, shown)
    for first, end in pairwise((*breaks, len(columns))):
        irap = samples["irap"][first:end]
        irap[irap < first] = -1
    return VideoIndex(
        samples=as_table(samples, SAMPLE_DTYPE),
        entries=entries,
        presentation=as_table(shown, PRESENTATION_DTYPE),
        timescale=timescale,
        rotation=rotation,
        mirrored=mirrored,
        size=size,
        identity=identity,
        track_id=track.track_id,
        has_composition_times=columns.has_composition and _all_differ(columns.pts, shown["row"]),
        _columns=(samples, shown),
    )


def _all_differ(pts: NDArray[np.int64], rows: NDArray[np.int64]) -> bool:
    """Say whether no two samples shown are composed at one time, which would prove composition times wrong."""
    times = pts[rows]
    # As it is without edits; sorting 100 000 of them takes 15 ms each time.
    if bool((times[1:] > times[:-1]).all()):
        return True
    rows = np.unique(rows)
    return len(np.unique(pts[rows])) == len(rows)


def _read_timescale(mdia: Boxes) -> int:
    """Time base of the track (8.4.2)."""
    fields = mdia[b"mdhd"].fields()
    version, _ = fields.version_and_flags()
    fields.take(16 if version == 1 else 8)
    timescale = fields.unsigned(4)
    if timescale == 0:
        raise corrupt("the time base of its video track is 0, so nothing in it has a time")
    return timescale


def _read_edits(edts: Box | None, limits: Limits) -> list[Edit]:
    elst = None if edts is None else find(edts.payload, "edts").get(b"elst")
    return [] if elst is None else read_elst(elst, limits)


def _external_references(minf: Boxes) -> set[int]:
    """Numbers (from 1) of the data references to other files (8.7.2), which are never followed."""
    dinf = minf.get(b"dinf")
    dref = None if dinf is None else find(dinf.payload, "dinf").get(b"dref")
    if dref is None:
        return set()
    fields = dref.fields()
    fields.version_and_flags()
    fields.unsigned(4)
    external = set()
    for number, box in enumerate(children(fields.rest(), "dref"), start=1):
        entry = box.fields()
        _, flags = entry.version_and_flags()
        # Flag 1: the data is in this file. Some writers leave it out and give no location either.
        if not flags & 1 and any(entry.rest()):
            external.add(number)
    return external


def _use_entries(
    described: list[DescribedEntry], columns: Columns, external: set[int]
) -> tuple[tuple[SampleEntry, ...], NDArray[np.int64]]:
    """Keep the sample entries that samples use, renumbered; raise for one that cannot be shown."""
    # One for all samples, as in nearly every file: sorting takes longer than looking.
    if bool((columns.entry == columns.entry[0]).all()):
        used, renumbered = columns.entry[:1], np.zeros(len(columns), dtype=np.int64)
    else:
        used, renumbered = np.unique(columns.entry, return_inverse=True)
    entries = []
    for number in used.tolist():
        if number >= len(described):
            raise corrupt(f"a sample uses sample entry {number + 1}, stsd has {len(described)}")
        candidate = described[number]
        if candidate.error is not None:
            raise candidate.error
        if candidate.data_reference in external:
            raise UnsupportedError(
                "the samples are in another file that this one names (dref); join them with ffmpeg -c copy"
            )
        assert candidate.entry is not None
        entries.append(candidate.entry)
    return tuple(entries), renumbered.astype(np.int64)


def _sample_columns(
    columns: Columns, entry_column: NDArray[np.int64], shown: dict[str, NDArray[np.int64]]
) -> dict[str, NDArray[Any]]:
    count = len(columns)
    # Where the file marks no random access point, only the first sample is sure to be one.
    irap = last_marked_row(columns.sync)
    if not columns.sync.any():
        irap[0] = 0
    return {
        "offset": columns.offset,
        "size": columns.size,
        "dts": columns.dts,
        "pts": columns.pts,
        "duration": columns.duration,
        "kind": np.full(count, Kind.UNKNOWN, np.uint8),
        "temporal_id": np.zeros(count, np.uint8),
        "entry": entry_column,
        "irap": irap,
        "display": display_column(shown["row"].astype(np.int32), count),
    }


def _orientation(track_matrix: tuple[int, ...], movie_matrix: tuple[int, ...]) -> tuple[int, bool]:
    """Rotation and mirroring as the `ffmpeg` command applies them (its autorotate), for quarter turns.

    The matrices are rows of (a, b, u), (c, d, v), (x, y, w) in 16.16, 16.16 and 2.30 numbers: a point (p, q)
    of the picture goes to (ap + cq, bp + dq), with q running downwards.
    """
    a, b, c, d = _product(track_matrix, movie_matrix)
    across, down = math.hypot(a, c), math.hypot(b, d)
    if across == 0 or down == 0:
        return 0, False
    angle = round(math.degrees(math.atan2(b / down, a / across))) % 360
    if angle == 0:
        return (180, True) if d < 0 else (0, False)
    if angle == 90:
        return (270, True) if c > 0 else (90, False)
    if angle == 180:
        return {(True, True): (180, False), (True, False): (0, True), (False, True): (180, True)}.get(
            (a < 0, d < 0), (0, False)
        )
    if angle == 270:
        return (90, True) if c < 0 else (270, False)
    raise UnsupportedError(
        f"the picture is turned by {angle} degrees; ffbind turns by quarters only, convert the video first"
    )


def _product(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The 2x2 part of the product of two matrices, each term cut to 32 bits like libavformat's sum."""

    def term(row: int, column: int) -> int:
        total = 0
        for k, fraction in enumerate((16, 16, 30)):
            total += (first[3 * row + k] * second[3 * k + column]) >> fraction
        return (total + 2**31) % 2**32 - 2**31

    return term(0, 0), term(0, 1), term(1, 0), term(1, 1)
