"""Movie fragments: the runs of moof/traf/trun expanded to one row for each sample, in numpy.

Source: ISO/IEC 14496-12 8.8 (movie fragments). Boxes are visited one after the other; what depends on the
samples is computed for all fragments at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ffbind.limits import Limits

from .boxes import Box, children, corrupt
from .table import Columns, expand_groups

__all__ = ["Defaults", "Run", "expand_runs", "read_fragments", "read_trex"]

# tr_flags (8.8.8.1) and tf_flags (8.8.7.1).
_DATA_OFFSET, _FIRST_FLAGS = 0x1, 0x4
_DURATION, _SIZE, _FLAGS, _COMPOSITION = 0x100, 0x200, 0x400, 0x800
_PER_SAMPLE = (_DURATION, _SIZE, _FLAGS, _COMPOSITION)
_TF_BASE, _TF_ENTRY, _TF_DURATION, _TF_SIZE, _TF_FLAGS, _TF_BASE_IS_MOOF = 0x1, 0x2, 0x8, 0x10, 0x20, 0x20000
# sample_is_non_sync_sample, and sample_depends_on = 1 (8.8.3.1): either says that it is no IRAP.
_NOT_SYNC = 0x00010000 | 0x01000000
_OFFSET_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Defaults:
    """What trex or tfhd say for samples whose trun does not: sample entry (from 1), duration, size, flags."""

    entry: int
    duration: int
    size: int
    flags: int


@dataclass(frozen=True, slots=True)
class Run:
    """One trun: `table` holds `count` rows of the fields that `flags` names; `start` is the time of tfdt.

    `groups` and `traf_count` (samples) stand at the first run of a track fragment that assigns sample groups.
    """

    count: int
    flags: int
    table: memoryview
    first_flags: int | None
    defaults: Defaults
    offset: int
    start: int | None
    groups: tuple[Box, ...]
    traf_count: int

    def data_size(self) -> int:
        """Bytes of all samples of the run."""
        if not self.flags & _SIZE:
            return self.count * self.defaults.size
        rows = np.frombuffer(self.table, ">u4").reshape(self.count, -1)
        return int(rows[:, 1 if self.flags & _DURATION else 0].sum(dtype=np.int64))


def read_trex(mvex: memoryview) -> dict[int, Defaults]:
    """Defaults of each track by its id: trex (8.8.3)."""
    defaults: dict[int, Defaults] = {}
    for box in children(mvex, "mvex"):
        if box.type == b"trex":
            fields = box.fields()
            fields.version_and_flags()
            track_id, entry, duration, size, flags = (fields.unsigned(4) for _ in range(5))
            defaults.setdefault(track_id, Defaults(entry, duration, size, flags))
    return defaults


def read_fragments(
    moofs: list[tuple[int, memoryview]], trex: dict[int, Defaults], file_size: int, limits: Limits
) -> dict[int, list[Run]]:
    """Collect the runs of all tracks by track id, in file order; a moof comes with its place in the file."""
    runs: dict[int, list[Run]] = {}
    counts: dict[int, int] = {}
    visited = 0
    for position, payload in moofs:
        # Where tfhd names no base, data goes on where that of the track fragment before it ends (8.8.7.1).
        base = position
        for box in children(payload, "moof"):
            boxes = list(children(box.payload, "traf")) if box.type == b"traf" else []
            visited += 1 + len(boxes)
            limits.check(visited, limits.fragment_boxes, "boxes in fragments")
            if not boxes:
                continue
            track_id, read = _read_traf(boxes, trex, position, base)
            if read:
                base = read[-1].offset + read[-1].data_size()
                runs.setdefault(track_id, []).extend(read)
                for run in read:
                    # No table stands behind a count without sizes, so nothing but the file itself bounds it.
                    if not run.flags & _SIZE and run.count * max(run.defaults.size, 1) > file_size:
                        raise corrupt(f"trun says {run.count} samples, more than the file holds")
                counts[track_id] = counts.get(track_id, 0) + sum(run.count for run in read)
                limits.check(counts[track_id], limits.samples, "samples")
    return runs


def _read_traf(
    boxes: list[Box], trex: dict[int, Defaults], moof_position: int, implicit_base: int
) -> tuple[int, list[Run]]:
    header = next((box for box in boxes if box.type == b"tfhd"), None)
    if header is None:
        raise corrupt(f"the fragment at byte {moof_position} has a traf without tfhd")
    fields = header.fields()
    _, flags = fields.version_and_flags()
    track_id = fields.unsigned(4)
    known = trex.get(track_id)
    if known is None:
        return track_id, []
    base = moof_position if flags & _TF_BASE_IS_MOOF else implicit_base
    if flags & _TF_BASE:
        base = fields.unsigned(8)
        if base >= _OFFSET_LIMIT:
            raise corrupt(f"the fragment at byte {moof_position} has its data beyond the end of any file")
    defaults = Defaults(
        entry=fields.unsigned(4) if flags & _TF_ENTRY else known.entry,
        duration=fields.unsigned(4) if flags & _TF_DURATION else known.duration,
        size=fields.unsigned(4) if flags & _TF_SIZE else known.size,
        flags=fields.unsigned(4) if flags & _TF_FLAGS else known.flags,
    )
    start = _read_tfdt(boxes)
    groups = tuple(box for box in boxes if box.type in (b"sbgp", b"sgpd"))
    truns = [box for box in boxes if box.type == b"trun"]
    runs: list[Run] = []
    for box in truns:
        fields = box.fields()
        _, flags = fields.version_and_flags()
        count = fields.unsigned(4)
        # 8.8.8.1: without an offset of its own, right after the data of the run before it.
        offset = runs[-1].offset + runs[-1].data_size() if runs else base
        if flags & _DATA_OFFSET:
            offset = base + fields.signed(4)
        if not 0 <= offset < _OFFSET_LIMIT:
            raise corrupt(f"the fragment at byte {moof_position} has its data at {offset}, outside any file")
        first_flags = fields.unsigned(4) if flags & _FIRST_FLAGS else None
        columns = sum(1 for flag in _PER_SAMPLE if flags & flag)
        if count * 4 * columns > fields.left:
            raise corrupt(f"trun promises {count} samples and has room for {fields.left // (4 * columns)}")
        if count:
            table = fields.take(count * 4 * columns)
            runs.append(Run(count, flags, table, first_flags, defaults, offset, start, (), 0))
            start = None
    if runs and groups:
        total = sum(run.count for run in runs)
        runs[0] = replace(runs[0], groups=groups, traf_count=total)
    return track_id, runs


def _read_tfdt(boxes: list[Box]) -> int | None:
    """Decode time of the first sample of the fragment (8.8.12)."""
    box = next((box for box in boxes if box.type == b"tfdt"), None)
    if box is None:
        return None
    fields = box.fields()
    version, _ = fields.version_and_flags()
    start = fields.unsigned(8 if version == 1 else 4)
    if start >= 2**61:
        raise corrupt("a fragment starts at a time beyond any video")
    return start


def expand_runs(runs: list[Run], first_dts: int, descriptions: list[Box]) -> Columns:
    """Expand the runs of one track; without tfdt they start at `first_dts`, where the samples of moov end."""
    if not runs:
        return Columns.empty()
    counts = np.array([run.count for run in runs], dtype=np.int64)
    total = int(counts.sum())
    ends = np.cumsum(counts)
    firsts = ends - counts

    def default(name: str) -> NDArray[np.int64]:
        values = np.array([getattr(run.defaults, name) for run in runs], dtype=np.int64)
        return np.repeat(values, counts)

    duration, size, flags = default("duration"), default("size"), default("flags")
    composition = np.zeros(total, dtype=np.int64)
    columns = {_DURATION: duration, _SIZE: size, _FLAGS: flags, _COMPOSITION: composition}
    # first_sample_flags override the default only (8.8.8.1); a table of flags, below, is written over them.
    for run, first in zip(runs, firsts.tolist(), strict=True):
        if run.first_flags is not None:
            flags[first] = run.first_flags
    # Runs with the same set of fields have rows of the same width, so their tables are read as one.
    layouts = np.array([run.flags & sum(_PER_SAMPLE) for run in runs], dtype=np.int64)
    layout_of_row = np.repeat(layouts, counts)
    for layout in np.unique(layouts).tolist():
        present = [flag for flag in _PER_SAMPLE if layout & flag]
        if not present:
            continue
        joined = b"".join([run.table for run in runs if run.flags & sum(_PER_SAMPLE) == layout])
        # Composition offsets of version 0 should be unsigned; like libavformat, read as signed in both
        # versions.
        table = np.frombuffer(joined, ">u4").reshape(-1, len(present))
        rows = layout_of_row == layout
        for place, flag in enumerate(present):
            values = table[:, place]
            columns[flag][rows] = values.view(">i4") if flag == _COMPOSITION else values

    dts = _times(runs, counts, firsts, duration, first_dts)
    before = np.cumsum(size) - size
    starts = np.array([run.offset for run in runs], dtype=np.int64)
    offset = np.repeat(starts - before[firsts], counts) + before
    if int(offset.max()) + int(size.max()) >= _OFFSET_LIMIT:
        raise corrupt("a fragment has its data beyond the end of any file")
    entry = default("entry")
    if int(entry.min()) == 0:
        raise corrupt("a fragment names sample entry 0; they count from 1")

    # Samples that begin no later than the last one of the run before: libavformat plays the earlier run and
    # hides them.
    previous = np.full(len(runs), np.iinfo(np.int64).min, dtype=np.int64)
    previous[1:] = dts[ends[:-1] - 1]
    overlap = dts <= np.repeat(previous, counts)

    sync = flags & _NOT_SYNC == 0
    # Flags that call every sample of a longer video a sync sample were never filled in.
    if total > 1 and sync.all():
        sync = np.zeros(total, dtype=bool)
    key = sync.copy()
    for run, first in zip(runs, firsts.tolist(), strict=True):
        if run.groups:
            own = [box for box in run.groups if box.type == b"sgpd"]
            rap, grouped = expand_groups(list(run.groups), own or descriptions, run.traf_count)
            sync[first : first + run.traf_count] |= rap | grouped
    has_composition = bool((layouts & _COMPOSITION).any())
    return Columns(
        offset=offset,
        size=size,
        dts=dts,
        duration=duration,
        composition=composition,
        entry=entry - 1,
        key=key,
        sync=sync,
        overlap=overlap,
        has_composition=has_composition,
        composition_shift=max(0, -int(composition.min())),
    )


def _times(
    runs: list[Run],
    counts: NDArray[np.int64],
    firsts: NDArray[np.int64],
    duration: NDArray[np.int64],
    first_dts: int,
) -> NDArray[np.int64]:
    """Decode times: each run starts at its tfdt, or where the run before it ends."""
    elapsed = np.cumsum(duration) - duration
    anchored = np.array([run.start is not None for run in runs])
    anchored[0] = True
    starts = np.array([run.start or 0 for run in runs], dtype=np.int64)
    if runs[0].start is None:
        starts[0] = first_dts
    anchor = np.maximum.accumulate(np.where(anchored, np.arange(len(runs)), 0))
    shift = starts[anchor] - elapsed[firsts[anchor]]
    times: NDArray[np.int64] = np.repeat(shift, counts) + elapsed
    return times
