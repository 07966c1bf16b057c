"""Frames that are decoded ahead of who takes them: in order, each once, only so far ahead, and never in anybody's way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from linear import linear_decode, picture_hash

import ffbind
from ffbind.flow import Flow
from ffbind.samples import PictureCache, Samples

Clip = Callable[[str], Path]

CLIPS = ["plain.mp4", "open_gop.mp4", "closed.mp4", "large.mp4", "one_gop.mp4", "slices.mp4", "far_last.mp4"]
SECONDS = 60


class Decoding:
    """A flow over a clip whose rows are settled by hand, with an error for each that says which it is."""

    def __init__(self, path: Path, lookahead: int = 512, window: int = 40, *, far: bool = False) -> None:
        with ffbind.open(path) as video:
            self.index = video.scan()
        self.disturbed = False
        self.asked = 0
        self.foreseen: list[list[int]] = []
        self.flow = Flow(
            self._rows(),
            Samples(self.index, PictureCache(0, 0)),
            lookahead,
            lambda: self.disturbed,
            (lambda groups: self.foreseen.extend(list(group) for group in groups[:1])) if far else None,
        )
        self.flow.window = window
        self.flow.go()

    def _rows(self) -> Iterator[tuple[int, int]]:
        for place in range(len(self.index)):
            self.asked += 1
            yield self.index.row_of_display(place), place

    def settle(self, row: int) -> None:
        self.flow.put(row, ffbind.CorruptError(str(row)))

    def take(self) -> None:
        """Take the next row, which is there."""
        following = self.flow.next()
        assert following is not None
        assert following[1] + 1 <= self.asked
        assert str(self.flow.take(following[0], lambda: False)) == str(following[0])


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


# ---- What is begun, and how far -----------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 3, 40])
@pytest.mark.parametrize("name", ["open_gop.mp4", "closed.mp4", "large.mp4", "one_gop.mp4"])
def test_every_row_is_begun_once_within_the_window(name: str, window: int, clip: Clip) -> None:
    """Or behind it, where a picture in the window comes later in the order of decoding."""
    decoding = Decoding(clip(name), window=window)
    flow = decoding.flow
    places = decoding.index.samples["display"].tolist()
    begun: list[int] = []
    settled: set[int] = set()
    taken = 0
    while flow.next() is not None:
        assert flow.has_room
        flow.go()
        while stretch := flow.begin():
            rows = stretch.rows
            assert rows == sorted(rows)
            for row in rows:
                place = places[row]
                reach = min(places[other] for other in rows if other >= row)
                if not stretch.go_on(row):
                    assert reach >= taken + flow.window
                    break
                assert reach < taken + flow.window
                begun.append(row)
                settled.add(place)
                decoding.settle(row)
            if flow.stop(stretch):
                break
        assert taken in settled
        while taken in settled:
            decoding.take()
            taken += 1
    assert sorted(begun) == list(range(len(decoding.index)))
    assert not flow.has_room
    assert (flow.rest, flow.begin()) == (0, None)


def test_a_stretch_is_a_long_gop_or_several_short_ones_with_the_leading_pictures_behind(clip: Clip) -> None:
    decoding = Decoding(clip("large.mp4"), window=1000)
    iraps, samples = decoding.index.samples["irap"], decoding.index.samples
    decoding.flow.next()
    stretches = []
    while stretch := decoding.flow.begin():
        stretches.append(stretch.rows)
    for rows, following in pairwise(stretches):
        assert rows[-1] < len(samples)
        irap = int(iraps[following[0]])
        assert following[0] == irap  # what leads it was left to the stretch before
        leading = [row for row in range(irap, len(samples)) if samples["pts"][row] < samples["pts"][irap]]
        assert leading
        assert set(leading) <= set(rows)
    assert sorted(row for rows in stretches for row in rows) == list(range(len(samples)))


@pytest.mark.parametrize(("far", "lengths"), [(True, [8, 22, 60, 60]), (False, [60, 60, 60, 60])])
def test_the_first_stretches_of_what_is_far_are_short(far: bool, lengths: list[int], clip: Clip) -> None:
    decoding = Decoding(clip("far_last.mp4"), window=1000, far=far)
    decoding.flow.next()
    begun = [decoding.flow.begin() for _ in lengths]
    assert [len(stretch.rows) for stretch in begun if stretch is not None] == lengths
    # What is far is told of all GOPs that are known, and again when half of them are begun.
    assert [min(rows) for rows in decoding.foreseen] == ([0] if far else [])


@pytest.mark.parametrize("settled", [0, 20, 60])
def test_what_is_left_in_the_end_is_for_all_lanes_where_that_ends_sooner(settled: int, clip: Clip) -> None:
    """Ten GOPs of 30 are five stretches for two lanes: the last one is for both, unless the other lane has long to go."""
    decoding = Decoding(clip("far_last.mp4"), window=1000)
    flow = decoding.flow
    flow.next()
    begun = [flow.begin(2) for _ in range(4)]
    stretches = [stretch for stretch in begun if stretch is not None]
    assert [len(stretch.rows) for stretch in stretches] == [60] * 4
    for stretch in stretches[:3]:
        for row in stretch.rows:
            decoding.settle(row)
        assert not flow.stop(stretch)
    for row in stretches[3].rows[:settled]:
        decoding.settle(row)
    last = flow.begin(2)
    if settled < 60:
        assert last is not None
        assert last.rows == list(range(240, 300))
    else:
        assert last is None
        assert flow.begin_rest().rows == list(range(240, 300))


def test_who_is_too_far_ahead_waits_while_another_is_busy(clip: Clip) -> None:
    decoding = Decoding(clip("far_last.mp4"), window=62)
    flow = decoding.flow
    flow.next()
    first, second = flow.begin(2), flow.begin(2)
    assert first is not None
    assert second is not None
    sent: list[int] = []

    def send() -> None:
        for row in second.rows:
            if not second.go_on(row):
                return
            sent.append(row)

    thread = threading.Thread(target=send)
    thread.start()
    wait_for(lambda: flow._waiting == 1)
    reached = len(sent)
    assert reached < len(second.rows)
    for row in first.rows[:30]:
        assert first.go_on(row)
        decoding.settle(row)
    for _ in range(20):
        decoding.take()
    wait_for(lambda: len(sent) > reached and flow._waiting == 1)
    assert thread.is_alive()
    assert flow.stop(first)  # nobody is left who makes room
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert reached < len(sent) < len(second.rows)


def test_no_more_rows_are_asked_for_than_the_lookahead(clip: Clip) -> None:
    decoding = Decoding(clip("closed.mp4"), lookahead=7)
    for place in range(50):
        decoding.flow.next()
        assert decoding.asked <= place + 7
        for row in decoding.flow.begin_rest().rows:
            decoding.settle(row)
        decoding.take()


def test_who_is_disturbed_goes_on_a_little(clip: Clip) -> None:
    decoding = Decoding(clip("one_gop.mp4"), window=1000)
    decoding.flow.next()
    decoding.disturbed = True
    rest = decoding.flow.begin_rest()
    went_on = [row for row in rest.rows if rest.go_on(row)]
    assert 0 < len(went_on) < 50
    decoding.flow.go()
    assert rest.go_on(rest.rows[len(went_on)])


def test_who_waits_is_told_that_nobody_works_any_more(clip: Clip) -> None:
    flow = Decoding(clip("closed.mp4")).flow
    following = flow.next()
    assert following is not None
    working = True
    results: list[object] = ["nothing yet"]
    waiter = threading.Thread(target=lambda: results.append(flow.take(following[0], lambda: working)))
    waiter.start()
    wait_for(lambda: flow._awaited == following[0])
    working = False
    flow.wake()
    waiter.join(SECONDS)
    assert results == ["nothing yet", None]


# ---- Through the video ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("name", CLIPS)
def test_whole_files_are_those_of_a_linear_decode(name: str, threads: int, clip: Clip) -> None:
    path = clip(name)
    with ffbind.open(path, threads=threads) as video:
        assert [picture_hash(frame) for frame in video] == linear_decode(path)
        sent = video.stats.samples_sent
        # An IRAP between two threads is decoded by both.
        assert len(video.index.samples) <= sent <= 1.1 * len(video.index.samples)


@pytest.mark.parametrize("held", [1, 60, 1000])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", CLIPS)
def test_in_little_memory_and_when_taken_slowly(
    name: str, threads: int, held: int, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows of few frames, decoding that stops and goes on, and memory for GOPs side by side or not."""
    path = clip(name)
    shown = linear_decode(path)
    with ffbind.open(path, threads=threads, kept_bytes=0) as video:
        size = video._decoding.sequence().picture_bytes
        monkeypatch.setattr("ffbind.decoding._BATCH_BYTES", held * size * 16 // 15 + size)
        monkeypatch.setattr("ffbind.decoding._STEADY_BYTES", 4 * size)
        monkeypatch.setattr("ffbind.decoding._STEADY_FRAMES_EACH", 1)
        monkeypatch.setattr("ffbind.decoding._LOOKAHEAD", 200)
        for place, frame in enumerate(video):
            assert picture_hash(frame) == shown[place]
            if place % 20 == 0:
                time.sleep(0.01)


@pytest.mark.parametrize("name", ["plain.mp4", "large.mp4", "one_gop.mp4"])
def test_ascending_places_with_gaps_and_repeats_and_falls(name: str, clip: Clip) -> None:
    path = clip(name)
    shown = linear_decode(path)
    last = len(shown) - 1
    places = [*range(0, last, 7), last, last, *range(10), 9, 9, 3, *range(3, last, 2), 0]
    with ffbind.open(path, threads=2) as video:
        frames = list(video.frames(iter(places)))
        assert [frame.index for frame in frames] == places
        assert [picture_hash(frame) for frame in frames] == [shown[place] for place in places]


def test_frames_are_given_while_their_gop_is_still_decoded(clip: Clip) -> None:
    with ffbind.open(clip("one_gop.mp4"), threads=2) as video:
        frames = iter(video)
        next(frames)
        assert video.stats.samples_sent < len(video.index.samples) / 2


def test_as_much_is_held_as_the_window_has(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffbind.decoding._STEADY_FRAMES", 10)
    monkeypatch.setattr("ffbind.decoding._STEADY_FRAMES_EACH", 1)
    monkeypatch.setattr("ffbind.decoding._FLOWING_FRAMES", 10)
    monkeypatch.setattr("ffbind.decoding._BATCH_FRAMES", 10)
    with ffbind.open(clip("one_gop.mp4"), threads=2) as video:
        for place, _ in enumerate(video):
            if place % 25 == 0:
                time.sleep(0.02)  # time enough to run ahead
            assert video.stats.samples_sent <= place + 10 + 5  # and what is decoded before it is shown
        assert video.stats.samples_sent == len(video.index.samples)


def test_an_iteration_that_is_left_decodes_no_more(clip: Clip) -> None:
    with ffbind.open(clip("noisy.mp4"), threads=2) as video:
        for frame in video:
            if frame.index == 100:
                break
        sent = video.stats.samples_sent
        assert sent < 800
        assert picture_hash(video[1100]) == linear_decode(clip("noisy.mp4"))[1100]
        assert video.stats.samples_sent < sent + 100


@pytest.mark.parametrize("name", ["large.mp4", "one_gop.mp4"])
def test_other_frames_and_another_iteration_meanwhile(name: str, clip: Clip) -> None:
    """From the same thread and from others: nobody waits for the end of the iteration, and nobody gets another frame."""
    path = clip(name)
    shown = linear_decode(path)
    wrong: list[int] = []
    done = threading.Event()
    asked = 0
    with ffbind.open(path, threads=2) as video:

        def ask() -> None:
            nonlocal asked
            while not done.is_set():
                place = (asked * 37) % len(shown)
                if picture_hash(video[place]) != shown[place]:
                    wrong.append(place)
                asked += 1

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            other = iter(video)
            for place, frame in enumerate(video):
                assert picture_hash(frame) == shown[place]
                if place % 10 == 0:
                    assert picture_hash(next(other)) == shown[place // 10]
                    assert picture_hash(video[-1 - place]) == shown[-1 - place]
        finally:
            done.set()
            thread.join(SECONDS)
    assert not wrong
    assert asked > 2


def test_closing_in_the_middle_is_a_closed_error(clip: Clip) -> None:
    video = ffbind.open(clip("noisy.mp4"), threads=2)
    frames = iter(video)
    next(frames)
    video.close()
    with pytest.raises(ffbind.ClosedError):
        list(frames)


def test_what_the_caller_raises_comes_out(clip: Clip) -> None:
    def places() -> Iterator[int]:
        yield from range(3)
        raise ZeroDivisionError

    with ffbind.open(clip("plain.mp4")) as video:
        with pytest.raises(ZeroDivisionError):
            list(video.frames(places()))
        assert len(list(video)) == len(video)
