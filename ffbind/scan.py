"""Reads the headers of all samples of a track: true kinds, and the order of showing by picture order counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .bitstream import Buffer, ParameterSets, SampleHeader
from .errors import CorruptError
from .index import SampleEntry
from .reader import SampleReader
from .references import ReferenceTracker, Step, Verdict
from .samples import Samples
from .sets import SetsInForce

__all__ = ["HeaderScan", "Headers", "Scanned", "Watch", "scan_headers"]


@dataclass(frozen=True, slots=True)
class Scanned:
    """One sample that was scanned: its headers, and what a linear decode has to do with it; None where it cannot be read."""

    row: int
    header: SampleHeader | None
    step: Step | None


Watch: TypeAlias = Callable[[Scanned], None]
"""Called with each sample in decode order, while scanning goes on."""


class HeaderScan:
    """Reads headers in decode order, from the first sample on: what a linear decode has to do, and in which order it shows.

    Order counts (H.265 8.3.1) rise within a coded video sequence; sequences follow each other.
    """

    def __init__(self) -> None:
        self._tracker = ReferenceTracker(keep_following=False)
        self._sets = ParameterSets()
        self._sequence: list[int] = []
        self._poc: list[int] = []
        self._current = 0

    @property
    def sets(self) -> ParameterSets:
        """The parameter sets in force behind the last sample."""
        return self._sets

    def enter(self, entry: SampleEntry) -> None:
        """Go on with the samples of an entry, as a decoder does that is given its parameter sets."""
        self._sets = ParameterSets(entry.parameter_sets)
        self._tracker.reset()

    def take(self, sample: Buffer | None, nal_length_size: int) -> Scanned:
        """Take the next sample; None where it cannot be read: it keeps its place in decode order."""
        row = len(self._poc)
        try:
            header = None if sample is None else self._sets.read(sample, nal_length_size)
        except CorruptError:
            header = None
        if header is None:
            self._tracker.lose()
            step, poc = None, self._poc[-1] if row else 0
        else:
            step = self._tracker.step(header)
            self._current += step.starts_sequence
            poc = step.poc
            if step.verdict is Verdict.NOT_STARTED and row:
                poc = self._poc[-1]  # behind damage: as if it could not be read
        self._sequence.append(self._current)
        self._poc.append(poc)
        return Scanned(row, header, step)

    def rank(self) -> NDArray[np.int64]:
        """Give each sample's place in the order of showing, int64 (samples,)."""
        count = len(self._poc)
        rank = np.empty(count, dtype=np.int64)
        rank[np.lexsort((np.array(self._poc, np.int64), np.array(self._sequence, np.int64)))] = np.arange(
            count
        )
        return rank


@dataclass(frozen=True, slots=True, eq=False)
class Headers:
    """What the headers of all samples say.

    `rank`: each row's place in the order of showing, int64 (samples,); `entries`: sample entries with the parameter sets that are in
    force where they begin, those in the samples included; `entry`: which of them each row belongs to, int64 (samples,).
    """

    rank: NDArray[np.int64]
    entries: tuple[SampleEntry, ...]
    entry: NDArray[np.int64]


def scan_headers(samples: Samples, reader: SampleReader, watch: Watch | None = None) -> Headers:
    """Fill in the kinds of all samples that can be read, and tell what else their headers say. All bytes of the track are read."""
    count = len(samples)
    scan = HeaderScan()
    sets = SetsInForce()
    entry: SampleEntry | None = None
    # Places in the new table, by entry of the file and parameter sets.
    places: dict[tuple[SampleEntry, tuple[bytes, ...]], int] = {}
    column = np.zeros(count, np.int64)
    place = 0
    for row in range(count):
        fresh = samples.entry(row) is not entry
        if fresh:
            entry = samples.entry(row)
            scan.enter(entry)
            sets = SetsInForce(entry.parameter_sets)
        assert entry is not None
        try:
            sample = reader.read(row, count - 1)
        except CorruptError:
            sample = None
        scanned = scan.take(sample, entry.nal_length_size)
        before = sets.current
        if sample is not None and scanned.header is not None and scanned.step is not None:
            samples.learn(row, scanned.header)
            sets.take(sample, entry.nal_length_size, scanned.header, scanned.step)
        if fresh or sets.current != before or row == 0:
            place = places.setdefault((entry, sets.groups[sets.current]), len(places))
            samples.limits.check(
                len(places), samples.limits.sample_entries, "different groups of parameter sets"
            )
        column[row] = place
        if watch is not None:
            watch(scanned)
    entries = tuple(
        # As it is where nothing else is in force: what it holds besides (SEI, other layers) stays.
        entry if SetsInForce(entry.parameter_sets).groups == [group] else replace(entry, parameter_sets=group)
        for entry, group in places
    )
    return Headers(scan.rank(), entries, column)
