"""Videos in a store: which requests they cost, exactly, for opening, single frames, batches, stepping, jumps and failures.

The source answers at once or when it is told to; what counts is what it was asked for.
"""

from __future__ import annotations

import random
import struct
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from far import FarSource, settle
from linear import linear_decode, picture_hash
from waiting import until

import ffbind

HEAD = 64 << 10  # what opening reads first
GOP, FRAMES = 30, 300  # of far_last.mp4 and its siblings

Make = Callable[[str], Path]


@pytest.fixture(scope="module")
def data(clip: Make) -> bytes:
    """Closed GOPs, moov behind the media."""
    return clip("far_last.mp4").read_bytes()


def opened(source: FarSource, **settings: int) -> ffbind.Video:
    return ffbind.open(source, threads=2, fetch=ffbind.FetchSettings(**settings))


def run_of(video: ffbind.Video, first: int, last: int) -> tuple[int, int]:
    """`(offset, length)` from the first to the last of some rows."""
    samples = video.index.samples
    start = int(samples["offset"][first])
    return start, int(samples["offset"][last]) + int(samples["size"][last]) - start


# Opening


def _filled(data: bytes, count: int, *, inside: bool = True) -> bytes:
    """The same file with a box of `count` bytes more at the end of moov, or behind it."""
    at = data.index(b"moov") - 4
    (size,) = struct.unpack_from(">I", data, at)
    moov = bytearray(data[at : at + size]) + struct.pack(">I4s", count, b"free") + bytes(count - 8)
    if inside:
        struct.pack_into(">I", moov, 0, size + count)
    if at < data.index(b"mdat"):  # what moov points to moves
        place = moov.index(b"stco") + 8
        (entries,) = struct.unpack_from(">I", moov, place)
        chunks = np.frombuffer(moov, ">u4", entries, place + 4) + count
        moov[place + 4 : place + 4 + 4 * entries] = chunks.astype(">u4").tobytes()
    return data[:at] + bytes(moov) + data[at + size :]


@pytest.mark.parametrize(
    ("name", "filled", "requests"),
    [
        ("far_first.mp4", 0, 1),
        ("far_first.mp4", 1 << 20, 2),
        ("far_first.mp4", 9 << 20, 3),  # more than one request brings
        ("far_last.mp4", 0, 2),
        ("far_last.mp4", 3 << 20, 2),
        ("far_last.mp4", 6 << 20, 3),
    ],
)
def test_the_table_of_a_plain_file(clip: Make, name: str, filled: int, requests: int) -> None:
    data = clip(name).read_bytes()
    far = FarSource(_filled(data, filled) if filled else data)
    with opened(far) as video:
        assert len(video) == FRAMES
        assert len(far.requests) == requests
        assert video.stats.source_reads == 0
        assert video[0].index == 0


@pytest.mark.parametrize(("name", "brings"), [("far_large.mp4", False), ("far_large_in_band.mp4", True)])
@pytest.mark.parametrize("together", [False, True])
def test_what_a_large_first_sample_brings_shows_at_its_beginning(
    clip: Make, name: str, brings: bool, together: bool
) -> None:
    """Its NAL units are gone over by their lengths, so that it is not read for another frame."""
    data = clip(name).read_bytes()
    far = FarSource(data)
    with ffbind.open(data) as near, opened(far) as video:
        samples = near.index.samples
        first, size = int(samples["offset"][0]), int(samples["size"][0])
        assert size > 4 * HEAD
        count = len(far.requests)
        frame = next(video.frames([12])) if together else video[12]
        assert picture_hash(frame) == picture_hash(near[12])
        assert len(far.requests) == count + 1
        assert not any(offset < first + size < offset + length for offset, length in far.requests[count:])
        assert video._decoding.samples._changing_sets == {0: brings}


def test_a_first_sample_that_does_not_tell_is_read(clip: Make) -> None:
    """The length of its slice is wrong, so more may stand behind it."""
    data = bytearray(clip("far_large.mp4").read_bytes())
    with ffbind.open(bytes(data)) as near:
        first, size = (int(near.index.samples[name][0]) for name in ("offset", "size"))
    at = first
    while data[at + 4] >> 1 > 31:
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    (length,) = struct.unpack_from(">I", data, at)
    assert at + 4 + length == first + size
    struct.pack_into(">I", data, at, length - 10)
    far = FarSource(bytes(data))
    with ffbind.open(bytes(data)) as near, opened(far) as video:
        assert picture_hash(video[12]) == picture_hash(near[12])
        assert sum(1 for offset, length in far.requests if offset <= first + size - 1 < offset + length) == 1


class Hole(FarSource):
    """A file with a hole of zeros, larger than memory."""

    def __init__(self, data: bytes, at: int, count: int) -> None:
        super().__init__(data)
        self._at, self._hole = at, count

    @property
    def size(self) -> int:
        return len(self._view) + self._hole

    def read_at(self, offset: int, length: int) -> memoryview:
        before = bytes(self._view[offset : min(offset + length, self._at)])
        zeros = bytes(max(0, min(offset + length, self._at + self._hole) - max(offset, self._at)))
        start = max(offset - self._hole, self._at)
        behind = super().read_at(start, max(0, offset + length - self._hole - start))
        self.requests[-1] = (offset, length)
        return memoryview(before + zeros + bytes(behind))


def test_moov_behind_a_huge_mdat(data: bytes) -> None:
    """5 GiB between the samples and moov: a size of 64 bits, and two requests."""
    at = data.index(b"mdat") - 4
    assert data[at - 4 : at] == b"free"  # ffmpeg leaves room for the large size
    (size,) = struct.unpack_from(">I", data, at)
    hole = 5 << 30
    head = data[: at - 8] + struct.pack(">I4sQ", 1, b"mdat", size + 8 + hole)
    far = Hole(head + data[at + 8 :], at + size, hole)
    with opened(far) as video:
        assert len(far.requests) == 2
        assert video[FRAMES - 1].index == FRAMES - 1


@pytest.mark.parametrize("name", ["far_fragments.mp4", "far_dash.mp4"])
def test_fragments_that_the_file_names_are_fetched_side_by_side(clip: Make, name: str) -> None:
    """By mfra, which is looked for at the end, or by sidx: beyond that one small request for each moof."""
    far = FarSource(clip(name).read_bytes())
    far.hold()
    with ThreadPoolExecutor(1) as executor:
        opening = executor.submit(opened, far, at_once=100)
        far.answer_first(1 if name == "far_dash.mp4" else 2)
        far.wait_for(11)
        assert far.at_once >= 9
        far.answer()
        with opening.result() as video:
            assert len(video) == FRAMES
            assert len(far.requests) == 11  # ten fragments, the first of them in the head
            assert sum(length for _, length in far.requests) < 3 * HEAD
            assert video[95].index == 95


def test_hints_that_lie_cost_requests_and_nothing_else(clip: Make) -> None:
    data = bytearray(clip("far_fragments.mp4").read_bytes())
    place = data.rindex(b"tfra") + 16
    (count,) = struct.unpack_from(">I", data, place)
    entries = np.frombuffer(data, np.uint8, 19 * count, place + 4).reshape(count, 19)
    assert count == 10
    entries[:, 12:16] = np.random.default_rng(3).integers(0, 256, (count, 4))
    with ffbind.open(bytes(data)) as near, opened(FarSource(bytes(data))) as video:
        assert (video.index.samples == near.index.samples).all()


def test_fragments_that_nobody_names_are_walked_along(clip: Make) -> None:
    far = FarSource(clip("far_no_hints.mp4").read_bytes())
    with opened(far) as video:
        assert len(video) == FRAMES
        assert len(far.requests) == 11  # the head, a look for mfra, nine fragments one after the other


def test_many_fragments_that_nobody_names_are_walked_along_in_several_places(clip: Make) -> None:
    """What is found is what a walk from the front finds."""
    data = clip("far_short_fragments.mp4").read_bytes()
    far = FarSource(data)
    far.failing = lambda offset, length: time.sleep(0.002)  # so that requests meet
    with opened(far, at_once=8, tables_at_once=8) as video, ffbind.open(data) as near:
        assert far.most_at_once >= 7
        assert (video.index.samples == near.index.samples).all()
        # The head, a look for mfra, seven for fragments, and one for each of these, but for those in the head.
        fragments = data.count(b"moof\0\0\0\x10mfhd")
        assert fragments == FRAMES
        assert len(far.requests) <= fragments + 9
        assert video[95].index == 95


@pytest.mark.parametrize("what", ["fakes", "nothing", "torn"])
def test_what_only_looks_like_fragments_costs_requests_and_nothing_else(clip: Make, what: str) -> None:
    """Signatures in the media, none where they are looked for, and a chain that breaks."""
    data = bytearray(clip("far_short_fragments.mp4").read_bytes())
    whole = bytes(data)
    place, boxes = 0, []
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", whole, place)
        boxes.append((place, length, kind))
        place += length
    for start, length, kind in boxes:
        if kind == b"mdat" and what == "fakes" and length > 1000:
            data[start + 500 : start + 516] = struct.pack(">I12s", 700, b"moof\0\0\0\x10mfhd")
        elif kind == b"moof" and what == "nothing":
            data[start + 15] = ord("x")  # no mfhd, which nothing goes by
    if what == "torn":
        start, length, _ = boxes[len(boxes) // 3 * 2]
        del data[start + length // 2 :]
    with ffbind.open(bytes(data)) as near, opened(FarSource(bytes(data))) as video:
        assert (video.index.samples == near.index.samples).all()
        assert len(video) > FRAMES // 2


# Frames


def test_a_gop_that_was_let_go_of_is_one_request_again(data: bytes) -> None:
    """Its headers are still known up to the frame before, its bytes and its decoder are gone."""
    far = FarSource(data)
    settings = ffbind.FetchSettings(cache_bytes=800_000, ahead_bytes=0)
    with ffbind.open(data) as near, ffbind.open(far, threads=2, kept_bytes=0, fetch=settings) as video:
        for place in (GOP * 3 + 10, GOP * 7 + 28, GOP * 8 + 28):
            video[place]
        rows = [video.index.row_of_display(place) for place in (GOP * 3, GOP * 3 + 20)]
        far.requests.clear()
        assert picture_hash(video[GOP * 3 + 20]) == picture_hash(near[GOP * 3 + 20])
        assert far.requests == [run_of(video, *rows)]


def test_a_cold_frame_is_one_request_and_a_second_one_what_is_left(data: bytes) -> None:
    far = FarSource(data)
    with opened(far) as video:
        first = int(video.index.samples["irap"][video.index.row_of_display(95)])
        rows = [video.index.row_of_display(place) for place in (95, 115)]
        far.requests.clear()
        video[95]
        assert far.requests == [run_of(video, first, rows[0])]
        video[93]
        assert len(far.requests) == 1
        video[115]
        assert far.requests[1:] == [run_of(video, rows[0] + 1, rows[1])]
        stats = video.stats
        assert (stats.source_reads, stats.source_bytes) == (2, sum(length for _, length in far.requests))
        settle(far)


def test_what_a_frame_took_is_a_difference_of_counters(data: bytes, clip: Make) -> None:
    """Of what is far; of a file, reads are counted and nothing else."""
    far = FarSource(data)
    with opened(far) as video:
        assert video.stats == ffbind.Stats()
        far.requests.clear()
        before = video.stats
        video[95]
        took = video.stats - before
        assert (took.used_reads, took.used_bytes) == (1, sum(length for _, length in far.requests))
        assert took.wait_us > 0
        assert took.pictures > 0
        before = video.stats
        video[95]
        assert video.stats - before == ffbind.Stats(pictures_reused=1)
        for place in range(150, 195):  # playing, so that what follows comes ahead
            video[place]
        settle(far)
        stats = video.stats
        assert (stats.source_reads, stats.source_bytes) == (
            len(far.requests),
            sum(length for _, length in far.requests),
        )
        assert 1 < stats.used_reads < stats.source_reads
        assert stats.used_bytes < stats.source_bytes
    with ffbind.open(clip("far_last.mp4")) as near:
        near[95]
        assert near.stats.source_reads > 0
        assert (near.stats.used_reads, near.stats.used_bytes, near.stats.wait_us) == (0, 0, 0)


def test_the_first_frame_behind_a_large_moov_comes_with_it(clip: Make) -> None:
    data = _filled(clip("far_first.mp4").read_bytes(), 1 << 20)
    far = FarSource(data)
    with opened(far) as video:
        assert len(far.requests) == 2
        assert picture_hash(video[0]) == linear_decode(clip("far_first.mp4"))[0]
        assert len(far.requests) == 2
        assert sum(far.requests[1]) < len(data)


def test_the_first_sample_is_looked_at_together_with_the_first_frame(clip: Make) -> None:
    """Whether it brings parameter sets decides how others are read; where opening did not read it, that is a request, once."""
    far = FarSource(_filled(clip("far_first.mp4").read_bytes(), 1 << 20, inside=False))
    with opened(far) as video, ThreadPoolExecutor(1) as executor:
        far.requests.clear()
        far.hold()
        row = video.index.row_of_display(95)
        frame = executor.submit(video.__getitem__, 95)
        until(lambda: far.at_once == 2)
        far.answer()
        assert frame.result().index == 95
        first, length = run_of(video, 0, 0)
        assert len(far.requests) == 2
        assert run_of(video, GOP * 3, row) in far.requests
        assert first <= min(far.requests)[0]
        assert sum(min(far.requests)) == first + length
        video[200]
        assert len(far.requests) == 3
    far = FarSource(_filled(clip("far_first.mp4").read_bytes(), 1 << 20, inside=False))
    with opened(far) as video:
        far.requests.clear()
        video[5]  # its run begins there
        first, length = run_of(video, 0, video.index.row_of_display(5))
        assert len(far.requests) == 1
        assert sum(far.requests[0]) == first + length


def test_a_frame_by_offset_is_one_request(data: bytes) -> None:
    """That the sample named as IRAP is one is seen in the same bytes."""
    far = FarSource(data)
    with opened(far) as video:
        offsets = video.index.samples["offset"]
        far.requests.clear()
        video.frame_at_offset(int(offsets[200]), int(offsets[180]))
        assert far.requests == [run_of(video, 180, 200)]


def test_a_leading_picture_is_one_request_with_the_gop_before(clip: Make) -> None:
    far = FarSource(clip("far_open_gop.mp4").read_bytes())
    with opened(far) as video:
        samples = video.index.samples
        irap = int(samples["irap"][-1])
        row = irap + 1
        assert samples["pts"][row] < samples["pts"][irap]
        before = int(samples["irap"][irap - 1])
        far.requests.clear()
        video[int(samples["display"][row])]
        assert far.requests == [run_of(video, before, row)]


def _apart(seed: int) -> list[int]:
    """Fifty places in random order, no two neighbours of which look like a step."""
    chance = random.Random(seed)
    places: list[int] = []
    while len(places) < 50:
        place = chance.randrange(FRAMES)
        if all(abs(place - other) > 8 for other in places[-1:]):
            places.append(place)
    return places


def test_fifty_random_frames_one_after_the_other(data: bytes) -> None:
    """Each is one request for what is missing from its IRAP on, to the byte, or none."""
    far = FarSource(data)
    places = _apart(1)
    with opened(far) as video:
        far.requests.clear()
        reached: dict[int, int] = {}
        expected = []
        for place in places:
            row = video.index.row_of_display(place)
            irap = int(video.index.samples["irap"][row])
            if row > reached.get(irap, -1):
                start, length = run_of(video, reached.get(irap, irap - 1) + 1, row)
                kept = max(0, HEAD - start)  # read when the file was opened
                expected.append((start + kept, length - kept))
                reached[irap] = row
            assert video[place].index == place
        assert far.requests == expected
        assert video.stats.source_bytes == sum(length for _, length in expected)
        settle(far)
        assert far.requests == expected


def test_a_batch_of_fifty(data: bytes) -> None:
    """All runs are asked for before they are wanted, several at once, and not one byte of them twice."""
    far = FarSource(data)
    places = _apart(2)
    with opened(far, gap=0) as video:
        far.requests.clear()
        far.hold()
        with ThreadPoolExecutor(1) as executor:
            frames = executor.submit(lambda: [frame.index for frame in video.frames(places)])
            until(lambda: far.at_once >= 4)
            far.answer()
            assert frames.result() == places
        settle(far)
        plan = video.plan(places)
        asked = sorted(far.requests)
        assert all(start + length <= other for (start, length), (other, _) in pairwise(asked))
        kept = sum(max(0, HEAD - start) for start, _ in plan.ranges)
        assert sum(length for _, length in asked) == plan.bytes - kept
        assert len(asked) <= len(plan.ranges), (asked, plan.ranges)


def test_ranges_near_each_other_are_one_request(data: bytes) -> None:
    far = FarSource(data)
    with opened(far, gap=4 << 20) as video:
        far.requests.clear()
        list(video.frames([GOP * 4 + 1, GOP * 5 + 1, GOP * 6 + 1]))
        settle(far)
        rows = [video.index.row_of_display(GOP * number + 1) for number in (4, 5, 6)]
        assert far.requests == [run_of(video, GOP * 4, max(rows))]


def test_decoding_begins_while_later_bytes_are_in_flight(data: bytes) -> None:
    far = FarSource(data)
    gate = threading.Event()
    with opened(far) as video:
        late = int(video.index.samples["offset"][GOP * 8])

        def slow(offset: int, length: int) -> None:
            if offset >= late:
                assert gate.wait(60)

        far.failing = slow
        with ThreadPoolExecutor(1) as executor:
            frames = executor.submit(lambda: [frame.index for frame in video.frames([GOP * 8, GOP * 2 + 3])])
            try:
                until(
                    lambda: video._decoding.samples.pictures.bytes > 0
                )  # `stats` waits for the frames in work
                assert not frames.done()
            finally:
                gate.set()
            assert frames.result() == [GOP * 8, GOP * 2 + 3]


def test_iterating_reads_everything_once(data: bytes) -> None:
    far = FarSource(data)
    with opened(far) as video:
        far.requests.clear()
        assert [frame.index for frame in video] == list(range(FRAMES))
        start, length = run_of(video, 0, FRAMES - 1)
        asked = sorted(far.requests)
        assert asked[0][0] == HEAD
        assert all(begin + size == other for (begin, size), (other, _) in pairwise(asked))
        assert sum(asked[-1]) == start + length
        assert len(asked) <= 10  # a request for each GOP would be that many
        asked.clear()
        assert sum(1 for _ in video.to_numpy(range(40, 50))) == 10
        assert len(far.requests) <= 10


def test_a_scan_reads_everything_once(data: bytes) -> None:
    far = FarSource(data)
    with opened(far) as video:
        far.requests.clear()
        video.scan()
        assert sum(length for _, length in far.requests) == sum(run_of(video, 0, FRAMES - 1)) - HEAD
        before = len(far.requests)
        video[FRAMES // 2]
        assert len(far.requests) == before


# Stepping


def _step(video: ffbind.Video, far: FarSource, places: Sequence[int]) -> list[int]:
    """Take frames one after the other, each when all bytes under way have come; gives the places where bytes were waited for."""
    fetching = video._fetching
    assert fetching is not None
    waited = []
    for place in places:
        before = fetching.waits
        assert video[place].index == place
        if fetching.waits > before:
            waited.append(place)
        settle(far)
    return waited


def test_stepping_forward_waits_for_nothing_after_the_first_frames(data: bytes) -> None:
    far = FarSource(data)
    with opened(far) as video:
        start = GOP * 2
        far.requests.clear()
        waited = _step(video, far, range(start, start + 3 * GOP))
        assert waited == [start, start + 1]  # then it is a habit
        asked = sorted(far.requests)
        assert len(asked) <= 6
        assert all(begin + size == other for (begin, size), (other, _) in pairwise(asked))
        here = run_of(video, start + 3 * GOP, start + 3 * GOP)[0]
        assert here <= sum(asked[-1]) <= here + (5 << 20)


def test_stepping_backward_waits_once_and_then_the_gop_before_is_there(data: bytes) -> None:
    far = FarSource(data)
    with opened(far) as video:
        end = GOP * 6 - 1
        far.requests.clear()
        waited = _step(video, far, range(end, end - 2 * GOP, -1))
        assert waited == [end]
        assert len(far.requests) == 3
        asked = sorted(far.requests)
        assert [start for start, _ in asked] == [run_of(video, GOP * n, GOP * n)[0] for n in (3, 4, 5)]


def test_a_jump_drops_what_is_not_in_flight(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffbind.fetching._LARGEST", 50_000)  # what stepping expects is many requests
    far = FarSource(data)
    with opened(far, at_once=1) as video, ThreadPoolExecutor(1) as executor:
        _step(video, far, [GOP * 2 + 20, GOP * 2 + 2, GOP * 2 + 3])
        count = len(far.requests)
        far.hold()
        video[
            GOP * 2 + 4
        ]  # at hand; the rest of the GOP and the next one are expected, the first part is in flight
        far.wait_for(count + 1)
        jump = executor.submit(video.__getitem__, GOP * 8)
        far.wait_for(count + 2)
        far.answer()
        assert jump.result().index == GOP * 8
        settle(far)
        start, length = run_of(video, GOP * 8, GOP * 8)
        assert [start <= offset < start + length for offset, _ in far.requests[count:]].count(False) == 1
        assert video[GOP * 2 + 25].index == GOP * 2 + 25  # what was in flight is not lost
        assert len(set(far.requests)) == len(far.requests)


def test_random_frames_fetch_nothing_ahead(data: bytes) -> None:
    """One step, or two in different directions, are no habit."""
    far = FarSource(data)
    with opened(far) as video:
        _step(video, far, [100, 240, 150])
        far.requests.clear()
        _step(video, far, [151, 150, 152, 30, 33, 90])
        last = max(video.index.row_of_display(place) for place in range(150, 160))
        assert max(sum(request) for request in far.requests) <= sum(run_of(video, 0, last))


# Failures and the end


def test_a_range_that_fails_costs_its_frames_and_no_others(data: bytes) -> None:
    far = FarSource(data)
    with opened(far, gap=0) as video:
        bad = run_of(video, GOP * 5, GOP * 6 - 1)

        def failing(offset: int, length: int) -> None:
            if bad[0] <= offset < sum(bad):
                raise ffbind.SourceError("the store is tired; try again")

        far.failing = failing
        places = [GOP * 3 + 5, GOP * 7 + 5, GOP * 5 + 5, GOP * 8 + 5]
        frames = video.frames(places)
        assert [next(frames).index for _ in range(2)] == places[:2]
        with pytest.raises(ffbind.SourceError, match="tired"):
            next(frames)
        settle(far)
        before = video.stats
        for place in (places[0], places[1], places[3]):
            video[place]
        assert video.stats.pictures_reused == before.pictures_reused + 3  # they were decoded all the same
        far.requests.clear()
        with pytest.raises(ffbind.SourceError, match="tired"):
            video[places[2]]
        assert len(far.requests) == 1
        far.failing = None
        assert video[places[2]].index == places[2]
        assert len(far.requests) == 2
        with opened(FarSource(data)) as other:
            assert picture_hash(other[places[2]]) == picture_hash(video[places[2]])


def test_a_changed_object_is_told_by_every_frame_that_needs_bytes(data: bytes) -> None:
    far = FarSource(data)
    with opened(far) as video:
        shown = picture_hash(video[95])

        def changed(offset: int, length: int) -> None:
            raise ffbind.SourceChangedError("another one; open it again")

        far.failing = changed
        for _ in range(2):
            with pytest.raises(ffbind.SourceChangedError):
                video[200]
        assert picture_hash(video[95]) == shown


def test_what_fails_ahead_of_time_is_nobodys_error(data: bytes) -> None:
    """Read-ahead that breaks is asked for again when it is wanted."""
    far = FarSource(data)
    with opened(far) as video:
        _step(video, far, [GOP * 2 + 20, GOP * 2 + 2, GOP * 2 + 3])

        def failing(offset: int, length: int) -> None:
            raise ffbind.SourceError("the store is tired; try again")

        far.failing = failing
        count = len(far.requests)
        _step(video, far, [GOP * 2 + 4])
        assert len(far.requests) > count
        far.failing = None
        _step(video, far, range(GOP * 2 + 5, GOP * 3 + 5))


def test_opening_that_fails_leaves_no_thread(clip: Make) -> None:
    far = FarSource(clip("far_no_hints.mp4").read_bytes())

    def failing(offset: int, length: int) -> None:
        if len(far.requests) > 3:
            raise ffbind.SourceError("the store is tired; try again")

    far.failing = failing
    with pytest.raises(ffbind.SourceError, match="tired"):
        opened(far)
    settle(far)


def test_closing_waits_for_nothing_that_was_only_expected(data: bytes) -> None:
    far = FarSource(data)
    video = opened(far, at_once=2)
    _step(video, far, [GOP * 2 + 20, GOP * 2 + 2, GOP * 2 + 3])
    count = len(far.requests)
    far.hold()
    video[GOP * 2 + 4]
    far.wait_for(count + 1)
    video.close()
    assert far.at_once == 1  # still held back
    with pytest.raises(ffbind.ClosedError):
        video[0]
    far.answer()
    settle(far)
    assert len(far.requests) == count + 1


def test_closing_while_a_batch_waits_for_bytes(data: bytes) -> None:
    """Who waits for what other threads fetch is told at once; the thread that reads itself ends with its one read."""
    far = FarSource(data)
    video = opened(far, at_once=2, gap=0)
    places = [GOP * number + 5 for number in range(1, 10)]
    count = len(far.requests)
    far.hold()
    with ThreadPoolExecutor(2) as executor:
        frames = executor.submit(list, video.frames(places))
        far.wait_for(count + 2)
        closing = executor.submit(video.close)
        until(lambda: video._fetching is not None and video._fetching._closed)
        far.answer()
        closing.result()
        assert isinstance(frames.exception(), ffbind.ClosedError)
    settle(far)
    assert len(far.requests) <= count + 4


# Exactness


@pytest.mark.parametrize(
    "name",
    [
        "plain.mp4",
        "open_gop.mp4",
        "in_band.mp4",
        "with_sound.mp4",
        "fragmented.mp4",
        "two_layers.mp4",
        "cut_start.mp4",
        "open_gop.ts",
        "open_gop.mkv",
        "open_gop.hevc",
    ],
)
@pytest.mark.parametrize("cache_bytes", [0, 20_000, 64 << 20])
def test_every_frame_in_every_order_is_that_of_a_near_file(clip: Make, name: str, cache_bytes: int) -> None:
    """Whatever the cache holds; the near file is compared with a linear decode elsewhere (test_exact.py)."""
    data = clip(name).read_bytes()
    with ffbind.open(data, threads=2) as near:
        shown = [picture_hash(frame) for frame in near]
    chance = random.Random(name)
    order = chance.sample(range(len(shown)), len(shown))
    settings = {"cache_bytes": cache_bytes, "ahead_bytes": cache_bytes // 2}
    with opened(FarSource(data), **settings) as video:
        assert [picture_hash(frame) for frame in video] == shown
    with opened(FarSource(data), **settings) as video:
        assert [picture_hash(frame) for frame in video.frames(order)] == [shown[place] for place in order]
        assert [picture_hash(video[place]) for place in order] == [shown[place] for place in order]
    with opened(FarSource(data), **settings) as video:
        assert [picture_hash(video[-1 - place]) for place in range(len(shown))] == shown[::-1]
        offsets = video.index.samples["offset"].tolist()
        shown_rows = [row for row in range(len(offsets)) if video.index.samples["display"][row] >= 0]
        for row in chance.sample(shown_rows, 10):
            frame = video.frame_at_offset(offsets[row])
            assert picture_hash(frame) == shown[int(video.index.samples["display"][row])]
