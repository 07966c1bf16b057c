"""Planning: which samples wanted frames need, from which decoder, and what that costs. Pure: no I/O, no FFmpeg.

A picture needs its references, and theirs: its closure. Everything else between the IRAP and the picture can be left out:

    decode order:    I0  P4  B2  b1  b3  P8  B6  b5  b7        (numbers: order of showing)
    wanted b7:       I0  P4  .   .   .   P8  B6  .   b7        5 samples, where peers decode 9

A decoder that stands somewhere in the GOP already holds some of them, and can go on from there:

    stands here:     I0  P4  .   .   .   P8 |                  its buffer holds P4 and P8
    wanted b7:                              | B6  .   b7       2 samples

`course` gives the samples to send, or None where a decoder cannot get there exactly. It is exact, since a decoder that is given these
samples computes each of them from the same references, and with the same order counts, as one that is given all (H.265 8.3):

- a reference is a picture that a linear decode has in its buffer at that point, named by its row, so it is the same picture or none
- a decoded picture stays in the buffer as long as a linear decode keeps it there: what is sent in between is part of that one too
- order counts go by the last picture of TemporalId 0 that is neither RASL, RADL nor sub-layer non-reference (8.3.1). Where leaving one
  out would shift them, it is sent
- a reference named by low bits of its order count that several pictures share is settled by what the buffer holds: then everything
  is sent

The pure functions are tested on all small streams, the result on real ones, bit for bit (tests/ffbind/test_plan.py, test_exact.py).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .hevc import Kind
from .index import VideoIndex
from .pieces import join_ranges
from .references import Step, Verdict, order_count

__all__ = ["Linear", "Plan", "Standing", "choose", "coalesce", "course", "part", "plan_frames"]


class Linear(Protocol):
    """What a linear decode from an IRAP on does with each sample; numbers in a `Step` count from `start`."""

    @property
    def start(self) -> int: ...

    def step(self, row: int) -> Step | None:
        """Give the step of a row, None where it is not known."""


class Standing(NamedTuple):
    """Where a decoder stands in a track: an immutable value.

    - `starts`: rows of the IRAPs that it may be said to have started at: where it did, and the last one that it decoded on its way.
      What does not need pictures from before an IRAP cannot tell the difference
    - `position`: the row that it takes next; what lies before it is past
    - `held`: rows of the pictures in its buffer, all of them exact
    - `anchor`: row of the picture that the next order count goes by, -1 for none
    - `complete`: nothing that a linear decode decodes was left out since the start
    """

    starts: tuple[int, ...]
    position: int
    held: frozenset[int] = frozenset()
    anchor: int = -1
    complete: bool = True

    @classmethod
    def at(cls, start: int) -> Standing:
        """Stand before an IRAP, with nothing in the buffer."""
        return cls((start,), start)

    def sent(self, row: int, step: Step, start: int, *, is_irap: bool) -> Standing:
        """Stand behind a row that was decoded; its step is that of a linear decode from `start`."""
        starts = self.starts
        if is_irap and row != start:
            starts = (row,) if step.starts_sequence else (starts[-1], row)
        return Standing(
            starts,
            row + 1,
            self.held.intersection(start + number for number in step.keeps).union((row,)),
            row if step.counts else self.anchor,
            self.complete and row == self.position,
        )


def course(
    linear: Linear, wanted: Iterable[int], standing: Standing, *, keep_following: bool
) -> tuple[int, ...] | None:
    """Choose the rows to send, ascending, so that a decoder that stands here gives the wanted pictures. None where it cannot.

    All wanted rows have to be of pictures that `linear` decodes. `keep_following`: also what only later pictures need has to be there
    (see `ReferenceTracker`).
    """
    start, position = linear.start, standing.position
    needed: set[int] = set()
    open_rows = list(wanted)
    if any(row < position for row in open_rows):
        return None
    everything = False
    while True:
        if not _close(linear, needed, open_rows, standing, keep_following):
            return None
        open_rows = []
        anchor = standing.anchor
        for row in sorted(needed):
            step = linear.step(row)
            assert step is not None
            if step.ambiguous and not everything:
                if not standing.complete:
                    return None
                everything = True
                open_rows = [
                    other
                    for other in range(position, row)
                    if (between := linear.step(other)) is not None and between.verdict is Verdict.DECODE
                ]
                break
            if not step.starts_sequence and row != start:
                before = linear.step(anchor) if anchor >= start else None
                previous = None if before is None else before.poc
                lsb = step.poc & ((1 << step.low_bits) - 1)
                if previous is None or order_count(lsb, step.low_bits, previous) != step.poc:
                    missing = start + step.anchor
                    if step.anchor < 0 or missing < position or missing in needed:
                        return None
                    open_rows = [missing]
                    break
            if step.counts:
                anchor = row
        if not open_rows:
            return tuple(sorted(needed))


def _close(
    linear: Linear, needed: set[int], open_rows: list[int], standing: Standing, keep_following: bool
) -> bool:
    """Add rows and all that they refer to, up to what the decoder holds. False where something has to be decoded that is past."""
    start, position, held = linear.start, standing.position, standing.held
    while open_rows:
        row = open_rows.pop()
        if row in needed:
            continue
        if row < position:
            if row in held:
                continue
            return False
        step = linear.step(row)
        if step is None or step.verdict is not Verdict.DECODE:
            return False
        needed.add(row)
        open_rows.extend(start + number for number in (step.keeps if keep_following else step.uses))
    return True


def choose(
    linear: Linear, wanted: Sequence[int], standings: Sequence[Standing | None], *, keep_following: bool
) -> tuple[int | None, tuple[int, ...] | None]:
    """Choose the decoder that gets to the wanted pictures with the fewest samples: its place among `standings`, and its course.

    The place is None for one that starts at the IRAP of `linear`; the course is None where there is no way at all. A decoder that
    goes on wins over one that starts as cheaply, since that leaves the other free.
    """
    best: tuple[int, ...] | None = None
    place = None
    fewest = len(set(wanted))
    for i, standing in enumerate(standings):
        if standing is None or linear.start not in standing.starts:
            continue
        found = course(linear, wanted, standing, keep_following=keep_following)
        if found is not None and (best is None or len(found) < len(best)):
            place, best = i, found
            if len(found) == fewest:  # nobody has less to do
                return place, best
    found = course(linear, wanted, Standing.at(linear.start), keep_following=keep_following)
    if found is not None and (best is None or len(found) < len(best)):
        return None, found
    return place, best


def part(
    linear: Linear, wanted: Sequence[int], standings: Sequence[Standing | None], *, keep_following: bool
) -> Sequence[int]:
    """Choose which of the wanted rows, ascending, to decode first: all, or the last ones, where a decoder stands in front of them.

    stands here:     I0  P4  B2  b1  b3  P8 |
    wanted:          .   P4  B2  b1  b3     | B6  b5  b7     one course from I0 on decodes P8 again, two do not

    The others are left to a second course.
    """
    best, fewest = wanted, 0
    for standing in standings if len(wanted) > 1 else ():
        if standing is None or linear.start not in standing.starts:
            continue
        before = bisect_left(wanted, standing.position)
        if not 0 < before < len(wanted):
            continue
        last = course(linear, wanted[before:], standing, keep_following=keep_following)
        _, first = choose(linear, wanted[:before], standings, keep_following=keep_following)
        if last is None or first is None:
            continue
        if not fewest:
            _, whole = choose(linear, wanted, standings, keep_following=keep_following)
            fewest = len(whole) if whole is not None else len(first) + len(last) + 1
        if len(first) + len(last) < fewest:
            best, fewest = wanted[before:], len(first) + len(last)
    return best


@dataclass(frozen=True, slots=True)
class Plan:
    """What a set of frames costs, by the index alone; kinds that are still unknown make it an estimate.

    - `samples`: how many samples a decoder is given
    - `pictures`: how many of the asked pictures there are, each counted once
    - `ranges`: `(offset, length)` of the bytes to read, ascending, neighbours merged
    - `bytes`: sum of the lengths
    """

    samples: int
    pictures: int
    ranges: tuple[tuple[int, int], ...]
    bytes: int


def plan_frames(index: VideoIndex, rows: Iterable[int], *, gap: int = 0) -> Plan:
    """Tell what decoding these rows of the sample table costs, each GOP from its IRAP to the last row wanted.

    RASL rows count from the IRAP before their own. Ranges closer than `gap` bytes are merged.
    """
    wanted = sorted(set(rows))
    samples = index.samples
    spans: list[tuple[int, int]] = []
    for row in wanted:
        start = int(samples["irap"][row])
        if Kind(int(samples["kind"][row])).is_rasl and start > 0:
            start = int(samples["irap"][start - 1])
        start = max(start, 0)
        if spans and start <= spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], row)
        else:
            spans.append((start, row))
    needed = [row for first, last in spans for row in range(first, last + 1)]
    ranges = coalesce(((int(samples["offset"][row]), int(samples["size"][row])) for row in needed), gap=gap)
    return Plan(
        samples=len(needed),
        pictures=len(wanted),
        ranges=tuple(ranges),
        bytes=sum(length for _, length in ranges),
    )


def coalesce(ranges: Iterable[tuple[int, int]], *, gap: int = 0) -> list[tuple[int, int]]:
    """Sort `(offset, length)` ranges and merge those that overlap or lie at most `gap` bytes apart; empty ones go.

    >>> coalesce([(10, 5), (0, 10), (40, 1), (17, 3), (50, 0)], gap=2)
    [(0, 20), (40, 1)]
    """
    return join_ranges(sorted(ranges), gap=gap)
