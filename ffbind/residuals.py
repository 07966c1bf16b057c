"""What is left of an index's columns when each is predicted by the ones before it: small numbers, which pack well.

A sample starts where the one before ends and is decoded when that one is over; a frame shown is one row further than the one
before it, and starts as long after its composition time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import PRESENTATION_DTYPE, SAMPLE_DTYPE, StructuredArray, all_within, display_column, malformed

__all__ = ["RESIDUALS", "from_residuals", "to_residuals"]

RESIDUALS = {
    "size": "samples",
    "offset": "samples",
    "duration": "samples",
    "dts": "samples",
    "pts": "samples",
    "kind": "samples",
    "temporal_id": "samples",
    "entry": "samples",
    "irap": "samples",
    "row": "presentation",
    "edit": "presentation",
    "start": "presentation",
}
"""Columns of the compact form in their order, each with its table; `display` follows from the presentation."""


def to_residuals(samples: StructuredArray, presentation: StructuredArray) -> list[NDArray[np.int64]]:
    """Take from each column what the ones before it say: see `from_residuals`, which adds it again."""
    column = {name: samples[name].astype(np.int64) for name in samples.dtype.names or ()}
    column |= {name: presentation[name].astype(np.int64) for name in presentation.dtype.names or ()}
    return [
        column["size"],
        np.diff(column["offset"], prepend=0) - _shifted(column["size"]),
        np.diff(column["duration"], prepend=0),
        np.diff(column["dts"], prepend=0) - _shifted(column["duration"]),
        column["pts"] - column["dts"],
        column["kind"],
        column["temporal_id"],
        np.diff(column["entry"], prepend=0),
        np.diff(column["irap"], prepend=0),
        np.diff(column["row"], prepend=0) - 1,
        np.diff(column["edit"], prepend=0),
        np.diff(column["start"] - column["pts"][column["row"]], prepend=0),
    ]


def from_residuals(
    residuals: list[NDArray[np.int64]], rows: int
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Make the columns of samples and presentation of what `to_residuals` left.

    CorruptError where the presentation names rows that are not there; all else is for `check_columns`.
    """
    found: dict[str, NDArray[Any]] = dict(zip(RESIDUALS, residuals, strict=True))
    found["offset"] = _summed(found["offset"] + _shifted(found["size"]))
    found["duration"] = _summed(found["duration"])
    found["dts"] = _summed(found["dts"] + _shifted(found["duration"]))
    found["pts"] = found["pts"] + found["dts"]
    for name in ("entry", "irap", "edit", "start"):
        found[name] = _summed(found[name])
    found["row"] = _summed(found["row"] + 1)
    if not all_within(found["row"], 0, rows - 1):
        raise malformed("a frame shown is of a sample that is not there")
    found["start"] = found["start"] + found["pts"][found["row"]]
    found["display"] = display_column(found["row"].astype(np.int32), rows)
    samples, presentation = (
        {name: found[name] for name in dtype.names or ()} for dtype in (SAMPLE_DTYPE, PRESENTATION_DTYPE)
    )
    return samples, presentation


def _summed(column: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give for each row the sum of all up to it."""
    return np.cumsum(column) if column.any() else column


def _shifted(column: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give for each row the number of the row before, 0 for the first."""
    shifted = np.zeros_like(column)
    shifted[1:] = column[:-1]
    return shifted
