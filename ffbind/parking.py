"""Which parked decoder to give up when one has to start elsewhere: the one that will be missed least. Pure: no I/O, no FFmpeg.

A frame is decoded from the nearest decoder in front of it, or from the IRAP. So each decoder spares what lies between the one before
and itself, for all frames up to the one behind:

    I . . . . A . . . . . B . . . . . . C . . |          B spares 6 samples to each of 7 frames
              <- spared -> <- to these ->

What was used lately is likelier to be used again, so this is divided by how long ago that was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Parked", "least_missed"]


class Parked(NamedTuple):
    """A decoder that stands in a GOP.

    - `start`, `end`: rows of the GOP's IRAP, and behind its last sample
    - `position`: the row that it takes next
    - `age`: how many uses of decoders ago it was used, from 1
    """

    start: int
    position: int
    end: int
    age: int


def least_missed(parked: Sequence[Parked]) -> int:
    """Choose the one to give up, by its place; never the one used last, unless it is the only one.

    >>> least_missed([Parked(0, 5, 21, 3), Parked(0, 11, 21, 2), Parked(0, 18, 21, 1), Parked(60, 62, 80, 4)])
    3
    """
    places = sorted(range(len(parked)), key=lambda place: parked[place][:2])
    costs: dict[int, float] = {}
    for i, place in enumerate(places):
        start, position, end, age = parked[place]
        before = parked[places[i - 1]] if i else None
        after = parked[places[i + 1]] if i + 1 < len(places) else None
        spared = position - (before.position if before is not None and before.start == start else start)
        frames = (after.position if after is not None and after.start == start else end) - position
        costs[place] = spared * max(frames, 0) / age
    last = min(costs, key=lambda place: parked[place].age)
    if len(costs) > 1:
        del costs[last]
    return min(costs, key=costs.__getitem__)
