"""Pictures decoded for each step over whole GOPs, forwards and back: the same on every machine."""

from __future__ import annotations

from pathlib import Path

import ffbind

__all__ = ["back", "forward"]

_GOP = 60
"""Frames of a GOP of the clip."""


def forward(path: Path, rounds: int) -> dict[str, list[float]]:
    """Step from the first frame of a GOP to its last, a GOP for each round."""
    return _walk(path, rounds, range(_GOP))


def back(path: Path, rounds: int) -> dict[str, list[float]]:
    """Step from the last frame of a GOP to its first, a GOP for each round."""
    return _walk(path, rounds, range(_GOP - 1, -1, -1))


def _walk(path: Path, rounds: int, way: range) -> dict[str, list[float]]:
    """What landing on the first frame of the way decodes does not count."""
    decoded = []
    with ffbind.open(path) as video:
        gops = len(video) // _GOP
    for turn in range(rounds):
        first = turn % gops * _GOP
        with ffbind.open(path) as video:
            video[first + way[0]].planes  # noqa: B018
            landed = video.stats.pictures
            for place in way[1:]:
                video[first + place].planes  # noqa: B018
            decoded.append((video.stats.pictures - landed) / (len(way) - 1))
    return {"pictures per step": decoded}
