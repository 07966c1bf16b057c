"""Planning is pure, so it is tested on streams made of headers alone: small ones in all shapes, against an independent model."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from headers import IDR, Head, Ref, Stream, build, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from ffbind.hevc import Kind
from ffbind.references import ReferenceTracker, Step, Verdict


def steps(heads: Iterable[Head], *, damaged: Iterable[int] = (), keep_following: bool = False) -> list[Step]:
    tracker = ReferenceTracker(keep_following=keep_following)
    hurt = set(damaged)
    return [tracker.step(head, damaged=i in hurt) for i, head in enumerate(heads)]


def verdicts(heads: Iterable[Head], **options: object) -> list[Verdict]:
    return [step.verdict for step in steps(heads, **options)]  # type: ignore[arg-type]


DECODE, MISSING, SKIPPED = Verdict.DECODE, Verdict.MISSING, Verdict.SKIPPED
NOT_STARTED, EMPTY = Verdict.NOT_STARTED, Verdict.EMPTY


# ---- Order counts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [4, 5, 8])
def test_order_counts_go_on_over_the_wrap_of_their_low_bits(bits: int) -> None:
    heads = [IDR if poc == 0 else picture(Kind.TRAIL_R, poc, -1, bits=bits) for poc in range(100)]
    heads[0] = replace(IDR, log2_max_poc_lsb=bits)
    assert [step.poc for step in steps(heads)] == list(range(100))
    assert set(verdicts(heads)) == {DECODE}


def test_order_counts_step_back_for_b_pictures_over_the_wrap() -> None:
    """H.265 8.3.1: non-reference, RASL and RADL pictures and higher layers do not move the base of the count."""
    pocs = [0, 6, 3, 2, 12, 9, 10, 18, 15, 14, 17, 24, 21]
    kinds = {3: Kind.TRAIL_R, 9: Kind.TRAIL_R, 15: Kind.TRAIL_R, 21: Kind.TRAIL_R}
    heads = [replace(IDR, log2_max_poc_lsb=4)]
    for poc in pocs[1:]:
        kind = kinds.get(poc, Kind.TRAIL_R if poc % 6 == 0 else Kind.TRAIL_N)
        heads.append(picture(kind, poc, bits=4, layer=0 if poc % 6 == 0 else 1))
    assert [step.poc for step in steps(heads)] == pocs


def test_an_idr_starts_the_count_anew() -> None:
    heads = [
        IDR,
        picture(Kind.TRAIL_R, 5, -5),
        IDR,
        picture(Kind.TRAIL_R, 1, -1),
        picture(Kind.TRAIL_R, 5, -4),
    ]
    assert [step.poc for step in steps(heads)] == [0, 5, 0, 1, 5]
    assert [step.starts_sequence for step in steps(heads)] == [True, False, True, False, False]


def test_left_out_pictures_that_would_shift_the_count_make_the_rest_missing() -> None:
    """More than half of the low bits' range left out: a decoder that never saw them would count wrongly."""
    heads = [replace(IDR, log2_max_poc_lsb=4)]
    heads += [picture(Kind.TRAIL_R, poc, bits=4) for poc in (4, 8, 12, 16, 20)]
    assert verdicts(heads) == [DECODE] * 6
    assert verdicts(heads, damaged=[1, 2]) == [DECODE, MISSING, MISSING, MISSING, MISSING, MISSING]
    assert verdicts(heads, damaged=[1]) == [DECODE, MISSING, DECODE, DECODE, DECODE, DECODE]
    # A CRA behind it cannot go on, and starts instead; the decoder, which would not know, is told.
    heads += [
        picture(Kind.CRA, 24, bits=4),
        picture(Kind.RASL_N, 22, 2, bits=4),
        picture(Kind.TRAIL_R, 28, -4, bits=4),
    ]
    after = steps(heads, damaged=[1, 2])[6:]
    assert [step.verdict for step in after] == [DECODE, MISSING, DECODE]
    assert after[0].starts_sequence
    assert after[0].forget


# ---- Where sequences start --------------------------------------------------------------------------------

CRA = picture(Kind.CRA, 20)
RASL = picture(Kind.RASL_N, 18, 2, -2)
RADL = picture(Kind.RADL_N, 19, 1)
TRAIL = picture(Kind.TRAIL_R, 24, -4)


def test_rasl_pictures_of_the_first_cra_are_skipped() -> None:
    found = steps([CRA, RASL, RADL, TRAIL])
    assert [step.verdict for step in found] == [DECODE, SKIPPED, DECODE, DECODE]
    assert found[0].starts_sequence
    assert not found[0].forget


def test_rasl_pictures_of_a_later_cra_are_decoded() -> None:
    heads = [picture(Kind.IDR_N_LP, 0), picture(Kind.TRAIL_R, 16, -16), CRA, RASL, RADL, TRAIL]
    heads[2] = replace(CRA, references=(Ref(-4, used=False),))
    assert verdicts(heads) == [DECODE] * 6
    heads[2] = CRA  # drops 16, which the RASL picture refers to
    assert verdicts(heads) == [DECODE, DECODE, DECODE, MISSING, DECODE, DECODE]


@pytest.mark.parametrize("kind", [Kind.BLA_W_LP, Kind.BLA_W_RADL, Kind.BLA_N_LP])
def test_rasl_pictures_of_a_broken_link_are_skipped(kind: Kind) -> None:
    heads = [IDR, picture(Kind.TRAIL_R, 16, -16), replace(CRA, kind=kind), RASL, RADL, TRAIL]
    found = steps(heads)
    assert [step.verdict for step in found] == [DECODE, DECODE, DECODE, SKIPPED, DECODE, DECODE]
    assert found[2].starts_sequence
    assert not found[2].forget


@pytest.mark.parametrize("before", [True, False])
def test_behind_an_end_of_sequence_a_cra_starts(before: bool) -> None:
    heads = [
        IDR,
        picture(Kind.TRAIL_R, 16, -16),
        replace(CRA, references=(Ref(-4, used=False),)),
        RASL,
        TRAIL,
    ]
    place = 2 if before else 1
    name = "sequence_ends_before" if before else "sequence_ends_after"
    heads[place] = replace(heads[place], **{name: True})
    found = steps(heads)
    assert [step.verdict for step in found] == [DECODE, DECODE, DECODE, SKIPPED, DECODE]
    assert [step.starts_sequence for step in found] == [True, False, True, False, False]


def test_behind_an_end_of_sequence_only_an_irap_goes_on() -> None:
    heads = [
        replace(IDR, sequence_ends_after=True),
        picture(Kind.TRAIL_R, 1, -1),
        IDR,
        picture(Kind.TRAIL_R, 1, -1),
    ]
    assert verdicts(heads) == [DECODE, NOT_STARTED, DECODE, DECODE]


def test_nothing_is_decoded_before_an_irap() -> None:
    heads = [picture(Kind.TRAIL_R, 3), Head(None), RASL, IDR, picture(Kind.TRAIL_R, 1, -1)]
    assert verdicts(heads) == [NOT_STARTED, EMPTY, NOT_STARTED, DECODE, DECODE]


def test_a_lost_sample_waits_for_the_next_irap() -> None:
    tracker = ReferenceTracker(keep_following=False)
    assert tracker.step(IDR).verdict is DECODE
    tracker.lose()
    assert tracker.step(picture(Kind.TRAIL_R, 1, -1)).verdict is NOT_STARTED
    cra = tracker.step(CRA)
    assert (cra.verdict, cra.starts_sequence, cra.forget) == (DECODE, True, True)
    assert tracker.step(RASL).verdict is MISSING
    assert tracker.step(TRAIL).verdict is DECODE
    tracker.reset()
    assert tracker.step(CRA).forget is False
    assert tracker.step(RASL).verdict is SKIPPED


def test_behind_a_damaged_first_irap_nothing_starts() -> None:
    heads = [IDR, picture(Kind.TRAIL_R, 1, -1), CRA, RASL, TRAIL]
    assert verdicts(heads, damaged=[0]) == [MISSING, NOT_STARTED, DECODE, MISSING, DECODE]


# ---- References -------------------------------------------------------------------------------------------


def test_a_reference_picture_set_drops_what_it_does_not_list() -> None:
    heads = [
        IDR,
        picture(Kind.TRAIL_R, 1, -1),
        picture(Kind.TRAIL_R, 2, -1),  # drops 0
        picture(Kind.TRAIL_R, 3, -3),
        picture(Kind.TRAIL_R, 4, -2),
    ]
    assert verdicts(heads) == [DECODE, DECODE, DECODE, MISSING, DECODE]


def test_a_picture_that_is_only_kept_is_an_error_where_the_decoder_makes_it_one() -> None:
    """Foll entries (H.265 8.3.2) of a picture that was left out; libavcodec 62 and later refuse them."""
    heads = [
        IDR,
        picture(Kind.TRAIL_R, 1, -1),
        replace(picture(Kind.TRAIL_R, 2), references=(Ref(-2), Ref(-1, used=False))),
        replace(picture(Kind.TRAIL_R, 3), references=(Ref(-1), Ref(-2, used=False))),
    ]
    assert verdicts(heads, damaged=[1]) == [DECODE, MISSING, DECODE, DECODE]
    assert verdicts(heads, damaged=[1], keep_following=True) == [DECODE, MISSING, MISSING, MISSING]
    # One that never was in the stream is as the encoder wanted it.
    gone = [IDR, replace(picture(Kind.TRAIL_R, 2), references=(Ref(-2), Ref(-1, used=False)))]
    assert verdicts(gone, keep_following=True) == [DECODE, DECODE]
    # A CRA that lists such a picture starts anew instead.
    heads.append(replace(CRA, poc_lsb=4, references=(Ref(-3, used=False),)))
    assert steps(heads, damaged=[1], keep_following=True)[-1] == Step(DECODE, 4, 8, True, True, counts=True)


@pytest.mark.parametrize("damaged", [False, True])
def test_long_term_references_by_low_bits(damaged: bool) -> None:
    def long_term(lsb: int) -> Ref:
        return Ref(lsb, long_term=True, by_lsb=True)

    def kept(*deltas: int) -> tuple[Ref, ...]:
        return tuple(Ref(delta, used=False) for delta in deltas)

    start = replace(IDR, log2_max_poc_lsb=4)
    heads = [
        start,
        picture(Kind.TRAIL_R, 3, -3, bits=4),
        replace(picture(Kind.TRAIL_R, 5, bits=4), references=kept(-5, -2)),
    ]
    one = replace(picture(Kind.TRAIL_N, 6, bits=4), references=(long_term(3), long_term(0)))
    none = replace(picture(Kind.TRAIL_N, 6, bits=4), references=(long_term(4),))
    assert verdicts([*heads, one]) == [DECODE] * 4
    assert verdicts([*heads, none]) == [DECODE] * 3 + [MISSING]
    # 0 and 16 have the same low bits: what a linear decode takes is right, unless pictures were left out.
    heads += [
        replace(picture(Kind.TRAIL_R, poc, bits=4), references=kept(-poc, *([8 - poc] if poc > 8 else [])))
        for poc in (8, 12, 16)
    ]
    two = replace(
        picture(Kind.TRAIL_N, 17, bits=4),
        references=(Ref(-17, used=False), Ref(-1, used=False), long_term(0)),
    )
    result = verdicts([*heads, two], damaged=[1] if damaged else [])
    assert result[-1] is (MISSING if damaged else DECODE)


# ---- Damage, against an independent model -----------------------------------------------------------------


def tainted(uses: Sequence[frozenset[int]], damaged: set[int]) -> set[int]:
    """What the damage reaches: the least set that holds it and every row that uses a member."""
    reached = set(damaged)
    while more := {row for row, used in enumerate(uses) if used & reached} - reached:
        reached |= more
    return reached


@st.composite
def streams(draw: st.DrawFn) -> tuple[Stream, set[int]]:
    count = draw(st.integers(2, 10))
    pocs = [0, *draw(st.permutations(range(1, count)))]
    shape = [(0, ())] + [
        (pocs[row], tuple(draw(st.sets(st.integers(0, row - 1), max_size=3)))) for row in range(1, count)
    ]
    return build(shape), draw(st.sets(st.integers(1, count - 1), max_size=3))


@settings(max_examples=300, deadline=None)
@given(streams())
def test_damage_leaves_out_exactly_what_is_made_from_it(case: tuple[Stream, set[int]]) -> None:
    stream, damaged = case
    result = verdicts(stream.heads, damaged=damaged)
    assert {row for row, verdict in enumerate(result) if verdict is MISSING} == tainted(stream.uses, damaged)
    assert set(result) <= {DECODE, MISSING}


def test_damage_in_all_small_streams() -> None:
    """Every structure of four pictures, every damage: as the model has it."""
    choices = [
        [used for size in range(row + 1) for used in itertools.combinations(range(row), size)]
        for row in range(4)
    ]
    for pocs in itertools.permutations((1, 2, 3)):
        for used in itertools.product(*choices):
            stream = build(list(zip((0, *pocs), used, strict=True)))
            for damaged in ({1}, {2}, {3}, {1, 2}, {2, 3}):
                result = verdicts(stream.heads, damaged=damaged)
                assert {row for row in range(4) if result[row] is MISSING} == tainted(stream.uses, damaged)


@settings(max_examples=200, deadline=None)
@given(streams())
def test_the_next_irap_ends_all_damage(case: tuple[Stream, set[int]]) -> None:
    stream, damaged = case
    clean = [IDR, picture(Kind.TRAIL_R, 3, -3), picture(Kind.TRAIL_N, 1, -1, 2)]
    assert verdicts([*stream.heads, *clean], damaged=damaged)[-3:] == [DECODE] * 3
    open_end = [picture(Kind.CRA, 40), picture(Kind.TRAIL_R, 44, -4)]
    assert verdicts([*stream.heads, *open_end], damaged=damaged)[-2:] == [DECODE] * 2
