"""Writes MP4 files that no muxer at hand writes: samples, sample entries and tables as they are given, right or wrong."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import ffbind

__all__ = [
    "Sample",
    "entry_of",
    "samples_in_turn",
    "samples_of",
    "with_parameter_sets",
    "without_parameter_sets",
    "write_movie",
]


@dataclass(frozen=True)
class Sample:
    """One sample in decode order: its bytes, its times in ticks, whether stss names it, its sample entry (from 0)."""

    data: bytes
    dts: int
    pts: int
    sync: bool
    entry: int = 0


def samples_of(data: bytes, entry: int = 0) -> list[Sample]:
    """The samples of an MP4, with times and sync marks as its tables have them."""
    with ffbind.open(data) as video:
        rows = video.index.samples
        return [
            Sample(
                data[row["offset"] : row["offset"] + row["size"]],
                int(row["dts"]),
                int(row["pts"]),
                int(row["irap"]) == place,
                entry,
            )
            for place, row in enumerate(rows)
        ]


def entry_of(data: bytes) -> bytes:
    """The first sample entry of an MP4, as it is."""
    at = data.rindex(b"stsd") + 12
    return data[at : at + int.from_bytes(data[at : at + 4], "big")]


def without_parameter_sets(entry: bytes) -> bytes:
    """The same entry as hev1, with no parameter sets in hvcC; `free` fills the room."""
    at = entry.index(b"hvcC") - 4
    size = int.from_bytes(entry[at : at + 4], "big")
    kept = 8 + 22
    room = size - kept - 1
    record = struct.pack(">I", kept + 1) + entry[at + 4 : at + kept] + b"\0"
    return entry[:4] + b"hev1" + entry[8:at] + record + _box(b"free", bytes(room - 8)) + entry[at + size :]


def with_parameter_sets(
    samples: Sequence[Sample], sets: Sequence[bytes], rows: Sequence[int]
) -> list[Sample]:
    """The same samples, these rows with parameter sets in front of them."""
    front = b"".join(struct.pack(">I", len(unit)) + unit for unit in sets)
    return [
        replace(sample, data=front + sample.data) if row in rows else sample
        for row, sample in enumerate(samples)
    ]


def samples_in_turn(files: Sequence[bytes], rows: Callable[[list[Sample]], Sequence[int]]) -> list[Sample]:
    """The samples of MP4 files one after the other, each file's parameter sets in front of those of its samples that `rows` names."""
    joined: list[Sample] = []
    for data in files:
        with ffbind.open(data) as video:
            sets = video.index.entries[0].parameter_sets
        start = joined[-1].dts + 5000 if joined else 0
        part = [replace(one, dts=one.dts + start, pts=one.pts + start) for one in samples_of(data)]
        joined += with_parameter_sets(part, sets, rows(part))
    return joined


def _box(kind: bytes, *parts: bytes) -> bytes:
    payload = b"".join(parts)
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def _full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


def _numbers(*values: int, code: str = "I") -> bytes:
    return struct.pack(f">{len(values)}{code}", *values)


def write_movie(
    entries: Sequence[bytes],
    samples: Sequence[Sample],
    *,
    timescale: int = 12800,
    has_stss: bool = True,
    has_ctts: bool = True,
    co64: bool = False,
    moov_first: bool = False,
) -> bytes:
    """An MP4 with one video track; chunks of one sample each."""
    durations = [after.dts - sample.dts for sample, after in pairwise(samples)]
    durations.append(durations[-1] if durations else 512)
    ftyp = _box(b"ftyp", b"isom", bytes(4), b"isom")
    mdat = _box(b"mdat", b"".join(sample.data for sample in samples))

    def moov(first: int) -> bytes:
        offsets, at = [], first
        for sample in samples:
            offsets.append(at)
            at += len(sample.data)
        # A chunk belongs to one sample entry (8.7.4).
        runs = [
            (number + 1, 1, sample.entry + 1)
            for number, sample in enumerate(samples)
            if number == 0 or sample.entry != samples[number - 1].entry
        ]
        stbl = [
            _full(b"stsd", _numbers(len(entries)), *entries),
            _full(b"stts", _numbers(len(samples)), *(_numbers(1, duration) for duration in durations)),
            _full(b"stsc", _numbers(len(runs)), *(_numbers(*run) for run in runs)),
            _full(b"stsz", _numbers(0, len(samples)), _numbers(*(len(sample.data) for sample in samples))),
            _full(b"co64", _numbers(len(offsets)), _numbers(*offsets, code="Q"))
            if co64
            else _full(b"stco", _numbers(len(offsets)), _numbers(*offsets)),
        ]
        if has_stss:
            sync = [number + 1 for number, sample in enumerate(samples) if sample.sync]
            stbl.append(_full(b"stss", _numbers(len(sync), *sync)))
        if has_ctts:
            pairs = [struct.pack(">Ii", 1, sample.pts - sample.dts) for sample in samples]
            stbl.append(_full(b"ctts", _numbers(len(pairs)), *pairs, version=1))
        total = sum(durations)
        matrix = _numbers(1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
        mvhd = _full(
            b"mvhd", _numbers(0, 0, timescale, total, 1 << 16), bytes(12), matrix, bytes(24), _numbers(2)
        )
        tkhd = _full(b"tkhd", _numbers(0, 0, 1, 0, total), bytes(16), matrix, _numbers(0, 0), flags=3)
        mdhd = _full(b"mdhd", _numbers(0, 0, timescale, total), bytes(4))
        hdlr = _full(b"hdlr", bytes(4), b"vide", bytes(13))
        dinf = _box(b"dinf", _full(b"dref", _numbers(1), _full(b"url ", flags=1)))
        minf = _box(b"minf", _full(b"vmhd", bytes(8), flags=1), dinf, _box(b"stbl", *stbl))
        return _box(b"moov", mvhd, _box(b"trak", tkhd, _box(b"mdia", mdhd, hdlr, minf)))

    if moov_first:
        head = len(ftyp) + len(moov(0)) + 8
        return ftyp + moov(head) + mdat
    return ftyp + mdat + moov(len(ftyp) + 8)
