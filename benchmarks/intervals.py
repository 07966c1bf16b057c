"""Medians and ratios with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "median", "paired_ratio"]

_DRAWS = 4000
_SEED = 5


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the ends of its interval."""

    low: float
    middle: float
    high: float


def median(values: Sequence[float], confidence: float = 0.9) -> Interval:
    """Give the median of one value a round, with its bootstrap (percentile) interval."""
    data = np.asarray(values, float)
    if data.size == 0:
        raise ValueError("no values")
    drawn = np.median(data[_draws(data.size)], axis=1)
    return _interval(float(np.median(data)), drawn, confidence)


def paired_ratio(ours: Sequence[float], theirs: Sequence[float], confidence: float = 0.9) -> Interval:
    """Give how many times as long they take as we do: the median over rounds of theirs / ours, with its bootstrap interval.

    Rounds are drawn as wholes, so what disturbs both in a round (another process, a costly frame) stays paired. A ratio and its
    inverse have mirrored intervals, since the median is taken of logarithms.
    """
    own, other = np.asarray(ours, float), np.asarray(theirs, float)
    if own.shape != other.shape:
        raise ValueError(f"{own.size} rounds of ours, {other.size} of theirs")
    if own.size == 0 or (own <= 0).any() or (other <= 0).any():
        raise ValueError("a ratio needs rounds, and times above 0")
    logs = np.log(other / own)
    drawn = np.exp(np.median(logs[_draws(logs.size)], axis=1))
    return _interval(float(np.exp(np.median(logs))), drawn, confidence)


def _draws(count: int) -> NDArray[np.intp]:
    """Rows of `count` rounds drawn with replacement; always the same, so that a saved result is always judged alike."""
    return np.random.default_rng(_SEED).integers(0, count, (_DRAWS, count))


def _interval(middle: float, drawn: NDArray[np.float64], confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return Interval(float(low), middle, float(high))
