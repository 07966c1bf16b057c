"""The decoders of a track: what they are sent, when they go on and when they start anew, and what becomes of damage and odd entries."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import movie
import numpy as np
import pytest
from linear import linear_decode, picture_hash

import ffbind
from ffbind.flow import Result
from ffbind.native import keeps_following
from ffbind.pool import EnginePool, _Errand
from ffbind.reader import SampleReader
from ffbind.references import Verdict
from ffbind.samples import PictureCache, Samples
from ffbind.sources import BytesSource
from ffbind.stats import Stats

Clip = Callable[[str], Path]

MIB = 1 << 20


class Track:
    """A pool of decoders over a clip in memory, with the right picture of each row and what each is made from."""

    def __init__(
        self,
        data: bytes,
        shown: list[str],
        index: ffbind.VideoIndex | None = None,
        *,
        threads: int = 1,
        kept: int = 64 * MIB,
    ) -> None:
        with ffbind.open(data) as video:
            self.index = index if index is not None else video.scan()
        self.hashes = [shown[display] for display in self.index.samples["display"]]
        self.samples = Samples(self.index, PictureCache(0, 1))
        self.pool = EnginePool(self.samples, self._reader, threads, kept)
        self.source = BytesSource(data)
        with ffbind.open(data) as video:
            self.pool.expect(video._decoding.sequence())
        kinds = self.index.samples["kind"]
        self.iraps = [int(row) for row in np.flatnonzero((kinds >= 16) & (kinds <= 23))]
        self.rasl = [int(row) for row in np.flatnonzero((kinds == 8) | (kinds == 9))]

    def _reader(self) -> SampleReader:
        return SampleReader(self.source, self.index.samples, 1 << 16)

    def decode(self, *rows: int) -> None:
        """Decode rows and compare each with the linear decode."""
        for row, result in self.pool.decode(sorted(rows)).items():
            self.check(row, result)

    def check(self, row: int, result: object) -> None:
        """Compare what came of a row with the linear decode."""
        assert isinstance(result, ffbind.Frame), result
        assert picture_hash(result) == self.hashes[row]

    def closure(self, row: int, start: int) -> set[int]:
        """Rows that a picture is made from, itself included, by the references in the headers."""
        trace = self.samples.traces.at(start)
        assert trace.extend(row, self._reader())
        found: set[int] = set()
        todo = [row]
        while todo:
            row = todo.pop()
            if row not in found:
                found.add(row)
                step = trace[row].step
                assert step.verdict is Verdict.DECODE
                todo += [start + number for number in step.uses]
        return found


@pytest.fixture
def track(clip: Clip) -> Track:
    return Track(clip("open_gop.mp4").read_bytes(), linear_decode(clip("open_gop.mp4")))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_only_the_closure_is_decoded(threads: int, clip: Clip) -> None:
    """For each picture from a standing start: its closure, and not one picture more; on FFmpeg 8 and later what it keeps besides."""
    path = clip("open_gop.mp4")
    shown = linear_decode(path)
    whole = Track(path.read_bytes(), shown)
    least = sent = 0
    for row in range(len(whole.hashes)):
        start = max(irap for irap in whole.iraps if irap <= row)
        if row in whole.rasl:
            start = max(irap for irap in whole.iraps if irap < start)
        one = Track(path.read_bytes(), shown, whole.index, threads=threads)
        one.decode(row)
        needed = len(one.closure(row, start))
        assert needed <= one.pool.stats.samples_sent == one.pool.stats.pictures <= row - start + 1
        least, sent = least + needed, sent + one.pool.stats.samples_sent
        assert one.pool.stats.fallbacks == 0
    assert sent == least or keeps_following()


def test_a_decoder_goes_on_where_that_is_less(track: Track) -> None:
    last = track.iraps[1] - 1
    track.decode(last)
    first = track.pool.stats
    track.decode(track.iraps[0])
    assert track.pool.stats.restarts == first.restarts + 1  # backwards: from the IRAP, by another decoder
    sent = track.pool.stats.samples_sent
    track.decode(track.iraps[1])
    assert track.pool.stats.restarts == first.restarts + 1
    assert track.pool.stats.samples_sent == sent + 1


def test_stepping_back_through_a_gop_decodes_nothing_twice(clip: Clip) -> None:
    """Pictures in front of the landing that are decoded later are left to who stands there; the rest starts at the IRAP."""
    path = clip("closed.mp4")
    shown = linear_decode(path)
    with ffbind.open(path, threads=1) as video:
        order, iraps = video.index.order, video.index.samples["irap"]
        last = int(np.flatnonzero(iraps[order] == iraps[order[0]])[-1])
        assert order[last] < order[:last].max()
        assert picture_hash(video[last]) == shown[last]
        landed = video.stats.pictures
        for place in reversed(range(last)):
            assert picture_hash(video[place]) == shown[place]
        assert video.stats.pictures - landed == last
        assert video.stats.restarts == 2


def test_in_decode_order_each_sample_is_sent_once_to_one_decoder(track: Track) -> None:
    for row in range(len(track.hashes)):
        track.decode(row)
    stats = track.pool.stats
    assert (stats.decoders_opened, stats.restarts, stats.samples_skipped, stats.fallbacks) == (1, 1, 0, 0)
    assert stats.samples_sent == len(track.hashes)


@pytest.mark.parametrize("name", ["closed.mp4", "open_gop.mp4"])
def test_parked_decoders_are_bounded_by_memory(name: str, clip: Clip) -> None:
    path = clip(name)
    for kept, most in ((0, 1), (4 * MIB, 9), (1 << 30, 16)):
        track = Track(path.read_bytes(), linear_decode(path), kept=kept)
        for row in reversed(range(len(track.hashes))):
            track.decode(row)
        assert 1 <= track.pool.stats.decoders_opened <= most
    assert track.pool.stats.decoders_opened > 3


def test_batches_and_single_frames_in_turn_open_no_more_decoders(clip: Clip) -> None:
    """Those of batches have one thread each, those of single frames several: one is made into the other."""
    path = clip("closed.mp4")
    track = Track(path.read_bytes(), linear_decode(path), kept=0, threads=2)
    rows = range(0, len(track.hashes), 3)
    for row in rows:
        track.decode(*rows)
        track.decode(row)
        assert len(track.pool._engines) <= 2


def test_rasl_pictures_start_at_the_irap_before(track: Track) -> None:
    track.decode(track.rasl[3])
    assert track.pool.stats.restarts == 1
    assert track.pool.stats.fallbacks == 0


def test_leading_and_trailing_pictures_of_a_gop_are_one_course(track: Track) -> None:
    start, end = track.iraps[1], track.iraps[2]
    track.decode(*range(start, end))
    assert track.pool.stats.restarts == 1
    assert len(set(range(start, end)) & set(track.rasl)) > 0


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["open_gop.mp4", "closed.mp4", "slices.mp4", "in_band.mp4"])
def test_whole_files_on_several_threads(name: str, threads: int, clip: Clip) -> None:
    path = clip(name)
    track = Track(path.read_bytes(), linear_decode(path), threads=threads)
    track.decode(*range(len(track.hashes)))
    if threads == 1:
        assert track.pool.stats.samples_sent == len(track.hashes)


@pytest.mark.parametrize("threads", [2, 3, 4, 8])
def test_leading_pictures_alone_on_several_threads(threads: int, clip: Clip) -> None:
    """Each run begins with leading pictures and may be nothing else: they are left to the run before, whatever is left of this one."""
    path = clip("plain.mp4")
    track = Track(path.read_bytes(), linear_decode(path), threads=threads)
    groups = track.samples.leave_leading(track.samples.gops(track.rasl))
    runs = [groups[first::threads] for first in range(min(threads, len(groups)))]
    assert len(runs) > 1
    results: dict[int, Result] = {}
    track.pool._decode_side_by_side(runs, _Errand(results.__setitem__))
    assert results.keys() == set(track.rasl)
    for row, result in results.items():
        track.check(row, result)
    track.decode(*track.rasl)


def test_what_does_not_go_evenly_into_the_threads_is_decoded_by_all_of_them(clip: Clip) -> None:
    """Three GOPs and two threads: two GOPs side by side by one thread each, then the third by a decoder with several."""
    path = clip("closed.mp4")
    track = Track(path.read_bytes(), linear_decode(path), threads=2)
    rows = [row for row in range(len(track.hashes)) if row < track.iraps[3]]
    runs, together = track.pool._share_out(track.samples.gops(rows))
    assert (len(runs), len(together)) == (2, 1)
    track.decode(*rows)
    assert {engine.threads for engine in track.pool._engines} == {1, 4}
    assert track.pool.stats.samples_sent == len(rows)


@pytest.mark.parametrize("name", ["slices.mp4", "open_gop.mp4"])
def test_pictures_of_several_slices_or_with_a_hash_are_decoded_one_by_one(name: str, clip: Clip) -> None:
    """Where damage puts one slice over another, what is decoded side by side would depend on who is faster."""
    path = clip(name)
    track = Track(path.read_bytes(), linear_decode(path), threads=4)
    track.decode(5)
    assert track.samples.one_by_one
    assert {engine.threads for engine in track.pool._engines} == {1}


def test_wrong_hashes_on_several_threads(clip: Clip) -> None:
    """A picture whose hash is wrong is damaged. (Decoded side by side, libavcodec drops it while another thread copies it.)"""
    data = bytearray(clip("open_gop.mp4").read_bytes())
    with ffbind.open(bytes(data)) as video:
        index = video.index
        for offset, size in zip(
            index.samples["offset"].tolist(), index.samples["size"].tolist(), strict=True
        ):
            hashed = data.rindex(b"\x50\x01\x84", offset, offset + size)  # a suffix SEI, payload type 132
            data[hashed + 8] ^= 0xFF
    with ffbind.open(bytes(data), index=index, threads=4) as video:
        for place in (13, 3, 17):
            with pytest.raises(ffbind.CorruptError):
                video[place]


def without_suffix_sei(sample: bytes) -> bytes:
    """Leave out NAL units of type 40 from a sample with lengths of 4 bytes."""
    kept = b""
    while sample:
        size = 4 + int.from_bytes(sample[:4], "big")
        if sample[4] >> 1 != 40:
            kept += sample[:size]
        sample = sample[size:]
    return kept


def test_parameter_sets_of_a_sample_that_is_left_out(clip: Clip) -> None:
    """A picture that nothing refers to brings a PPS with another chroma QP offset: what comes behind it is decoded with that."""
    data = clip("open_gop.mp4").read_bytes()
    with ffbind.open(data) as video, ffbind.open(clip("offset_chroma.mp4")) as other:
        kinds = [ffbind.Kind(int(kind)) for kind in video.scan().samples["kind"]]
        sets = other.index.entries[0].parameter_sets
    row = next(row for row, kind in enumerate(kinds) if kind is ffbind.Kind.TRAIL_N)
    end = next(row for row, kind in enumerate(kinds) if row and kind.is_irap)
    # Without their hashes, which the other offset makes wrong.
    plain = [replace(sample, data=without_suffix_sei(sample.data)) for sample in movie.samples_of(data)]
    samples = movie.with_parameter_sets(plain, sets, [row])[:end]
    changed = movie.write_movie([movie.entry_of(data)], samples)
    path = clip("open_gop.mp4").with_name("changed_sets.mp4")
    path.write_bytes(changed)
    shown = linear_decode(path)
    assert set(shown) - set(linear_decode(clip("open_gop.mp4")))
    for wanted in range(row + 1, end):
        track = Track(changed, shown)
        track.decode(wanted)
        assert track.pool.stats.samples_skipped > 0 or wanted == row + 1


def test_a_forked_child_ends_though_decoders_have_threads(clip: Clip) -> None:
    """The child has the decoder's memory and none of its threads: to wait for them would take for ever."""
    with ffbind.open(clip("closed.mp4"), threads=4) as video:
        wanted = picture_hash(video[5])
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe(duplex=False)

        def child() -> None:
            for engine in video._decoding.pool._engines:
                engine.close()
            gc.collect()
            sender.send("ended")

        process = context.Process(target=child)
        process.start()
        assert receiver.poll(20)
        assert receiver.recv() == "ended"
        process.join(20)
        assert process.exitcode == 0
        assert picture_hash(video[5]) == wanted


def test_an_irap_that_only_the_bytes_know_is_found(clip: Clip) -> None:
    """No IRAP is named at all: samples are read backwards until one turns up."""
    path = clip("plain.mp4")
    with ffbind.open(path) as video:
        samples = video.index.samples.copy()
    samples["irap"] = -1
    track = Track(path.read_bytes(), linear_decode(path), replace(video.index, samples=samples))
    for row in (30, 3, 45):
        track.decode(row)


def test_nothing_before_the_first_irap_is_decodable(clip: Clip) -> None:
    """A track whose first sample is no IRAP picture: an index without the first rows."""
    path = clip("plain.mp4")
    with ffbind.open(path) as video:
        samples = video.index.samples.copy()
    samples["offset"][0], samples["size"][0] = samples["offset"][1], samples["size"][1]
    track = Track(path.read_bytes(), linear_decode(path), replace(video.index, samples=samples))
    result = track.pool.decode([4])[4]
    assert isinstance(result, ffbind.UndecodableError)
    assert "no IRAP" in str(result)


@pytest.mark.parametrize("broken", ["cut", "empty"])
def test_a_broken_sample_entry_fails_its_samples_and_ends(broken: str, clip: Clip) -> None:
    """The second sample entry of the track has an SPS that cannot be read, or none: its samples are corrupt, others are not."""
    path = clip("plain.mp4")
    with ffbind.open(path) as video:
        index = video.scan()
    vps, sps, pps = index.entries[0].parameter_sets[:3]
    sets = (vps, sps[:14], pps) if broken == "cut" else ()
    samples = index.samples.copy()
    samples["entry"][21:36] = 1
    entries = (index.entries[0], replace(index.entries[0], parameter_sets=sets))
    track = Track(path.read_bytes(), linear_decode(path), replace(index, samples=samples, entries=entries))
    assert track.iraps[2:4] == [21, 33]
    track.decode(20)
    for row in (25, 22, 35):
        assert isinstance(track.pool.decode([row])[row], ffbind.CorruptError)
    start = next(row for row in track.iraps if row >= 36)
    for row in (start, start + 4, 13):
        track.decode(row)


def test_stats_add_up_field_by_field() -> None:
    count = len(fields(Stats))
    ones = Stats(*range(1, count + 1))
    assert [getattr(ones + ones, field.name) for field in fields(Stats)] == list(range(2, 2 * count + 1, 2))
    assert ones + ones - ones == ones == Stats(*range(1, count + 1))
