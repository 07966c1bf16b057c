"""How the GOPs of a batch are shared out over threads, so that it ends soonest. Pure: no I/O, no FFmpeg.

Threads do best with a GOP each. Where GOPs are few and unlike, that leaves some idle at the end, so a few of them are decoded by all
threads together, after the others:

    thread 1   | A A A A A A A A A A A C C          C by both, when A and B are done
    thread 2   | B B B B B B B B B B B C C
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

__all__ = ["TOGETHER_GAIN", "Shares", "share_out"]

TOGETHER_GAIN = 0.85
"""How well threads inside a GOP do, compared with as many threads that have GOPs of their own."""

_MOST_TOGETHER = 3
"""GOPs looked at, from the dearest down and from the cheapest up, that may be decoded by all threads."""


class Shares(NamedTuple):
    """Who decodes which groups, by their places.

    - `runs`: for each thread, neighbours as far as that goes; a thread without any has no run
    - `together`: those that all threads decode, one after the other, when the runs are done
    """

    runs: list[list[int]]
    together: list[int]


def share_out(costs: Sequence[float], threads: int, widest: int) -> Shares:
    """Share out groups of these costs (all above 0), in order. `widest`: threads that a single group can keep busy.

    >>> share_out([250, 250, 100], threads=2, widest=8)
    Shares(runs=[[0], [1]], together=[2])
    >>> share_out([40, 40, 40, 40], threads=2, widest=8)
    Shares(runs=[[0, 1], [2, 3]], together=[])
    """
    speed = max(1.0, TOGETHER_GAIN * min(threads, widest))
    order = sorted(range(len(costs)), key=costs.__getitem__, reverse=True)
    best = sum(costs) / speed
    chosen = order
    for dear, cheap in product(range(_MOST_TOGETHER + 1), repeat=2):
        alone = order[dear : len(order) - cheap]
        if len(alone) > 1:
            together = order[:dear] + order[len(order) - cheap :]
            end = _last_end([costs[place] for place in alone], threads)
            end += sum(costs[place] for place in together) / speed
            if end < best:
                best, chosen = end, together
    together = sorted(chosen)
    return Shares(_runs(costs, sorted(set(order) - set(together)), threads), together)


def _last_end(costs: Sequence[float], threads: int) -> float:
    """When the last thread is done, if each in turn takes the dearest that is left. `costs`: descending."""
    ends = [0.0] * threads
    for cost in costs:
        ends[ends.index(min(ends))] += cost
    return max(ends)


def _runs(costs: Sequence[float], places: Sequence[int], threads: int) -> list[list[int]]:
    """Cut places, in order, into runs of about the same cost: neighbours spare a thread a start."""
    share = sum(costs[place] for place in places) / threads
    runs: list[list[int]] = []
    total = 0.0
    for place in places:
        if total + costs[place] / 2 >= share * len(runs) and len(runs) < threads:
            runs.append([])
        runs[-1].append(place)
        total += costs[place]
    return runs
