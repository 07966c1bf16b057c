"""Parameter sets in force: groups for random access, by samples put together from those of generated clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import ffbind
from ffbind.bitstream import ParameterSets, SampleHeader
from ffbind.references import ReferenceTracker, Step
from ffbind.sets import SetsInForce


@pytest.fixture
def sets(clip: Callable[[str], Path]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """VPS, SPS and PPS of two clips, with the same ids."""
    found = []
    for name in ("open_gop.mp4", "offset_chroma.mp4"):
        with ffbind.open(clip(name)) as video:
            units = video.index.entries[0].parameter_sets
            found.append(tuple(unit for unit in units if unit[0] >> 1 in (32, 33, 34)))
    return found[0], found[1]


@pytest.fixture
def irap(clip: Callable[[str], Path], sets: tuple[tuple[bytes, ...], ...]) -> bytes:
    """An IDR picture without parameter sets."""
    with ffbind.open(clip("open_gop.mp4")) as video:
        first = video.index.samples[0]
        return clip("open_gop.mp4").read_bytes()[first["offset"] : first["offset"] + first["size"]]


def framed(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


class Followed:
    """`SetsInForce`, given what reading a sample's headers says of it."""

    def __init__(self, known: tuple[bytes, ...]) -> None:
        self._read = ParameterSets(known)
        self._tracker = ReferenceTracker(keep_following=False)
        self.sets = SetsInForce(known)

    def take(self, sample: bytes) -> int:
        header: SampleHeader = self._read.read(sample, 4)
        step: Step = self._tracker.step(header)
        return self.sets.take(sample, 4, header, step)


def test_sets_that_stay_are_one_group(sets: tuple[tuple[bytes, ...], ...], irap: bytes) -> None:
    """Known from outside, in the first sample, or in every one."""
    front = framed(*sets[0])
    for known, samples in (
        (sets[0], [irap, irap, irap]),
        ((), [front + irap, irap, irap]),
        ((), [front + irap, front + irap]),
        (sets[0], [front + irap, irap]),
    ):
        followed = Followed(known)
        assert [followed.take(sample) for sample in samples] == [0] * len(samples)
        assert followed.sets.groups == [sets[0]]
        assert len(followed.sets) == 1


def test_a_change_begins_a_group_and_a_change_back_finds_it(
    sets: tuple[tuple[bytes, ...], ...], irap: bytes
) -> None:
    first, second = (framed(*group) for group in sets)
    followed = Followed(())
    samples = [first + irap, irap, second + irap, irap, first + irap, irap, second + irap]
    assert [followed.take(sample) for sample in samples] == [0, 0, 1, 1, 0, 0, 1]
    assert followed.sets.groups == [sets[0], sets[1]]


def test_sets_of_a_sample_without_a_picture_count(sets: tuple[tuple[bytes, ...], ...], irap: bytes) -> None:
    """They may come on their own, in front of the IRAP picture or long before it."""
    followed = Followed(sets[0])
    assert [followed.take(sample) for sample in (irap, framed(sets[1][2]), irap)] == [0, 0, 1]
    assert followed.sets.groups == [sets[0], (*sets[0][:2], sets[1][2])]


def test_other_layers_and_sei_are_left_out(sets: tuple[tuple[bytes, ...], ...]) -> None:
    """A set of another layer may have the id of one of the base layer, and is none of it."""
    other = bytes((sets[1][1][0], sets[1][1][1] | 1 << 3)) + sets[1][1][2:]
    assert SetsInForce([*sets[0], other, b"\x4e\x01\x05"]).groups == [sets[0]]
    assert SetsInForce().groups == [()]
