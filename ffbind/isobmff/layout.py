"""How a file is laid out, for people: tracks, fragments, edits, and which samples its tables call random access points.

Nothing here is needed to show frames; `movie.read_index` reads what is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffbind.errors import CorruptError, NotVideoError
from ffbind.limits import Limits
from ffbind.sources import Source

from .boxes import Box, Boxes, children, find, name_of
from .edits import read_elst
from .fragments import expand_runs, read_fragments, read_trex
from .movie import read_tracks
from .table import read_sample_table
from .top_level import walk_top_level

__all__ = ["EditEntry", "Layout", "TrackFacts", "read_layout"]


@dataclass(frozen=True, slots=True)
class TrackFacts:
    """A track: its id, its handler ('vide', 'soun', ...) and the codes of its sample entries ('hvc1', 'mp4a', ...)."""

    track_id: int
    handler: str
    entries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EditEntry:
    """One edit: how long it lasts and where in the track it begins, in seconds; `start` None: nothing is shown.

    `duration` 0.0 of a fragmented file means: to the end.
    """

    duration: float
    start: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The container around one video track.

    - `brand`: major brand of ftyp, empty without one; `moov_offset`, `mdat_offset`: of the first of each, None without mdat
    - `fragments`: moof boxes; `has_segment_index`: whether a sidx box is there
    - `sync_tables`: what names random access points: 'stss', 'stps', 'sgpd rap', 'sgpd sync', 'trun flags'
    - `sync`: rows of the samples that these name, ascending int64; all samples where there is none of them (8.6.2.1)
    """

    brand: str
    moov_offset: int
    mdat_offset: int | None
    fragments: int
    has_segment_index: bool
    tracks: tuple[TrackFacts, ...]
    edits: tuple[EditEntry, ...]
    sync_tables: tuple[str, ...]
    sync: NDArray[np.int64]


def read_layout(source: Source, track_id: int, limits: Limits | None = None) -> Layout:
    """Read the layout of a file that `read_index` could read; `track_id` as that index has it."""
    limits = limits or Limits()
    top = walk_top_level(source, limits)
    moov = find(top.moov, "moov")
    track = next((track for track in read_tracks(top.moov, limits) if track.track_id == track_id), None)
    if track is None:
        raise NotVideoError(f"the file has no track {track_id}; read its layout with an index made from it")
    stbl = find(track.stbl, "stbl")
    groups = [box for box in children(track.stbl, "stbl") if box.type in (b"sgpd", b"sbgp")]
    in_moov = read_sample_table(track.stbl, source.size, limits)
    trex = read_trex(moov[b"mvex"].payload) if b"mvex" in moov else {}
    runs = read_fragments(top.moofs, trex, source.size, limits).get(track_id, [])
    end = int(in_moov.dts[-1] + in_moov.duration[-1]) if len(in_moov) else 0
    in_fragments = expand_runs(runs, end, [box for box in groups if box.type == b"sgpd"])
    tables = [name for name in ("stss", "stps") if name.encode() in stbl]
    assigned = groups + [box for run in runs for box in run.groups]
    tables += [f"sgpd {name}" for name in ("rap", "sync") if _assigns(assigned, f"{name:4}".encode())]
    tables += ["trun flags"] if runs else []
    columns = in_moov.followed_by(in_fragments)
    traks = [find(box.payload, "trak") for box in children(top.moov, "moov") if box.type == b"trak"]
    return Layout(
        brand=name_of(top.brand).strip(),
        moov_offset=top.first[b"moov"],
        mdat_offset=top.first.get(b"mdat"),
        fragments=len(top.moofs),
        has_segment_index=b"sidx" in top.first,
        tracks=tuple(_facts(trak) for trak in traks),
        edits=_edits(track.edts, _timescale(moov.get(b"mvhd")), _timescale(track.mdia[b"mdhd"]), limits),
        sync_tables=tuple(tables),
        sync=np.flatnonzero(columns.sync) if tables else np.arange(len(columns)),
    )


def _track_id(trak: Boxes) -> int | None:
    if b"tkhd" not in trak:
        return None
    fields = trak[b"tkhd"].fields()
    version, _ = fields.version_and_flags()
    fields.take(16 if version == 1 else 8)
    return fields.unsigned(4)


def _timescale(header: Box | None) -> int:
    """Time base of mvhd (8.2.2) or mdhd (8.4.2), which begin alike; 1 without one."""
    if header is None:
        return 1
    fields = header.fields()
    version, _ = fields.version_and_flags()
    fields.take(16 if version == 1 else 8)
    return fields.unsigned(4) or 1


def _facts(trak: Boxes) -> TrackFacts:
    mdia = find(trak[b"mdia"].payload, "mdia") if b"mdia" in trak else {}
    handler = bytes(mdia[b"hdlr"].payload[8:12]) if b"hdlr" in mdia else b""
    return TrackFacts(track_id=_track_id(trak) or 0, handler=name_of(handler), entries=_entries(mdia))


def _entries(mdia: Boxes) -> tuple[str, ...]:
    """Codes of the sample entries; none where another track than the video's is damaged, which does not matter here."""
    try:
        minf = find(mdia[b"minf"].payload, "minf") if b"minf" in mdia else {}
        stbl = find(minf[b"stbl"].payload, "stbl") if b"stbl" in minf else {}
        entries = list(children(stbl[b"stsd"].payload[8:], "stsd")) if b"stsd" in stbl else []
    except CorruptError:
        return ()
    return tuple(entry.name for entry in entries)


def _edits(edts: Box | None, movie: int, track: int, limits: Limits) -> tuple[EditEntry, ...]:
    elst = find(edts.payload, "edts").get(b"elst") if edts is not None else None
    if elst is None:
        return ()
    return tuple(
        EditEntry(edit.duration / movie, edit.media_time / track if edit.media_time >= 0 else None)
        for edit in read_elst(elst, limits)
    )


def _assigns(groups: list[Box], grouping: bytes) -> bool:
    """Say whether a sbgp box assigns samples to groups of this type."""
    return any(box.type == b"sbgp" and bytes(box.payload[4:8]) == grouping for box in groups)
