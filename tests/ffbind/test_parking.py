"""Which parked decoder is given up: by its cost counted frame by frame, on made-up standings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ffbind.parking import Parked, least_missed

GOP = 12


def parked() -> st.SearchStrategy[Parked]:
    return st.builds(
        lambda gop, position, age: Parked(gop * GOP, gop * GOP + position, gop * GOP + GOP, age),
        st.integers(0, 2),
        st.integers(1, GOP),
        st.integers(1, 40),
    )


def samples_to_all_frames(standing: list[Parked]) -> int:
    """Samples from the nearest decoder in front of it to each frame of three GOPs, summed."""
    total = 0
    for row in range(3 * GOP):
        start = row - row % GOP
        near = [one.position for one in standing if one.start == start and one.position <= row]
        total += row - max(near, default=start)
    return total


@given(st.lists(parked(), min_size=1, max_size=6))
def test_the_one_given_up_costs_least(standing: list[Parked]) -> None:
    chosen = least_missed(standing)
    youngest = min(one.age for one in standing)

    def cost(place: int) -> float:
        rest = standing[:place] + standing[place + 1 :]
        return (samples_to_all_frames(rest) - samples_to_all_frames(standing)) / standing[place].age

    if len(standing) > 1:
        assert standing[chosen].age > youngest or [one.age for one in standing].count(youngest) > 1
        may_go = [place for place in range(len(standing)) if standing[place].age > youngest]
        assert cost(chosen) <= min(map(cost, may_go), default=cost(chosen))


def test_the_only_one_is_given_up() -> None:
    assert least_missed([Parked(0, 5, 12, 1)]) == 0


def test_of_two_at_one_place_one_goes() -> None:
    twins = [Parked(0, 6, 12, 2), Parked(0, 6, 12, 3), Parked(0, 2, 12, 1), Parked(12, 18, 24, 9)]
    assert least_missed(twins) in (0, 1)


def test_what_was_not_used_for_long_goes_though_it_stands_well() -> None:
    assert least_missed([Parked(0, 6, 12, 100), Parked(12, 14, 24, 2), Parked(12, 17, 24, 1)]) == 0
