"""The source in front of a slow one: what is asked for, when, by whom; what is kept, dropped, shared and told. By counting requests."""

from __future__ import annotations

import gc
import random
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

import pytest
from far import FarSource

from ffbind.errors import ArgumentError, ClosedError, SourceChangedError, SourceError
from ffbind.fetching import Cost, DroppedReadError, FetchingSource, FetchSettings

K = 1024
DATA = random.Random(0).randbytes(4 << 20)


def make(data: bytes = DATA, **settings: int) -> tuple[FarSource, FetchingSource]:
    far = FarSource(data)
    return far, FetchingSource(far, FetchSettings(**settings))


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ffbind-fetch"]


def settle(far: FarSource) -> None:
    """Wait until all that is under way has come and its threads have ended."""
    for thread in threads():
        thread.join(60)
        assert not thread.is_alive()
    far.wait_until_idle()


# Reads


@pytest.mark.parametrize("cache_bytes", [0, 100 * K, 64 << 20])
def test_any_ranges_give_the_right_bytes(cache_bytes: int) -> None:
    far, source = make(cache_bytes=cache_bytes, ahead_bytes=cache_bytes // 2)
    chance = random.Random(1)
    for _ in range(600):
        offset, length = chance.randrange(len(DATA) + 100), chance.randrange(20 * K)
        if chance.random() < 0.2:
            source.expect((chance.randrange(len(DATA)), chance.randrange(9 * K)) for _ in range(5))
        least = chance.randrange(length + 1)
        assert source.read_at(offset, length) == DATA[offset : offset + length]
        some = source.read_some(offset, least, length)
        assert least <= len(some) <= length or offset + least > len(DATA)
        assert some == DATA[offset : offset + len(some)]
    settle(far)
    assert source.held_bytes <= cache_bytes
    assert (source.reads, source.bytes) == (len(far.requests), sum(length for _, length in far.requests))


def test_what_is_at_hand_is_not_asked_for_again_and_not_copied() -> None:
    far, source = make()
    first = source.read_at(1000, 5000)
    again = source.read_at(2000, 100)
    assert far.requests == [(1000, 5000)]
    assert first.obj is again.obj is far.read_at(0, 1).obj
    assert source.read_at(500, 10_000) == DATA[500:10_500]
    assert far.requests[2:] == [(500, 500), (6000, 4500)] or far.requests[2:] == [(6000, 4500), (500, 500)]


def test_ends_and_arguments() -> None:
    far, source = make(DATA[:100])
    assert source.read_at(90, 20) == DATA[90:100]
    assert source.read_at(100, 20) == source.read_at(50, 0) == b""
    assert far.requests == [(90, 10)]
    for offset, length in ((-1, 5), (5, -1)):
        with pytest.raises(SourceError, match="both must be 0 or more"):
            source.read_at(offset, length)
    assert (source.size, source.identity) == (100, "one")
    for settings in (
        {"at_once": 0},
        {"tables_at_once": 0},
        {"gap": -1},
        {"cache_bytes": 5, "ahead_bytes": 6},
        {"ahead_bytes": -1},
    ):
        with pytest.raises(ArgumentError, match="cannot work"):
            FetchSettings(**settings)


def test_a_read_of_much_starts_with_the_first_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one request should bring is asked for in parts, and the first of them is enough to go on."""
    monkeypatch.setattr("ffbind.fetching._LARGEST", 1000)
    far, source = make()
    far.hold()
    with ThreadPoolExecutor(1) as executor:
        read = executor.submit(source.read_some, 0, 10, 3500)
        far.wait_for(4)
        far.answer()
        assert read.result() == DATA[:1000]
    settle(far)
    assert sorted(far.requests) == [(0, 1000), (1000, 1000), (2000, 1000), (3000, 500)]
    assert source.read_at(0, 3500) == DATA[:3500]
    assert len(far.requests) == 4


def test_several_ranges_come_side_by_side() -> None:
    far, source = make(at_once=3)
    far.hold()
    ranges = [(n * 100 * K, 1000) for n in range(6)]
    with ThreadPoolExecutor(1) as executor:
        read = executor.submit(source.read_ranges, ranges)
        far.wait_for(3)
        far.answer()
        assert read.result() == [DATA[offset : offset + length] for offset, length in ranges]
    assert sorted(far.requests) == ranges
    assert 3 <= far.most_at_once <= 2 * 3 + 1  # what is wanted comes on top, and the reader fetches too


def test_equal_and_overlapping_reads_in_flight_are_one() -> None:
    far, source = make()
    far.hold()
    with ThreadPoolExecutor(6) as executor:
        first = executor.submit(source.read_at, 0, 1000)
        far.wait_for(1)
        same = [executor.submit(source.read_at, start, 1000 - start) for start in (0, 0, 100, 900)]
        over = executor.submit(source.read_at, 500, 1000)
        far.wait_for(2)
        far.answer()
        assert first.result() == DATA[:1000]
        assert [read.result() for read in same] == [DATA[start:1000] for start in (0, 0, 100, 900)]
        assert over.result() == DATA[500:1500]
    assert far.requests == [(0, 1000), (1000, 500)]


# Memory


def test_the_least_recently_used_leaves_and_views_stay_good() -> None:
    far, source = make(cache_bytes=3000, ahead_bytes=0)
    views = [source.read_at(n * 1000, 1000) for n in range(3)]
    source.read_at(0, 10)
    views.append(source.read_at(3000, 1000))  # 1000 leaves: 0 was used again
    assert len(far.requests) == 4
    for place in (0, 2000, 3000):
        source.read_at(place, 1000)
    assert len(far.requests) == 4
    source.read_at(1000, 1000)
    assert len(far.requests) == 5
    assert [bytes(view) for view in views] == [DATA[n * 1000 : n * 1000 + 1000] for n in range(4)]
    assert source.held_bytes == 3000


def test_no_more_is_fetched_ahead_than_may_be_until_it_is_read() -> None:
    far, source = make(ahead_bytes=250 * K, gap=0)
    ranges = [(n * 200 * K, 100 * K) for n in range(10)]
    source.expect(ranges)
    settle(far)
    assert sorted(far.requests) == ranges[:2]
    source.read_at(0, 10)
    settle(far)
    assert sorted(far.requests) == ranges[:3]
    for offset, length in ranges:
        assert source.read_at(offset, length) == DATA[offset : offset + length]
    settle(far)
    assert sorted(far.requests) == ranges


def test_what_was_fetched_ahead_stays_until_it_is_read() -> None:
    """Reading elsewhere pushes out what was read, not what is still to be."""
    far, source = make(cache_bytes=300 * K, ahead_bytes=150 * K)
    source.expect([(0, 100 * K)])
    settle(far)
    for n in range(5, 25):
        source.read_at(n * 150 * K, 100 * K)
    count = len(far.requests)
    assert source.read_at(0, 100 * K) == DATA[: 100 * K]
    assert len(far.requests) == count
    assert source.held_bytes <= 300 * K


# Expecting


def test_expected_ranges_are_joined_and_come_in_order() -> None:
    far, source = make(at_once=1, gap=50)
    source.expect([(0, 100), (150, 100), (301, 100), (90_000, 100), (90_000, 100), (500, 0)])
    settle(far)
    assert far.requests == [(0, 250), (301, 100), (90_000, 100)]
    source.expect([(0, 100), (150, 100), (200, 200)])
    settle(far)
    assert far.requests[3:] == [(250, 51)]


def test_expecting_something_else_drops_what_is_not_in_flight() -> None:
    far, source = make(at_once=2, gap=0)
    far.hold()
    source.expect([(n * K, 100) for n in range(10)])
    far.wait_for(2)
    source.expect([(100 * K, 100)])
    far.answer()
    settle(far)
    assert sorted(far.requests) == [(0, 100), (K, 100), (100 * K, 100)]
    source.read_at(0, 100)  # came all the same, and is not lost
    assert len(far.requests) == 3
    source.expect([])
    assert source.read_at(5 * K, 100) == DATA[5 * K : 5 * K + 100]


def test_what_is_wanted_now_does_not_wait_behind_what_is_expected() -> None:
    """Queued or not: the thread that needs it asks for it itself."""
    far, source = make(at_once=1, gap=0)
    far.hold()
    source.expect([(n * K, 100) for n in range(5)])
    far.wait_for(1)
    with ThreadPoolExecutor(2) as executor:
        queued = executor.submit(source.read_at, 4 * K, 100)
        other = executor.submit(source.read_at, 50 * K, 100)
        far.wait_for(3)
        assert sorted(far.requests) == [(0, 100), (4 * K, 100), (50 * K, 100)]
        far.answer()
        assert queued.result() == DATA[4 * K : 4 * K + 100]
        assert other.result() == DATA[50 * K : 50 * K + 100]
    settle(far)
    assert len(far.requests) == 6


def test_a_dropped_range_that_somebody_wants_still_comes() -> None:
    far, source = make(at_once=1, gap=0)
    for _ in range(200):
        with ThreadPoolExecutor(2) as executor:
            source.expect([(n * K, 100) for n in range(40)])
            reads = [executor.submit(source.read_at, n * K, 100) for n in (39, 20)]
            source.expect([])
            assert [read.result() for read in reads] == [DATA[n * K : n * K + 100] for n in (39, 20)]
        source.close()
        source = FetchingSource(far, FetchSettings(at_once=1, gap=0))


# Failures


@pytest.mark.parametrize(
    "error", [SourceError("tired"), SourceChangedError("another one"), TimeoutError("slow")]
)
def test_a_failure_is_told_to_who_needs_it_and_asked_again(error: Exception) -> None:
    far, source = make(gap=0)

    def failing(offset: int, length: int) -> None:
        if offset == 5000:
            raise error

    far.failing = failing
    source.expect([(0, 100), (5000, 100), (9000, 100)])
    settle(far)
    assert source.read_at(0, 100) == DATA[:100]
    assert source.read_at(9000, 100) == DATA[9000:9100]
    assert len(far.requests) == 3
    for _ in range(2):
        with pytest.raises(type(error), match=str(error)):
            source.read_at(5000, 100)
    assert far.requests[3:] == [(5000, 100)] * 2
    far.failing = None
    assert source.read_at(5000, 100) == DATA[5000:5100]
    assert (source.reads, source.bytes) == (3, 300)


def test_all_who_wait_for_what_fails_are_told_each_by_an_error_of_its_own() -> None:
    far, source = make()

    def failing(offset: int, length: int) -> None:
        raise SourceError("tired")

    far.failing = failing
    far.hold()
    with ThreadPoolExecutor(4) as executor:
        reads = [executor.submit(source.read_at, 0, 100) for _ in range(4)]
        far.wait_for(1)
        far.answer()
        errors = {id(read.exception()) for read in reads}
        assert all(isinstance(read.exception(), SourceError) for read in reads)
    assert len(errors) == 4


@pytest.mark.parametrize("answer", [b"x" * 99, b"x" * 101, b"", None])
def test_a_faulty_source(answer: object) -> None:
    class Faulty(FarSource):
        def read_at(self, offset: int, length: int) -> memoryview:
            return answer  # type: ignore[return-value]

    source = FetchingSource(Faulty(DATA))
    with pytest.raises(SourceError, match="at offset 0"):
        source.read_at(0, 100)
    assert source.held_bytes == source.reads == 0


def test_an_interrupt_leaves_nothing_behind() -> None:
    far, source = make()

    def interrupted(offset: int, length: int) -> None:
        raise KeyboardInterrupt

    far.failing = interrupted
    with pytest.raises(KeyboardInterrupt):
        source.read_at(0, 100)
    far.failing = None
    assert source.read_at(0, 100) == DATA[:100]


# The end


def test_closing_waits_for_nothing_and_wakes_who_waits() -> None:
    far, source = make(at_once=2, gap=0)
    far.hold()
    source.expect([(n * K, 100) for n in range(10)])
    far.wait_for(2)
    with ThreadPoolExecutor(1) as executor:
        read = executor.submit(source.read_at, 0, 100)  # in flight, fetched by another thread
        while not source.waits:
            pass
        source.close()
        with pytest.raises(ClosedError):
            read.result(60)
    assert far.at_once == 2  # nobody has answered yet
    source.close()
    for ask in (lambda: source.read_at(0, 1), lambda: source.read_ranges([(0, 1)])):
        with pytest.raises(ClosedError):
            ask()
    source.expect([(0, 100)])
    far.answer()
    settle(far)
    assert len(far.requests) == 2
    assert source.held_bytes == 0


def test_threads_end_when_nothing_is_left_to_fetch() -> None:
    """Without `close`, too: whoever forgets a source leaves no thread behind."""
    far, source = make()
    source.expect([(n * 100 * K, 100) for n in range(30)])
    settle(far)
    assert threads() == []
    gone = weakref.ref(source)
    del source
    gc.collect()
    assert gone() is None


def test_without_threads_everything_still_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the end of the interpreter, which starts no more threads."""

    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    _, source = make()
    monkeypatch.setattr(threading.Thread, "start", refused)
    source.expect([(0, 100), (100 * K, 100)])
    ranges = [(0, 100), (300 * K, 50), (100 * K, 100)]
    assert source.read_ranges(ranges) == [DATA[offset : offset + length] for offset, length in ranges]
    assert source.read_at(0, 400 * K) == DATA[: 400 * K]


def test_many_threads_at_once() -> None:
    """Any order of reads, expectations and evictions gives the right bytes, and each byte in flight or at hand is fetched once."""
    far, source = make(cache_bytes=1 << 20, ahead_bytes=256 * K, at_once=4)

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(300):
            offset, length = chance.randrange(len(DATA)), chance.randrange(30 * K)
            if chance.random() < 0.3:
                source.expect((chance.randrange(len(DATA)), chance.randrange(20 * K)) for _ in range(4))
            assert source.read_at(offset, length) == DATA[offset : offset + length]

    jobs: list[Callable[[], None]] = [lambda seed=seed: work(seed) for seed in range(6)]  # type: ignore[misc]
    with ThreadPoolExecutor(6) as executor:
        for done in [executor.submit(job) for job in jobs]:
            done.result()
    settle(far)
    assert source.held_bytes <= 1 << 20


# What it counts


def test_what_was_fetched_counts_as_used_when_something_of_it_is_read_first() -> None:
    far, source = make(gap=0)
    source.expect([(0, 100 * K), (200 * K, 50 * K)])
    settle(far)
    assert (source.reads, source.bytes) == (2, 150 * K)
    assert (source.used_reads, source.used_bytes, source.wait_seconds) == (0, 0, 0)
    source.read_at(10 * K, 5)
    source.read_at(20 * K, 5)
    assert (source.used_reads, source.used_bytes, source.wait_seconds) == (1, 100 * K, 0)
    source.read_at(240 * K, 20 * K)  # its first half was fetched ahead
    assert (source.used_reads, source.used_bytes) == (3, 160 * K) == (source.reads, source.bytes)
    assert source.wait_seconds > 0


def test_a_source_with_a_cache_says_what_a_read_cost() -> None:
    class Cached(FarSource):
        def read_counted(self, offset: int, length: int) -> tuple[memoryview, Cost]:
            return self.read_at(offset, length), Cost(2, 70) if offset == 0 else Cost(0, 0)

    source = FetchingSource(Cached(DATA))
    assert source.read_at(0, 100) == DATA[:100]
    assert source.read_at(200, 100) == DATA[200:300]
    assert (source.reads, source.bytes) == (source.used_reads, source.used_bytes) == (2, 70)


class Shared(FarSource):
    """A source of many readers: what is asked for ahead waits until it is hurried or dropped."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.ahead: dict[int, Held] = {}

    def read_counted(self, offset: int, length: int) -> tuple[memoryview, Cost]:
        return self.read_at(offset, length), Cost(1, length)

    def ask_ahead(self, offset: int, length: int) -> Held:
        held = self.ahead[offset] = Held(self, offset, length)
        with self._changed:
            self._changed.notify_all()
        return held

    def wait_for_ahead(self, *offsets: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: all(offset in self.ahead for offset in offsets), 60)


class Held:
    def __init__(self, source: Shared, offset: int, length: int) -> None:
        self._read = source.read_counted, offset, length
        self._told: Queue[str] = Queue()

    def result(self) -> tuple[memoryview, Cost]:
        if self._told.get(timeout=60) == "drop":
            raise DroppedReadError("nobody waited")
        read, offset, length = self._read
        return read(offset, length)

    def hurry(self) -> None:
        self._told.put("hurry")

    def drop(self) -> None:
        self._told.put("drop")


def test_a_shared_source_is_told_what_is_waited_for_and_what_is_let_go_of() -> None:
    shared = Shared(DATA)
    source = FetchingSource(shared, FetchSettings(at_once=3, gap=0))
    source.expect([(0, 100), (K, 100), (2 * K, 100)])
    shared.wait_for_ahead(0, K, 2 * K)
    assert not shared.requests
    assert source.read_at(K + 10, 5) == DATA[K + 10 : K + 15]
    assert shared.requests == [(K, 100)]
    # A jump: what does not follow any more is let go of, what does follow stays.
    source.expect([(2 * K, 100), (9 * K, 100)])
    shared.wait_for_ahead(9 * K)
    assert source.read_ranges([(9 * K, 100), (2 * K, 100)]) == [
        DATA[9 * K : 9 * K + 100],
        DATA[2 * K : 2 * K + 100],
    ]
    # What was let go of is like what was never asked for.
    assert source.read_at(0, 100) == DATA[:100]
    assert sorted(shared.requests) == [(0, 100), (K, 100), (2 * K, 100), (9 * K, 100)]


def test_a_read_that_comes_to_need_what_was_let_go_of_asks_anew() -> None:
    """Whether it comes before or after the source has let go of it."""
    shared = Shared(DATA)
    source = FetchingSource(shared, FetchSettings(at_once=1, gap=0))
    for place in range(50):
        start = place * K
        source.expect([(start, 100)])
        with ThreadPoolExecutor(1) as executor:
            read = executor.submit(source.read_at, start, 100)
            source.expect([])
            assert read.result() == DATA[start : start + 100]
    assert shared.requests == [(place * K, 100) for place in range(50)]


def test_what_is_wanted_does_not_wait_for_a_thread_that_fetches_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ffbind.fetching._LARGEST", 100)
    far, source = make(at_once=2, gap=0)
    far.hold()
    source.expect([(n * K, 100) for n in range(10)])
    far.wait_for(2)
    with ThreadPoolExecutor(1) as executor:
        read = executor.submit(source.read_some, 50 * K, 100, 300)
        far.wait_for(5)
        assert sorted(far.requests[2:]) == [(50 * K, 100), (50 * K + 100, 100), (50 * K + 200, 100)]
        far.answer()
        assert read.result() == DATA[50 * K : 50 * K + 100]
    settle(far)
    assert far.most_at_once == 5
