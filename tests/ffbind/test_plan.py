"""Planning is pure, so it is tested on streams made of headers alone: all small ones, against a decoder that is a model.

The model knows nothing of rows: it goes by order counts, as H.265 8.3 has it, and a picture's value tells what it was made from. So a
course is right where the model, given only its samples, makes the same value of the wanted picture as when it is given all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from headers import IDR, Head, Ref, build, picture
from hypothesis import given, settings
from hypothesis import strategies as st

import ffbind
from ffbind.hevc import Kind
from ffbind.plan import Standing, choose, coalesce, course, part, plan_frames
from ffbind.references import ReferenceTracker, Step, Verdict

Value = tuple[object, ...]


class Model:
    """A decoder of headers: a picture's value is its own name and the values of what it refers to."""

    def __init__(self, *, keep_following: bool) -> None:
        self._keep_following = keep_following
        self._held: dict[int, Value] = {}
        self._previous = 0

    def decode(self, row: int, head: Head) -> Value | None:
        """Give the picture's value; None where the decoder misses one (in a list that it looks at)."""
        size = 1 << head.log2_max_poc_lsb
        assert head.kind is not None
        if head.kind.is_idr:
            self._held, poc = {}, 0
        else:
            high = self._previous - self._previous % size
            poc = min((high + cycle + head.poc_lsb for cycle in (-size, 0, size)), key=self._away)
        kept: dict[int, Value] = {}
        used: list[Value | None] = []
        missing = False
        for ref in head.references:
            if ref.by_lsb:
                matches = [other for other in self._held if other % size == ref.value]
                found = matches[0] if matches else None
                kept.update((other, self._held[other]) for other in matches)
            else:
                found = poc + ref.value if poc + ref.value in self._held else None
            if found is not None:
                kept[found] = self._held[found]
            if ref.used:
                used.append(None if found is None else self._held[found])
            missing |= found is None and (ref.used or self._keep_following)
        if missing:
            return None
        value: Value = (row, *used)
        self._held = {**kept, poc: value}
        if head.temporal_id == 0 and not (
            head.kind.is_sublayer_nonref or head.kind.is_rasl or head.kind.is_radl
        ):
            self._previous = poc
        return value

    def _away(self, poc: int) -> tuple[int, int]:
        # Half a cycle back counts as ahead, H.265 8.3.1.
        return (abs(poc - self._previous), -poc)


@dataclass
class Headers:
    """What a linear decode does with a stream of headers, for the planner."""

    heads: Sequence[Head]
    keep_following: bool
    start: int = 0

    def __post_init__(self) -> None:
        tracker = ReferenceTracker(keep_following=self.keep_following)
        self._steps = [tracker.step(head) for head in self.heads]
        model = Model(keep_following=self.keep_following)
        self.values = [model.decode(row, head) for row, head in enumerate(self.heads)]

    def step(self, row: int) -> Step | None:
        return self._steps[row] if row < len(self._steps) else None

    @property
    def decoded(self) -> list[int]:
        return [row for row, step in enumerate(self._steps) if step.verdict is Verdict.DECODE]


class Decoder:
    """The model, driven by courses."""

    def __init__(self, stream: Headers) -> None:
        self._stream = stream
        self._model = Model(keep_following=stream.keep_following)
        self.standing = Standing.at(0)

    def follow(self, rows: Iterable[int]) -> dict[int, Value | None]:
        values = {}
        for row in rows:
            head, step = self._stream.heads[row], self._stream.step(row)
            assert step is not None
            assert head.kind is not None
            values[row] = self._model.decode(row, head)
            self.standing = self.standing.sent(row, step, 0, is_irap=head.kind.is_irap)
        return values


def check(stream: Headers, first: int, second: int) -> None:
    """One picture from the IRAP, then another one from there or from the IRAP: both right, and never dearer than needed."""
    options = {"keep_following": stream.keep_following}
    decoder = Decoder(stream)
    rows = course(stream, [first], decoder.standing, **options)
    assert rows is not None
    assert len(rows) <= first + 1
    assert decoder.follow(rows)[first] == stream.values[first]
    fresh = course(stream, [second], Standing.at(0), **options)
    place, chosen = choose(stream, [second], [None, decoder.standing], **options)
    assert fresh is not None
    assert chosen is not None
    assert len(chosen) <= len(fresh)
    if place is None:
        decoder = Decoder(stream)
    else:
        assert place == 1
    assert decoder.follow(chosen)[second] == stream.values[second]


def all_small_streams(count: int) -> Iterable[Headers]:
    """Each way in which pictures can refer to earlier ones, in decode order; order counts rise."""
    choices = [
        [frozenset(refs) for size in range(row + 1) for refs in itertools.combinations(range(row), size)]
        for row in range(1, count)
    ]
    for uses in itertools.product(*choices):
        shape = [(0, ()), *((row + 1, tuple(refs)) for row, refs in enumerate(uses))]
        heads = build(shape).heads
        for keep_following in (False, True):
            yield Headers(heads, keep_following)


def test_all_small_streams_and_all_pairs_of_pictures() -> None:
    checked = 0
    for count in (2, 3, 4, 5):
        for stream in all_small_streams(count):
            for first, second in itertools.product(stream.decoded, repeat=2):
                check(stream, first, second)
                checked += 1
    assert checked > 50_000


def closure(stream: Headers, row: int) -> set[int]:
    """What a picture is made from, by its value."""

    def names(value: object) -> Iterable[int]:
        assert isinstance(value, tuple)
        yield value[0]
        for inner in value[1:]:
            yield from names(inner)

    return set(names(stream.values[row]))


def test_a_course_from_the_irap_is_the_closure() -> None:
    """Where the IRAP belongs to it, and order counts do not wrap: not one sample more."""
    for stream in all_small_streams(5):
        if stream.keep_following:
            continue
        for row in stream.decoded:
            needed = closure(stream, row)
            if 0 in needed:
                rows = course(stream, [row], Standing.at(0), keep_following=False)
                assert rows is not None
                assert set(rows) == needed


@st.composite
def wrapping_streams(draw: st.DrawFn) -> Headers:
    """Order counts of 4 bits that wrap, sub-layers, pictures of all kinds, references that are kept for later ones."""
    count = draw(st.integers(3, 14))
    heads = [replace(IDR, log2_max_poc_lsb=4)]
    pocs, previous = [0], 0
    held = {0}
    for _ in range(1, count):
        poc = previous + draw(st.integers(-6, 7))
        if poc in pocs or poc < 0:
            continue
        used = draw(st.sets(st.sampled_from(sorted(held)), max_size=3)) if held else set()
        kept = used | draw(st.sets(st.sampled_from(sorted(held)), max_size=4)) if held else set()
        by_lsb = draw(st.booleans())
        references = []
        for other in sorted(kept):
            twins = [third for third in held if third % 16 == other % 16]
            long_term = by_lsb and len(twins) == 1
            value = other % 16 if long_term else other - poc
            references.append(Ref(value, other in used, long_term, long_term))
        kind = draw(st.sampled_from((Kind.TRAIL_R, Kind.TRAIL_N, Kind.RADL_R)))
        layer = draw(st.integers(0, 1))
        heads.append(Head(kind, poc % 16, tuple(references), layer, 4))
        held = kept | {poc}
        pocs.append(poc)
        if layer == 0 and kind is Kind.TRAIL_R:
            previous = poc
    return Headers(heads, draw(st.booleans()))


@settings(max_examples=400, deadline=None)
@given(wrapping_streams(), st.data())
def test_wrapping_order_counts_and_long_references(stream: Headers, data: st.DataObject) -> None:
    decoded = st.sampled_from(stream.decoded)
    for _ in range(4):
        check(stream, data.draw(decoded), data.draw(decoded))


@settings(max_examples=200, deadline=None)
@given(wrapping_streams(), st.data())
def test_several_wanted_pictures_are_one_course(stream: Headers, data: st.DataObject) -> None:
    wanted = sorted(data.draw(st.sets(st.sampled_from(stream.decoded), min_size=1, max_size=4)))
    decoder = Decoder(stream)
    rows = course(stream, wanted, decoder.standing, keep_following=stream.keep_following)
    assert rows is not None
    values = decoder.follow(rows)
    assert all(values[row] == stream.values[row] for row in wanted)


@settings(max_examples=200, deadline=None)
@given(wrapping_streams(), st.data())
def test_two_courses_are_taken_only_where_they_are_fewer_samples(
    stream: Headers, data: st.DataObject
) -> None:
    decoder = Decoder(stream)
    parked = data.draw(st.sampled_from(stream.decoded))
    first = course(stream, [parked], decoder.standing, keep_following=stream.keep_following)
    assert first is not None
    decoder.follow(first)
    wanted = sorted(data.draw(st.sets(st.sampled_from(stream.decoded), min_size=1, max_size=5)))
    standings = [decoder.standing]
    chosen = list(part(stream, wanted, standings, keep_following=stream.keep_following))
    assert chosen == wanted[len(wanted) - len(chosen) :]
    _, whole = choose(stream, wanted, standings, keep_following=stream.keep_following)
    assert whole is not None
    if chosen == wanted:
        return
    rest = wanted[: -len(chosen)]
    assert rest[-1] < decoder.standing.position <= chosen[0]
    last = course(stream, chosen, decoder.standing, keep_following=stream.keep_following)
    _, before = choose(stream, rest, standings, keep_following=stream.keep_following)
    assert last is not None
    assert before is not None
    assert len(last) + len(before) < len(whole)
    values = decoder.follow(last)
    assert all(values[row] == stream.values[row] for row in chosen)


def test_what_a_decoder_stands_in_front_of_is_a_course_of_its_own() -> None:
    """I0 P4 P8 | B6, where all but P8 are wanted: it need not be decoded again."""
    heads = [
        IDR,
        picture(Kind.TRAIL_R, 4, -4),
        picture(Kind.TRAIL_R, 8, -4),
        picture(Kind.TRAIL_N, 6, -2, 2),
    ]
    stream = Headers(heads, keep_following=False)
    decoder = Decoder(stream)
    decoder.follow((0, 1, 2))
    assert part(stream, [0, 1, 3], [decoder.standing], keep_following=False) == [3]
    assert part(stream, [0, 1, 2, 3], [decoder.standing], keep_following=False) == [0, 1, 2, 3]
    assert part(stream, [0, 1, 3], [None], keep_following=False) == [0, 1, 3]


def test_order_counts_that_would_shift_are_kept() -> None:
    """P pictures two steps apart with counts of 4 bits: leaving out more than half of their range would shift the last one's."""
    heads = [replace(IDR, log2_max_poc_lsb=4)]
    heads += [
        replace(picture(Kind.TRAIL_R, poc, bits=4), references=(Ref(-poc, used=poc == 24),))
        for poc in (6, 12, 18, 24)
    ]
    stream = Headers(heads, keep_following=False)
    rows = course(stream, [4], Standing.at(0), keep_following=False)
    assert rows is not None
    assert {0, 4} < set(rows)
    check(stream, 0, 4)


def test_a_reference_that_two_pictures_could_be_takes_everything() -> None:
    """Pictures 0 and 16 share their low bits, and a long-term reference names them by these alone."""
    heads = [replace(IDR, log2_max_poc_lsb=4)]
    for poc in (8, 16):
        kept = tuple(Ref(other - poc, used=False) for other in (0, 8) if other < poc)
        heads.append(replace(picture(Kind.TRAIL_R, poc, bits=4), references=kept))
    heads.append(
        replace(
            picture(Kind.TRAIL_N, 17, bits=4),
            references=(Ref(-17, used=False), Ref(-1, used=False), Ref(0, True, True, True)),
        )
    )
    stream = Headers(heads, keep_following=False)
    assert course(stream, [3], Standing.at(0), keep_following=False) == (0, 1, 2, 3)
    parked = Decoder(stream)
    parked.follow((0, 2))
    assert course(stream, [3], parked.standing, keep_following=False) is None


def test_a_decoder_that_goes_on_into_a_gop_may_be_said_to_have_started_there() -> None:
    cra = replace(picture(Kind.CRA, 8), references=(Ref(-4, used=False),))
    heads = [
        IDR,
        picture(Kind.TRAIL_R, 4, -4),
        cra,
        picture(Kind.RASL_N, 6, -2, 2),
        picture(Kind.TRAIL_R, 12, -4),
    ]
    stream = Headers(heads, keep_following=False)
    decoder = Decoder(stream)
    decoder.follow((0, 1, 2))
    assert decoder.standing.starts == (0, 2)
    assert course(stream, [3], decoder.standing, keep_following=False) == (3,)
    from_cra = Headers([replace(cra, references=()), *heads[3:]], keep_following=False, start=0)
    assert from_cra.step(1) is not None
    assert from_cra.decoded == [0, 2]


def test_an_idr_forgets_where_a_decoder_started() -> None:
    stream = Headers(
        [IDR, picture(Kind.TRAIL_R, 1, -1), IDR, picture(Kind.TRAIL_R, 1, -1)], keep_following=False
    )
    decoder = Decoder(stream)
    decoder.follow((0, 1, 2))
    assert decoder.standing.starts == (2,)
    assert decoder.standing.held == {2}


# ---- What frames cost, by the index alone -----------------------------------------------------------------

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=8)


@given(spans, st.integers(0, 5))
def test_merged_ranges_cover_the_same_bytes_and_gaps_up_to_the_limit(
    ranges: list[tuple[int, int]], gap: int
) -> None:
    merged = coalesce(ranges, gap=gap)
    wanted = {byte for offset, length in ranges for byte in range(offset, offset + length)}
    covered = {byte for offset, length in merged for byte in range(offset, offset + length)}
    assert wanted <= covered
    assert merged == sorted(merged)
    assert all(length > 0 for _, length in merged)
    for (offset, length), (following, _) in itertools.pairwise(merged):
        assert following - (offset + length) > gap
    for byte in covered - wanted:
        near = [other for other in wanted if abs(other - byte) <= gap]
        assert any(other < byte for other in near)
        assert any(other > byte for other in near)
    assert coalesce(merged, gap=gap) == merged


def test_plans_by_the_index(clip: Callable[[str], Path]) -> None:
    with ffbind.open(clip("open_gop.mp4")) as video:
        provisional, index = video.index, video.scan()
    samples = index.samples
    rasl = [row for row in range(len(samples)) if Kind(int(samples["kind"][row])).is_rasl]
    trailing = int(np.flatnonzero(samples["kind"] == Kind.CRA)[0]) + 8
    irap = int(samples["irap"][trailing])
    assert plan_frames(index, [trailing]).samples == trailing - irap + 1
    assert plan_frames(index, [rasl[0]]).samples > rasl[0] - int(samples["irap"][rasl[0]]) + 1
    assert plan_frames(index, [trailing, trailing - 1, trailing]).pictures == 2
    assert plan_frames(index, [trailing, 0, rasl[0]]) == plan_frames(index, [rasl[0], trailing, 0, 0])
    whole = plan_frames(index, range(len(samples)))
    assert (whole.samples, whole.pictures) == (len(samples), len(samples))
    assert plan_frames(index, []) == type(whole)(0, 0, (), 0)
    # Before the bytes were read, kinds are unknown: the plan is an estimate by what the container says.
    assert plan_frames(provisional, [trailing]).samples == trailing - irap + 1
    far = plan_frames(index, [0, trailing], gap=1 << 30)
    assert len(far.ranges) == 1
    assert far.bytes == far.ranges[0][1]
