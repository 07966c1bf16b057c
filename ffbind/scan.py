"""Reads the headers of all samples of a track: true kinds, and the order of showing by picture order counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .bitstream import ParameterSets, SampleHeader
from .errors import CorruptError
from .index import SampleEntry
from .plan import ReferenceTracker, Step
from .reader import SampleReader
from .samples import Samples

__all__ = ["Scanned", "Watch", "scan_headers"]


@dataclass(frozen=True, slots=True)
class Scanned:
    """One sample that was scanned: its headers, and what a linear decode has to do with it; None where it cannot be read."""

    row: int
    header: SampleHeader | None
    step: Step | None


Watch: TypeAlias = Callable[[Scanned], None]
"""Called with each sample in decode order, while scanning goes on."""


def scan_headers(samples: Samples, reader: SampleReader, watch: Watch | None = None) -> NDArray[np.int64]:
    """Fill in the kinds of all samples that can be read; give each row's rank in the order of showing, int64 (samples,).

    Order counts (H.265 8.3.1) rise within a coded video sequence; sequences follow each other. A sample whose header cannot be
    read keeps its place in decode order. All bytes of the track are read.
    """
    count = len(samples)
    sequence = np.zeros(count, dtype=np.int64)
    poc = np.zeros(count, dtype=np.int64)
    tracker = ReferenceTracker(keep_following=False)
    sets = ParameterSets()
    entry: SampleEntry | None = None
    current = 0
    for row in range(count):
        if samples.entry(row) is not entry:
            entry = samples.entry(row)
            sets = ParameterSets(entry.parameter_sets)
            tracker.reset()
        try:
            header = sets.read(reader.read(row, count - 1), entry.nal_length_size)
        except CorruptError:
            tracker.lose()
            poc[row] = poc[row - 1] if row else 0
            scanned = Scanned(row, None, None)
        else:
            step = tracker.step(header)
            current += step.starts_sequence
            poc[row] = step.poc
            samples.learn(row, header)
            scanned = Scanned(row, header, step)
        sequence[row] = current
        if watch is not None:
            watch(scanned)
    rank = np.empty(count, dtype=np.int64)
    rank[np.lexsort((poc, sequence))] = np.arange(count)
    return rank
