"""Pieces of a file: what covers a range, and the bytes cut out of it, against the plain way of doing it byte by byte."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ffbind.pieces import Piece, Pieces, cut, join_ranges

SIZE = 60
DATA = bytes(range(SIZE))


def _piece(start: int, end: int) -> Piece:
    piece = Piece(start, end)
    piece.data = memoryview(DATA)[start:end]
    return piece


@st.composite
def _cuts(draw: st.DrawFn) -> list[Piece]:
    """Pieces that do not overlap, some of them touching, in any order."""
    cuts = sorted(draw(st.sets(st.integers(0, SIZE), max_size=12)))
    pieces = [_piece(start, end) for start, end in pairwise(cuts)]
    return draw(st.permutations([piece for piece in pieces if draw(st.booleans())]))


@given(_cuts(), st.integers(0, SIZE), st.integers(0, SIZE))
def test_what_covers_a_range(given_pieces: list[Piece], start: int, length: int) -> None:
    pieces: Pieces[Piece] = Pieces()
    for piece in given_pieces:
        pieces.add(piece)
    end = min(start + length, SIZE)
    owner = {place: piece for piece in given_pieces for place in range(piece.start, piece.end)}
    place = start
    for part in pieces.cover(start, end):
        low, high = (part.start, part.end) if isinstance(part, Piece) else part
        assert low <= place < high
        expected = part if isinstance(part, Piece) else None
        assert all(owner.get(i) is expected for i in range(max(low, start), min(high, end)))
        if expected is None:
            assert (low, high) == (place, min(high, end))  # holes are cut to the range, pieces are whole
        place = high
    assert place >= end or start >= end


@given(_cuts())
def test_adding_and_removing(given_pieces: list[Piece]) -> None:
    pieces: Pieces[Piece] = Pieces()
    for piece in given_pieces:
        pieces.add(piece)
        assert piece in pieces
    assert list(pieces) == sorted(given_pieces, key=lambda piece: piece.start)
    for piece in given_pieces:
        pieces.remove(_piece(piece.start, piece.end))  # another one of the same place
        assert piece in pieces
        pieces.remove(piece)
        pieces.remove(piece)
        assert piece not in pieces
    assert len(pieces) == 0
    assert list(pieces.cover(0, SIZE)) == [(0, SIZE)]


@given(st.sets(st.integers(1, SIZE - 1)), st.integers(0, SIZE), st.integers(0, SIZE))
def test_cutting(cuts: set[int], start: int, end: int) -> None:
    start, end = sorted((start, end))
    bounds = [0, *sorted(cuts), SIZE]
    pieces = [_piece(low, high) for low, high in pairwise(bounds)]
    holding = [piece for piece in pieces if piece.start < end and piece.end > start]
    found = cut(holding, start, end)
    assert found == DATA[start:end]
    assert (found.obj is DATA) == (len(holding) == 1)


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 20))),
    st.integers(0, 10),
    st.one_of(st.none(), st.integers(1, 60)),
)
def test_joined_ranges_hold_what_was_given(ranges: list[tuple[int, int]], gap: int, most: int | None) -> None:
    joined = join_ranges(ranges, gap=gap, most=most)
    held = {place for offset, length in joined for place in range(offset, offset + length)}
    assert held.issuperset(place for offset, length in ranges for place in range(offset, offset + length))
    if gap == 0:
        assert sum(length for _, length in joined) <= sum(length for _, length in ranges)
    if most is not None:
        assert all(
            length <= most or any(length <= given + gap and offset <= at for at, given in ranges)
            for offset, length in joined
        )
        # Neighbours meet, unless they are farther apart than the gap.
        assert not any(0 < b[0] - a[0] - a[1] <= gap for a, b in pairwise(joined))
    assert all(length > 0 for _, length in joined)
