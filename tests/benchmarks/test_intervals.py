"""Medians and ratios with bootstrap intervals, on data whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.intervals import median, paired_ratio


def test_rounds_that_all_say_the_same_leave_no_doubt() -> None:
    found = paired_ratio([1.0, 2.0, 5.0], [2.0, 4.0, 10.0])
    assert (found.low, found.middle, found.high) == pytest.approx((2.0, 2.0, 2.0))


def test_what_slows_both_down_cancels() -> None:
    random = np.random.default_rng(1)
    disturbance = random.lognormal(0, 2, 11)
    own = disturbance * random.lognormal(0, 0.01, 11)
    found = paired_ratio(own.tolist(), (3 * disturbance).tolist())
    assert 2.9 < found.low <= found.middle <= found.high < 3.1
    alone = median(own.tolist())
    assert alone.high > 1.3 * alone.low  # which is what the medians apart would have been worth


def test_the_inverse_ratio_has_the_mirrored_interval() -> None:
    random = np.random.default_rng(2)
    one, other = random.lognormal(0, 1, (2, 12)).tolist()
    found, inverse = paired_ratio(one, other), paired_ratio(other, one)
    assert (1 / inverse.high, 1 / inverse.middle, 1 / inverse.low) == pytest.approx(
        (found.low, found.middle, found.high)
    )


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        own, theirs = np.ones(15), 2 * random.lognormal(0, 0.3, 15)
        found = paired_ratio(own.tolist(), theirs.tolist())
        covered += found.low <= 2 <= found.high
    assert 0.8 * 200 <= covered <= 0.98 * 200


def test_one_outlier_moves_the_median_little() -> None:
    found = median([1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 1.0, 1.02, 0.98, 1.01, 40.0])
    assert found.middle == 1.0
    assert found.high < 1.2


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], [1.0, 2.0]), ([0.0], [1.0]), ([1.0], [-1.0])])
def test_what_has_no_ratio_is_refused(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(ValueError, match="round"):
        paired_ratio(ours, theirs)
