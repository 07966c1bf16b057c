"""Edit lists: which samples are shown, in which order and when, as the `ffmpeg` command (5.1) presents them.

Source: ISO/IEC 14496-12 8.6.6 (elst). The standard leaves open what a player does with pictures that an edit
cuts; the rules here were worked out from the behaviour of libavformat 59 and are held to it by tests against
`ffprobe -show_frames`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffbind.index import PRESENTATION_DTYPE, StructuredArray

from .boxes import Box, Limits
from .table import Columns

__all__ = ["Edit", "present", "present_shifted", "read_elst"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One entry of elst: `duration` in the movie's time base, `media_time` in the track's (-1: empty)."""

    duration: int
    media_time: int


def read_elst(elst: Box, limits: Limits) -> list[Edit]:
    """Read an edit list. Like libavformat, goes by the size of the box where the count does not fit it."""
    fields = elst.fields()
    version, _ = fields.version_and_flags()
    count = fields.unsigned(4)
    time_size = 8 if version == 1 else 4
    entry_size = 2 * time_size + 4
    if count * entry_size != fields.left:
        count = fields.left // entry_size
    limits.check(count, limits.edits, "edits")
    rows = np.frombuffer(
        fields.take(count * entry_size),
        [("duration", f">u{time_size}"), ("media_time", f">i{time_size}"), ("rate", ">u4")],
    )
    return [Edit(*pair) for pair in zip(rows["duration"].tolist(), rows["media_time"].tolist(), strict=True)]


def present_shifted(
    columns: Columns, edits: list[Edit], movie_timescale: int, timescale: int
) -> StructuredArray:
    """Show every sample; the edit list only moves the start, as libavformat does for fragmented files.

    An empty edit in front delays the start, the media time of the edit after it takes that much away.
    Negative composition offsets in fragments shift all samples later, so that none is shown before it is
    decoded.
    """
    delay = start = 0
    for number, edit in enumerate(edits):
        if number == 0 and edit.media_time == -1:
            delay = _rescale(edit.duration, timescale, movie_timescale)
        elif number == (1 if edits[0].media_time == -1 else 0) and edit.media_time >= 0:
            start = edit.media_time
    rows = np.flatnonzero(~columns.overlap)
    shown = np.zeros(len(rows), dtype=PRESENTATION_DTYPE)
    shown["row"] = rows
    shown["start"] = (columns.dts + columns.composition)[rows] - (start - delay)
    return shown[np.argsort(shown["start"], kind="stable")]


def present(
    columns: Columns, edits: list[Edit], movie_timescale: int, timescale: int, limits: Limits
) -> StructuredArray:
    """Show what the edits show.

    Media time runs along the top; an edit shows the samples composed within it:

        samples     K . . . . K . . . . K . . . .        K: key frame
        edit                [============)
        decoded     |<----- from here ------->|          hidden: decoded, because shown ones need it
        shown               |<---------->|

    Decoding starts at the last key frame composed no later than the edit begins. The samples visited end with
    the first key frame that lasts beyond the edit, or with the second where composition times may reorder
    pictures around it. The first one shown, in decode order, gets the time at which the edit begins in the
    movie, the others keep their distance to it. In the end all move left so far that the earliest frame
    starts at the end of the empty edits in front.
    """
    pts = columns.dts + columns.composition
    key_rows = np.flatnonzero(columns.key)
    key_dts, key_pts = columns.dts[key_rows], pts[key_rows]
    needed_keys = 2 if columns.has_composition else 1
    shift = columns.composition_shift
    count = len(columns)
    shown_rows: list[NDArray[np.int64]] = []
    starts: list[NDArray[np.int64]] = []
    numbers: list[int] = []
    movie_time = -shift
    delay = work = 0
    for number, edit in enumerate(edits):
        begin = movie_time
        duration = _rescale(edit.duration, timescale, movie_timescale)
        movie_time = min(movie_time + duration, 2**61)
        if not numbers and edit.media_time == -1:
            delay += duration
            continue
        numbers.append(number)
        first = _first_needed(edit.media_time, columns, key_rows, key_dts, key_pts)
        end = min(edit.media_time + duration, 2**61)
        lasts = np.append(np.diff(columns.dts[first:]), min(duration, 2**61))
        beyond = np.flatnonzero(columns.key[first:] & (pts[first:] + lasts >= end))
        stop = first + int(beyond[needed_keys - 1]) + 1 if len(beyond) >= needed_keys else count
        work += len(key_rows) + count - first
        limits.check(work, limits.edit_work, "samples to visit for its edit list")
        rows = np.arange(first, stop, dtype=np.int64)
        rows = rows[(pts[first:stop] >= edit.media_time) & (pts[first:stop] < end)]
        shown_rows.append(rows)
        starts.append(begin + shift + pts[rows] - columns.dts[rows[0]] if len(rows) else rows)
    if not numbers:
        return np.zeros(0, dtype=PRESENTATION_DTYPE)
    lengths = [len(rows) for rows in shown_rows]
    shown = np.zeros(sum(lengths), dtype=PRESENTATION_DTYPE)
    shown["row"] = np.concatenate(shown_rows)
    shown["edit"] = np.repeat(numbers, lengths)
    shown["start"] = np.concatenate(starts)
    shown["start"] -= max(_least_start(shown["start"]) - delay, 0)
    return shown[np.argsort(shown["start"], kind="stable")]


def _first_needed(
    media_time: int,
    columns: Columns,
    key_rows: NDArray[np.int64],
    key_dts: NDArray[np.int64],
    key_pts: NDArray[np.int64],
) -> int:
    """Row where decoding for an edit starts: a key frame decoded and composed no later, if there is one."""
    keys = int(np.searchsorted(key_dts, media_time, side="right"))
    if columns.has_composition:
        good = np.flatnonzero(key_pts[:keys] <= media_time)
        return int(key_rows[good[-1]]) if len(good) else 0
    if keys:
        # Of several key frames decoded at the same time, the first.
        return int(key_rows[np.searchsorted(key_dts, key_dts[keys - 1])])
    return max(int(np.searchsorted(columns.dts, media_time, side="right")) - 1, 0)


def _least_start(starts: NDArray[np.int64]) -> int:
    """The earliest start as libavformat counts it: whatever comes after a negative one replaces it."""
    if len(starts) == 0:
        return -1
    negative = np.flatnonzero(starts < 0)
    after = starts if len(negative) == 0 else starts[negative[-1] + 1 :]
    return int(after.min()) if len(after) else int(starts[-1])


def _rescale(value: int, to: int, per: int) -> int:
    """Convert a time between time bases, rounded to nearest, halves away from zero (av_rescale)."""
    return min((value * to + per // 2) // per, 2**61)
