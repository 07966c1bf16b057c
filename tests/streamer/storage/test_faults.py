"""Broken answers of a store, each kind: the right bytes from where it broke, or one error, in a known number of requests."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator

import pytest
from faults import (
    BREAKING,
    IN_RANGES,
    Fault,
    FaultyEndpoint,
    FaultyStore,
    Kind,
    Request,
    by_chance,
    in_turn,
    run_faulty,
)
from stores import Store, bucket_of

from ffbind.errors import SourceChangedError, SourceError
from streamer.storage import Patience, S3Storage

DATA = random.Random(1).randbytes(1_000_000)
OFFSET, LENGTH = 100_000, 700_000
BROKE = 123_457
"""Bytes of the body that come before it breaks."""


@pytest.fixture(scope="module", params=["minio", "versitygw"])
def faulty(request: pytest.FixtureRequest) -> Iterator[FaultyStore]:
    store: Store = request.getfixturevalue(request.param)
    with run_faulty(store) as running:
        yield running


@pytest.fixture
def endpoint(faulty: FaultyStore) -> FaultyEndpoint:
    """The endpoint, breaking nothing, its memory empty."""
    faulty.endpoint.plan = in_turn()
    faulty.endpoint.exchanges.clear()
    return faulty.endpoint


@pytest.fixture(scope="module")
def bucket(faulty: FaultyStore) -> str:
    name = bucket_of(faulty.store)
    put(faulty, name, DATA)
    return name


def put(faulty: FaultyStore, bucket: str, data: bytes) -> None:
    faulty.store.admin().put_object(
        bucket_name=bucket, object_name="a.mp4", data=io.BytesIO(data), length=len(data)
    )


Make = Callable[..., S3Storage]


@pytest.fixture
def storage(faulty: FaultyStore, bucket: str) -> Make:
    """Function that makes the back-end in front of the endpoint, with these fields of Patience."""

    def make(**patience: float) -> S3Storage:
        chosen = {"pause": 0.01, "read_timeout": 1.0, **patience}
        return faulty.store.storage(bucket, patience=Patience(**chosen))

    return make


def test_without_faults_the_endpoint_is_the_store(endpoint: FaultyEndpoint, storage: Make) -> None:
    store = storage()
    assert store.check()
    info = store.stat("a.mp4")
    assert store.read_range(info, 0, len(DATA)) == DATA
    assert [entry.path for entry in store.list("").objects] == ["a.mp4"]
    assert len(endpoint.exchanges) == store.requests == 4
    assert endpoint.sent > len(DATA)
    assert not endpoint.broken


# After each fault: the range that is asked for next, as its distance from the first byte.
NEXT = {
    Kind.RESET: 0,
    Kind.SLOW_DOWN: 0,
    Kind.SHORT_BODY: BROKE,
    Kind.RESET_BODY: BROKE,
    Kind.STALL: BROKE,
    Kind.WRONG_LABEL: 0,
    Kind.WRONG_RANGE: 0,
    Kind.WHOLE: 0,
}


@pytest.mark.parametrize(("kind", "place"), NEXT.items())
def test_a_broken_answer_is_asked_for_again_from_where_it_broke(
    endpoint: FaultyEndpoint, storage: Make, kind: Kind, place: int
) -> None:
    store = storage()
    info = store.stat("a.mp4")
    endpoint.exchanges.clear()
    endpoint.plan = in_turn(Fault(kind, after=BROKE))
    assert store.read_range(info, OFFSET, LENGTH) == DATA[OFFSET : OFFSET + LENGTH]
    last = OFFSET + LENGTH - 1
    assert endpoint.spans == [(OFFSET, last), (OFFSET + place, last)]
    assert [exchange.fault is not None for exchange in endpoint.exchanges] == [True, False]
    assert endpoint.exchanges[1].sent == LENGTH - place


def test_a_late_first_byte_is_waited_for(endpoint: FaultyEndpoint, storage: Make) -> None:
    store = storage(read_timeout=30.0)
    info = store.stat("a.mp4")
    endpoint.exchanges.clear()
    endpoint.plan = in_turn(Fault(Kind.LATE, seconds=0.5))
    assert store.read_range(info, OFFSET, LENGTH) == DATA[OFFSET : OFFSET + LENGTH]
    assert len(endpoint.exchanges) == 1


def test_a_first_byte_that_is_too_late_is_asked_for_again(endpoint: FaultyEndpoint, storage: Make) -> None:
    store = storage(read_timeout=0.5)
    info = store.stat("a.mp4")
    endpoint.exchanges.clear()
    endpoint.plan = in_turn(Fault(Kind.LATE, seconds=60))
    assert store.read_range(info, OFFSET, LENGTH) == DATA[OFFSET : OFFSET + LENGTH]
    assert len(endpoint.exchanges) == 2


def test_a_body_may_break_several_times(endpoint: FaultyEndpoint, storage: Make) -> None:
    store = storage(tries=5)
    info = store.stat("a.mp4")
    endpoint.exchanges.clear()
    endpoint.plan = in_turn(
        Fault(Kind.SHORT_BODY, after=0),
        Fault(Kind.RESET_BODY, after=1),
        Fault(Kind.SHORT_BODY, after=300_000),
        Fault(Kind.RESET_BODY, after=LENGTH - 300_002),
    )
    assert store.read_range(info, OFFSET, LENGTH) == DATA[OFFSET : OFFSET + LENGTH]
    last = OFFSET + LENGTH - 1
    starts = (0, 0, 1, 300_001, LENGTH - 1)
    assert endpoint.spans == [(OFFSET + start, last) for start in starts]


def test_a_body_that_hardly_moves_is_asked_for_again_from_there(
    endpoint: FaultyEndpoint, storage: Make
) -> None:
    """Bytes that come one by one keep the connection busy for ever: what counts is how many come within the time to read."""
    store = storage(read_timeout=0.4)
    info = store.stat("a.mp4")
    endpoint.exchanges.clear()
    endpoint.plan = in_turn(Fault(Kind.TRICKLE, after=BROKE))
    assert store.read_range(info, OFFSET, LENGTH) == DATA[OFFSET : OFFSET + LENGTH]
    first, second = (start for start, _ in endpoint.spans)
    assert first == OFFSET
    assert OFFSET + BROKE < second < OFFSET + BROKE + 100


SAID = {
    Kind.RESET: "it broke the connection",
    Kind.SLOW_DOWN: r"status 503 \(SlowDown\); try again",
    Kind.LATE: "it did not answer in time",
    Kind.SHORT_BODY: "its body ended",
    Kind.RESET_BODY: "it broke the connection",
    Kind.STALL: "it did not answer in time",
    Kind.TRICKLE: "its body hardly moves",
    Kind.WRONG_LABEL: "it sent another range than the one asked for",
    Kind.WRONG_RANGE: "it sent another range than the one asked for",
    Kind.WHOLE: "it sent the object from its start",
}


@pytest.mark.parametrize(("kind", "words"), SAID.items())
def test_what_stays_broken_is_one_error_after_the_tries(
    endpoint: FaultyEndpoint, storage: Make, kind: Kind, words: str
) -> None:
    store = storage(tries=3, read_timeout=0.3)
    info = store.stat("a.mp4")
    endpoint.exchanges.clear()
    fault = Fault(kind, after=1000 if kind in IN_RANGES else 0, seconds=60)
    endpoint.plan = lambda request: fault
    with pytest.raises(SourceError, match=words) as caught:
        store.read_range(info, OFFSET, LENGTH)
    assert not isinstance(caught.value, SourceChangedError)
    assert "\n" not in str(caught.value)
    assert len(endpoint.exchanges) == 3
    # Nothing stays behind: the same back-end reads on.
    endpoint.plan = in_turn()
    assert store.read_range(info, OFFSET, LENGTH) == DATA[OFFSET : OFFSET + LENGTH]


@pytest.mark.parametrize("kind", [Kind.RESET, Kind.SLOW_DOWN, Kind.LATE])
def test_looking_up_and_listing_are_tried_again_too(
    endpoint: FaultyEndpoint, storage: Make, kind: Kind
) -> None:
    store = storage(read_timeout=0.5)
    works: list[Callable[[], object]] = [
        store.check,
        lambda: store.stat("a.mp4"),
        lambda: store.list("").objects,
    ]
    for work in works:
        endpoint.exchanges.clear()
        endpoint.plan = in_turn(Fault(kind, seconds=60))
        assert work()
        assert len(endpoint.exchanges) == 2


@pytest.mark.parametrize("conditional", [True, False], ids=["If-Match", "without If-Match"])
def test_an_object_replaced_between_two_parts_of_one_read_is_never_mixed(
    faulty: FaultyStore, endpoint: FaultyEndpoint, storage: Make, bucket: str, conditional: bool
) -> None:
    """The first part is of the old version; from where it broke on there would be as many bytes of the new one."""
    store = storage()
    info = store.stat("a.mp4")
    other = bytes(255 - value for value in DATA)

    def replace_it(request: Request) -> Fault | None:
        if request.span != (OFFSET, OFFSET + LENGTH - 1):
            return None
        endpoint.plan = put_other
        return Fault(Kind.SHORT_BODY, after=BROKE)

    def put_other(request: Request) -> Fault | None:
        endpoint.plan = in_turn()
        admin.put_object(bucket_name=bucket, object_name="a.mp4", data=io.BytesIO(other), length=len(other))
        return None if conditional else Fault(Kind.UNCONDITIONAL)

    admin = faulty.direct.admin()
    endpoint.plan = replace_it
    try:
        with pytest.raises(SourceChangedError):
            store.read_range(info, OFFSET, LENGTH)
        assert [exchange.status for exchange in endpoint.exchanges][-2:] == [206, 412 if conditional else 206]
    finally:
        put(faulty, bucket, DATA)


def test_many_reads_with_faults_by_chance(endpoint: FaultyEndpoint, storage: Make) -> None:
    store = storage(tries=4, read_timeout=0.3)
    info = store.stat("a.mp4")
    endpoint.plan = by_chance(7, 0.3, late=0.01, path="/a.mp4")
    dice = random.Random(7)
    failed = 0
    for _ in range(150):
        offset = dice.randrange(len(DATA))
        length = dice.randrange(1, 100_000)
        try:
            assert store.read_range(info, offset, length) == DATA[offset : offset + length]
        except SourceError as error:
            assert not isinstance(error, SourceChangedError)  # noqa: PT017
            failed += 1
    assert failed < 15
    assert {exchange.fault.kind for exchange in endpoint.exchanges if exchange.fault} == BREAKING
