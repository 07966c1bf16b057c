"""What is known of a track: the cache of pictures, bounded in bytes, and what reading taught."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffbind
from ffbind.reader import SampleReader
from ffbind.samples import PictureCache, Samples
from ffbind.sources import BytesSource

Clip = Callable[[str], Path]


@pytest.fixture
def frames(clip: Clip) -> list[ffbind.Frame]:
    with ffbind.open(clip("plain.mp4")) as video:
        return list(video[:8])


@pytest.fixture
def track(clip: Clip) -> tuple[Samples, SampleReader]:
    data = clip("plain.mp4").read_bytes()
    with ffbind.open(data) as video:
        index = video.index
    return Samples(index, PictureCache(1 << 20, 1)), SampleReader(BytesSource(data), index.samples, 1 << 16)


def test_the_least_recently_used_leave_first(frames: list[ffbind.Frame]) -> None:
    size = frames[0].nbytes
    assert size >= 192 * 108 * 3 // 2
    cache = PictureCache(3 * size, 1)
    for row in range(3):
        cache.put(row, frames[row])
    assert cache.bytes == 3 * size
    assert cache.get(0) is frames[0]
    cache.put(3, frames[3])
    assert [cache.get(row) for row in range(4)] == [frames[0], None, frames[2], frames[3]]
    assert cache.bytes == 3 * size


def test_putting_a_row_again_counts_it_once(frames: list[ffbind.Frame]) -> None:
    cache = PictureCache(10 * frames[0].nbytes, 1)
    for frame in frames[:3]:
        cache.put(5, frame)
    assert cache.get(5) is frames[2]
    assert cache.bytes == frames[2].nbytes
    cache.clear()
    assert cache.get(5) is None
    assert cache.bytes == 0


def test_a_few_stay_whatever_their_size(frames: list[ffbind.Frame]) -> None:
    cache = PictureCache(1, 2)
    for row, frame in enumerate(frames):
        cache.put(row, frame)
    assert [row for row in range(8) if cache.get(row) is not None] == [6, 7]
    assert cache.bytes == frames[6].nbytes + frames[7].nbytes


def test_kinds_are_read_once_and_kept(track: tuple[Samples, SampleReader]) -> None:
    samples, reader = track
    assert samples.kinds[0] == ffbind.Kind.UNKNOWN
    assert samples.kind(0, reader) is ffbind.Kind.IDR_N_LP
    reads = reader.reads
    assert samples.kind(0, reader) is ffbind.Kind.IDR_N_LP
    assert reader.reads == reads
    assert samples.is_irap(0, reader)
    assert not samples.is_irap(1, reader)
    assert samples.index.samples["kind"][0] == ffbind.Kind.UNKNOWN


def test_the_irap_before_a_row_is_proved_by_its_bytes(
    clip: Clip, track: tuple[Samples, SampleReader]
) -> None:
    samples, reader = track
    with ffbind.open(clip("plain.mp4")) as video:
        scanned = video.scan().samples
    true = [int(row) for row in np.flatnonzero((scanned["kind"] >= 16) & (scanned["kind"] <= 23))]
    for row in range(len(samples)):
        assert samples.irap_at_or_before(row, reader) == max(irap for irap in true if irap <= row)


def test_a_failure_is_told_with_its_sample_and_never_the_same_object(
    track: tuple[Samples, SampleReader],
) -> None:
    samples, _ = track
    assert samples.failure(3) is None
    first = samples.fail(3, ffbind.NotShownError("never shown"))
    second, third = samples.failure(3), samples.failure(3)
    assert type(first) is type(second) is type(third) is ffbind.NotShownError
    assert str(first) == str(second) == f"sample at offset {samples.offset(3)}: never shown"
    assert len({id(first), id(second), id(third)}) == 3


def test_the_last_damage_in_a_span_is_found(track: tuple[Samples, SampleReader]) -> None:
    samples, _ = track
    for row in (4, 8):
        samples.mark_damaged(row, lost=False)
    assert samples.lost == set()
    assert [samples.damaged_between(*span) for span in ((0, 4), (0, 5), (0, 20), (5, 8), (8, 9))] == [
        None,
        4,
        8,
        None,
        8,
    ]
    samples.mark_damaged(0, lost=False)
    samples.mark_damaged(7, lost=True)
    assert samples.lost == {0, 7}
