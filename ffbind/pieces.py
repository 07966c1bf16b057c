"""Which parts of a file are at hand or on their way: pieces that never overlap, and what lies between them. Pure: no I/O."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

__all__ = ["Piece", "Pieces", "cut", "join_ranges"]


class Piece:
    """The bytes from `start` up to `end` of a file; `data` is None until they are there."""

    __slots__ = ("data", "end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.data: memoryview | None = None

    @property
    def size(self) -> int:
        return self.end - self.start


P = TypeVar("P", bound=Piece)


class Pieces(Generic[P]):
    """Pieces of one file by place. None is empty and no two of them overlap, which whoever adds one sees to."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: dict[int, P] = {}

    def __len__(self) -> int:
        return len(self._starts)

    def __contains__(self, piece: object) -> bool:
        return isinstance(piece, Piece) and self._pieces.get(piece.start) is piece

    def __iter__(self) -> Iterator[P]:
        return iter([self._pieces[start] for start in self._starts])

    def add(self, piece: P) -> None:
        """Put in a piece that no other one overlaps."""
        insort(self._starts, piece.start)
        self._pieces[piece.start] = piece

    def remove(self, piece: P) -> None:
        """Take out a piece; nothing happens where it is not in here."""
        if piece in self:
            del self._pieces[piece.start]
            del self._starts[bisect_left(self._starts, piece.start)]

    def cover(self, start: int, end: int) -> Iterator[P | tuple[int, int]]:
        """Give what the bytes from `start` up to `end` lie in: pieces, and `(start, end)` of what none holds, in order."""
        place = max(0, bisect_right(self._starts, start) - 1)
        for first in self._starts[place : bisect_left(self._starts, end)]:
            piece = self._pieces[first]
            if piece.end <= start:
                continue
            if piece.start > start:
                yield start, piece.start
            yield piece
            start = piece.end
        if start < end:
            yield start, end


def cut(pieces: Sequence[Piece], start: int, end: int) -> memoryview:
    """Give the bytes from `start` up to `end` out of neighbouring pieces that hold them: a view where one does, else a copy."""
    parts = []
    for piece in pieces:
        assert piece.data is not None
        parts.append(piece.data[max(0, start - piece.start) : end - piece.start])
    return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


def join_ranges(
    ranges: Iterable[tuple[int, int]], *, gap: int, most: int | None = None
) -> list[tuple[int, int]]:
    """Join `(offset, length)` ranges with the one before them where that ends at most `gap` bytes in front, in the order given.

    What is joined is at most `most` bytes long. Where that keeps a range from being joined, it begins where the one before ends, so
    that whoever reads over the gap finds it. Empty ranges are left out.

    >>> join_ranges([(0, 10), (12, 8), (40, 10), (5, 0), (30, 4)], gap=4)
    [(0, 20), (40, 10), (30, 4)]
    >>> join_ranges([(0, 10), (12, 8)], gap=4, most=15)
    [(0, 10), (10, 10)]
    """
    joined: list[tuple[int, int]] = []
    for offset, length in ranges:
        if length == 0:
            continue
        if joined:
            start, held = joined[-1]
            whole = max(held, offset + length - start)
            if start <= offset <= start + held + gap and (most is None or whole <= most):
                joined[-1] = (start, whole)
                continue
            end = start + held
            if end < offset <= end + gap:
                offset, length = end, offset + length - end
        joined.append((offset, length))
    return joined
