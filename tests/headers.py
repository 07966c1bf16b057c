"""Streams made of headers alone, for the tests of what is pure: references and planning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ffbind.hevc import Kind

__all__ = ["IDR", "Head", "Ref", "Stream", "build", "picture"]


class Ref(NamedTuple):
    """One entry of a reference picture set."""

    value: int
    used: bool = True
    long_term: bool = False
    by_lsb: bool = False


@dataclass(frozen=True)
class Head:
    """Headers of one sample, as far as planning reads them."""

    kind: Kind | None
    poc_lsb: int = 0
    references: tuple[Ref, ...] = ()
    temporal_id: int = 0
    log2_max_poc_lsb: int = 8
    sequence_ends_before: bool = False
    sequence_ends_after: bool = False


def picture(kind: Kind, poc: int, *deltas: int, bits: int = 8, layer: int = 0) -> Head:
    """A picture of order count `poc` that is predicted from those `deltas` away."""
    return Head(kind, poc % (1 << bits), tuple(Ref(delta) for delta in deltas), layer, bits)


IDR = picture(Kind.IDR_W_RADL, 0)


@dataclass(frozen=True)
class Stream:
    """Order counts in decode order (0 is an IDR), which rows each row uses, and which it keeps for later."""

    heads: tuple[Head, ...]
    uses: tuple[frozenset[int], ...] = field(compare=False)


def build(shape: Sequence[tuple[int, Sequence[int]]]) -> Stream:
    """Make headers of (order count, rows used); every picture that a later one uses is kept until then (Foll)."""
    heads = []
    for row, (poc, used) in enumerate(shape):
        if row == 0:
            heads.append(IDR)
            continue
        wanted_later = {other for _, later in shape[row + 1 :] for other in later if other < row}
        references = tuple(
            Ref(shape[other][0] - poc, used=other in used) for other in sorted({*used} | wanted_later)
        )
        heads.append(Head(Kind.TRAIL_R, poc, references))
    return Stream(tuple(heads), tuple(frozenset(used) for _, used in shape))
