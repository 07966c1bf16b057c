"""Sample tables: the run-length coded boxes of `stbl` expanded to one row for each sample, in numpy.

Source: ISO/IEC 14496-12 8.6 (times), 8.7 (sizes and places), 8.9 (sample groups); QuickTime File Format
(signed ctts, stps).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ffbind.limits import Limits

from .boxes import Box, Boxes, Fields, children, corrupt

__all__ = ["Columns", "expand_groups", "read_sample_table"]

_OFFSET_LIMIT = 2**62
# libavformat's `max_stts_delta`: a larger delta is a negative number that some writers put there.
_MAX_DELTA = 2**32 - 1 - 48000 * 10


@dataclass
class Columns:
    """Columns of samples in decode order, all int64 or bool (samples,).

    `key`: what libavformat takes for a key frame when it applies edit lists (a missing stss means all);
    `sync`: samples that the file marks as random access points, for what that is worth; `overlap`: samples of
    a fragment that begin no later than the one before it ended, which libavformat hides. `composition_shift`:
    how far the most negative composition offset goes.
    """

    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    dts: NDArray[np.int64]
    duration: NDArray[np.int64]
    composition: NDArray[np.int64]
    entry: NDArray[np.int64]
    key: NDArray[np.bool_]
    sync: NDArray[np.bool_]
    overlap: NDArray[np.bool_]
    has_composition: bool
    composition_shift: int

    def __len__(self) -> int:
        return len(self.offset)

    @cached_property
    def pts(self) -> NDArray[np.int64]:
        """Composition times before edits."""
        return self.dts + self.composition

    @classmethod
    def empty(cls) -> Columns:
        """Give columns of no samples."""
        numbers, flags = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)
        return cls(numbers, numbers, numbers, numbers, numbers, numbers, flags, flags, flags, False, 0)

    def followed_by(self, other: Columns) -> Columns:
        """Join the samples of moov and those of fragments."""
        if not len(self):
            return other
        if not len(other):
            return self
        return Columns(
            offset=np.concatenate([self.offset, other.offset]),
            size=np.concatenate([self.size, other.size]),
            dts=np.concatenate([self.dts, other.dts]),
            duration=np.concatenate([self.duration, other.duration]),
            composition=np.concatenate([self.composition, other.composition]),
            entry=np.concatenate([self.entry, other.entry]),
            key=np.concatenate([self.key, other.key]),
            sync=np.concatenate([self.sync, other.sync]),
            overlap=np.concatenate([self.overlap, other.overlap]),
            has_composition=self.has_composition or other.has_composition,
            composition_shift=max(self.composition_shift, other.composition_shift),
        )


def read_sample_table(payload: memoryview, file_size: int, limits: Limits) -> Columns:
    """Expand the tables of one track, given the payload of its stbl box."""
    boxes = list(children(payload, "stbl"))
    stbl: Boxes = {}
    for box in boxes:
        stbl.setdefault(box.type, box)
    size = _read_sizes(stbl, file_size, limits)
    count = len(size)
    if count == 0:
        return Columns.empty()
    offset, entry = _read_places(stbl, size)
    duration = _read_durations(stbl, count)
    dts = np.cumsum(duration) - duration
    composition, has_composition, shift = _read_composition(stbl, count)
    key, sync = _read_sync(stbl, [box for box in boxes if box.type in (b"sbgp", b"sgpd")], count)
    return Columns(
        offset=offset,
        size=size,
        dts=dts,
        duration=duration,
        composition=composition,
        entry=entry,
        key=key,
        sync=sync,
        overlap=np.zeros(count, dtype=bool),
        has_composition=has_composition,
        composition_shift=shift,
    )


def _read_sizes(stbl: Boxes, file_size: int, limits: Limits) -> NDArray[np.int64]:
    """Sizes in bytes: stsz (8.7.3.2) or stz2 (8.7.3.3)."""
    if b"stsz" in stbl:
        fields = stbl[b"stsz"].fields()
        fields.version_and_flags()
        constant, count = fields.unsigned(4), fields.unsigned(4)
        limits.check(count, limits.samples, "samples")
        if constant:
            # No table stands behind this count, so nothing but the file itself bounds it.
            if constant * count > file_size:
                raise corrupt(f"stsz says {count} samples of {constant} bytes each, more than the file holds")
            return np.full(count, constant, dtype=np.int64)
        return fields.table(count)[:, 0]
    if b"stz2" not in stbl:
        return np.zeros(0, dtype=np.int64)
    fields = stbl[b"stz2"].fields()
    fields.version_and_flags()
    fields.take(3)
    bits, count = fields.unsigned(1), fields.unsigned(4)
    limits.check(count, limits.samples, "samples")
    if bits == 4:
        pairs = fields.table((count + 1) // 2, dtype="u1")[:, 0]
        return np.stack([pairs >> 4, pairs & 15], axis=1).reshape(-1)[:count]
    if bits in (8, 16):
        return fields.table(count, dtype=">u1" if bits == 8 else ">u2")[:, 0]
    raise corrupt(f"stz2 says sizes of {bits} bits; only 4, 8 and 16 exist")


def _read_places(stbl: Boxes, size: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Byte offset and sample entry (from 0) of each sample: stsc (8.7.4) over stco or co64 (8.7.5)."""
    count = len(size)
    chunks = _read_chunk_offsets(stbl)
    fields = _required(stbl, b"stsc")
    fields.version_and_flags()
    first, per_chunk, description = fields.table(fields.unsigned(4), 3).T
    if len(first) == 0 or first[0] != 1 or bool((np.diff(first) <= 0).any()) or first[-1] > len(chunks):
        raise corrupt(
            f"stsc does not fit the {len(chunks)} chunks of stco: its first chunks must rise from 1"
        )
    if bool((per_chunk == 0).any()):
        raise corrupt("stsc has a chunk of no samples")
    runs = np.diff(first, append=len(chunks) + 1)
    in_chunk = np.repeat(per_chunk, runs)
    # Only as many chunks as there are samples can be used; this keeps the sums small.
    in_chunk, chunks = in_chunk[:count], chunks[:count]
    ends = np.cumsum(in_chunk)
    if ends[-1] < count:
        raise corrupt(f"stsz has {count} samples, stsc and stco give a place to {ends[-1]} of them")
    used = int(np.searchsorted(ends, count)) + 1
    in_chunk = in_chunk[:used].copy()
    in_chunk[-1] -= ends[used - 1] - count
    starts = np.cumsum(in_chunk) - in_chunk
    before = np.cumsum(size) - size
    offset = np.repeat(chunks[:used] - before[starts], in_chunk) + before
    if int(chunks[:used].max()) + int(size.sum()) >= _OFFSET_LIMIT:
        raise corrupt("a chunk lies beyond the end of any file")
    entry = np.repeat(np.repeat(description, runs)[:used], in_chunk)
    if int(entry.min()) == 0:
        raise corrupt("stsc names sample entry 0; they count from 1")
    return offset, entry - 1


def _read_chunk_offsets(stbl: Boxes) -> NDArray[np.int64]:
    if b"stco" in stbl:
        fields = stbl[b"stco"].fields()
        fields.version_and_flags()
        return fields.table(fields.unsigned(4))[:, 0]
    if b"co64" not in stbl:
        raise corrupt("the video track has samples and neither stco nor co64 to say where they are")
    fields = stbl[b"co64"].fields()
    fields.version_and_flags()
    offsets = fields.table(fields.unsigned(4), dtype=">i8")[:, 0]
    if len(offsets) and (int(offsets.min()) < 0 or int(offsets.max()) >= _OFFSET_LIMIT):
        raise corrupt("co64 has an offset beyond the end of any file")
    return offsets


def _required(stbl: Boxes, box_type: bytes) -> Fields:
    if box_type not in stbl:
        raise corrupt(f"the video track has samples and no {box_type.decode()} box")
    return stbl[box_type].fields()


def _expand(values: NDArray[np.int64], counts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Repeat each value `counts` times, cut to `count` in all; may give fewer. Allocates nothing larger."""
    counts = counts[:count]
    if bool((counts == 1).all()):  # no runs at all, as composition offsets mostly are
        return values[:count].copy()
    # A single run is never longer than what is wanted, so the running sum cannot overflow before it is cut.
    counts = np.minimum(counts, count)
    ends = np.cumsum(counts)
    used = int(np.searchsorted(ends, count)) + 1
    counts = counts[:used].copy()
    if used <= len(ends):
        counts[-1] -= ends[used - 1] - count
    return np.repeat(values[:used], counts)


def _read_durations(stbl: Boxes, count: int) -> NDArray[np.int64]:
    """Decode durations: stts (8.6.1.2). Its last delta lasts on where it ends early, as in libavformat."""
    fields = _required(stbl, b"stts")
    fields.version_and_flags()
    table = fields.table(fields.unsigned(4), 2)
    table = table[table[:, 0] > 0]
    if len(table) == 0:
        raise corrupt(f"the video track has {count} samples and an stts box without times")
    counts, deltas = table.T
    if int(deltas.max()) > _MAX_DELTA:
        deltas = _corrected_deltas(counts, deltas)
    durations = _expand(deltas, counts, count)
    if len(durations) < count:
        durations = np.concatenate([durations, np.full(count - len(durations), deltas[-1])])
    return durations


def _corrected_deltas(counts: NDArray[np.int64], deltas: NDArray[np.int64]) -> NDArray[np.int64]:
    """Do to huge deltas what libavformat does: play them as 1 tick, then shorten samples to catch up.

    Some writers put negative numbers there to take back a delay. Each run depends on the one before it, hence
    the loop; such tables are short.
    """
    if len(deltas) > 100_000:
        raise corrupt("stts has times that go back, in more runs than any known writer makes")
    corrected = deltas.copy()
    true_time = time = 0
    for run, (samples, delta) in enumerate(zip(counts.tolist(), deltas.tolist(), strict=True)):
        if delta > _MAX_DELTA:
            corrected[run] = 1
            signed = delta - 2**32 if delta >= 2**31 else 1
            true_time += signed * samples
        else:
            true_time += delta * samples
        played = int(corrected[run])
        time += played * samples
        if time > true_time:
            drift = (time - true_time) // samples
            correction = drift if played > drift else played - 1
            time -= correction * samples
            corrected[run] = played - correction
    return corrected


def _read_composition(stbl: Boxes, count: int) -> tuple[NDArray[np.int64], bool, int]:
    """Composition offsets: ctts (8.6.1.3), whether there are any, and how far the most negative one goes.

    Version 0 should be unsigned; QuickTime writes negative numbers there. Like libavformat, all are read as
    signed; the last two runs do not count for the shift (writers put sentinels there), and a table of absurd
    offsets counts as none.
    """
    none = np.zeros(count, dtype=np.int64)
    if b"ctts" not in stbl:
        return none, False, 0
    fields = stbl[b"ctts"].fields()
    fields.version_and_flags()
    table = fields.table(fields.unsigned(4), 2, ">i4")
    counts, offsets = table.T
    judged = offsets[:-2]
    if bool((counts <= 0).any()):
        judged = judged[counts[:-2] > 0]
        counts = np.maximum(counts, 0)
    least, most = int(judged.min(initial=0)), int(judged.max(initial=0))
    if max(-least, most) > 1 << 28:
        return none, False, 0
    composition = _expand(offsets, counts, count)
    if len(composition) == 0:
        return none, False, 0
    return np.concatenate([composition, none[len(composition) :]]), True, -least


def _read_sync(stbl: Boxes, groups: list[Box], count: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Key frames for edit lists, and marked random access points: stss (8.6.2), stps, sample groups."""
    marked = np.zeros(count, dtype=bool)
    for box_type in (b"stss", b"stps"):
        if box_type in stbl:
            fields = stbl[box_type].fields()
            fields.version_and_flags()
            numbers = fields.table(fields.unsigned(4))[:, 0] - 1
            marked[numbers[(numbers >= 0) & (numbers < count)]] = True
    rap, sync = expand_groups(groups, groups, count)
    # Without stss every sample is formally a sync sample (8.6.2.1). Edit lists go by that; as a mark it says
    # nothing.
    if b"stss" not in stbl:
        return np.ones(count, dtype=bool), rap | sync
    key = marked | rap
    if not key.any():
        key[0] = True
    return key, marked | rap | sync


def expand_groups(
    assignments: list[Box], descriptions: list[Box], count: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Samples in a group 'rap ' and samples in a 'sync' group of IRAP pictures, from sbgp and sgpd boxes.

    Groups that a fragment describes itself count from 0x10001 (8.9.4); the low half is the place in its own
    sgpd.
    """
    rap = np.zeros(count, dtype=bool)
    sync = np.zeros(count, dtype=bool)
    for box in assignments:
        if box.type != b"sbgp":
            continue
        fields = box.fields()
        version, _ = fields.version_and_flags()
        grouping = bytes(fields.take(4))
        if grouping not in (b"rap ", b"sync"):
            continue
        if version == 1:
            fields.take(4)
        counts, numbers = fields.table(fields.unsigned(4), 2).T
        if grouping == b"rap ":
            rap |= _expand_flags(numbers > 0, counts, count)
        else:
            irap = _irap_group_numbers(descriptions)
            sync |= _expand_flags(np.isin(numbers & 0xFFFF, irap) & (numbers > 0), counts, count)
    return rap, sync


def _expand_flags(flags: NDArray[np.bool_], counts: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    expanded = np.zeros(count, dtype=bool)
    values = _expand(flags.astype(np.int64), counts, count)
    expanded[: len(values)] = values != 0
    return expanded


def _irap_group_numbers(descriptions: list[Box]) -> list[int]:
    """Numbers of the 'sync' groups of IRAP pictures (SyncSampleEntry, ISO/IEC 14496-15 8.4.4)."""
    numbers: list[int] = []
    for box in descriptions:
        if box.type != b"sgpd":
            continue
        fields = box.fields()
        version, _ = fields.version_and_flags()
        if bytes(fields.take(4)) != b"sync":
            continue
        default_length = fields.unsigned(4) if version >= 1 else 1
        if version >= 2:
            fields.take(4)
        count = fields.unsigned(4)
        if count > 256:
            raise corrupt(f"sgpd describes {count} kinds of sync samples")
        for number in range(1, count + 1):
            length = default_length or fields.unsigned(4)
            description = fields.take(length)
            if length and 16 <= description[0] & 0x3F <= 23:
                numbers.append(number)
    return numbers
