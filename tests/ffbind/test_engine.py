"""One decoder over a track: when it goes on, when it starts anew, what it counts, and what it does with entries that are broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import ffbind
from ffbind.engine import Engine, Stats
from ffbind.reader import SampleReader
from ffbind.samples import PictureCache, Samples
from ffbind.sources import BytesSource

Clip = Callable[[str], Path]
Hash = Callable[[ffbind.Frame], str]
Linear = Callable[..., list[str]]


class Track:
    """An engine over a clip in memory, with the right picture of each row."""

    def __init__(self, path: Path, shown: list[str], index: ffbind.VideoIndex | None = None) -> None:
        with ffbind.open(path) as video:
            self.index = index if index is not None else video.scan()
        self.hashes = [shown[display] for display in self.index.samples["display"]]
        self.samples = Samples(self.index, PictureCache(0, 1))
        self.engine = Engine(
            self.samples, SampleReader(BytesSource(path.read_bytes()), self.index.samples, 1 << 16)
        )
        kinds = self.index.samples["kind"]
        self.iraps = [int(row) for row in np.flatnonzero((kinds >= 16) & (kinds <= 23))]
        self.rasl = [int(row) for row in np.flatnonzero((kinds == 8) | (kinds == 9))]


@pytest.fixture
def track(clip: Clip, linear_hashes: Linear) -> Track:
    return Track(clip("plain.mp4"), linear_hashes(clip("plain.mp4")))


def test_it_goes_on_forward_and_starts_anew_backward(track: Track, picture_hash: Hash) -> None:
    engine = track.engine
    start = track.iraps[1]
    for row, restarts, sent in (
        (2, 1, 3),  # from the first IRAP
        (5, 1, 6),  # on from there
        (start + 5, 2, 12),  # another GOP: from its IRAP, not through the rest of this one
        (start + 6, 2, 13),
        (start + 4, 3, 18),  # backward
        (1, 4, 20),
    ):
        assert picture_hash(engine.decode(row)) == track.hashes[row]
        stats = engine.stats
        assert stats.restarts == restarts
        left_out = stats.samples_skipped
        assert stats.samples_read == stats.samples_sent + left_out
        assert stats.samples_sent + left_out == sent
        assert engine.position == row + 1
        assert stats.decoders_opened == 1


def test_it_goes_on_into_the_next_gop_where_it_stands_at_its_irap(track: Track, picture_hash: Hash) -> None:
    start = track.iraps[1]
    track.engine.decode(start - 1)
    for row in range(start, start + 6):
        assert picture_hash(track.engine.decode(row)) == track.hashes[row]
    assert track.engine.stats.restarts == 1
    assert track.engine.stats.samples_skipped == 0


def test_distance_counts_only_forward(track: Track) -> None:
    assert track.engine.distance(3) is None
    track.engine.decode(3)
    assert [track.engine.distance(row) for row in (2, 3, 4, 9)] == [None, None, 0, 5]


def test_rasl_pictures_whose_kind_is_known_start_at_the_irap_before(track: Track, picture_hash: Hash) -> None:
    row = track.rasl[3]
    assert picture_hash(track.engine.decode(row)) == track.hashes[row]
    assert track.engine.stats.restarts == 1
    assert track.engine.stats.fallbacks == 0
    assert track.engine.stats.samples_skipped == 3  # the RASL pictures of the CRA that it started at


def test_an_irap_that_only_the_bytes_know_is_found(
    clip: Clip, linear_hashes: Linear, picture_hash: Hash
) -> None:
    """No IRAP is named at all: samples are read backwards until one turns up."""
    path = clip("plain.mp4")
    with ffbind.open(path) as video:
        samples = video.index.samples.copy()
    samples["irap"] = -1
    track = Track(path, linear_hashes(path), replace(video.index, samples=samples))
    for row in (30, 3, 45):
        assert picture_hash(track.engine.decode(row)) == track.hashes[row]


def test_nothing_before_the_first_irap_is_decodable(clip: Clip, linear_hashes: Linear) -> None:
    """A track whose first sample is no IRAP picture: an index without the first rows."""
    path = clip("plain.mp4")
    with ffbind.open(path) as video:
        samples = video.index.samples.copy()
    samples["offset"][0], samples["size"][0] = samples["offset"][1], samples["size"][1]
    track = Track(path, linear_hashes(path), replace(video.index, samples=samples))
    with pytest.raises(ffbind.UndecodableError, match="no IRAP"):
        track.engine.decode(4)


@pytest.mark.parametrize("broken", ["cut", "empty"])
def test_a_broken_sample_entry_fails_its_samples_and_ends(
    broken: str, clip: Clip, linear_hashes: Linear, picture_hash: Hash
) -> None:
    """The second sample entry of the track has an SPS that cannot be read, or none: its samples are corrupt, others are not."""
    path = clip("plain.mp4")
    with ffbind.open(path) as video:
        index = video.scan()
    vps, sps, pps = index.entries[0].parameter_sets[:3]
    sets = (vps, sps[:14], pps) if broken == "cut" else ()
    samples = index.samples.copy()
    samples["entry"][21:36] = 1
    entries = (index.entries[0], replace(index.entries[0], parameter_sets=sets))
    track = Track(path, linear_hashes(path), replace(index, samples=samples, entries=entries))
    assert track.iraps[2:4] == [21, 33]
    assert picture_hash(track.engine.decode(20)) == track.hashes[20]
    for row in (25, 22, 35):
        with pytest.raises(ffbind.CorruptError):
            track.engine.decode(row)
    start = next(row for row in track.iraps if row >= 36)
    for row in (start, start + 4, 13):
        assert picture_hash(track.engine.decode(row)) == track.hashes[row]


def test_close_frees_the_decoder(track: Track) -> None:
    track.engine.decode(0)
    track.engine.close()
    assert track.engine.position is None
    with pytest.raises(ffbind.ClosedError):
        track.engine.decode(1)


def test_stats_add_up_field_by_field() -> None:
    ones = Stats(*range(1, 11))
    assert [getattr(ones + ones, field.name) for field in fields(Stats)] == list(range(2, 22, 2))
    assert ones == Stats(*range(1, 11))
