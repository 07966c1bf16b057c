"""Edit lists: which samples are shown, in which order and when, as the `ffmpeg` command (5.1) presents them.

Source: ISO/IEC 14496-12 8.6.6 (elst). The standard leaves open what a player does with pictures that an edit
cuts; the rules here were worked out from the behaviour of libavformat 59 and are held to it by tests against
`ffprobe -show_frames`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ffbind.limits import Limits

from .boxes import Box
from .table import Columns

__all__ = ["Edit", "Rates", "present", "read_elst"]

Shown: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""Row, start and edit of each frame shown, arrays of the caller's own."""


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


@dataclass(frozen=True, slots=True)
class Rates:
    """Ticks a second: of the movie, in which edits last, and of the track, in which samples are timed."""

    movie: int
    track: int

    def to_track(self, value: int) -> int:
        """Convert a duration of the movie to ticks of the track, rounded to nearest (av_rescale)."""
        return min((value * self.track + self.movie // 2) // self.movie, 2**61)


def present(
    in_moov: Columns, in_fragments: Columns, edits: list[Edit], rates: Rates, limits: Limits
) -> dict[str, NDArray[np.int64]]:
    """Say which samples are shown when: columns of PRESENTATION_DTYPE, rows counted over moov first, then fragments.

    Edits cut the samples of moov; those of fragments, to which an edit list has no clear relation, they only move.
    Where composition offsets in fragments are negative, all samples move later, so that none is shown before
    it is decoded.
    """
    cut = edits and len(in_moov)
    row, start, edit = _cut(in_moov, edits, rates, limits) if cut else _moved(in_moov, 0, 0)
    shift = max(in_moov.composition_shift, in_fragments.composition_shift)
    start += shift - in_moov.composition_shift
    if len(in_fragments):
        rows, starts, edit_of_each = _moved(in_fragments, _start_offset(edits, rates), len(edits))
        row = np.concatenate([row, rows + len(in_moov)])
        start = np.concatenate([start, starts + shift])
        edit = np.concatenate([edit, edit_of_each])
    if bool((start[1:] < start[:-1]).any()):
        order = np.argsort(start, kind="stable")
        row, start, edit = row[order], start[order], edit[order]
    return {"row": row, "edit": edit, "start": start}


def _start_offset(edits: list[Edit], rates: Rates) -> int:
    """How much earlier an edit list makes a fragmented track start: the media time less an empty edit in front."""
    delay = start = 0
    for number, edit in enumerate(edits):
        if number == 0 and edit.media_time == -1:
            delay = rates.to_track(edit.duration)
        elif number == (1 if edits[0].media_time == -1 else 0) and edit.media_time >= 0:
            start = edit.media_time
    return start - delay


def _moved(columns: Columns, offset: int, edit: int) -> Shown:
    """Show every sample, this much earlier; of fragments that overlap, the first."""
    rows = np.flatnonzero(~columns.overlap)
    return rows, columns.pts[rows] - offset, np.full(len(rows), edit)


def _cut(columns: Columns, edits: list[Edit], rates: Rates, limits: Limits) -> Shown:
    """Show what the edits show.

    Media time runs to the right; an edit shows the samples composed within it:

        samples     K . . . . K . . . . K . . . .        K: key frame
        edit                      [===========)
        decoded               |<--------------|          from the last key frame before the edit on
        shown                     |<--------->|

    Decoding starts at the last key frame composed no later than the edit begins. The samples visited end with
    the first key frame that lasts beyond the edit, or with the second where composition times may reorder
    pictures around it. The first one shown, in decode order, gets the time at which the edit begins in the
    movie, the others keep their distance to it. In the end all move left so far that the earliest frame
    starts at the end of the empty edits in front.
    """
    dts, pts = columns.dts, columns.pts
    key_rows = np.flatnonzero(columns.key)
    key_dts, key_pts = dts[key_rows], pts[key_rows]
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
        duration = rates.to_track(edit.duration)
        movie_time = min(movie_time + duration, 2**61)
        if not numbers and edit.media_time == -1:
            delay += duration
            continue
        numbers.append(number)
        first = _first_needed(edit.media_time, columns, key_rows, key_dts, key_pts)
        end = min(edit.media_time + duration, 2**61)
        keys = key_rows[np.searchsorted(key_rows, first) :]
        lasts = np.full(len(keys), min(duration, 2**61))
        inner = keys < count - 1
        lasts[inner] = dts[keys[inner] + 1] - dts[keys[inner]]
        beyond = keys[pts[keys] + lasts >= end]
        stop = int(beyond[needed_keys - 1]) + 1 if len(beyond) >= needed_keys else count
        work += len(key_rows) + count - first
        limits.check(work, limits.edit_work, "samples to visit for its edit list")
        visited = pts[first:stop]
        rows = first + np.flatnonzero((visited >= edit.media_time) & (visited < end))
        shown_rows.append(rows)
        starts.append(begin + shift + pts[rows] - dts[rows[0]] if len(rows) else rows)
    if not numbers:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    lengths = [len(rows) for rows in shown_rows]
    start = np.concatenate(starts)
    start -= max(_least_start(start) - delay, 0)
    return np.concatenate(shown_rows), start, np.repeat(numbers, lengths)


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
