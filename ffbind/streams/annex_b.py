"""Raw H.265 streams: access units one after the other, with no container and no times (H.265 annex B)."""

from __future__ import annotations

import numpy as np

from ffbind.errors import CorruptError
from ffbind.framing import Framing, FramingKind
from ffbind.index import VideoIndex
from ffbind.limits import Limits
from ffbind.sources import Source, read_exactly
from ffbind.unframe import unwrap_annex_b

from .access_units import AccessUnit, AccessUnits
from .table import Table, Times
from .window import BLOCK_BYTES

__all__ = ["read_annex_b", "readable"]


def read_annex_b(source: Source, limits: Limits) -> VideoIndex:
    """Scan a raw stream. Frames follow each other at the rate that the VUI of the SPS says, else 25 a second, from time 0 on."""
    table = Table(limits)

    def take(unit: AccessUnit) -> None:
        table.add(unit.start, unit.end - unit.start, readable(unit.data))

    units = AccessUnits(limits)
    for offset in range(0, source.size, BLOCK_BYTES):
        for unit in units.feed(read_exactly(source, offset, min(BLOCK_BYTES, source.size - offset))):
            take(unit)
    for unit in units.finish():
        take(unit)
    duration, timescale = table.rate()
    composition = np.arange(len(table), dtype=np.int64) * duration
    return table.index(
        source,
        Framing(FramingKind.ANNEX_B),
        Times(composition, timescale, duration, origin=None),
        fourcc="hev1",  # as ISO/IEC 14496-15 calls samples that carry their parameter sets themselves
        track_id=0,
    )


def readable(data: bytes) -> memoryview | None:
    """Give an access unit with lengths instead of start codes, None where it has none."""
    try:
        return unwrap_annex_b(data)
    except CorruptError:
        return None
