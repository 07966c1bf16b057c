"""How GOPs are shared out over threads: each once, and never later done than the plain ways."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ffbind.sharing import share_out

GAIN = 0.85
costs_of_groups = st.lists(st.integers(1, 1000), min_size=1, max_size=12)


def last_end(costs: list[int], threads: int) -> float:
    """When the last of the threads is done that take the dearest group left, each in turn."""
    ends = [0.0] * threads
    for cost in sorted(costs, reverse=True):
        ends[ends.index(min(ends))] += cost
    return max(ends)


@given(costs_of_groups, st.integers(2, 16), st.sampled_from([1, 8]))
def test_each_group_once_and_no_later_than_the_plain_ways(
    costs: list[int], threads: int, widest: int
) -> None:
    runs, together = share_out(costs, threads, widest)
    assert sorted([place for run in runs for place in run] + together) == list(range(len(costs)))
    assert len(runs) <= threads
    assert len(runs) >= 2 or not runs
    assert all(run and run == sorted(run) for run in runs)
    assert together == sorted(together)
    speed = max(1.0, GAIN * min(threads, widest))
    end = last_end([costs[place] for run in runs for place in run], threads)
    end += sum(costs[place] for place in together) / speed
    assert end <= sum(costs) / speed + 1e-6
    if len(costs) > 1:
        assert end <= last_end(costs, threads) + 1e-6


@given(st.integers(1, 1000), st.integers(2, 8), st.integers(1, 6))
def test_like_groups_that_go_evenly_are_runs_of_neighbours(cost: int, threads: int, each: int) -> None:
    runs, together = share_out([cost] * (threads * each), threads, 8)
    assert not together
    assert runs == [list(range(first, first + each)) for first in range(0, threads * each, each)]


def test_one_large_group_is_left_to_all_threads() -> None:
    assert share_out([100, 800, 100], 2, 8) == ([[0], [2]], [1])


def test_two_groups_for_two_threads_are_a_run_each() -> None:
    assert share_out([45, 55], 2, 8) == ([[0], [1]], [])
