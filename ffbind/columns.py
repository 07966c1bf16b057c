"""The tables of an index, as rows and as columns: their types, how one becomes the other, and what is checked of them.

Whoever makes an index has columns, each a contiguous array, and going over one of those takes a tenth of the time that going over
a column of the finished table takes, whose numbers lie a row apart. So makers hand over both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import CorruptError
from .hevc import Kind

__all__ = [
    "PRESENTATION_DTYPE",
    "SAMPLE_DTYPE",
    "ColumnMap",
    "StructuredArray",
    "all_within",
    "as_columns",
    "as_table",
    "check_columns",
    "display_column",
    "last_marked_row",
    "malformed",
]

StructuredArray: TypeAlias = NDArray[np.void]
ColumnMap: TypeAlias = Mapping[str, NDArray[Any]]

SAMPLE_DTYPE = np.dtype(
    [
        ("offset", "<u8"),
        ("size", "<u4"),
        ("dts", "<i8"),
        ("pts", "<i8"),
        ("duration", "<i8"),
        ("kind", "u1"),
        ("temporal_id", "u1"),
        ("entry", "<u2"),
        ("irap", "<i4"),
        ("display", "<i4"),
    ]
)
"""One row for each sample, in decode order.

`offset`, `size`: bytes of the sample in the file; `dts`, `pts`, `duration`: decode time, composition time
before edits and decode duration in the track's time base; `kind`: a `Kind` value, UNKNOWN (255) until bytes
were read; `temporal_id`: true only where `kind` is known; `entry`: place in `VideoIndex.entries`; `irap`: row
of the IRAP picture that the sample belongs to in decode order (provisional until bytes were read; -1: not
known); `display`: 0-based place in presentation order after edits (the first one, where edits show it more
than once), -1: decoded but not shown.
"""

PRESENTATION_DTYPE = np.dtype([("row", "<i4"), ("edit", "<u4"), ("start", "<i8")])
"""One row for each frame shown, in presentation order: its sample's row, its edit, its start."""

_MAX_ROWS = 2**31 - 1
_ROWS_AT_ONCE = 4096  # of a table that is written by column: they stay in the processor's cache
_TIME_LIMIT = 2**62
_KINDS = np.zeros(256, dtype=bool)
_KINDS[[kind.value for kind in Kind]] = True


def as_columns(table: StructuredArray) -> dict[str, NDArray[Any]]:
    """Give the columns of a table by name, each a contiguous copy of its own."""
    return {name: np.ascontiguousarray(table[name]) for name in table.dtype.names or ()}


def as_table(columns: ColumnMap, dtype: np.dtype[np.void]) -> StructuredArray:
    """Put columns into rows. Numbers that their column cannot hold come out as others: `check_columns` finds them."""
    table = np.empty(len(next(iter(columns.values()))), dtype=dtype)
    pairs = [(table[name], columns[name]) for name in dtype.names or ()]
    for first in range(0, len(table), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        for into, column in pairs:
            into[rows] = column[rows]
    return table


def last_marked_row(marked: NDArray[np.bool_]) -> NDArray[np.int32]:
    """For each row, the last marked row at or before it, -1 before the first: int32 (rows,)."""
    rows = np.where(marked, np.arange(len(marked), dtype=np.int32), np.int32(-1))
    return np.maximum.accumulate(rows)


def display_column(order: NDArray[np.int32], rows: int) -> NDArray[np.int32]:
    """For each row, its first place in `order`, -1 where it has none: int32 (rows,)."""
    display = np.full(rows, -1, dtype=np.int32)
    # Written from the back, so that the first of several places is the one that stays.
    display[order[::-1]] = np.arange(len(order) - 1, -1, -1, dtype=np.int32)
    return display


def malformed(why: str) -> CorruptError:
    """Make the error of an index that does not hold together."""
    return CorruptError(f"the index is malformed: {why}; make it again from the video")


def check_columns(samples: ColumnMap, presentation: ColumnMap, entries: int) -> None:
    """Check every number that is later used as an address or to compute: CorruptError where out of range.

    `entries`: how many sample entries there are. Where a sample ends is not checked here: a file cut short keeps its table, and the
    read of such a sample fails, not the index.
    """
    rows, shown = len(samples["offset"]), len(presentation["row"])
    if not 0 < rows <= _MAX_ROWS or shown > _MAX_ROWS:
        raise malformed(f"{rows} samples and {shown} frames shown")
    if not all_within(samples["offset"], 0, _TIME_LIMIT):
        raise malformed("an offset is beyond any file")
    if not all_within(samples["size"], 0, 2**32 - 1):
        raise malformed("a sample has 4 GiB or more")
    for name, low, high in (
        ("dts", -_TIME_LIMIT, _TIME_LIMIT),
        ("pts", -_TIME_LIMIT, _TIME_LIMIT),
        ("duration", 0, 2**40),
    ):
        if not all_within(samples[name], low, high):
            raise malformed(f"a {name} is out of range")
    kinds = samples["kind"]
    if not all_within(kinds, 0, 255) or not _KINDS[kinds[kinds != Kind.UNKNOWN]].all():
        raise malformed("a kind is none of H.265")
    if not all_within(samples["temporal_id"], 0, 6):
        raise malformed("a temporal id is above 6")
    if not all_within(samples["entry"], 0, entries - 1):
        raise malformed("a sample names a sample entry that is not there")
    if not all_within(samples["irap"], -1, rows - 1) or bool((samples["irap"] > np.arange(rows)).any()):
        raise malformed("a sample names an IRAP picture that does not come before it")
    if not all_within(samples["display"], -1, shown - 1):
        raise malformed("a place in presentation order is out of range")
    if not all_within(presentation["row"], 0, rows - 1):
        raise malformed("a frame shown is of a sample that is not there")
    if not all_within(presentation["edit"], 0, 2**32 - 1):
        raise malformed("a frame shown is of an edit that no list can have")
    starts = presentation["start"]
    if not all_within(starts, -_TIME_LIMIT, _TIME_LIMIT):
        raise malformed("a start time is out of range")
    if bool((starts[1:] < starts[:-1]).any()):
        raise malformed("the frames shown are not in the order of their times")
    if not np.array_equal(display_column(presentation["row"], rows), samples["display"]):
        raise malformed("samples and presentation disagree about what is shown when")


def all_within(values: NDArray[Any], low: int, high: int) -> bool:
    """Tell whether all numbers are in [low, high]."""
    return len(values) == 0 or (int(values.min()) >= low and int(values.max()) <= high)
