"""Remote reads inside a lane: answers find the thread that asked, failures are raised there."""

import queue
import threading
from copy import copy

import pytest

import ffbind.sources
from ffbind.errors import SourceChangedError, SourceError
from ffbind.fetching import CountingSource, DroppedReadError, SharedSource
from streamer.lanes.source import ReadError, RemoteReads, RemoteSource
from streamer.lanes.wire import DropRead, HurryRead, Open, Read, ReadDone, ReadFailed


def test_answers_in_any_order_reach_the_thread_that_asked() -> None:
    asked: queue.Queue[Read] = queue.Queue()
    reads = RemoteReads(asked.put)
    source = RemoteSource(reads, Open(1, 7, "a.mp4", 1000, "id"))
    assert isinstance(source, ffbind.sources.Source)
    assert (source.size, source.identity) == (1000, "id")
    results: dict[int, bytes] = {}

    def ask(offset: int) -> None:
        results[offset] = bytes(source.read_at(offset, 3))

    threads = [threading.Thread(target=ask, args=(offset,)) for offset in (0, 100, 200)]
    for thread in threads:
        thread.start()
    questions = [asked.get() for _ in threads]
    assert {question.video for question in questions} == {7}
    for question in reversed(questions):
        ((offset, length),) = question.ranges
        assert length == 3
        reads.done(ReadDone(question.read, (3,)), memoryview(b"%03d" % offset))
    for thread in threads:
        thread.join()
    assert results == {0: b"000", 100: b"100", 200: b"200"}


def test_a_read_says_what_the_store_was_asked_for() -> None:
    reads: RemoteReads
    reads = RemoteReads(lambda question: reads.done(ReadDone(question.read, (3,), 1, 70), memoryview(b"abc")))
    source = RemoteSource(reads, Open(1, 7, "a.mp4", 1000, "id"))
    assert isinstance(source, CountingSource)
    assert source.read_counted(5, 3) == (b"abc", (1, 70))


def test_several_ranges_are_one_question() -> None:
    reads: RemoteReads

    def answer(question: Read) -> None:
        assert question.ranges == ((5, 2), (0, 3))
        reads.done(ReadDone(question.read, (2, 1)), memoryview(b"abc"))

    reads = RemoteReads(answer)
    source = RemoteSource(reads, Open(1, 7, "a.mp4", 6, "id"))
    assert source.read_ranges([(5, 2), (0, 3)]) == [b"ab", b"c"]


def test_a_read_ahead_can_be_hurried_and_dropped() -> None:
    sent: list[Read | HurryRead | DropRead] = []
    reads = RemoteReads(sent.append)
    source = RemoteSource(reads, Open(1, 7, "a.mp4", 1000, "id"))
    assert isinstance(source, SharedSource)
    first, second = source.ask_ahead(5, 3), source.ask_ahead(50, 3)
    first.hurry()
    second.drop()
    assert sent == [Read(1, 7, ((5, 3),), True), Read(2, 7, ((50, 3),), True), HurryRead(1), DropRead(2)]
    reads.failed(ReadFailed(2, "cancelled", "nobody waited", True))
    reads.done(ReadDone(1, (3,), 1, 70), memoryview(b"abc"))
    assert first.result() == (b"abc", (1, 70))
    with pytest.raises(DroppedReadError):
        second.result()


@pytest.mark.parametrize(
    ("code", "error"),
    [("storage_unavailable", ReadError), ("forbidden", ReadError), ("video_changed", SourceChangedError)],
)
def test_failures_are_raised_where_the_read_waits(code: str, error: type[SourceError]) -> None:
    reads: RemoteReads
    reads = RemoteReads(lambda question: reads.failed(ReadFailed(question.read, code, "why")))
    with pytest.raises(error, match="why") as caught:
        RemoteSource(reads, Open(1, 7, "a.mp4", 6, "id")).read_at(0, 1)
    assert type(caught.value) is error
    # ffbind raises copies of a failure that several frames share.
    assert (type(copy(caught.value)), copy(caught.value).code, str(copy(caught.value))) == (
        error,
        code,
        "why",
    )
