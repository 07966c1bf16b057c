"""Picture order counts and reference pictures of a stream, by its headers alone. Pure: no I/O, no FFmpeg.

`ReferenceTracker` follows the decoded picture buffer over samples in decode order. So it is known *before* decoding which pictures each
sample refers to and whether they are there. Some libavcodec versions invent a grey picture for a missing reference and say nothing;
here it is an error.

Source: ITU-T H.265 8.1.3 (where sequences start), 8.3.1 (order counts), 8.3.2 (reference picture sets).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple, Protocol

from .hevc import Kind

__all__ = ["Header", "ReferenceTracker", "Step", "Verdict", "order_count"]


class Header(Protocol):
    """What the tracker reads of a sample's headers (see `ffbind.bitstream.SampleHeader`; a reference is a `Reference`)."""

    @property
    def kind(self) -> Kind | None: ...
    @property
    def temporal_id(self) -> int: ...
    @property
    def poc_lsb(self) -> int: ...
    @property
    def log2_max_poc_lsb(self) -> int: ...
    @property
    def references(self) -> Iterable[tuple[int, bool, bool, bool]]: ...
    @property
    def sequence_ends_before(self) -> bool: ...
    @property
    def sequence_ends_after(self) -> bool: ...


class Verdict(Enum):
    """What is to be done with a sample."""

    DECODE = "decode"
    EMPTY = "empty"  # no picture in it
    SKIPPED = "skipped"  # RASL of an IRAP that decoding started at: no decoder shows it (H.265 8.3.3)
    MISSING = "missing"  # refers to pictures that the decoder does not hold
    NOT_STARTED = "not started"  # no IRAP before it
    LOST = "lost"  # cannot even be read


class Step(NamedTuple):
    """The tracker's answer for one sample. Pictures are named by their number: how many samples came before, 0 for the first one.

    - `poc`: picture order count within the coded video sequence; `low_bits`: how many of its bits the header gives
    - `starts_sequence`: an IRAP with NoRaslOutputFlag 1: nothing before it is referenced
    - `forget`: a start that the decoder would not see by itself: make it forget its pictures first
    - `uses`: held pictures that this one is predicted from (Curr); `keeps`: all that stay, these included (Curr and Foll)
    - `counts`: later order counts go by this picture (prevTid0Pic); `anchor`: the picture that its own went by, -1 for none
    - `ambiguous`: a reference is named by low bits that several held pictures share; the decoder settles it by what it holds
    """

    verdict: Verdict
    poc: int = 0
    low_bits: int = 0
    starts_sequence: bool = False
    forget: bool = False
    uses: tuple[int, ...] = ()
    keeps: tuple[int, ...] = ()
    counts: bool = False
    anchor: int = -1
    ambiguous: bool = False


class ReferenceTracker:
    """Picture order counts and reference pictures of a decoder that starts empty and is given samples in decode order.

    `keep_following`: the decoder treats a missing picture as an error even where only later pictures would need it (the Foll
    lists of H.265 8.3.2), as libavcodec 62 and later do.
    """

    def __init__(self, *, keep_following: bool) -> None:
        self._keep_following = keep_following
        self.reset()

    def reset(self) -> None:
        """Start empty: the next sample is the first, number 0."""
        self._held: dict[int, int] = {}  # number by order count
        self._number = 0
        self._started = False
        self._sequence_ended = True
        self._rasl = (
            Verdict.SKIPPED
        )  # what becomes of RASL pictures of the last IRAP; DECODE: as any other picture
        self._previous_poc = 0  # of the last TemporalId 0 picture that order counts go by, H.265 8.3.1
        self._sent_previous_poc = 0  # the same over the samples that were decoded
        self._anchor = -1  # its number
        self._left_out = False

    def step(self, header: Header, *, damaged: bool = False) -> Step:
        """Take one sample. On DECODE the picture counts as held from now on, so the caller has to decode it.

        A `damaged` sample is one that the caller will not decode whatever the answer: what refers to it will be MISSING.
        """
        if header.sequence_ends_before:
            self._sequence_ended = True
        step = self._step(header, damaged)
        if header.sequence_ends_after:
            self._sequence_ended = True
        self._number += 1
        return step

    def lose(self) -> None:
        """Take one sample whose headers cannot be read: it may have been anything, so wait for the next IRAP."""
        self._started = self._sequence_ended = False
        self._number += 1

    def _step(self, header: Header, damaged: bool) -> Step:
        kind = header.kind
        if kind is None:
            return Step(Verdict.EMPTY)
        starts = forget = False
        if kind.is_irap:
            # H.265 8.1.3: NoRaslOutputFlag. After damage a CRA is made to start as well, where it could not go on.
            clean = kind.is_idr or kind.is_bla or self._sequence_ended
            forget = not clean and not (self._started and self._goes_on(header))
            starts = clean or forget
            self._rasl = Verdict.SKIPPED if clean else Verdict.MISSING if forget else Verdict.DECODE
            self._sequence_ended = False
            self._started = not (starts and damaged)
        elif not self._started or self._sequence_ended:
            return Step(Verdict.NOT_STARTED)

        low_bits = header.log2_max_poc_lsb
        poc = order_count(header.poc_lsb, low_bits, None if starts else self._previous_poc)
        sent_poc = order_count(header.poc_lsb, low_bits, None if starts else self._sent_previous_poc)
        counts = header.temporal_id == 0 and not (kind.is_sublayer_nonref or kind.is_rasl or kind.is_radl)
        if counts:
            self._previous_poc = poc
        if kind.is_rasl and self._rasl is not Verdict.DECODE:
            return Step(self._rasl, poc)
        if starts:
            self._held = {}
            self._left_out = False
            self._anchor = -1
        uses, kept, missing, ambiguous = self._references(header, poc)
        # libavcodec refuses a picture whose order count another one in its buffer has.
        if damaged or missing or sent_poc != poc or poc in self._held:
            self._left_out = True
            return Step(Verdict.MISSING, poc, low_bits, starts)
        step = Step(
            Verdict.DECODE,
            poc,
            low_bits,
            starts,
            forget,
            tuple(uses),
            tuple(kept.values()),
            counts,
            self._anchor,
            ambiguous,
        )
        kept[poc] = self._number
        self._held = kept
        if counts:
            self._sent_previous_poc = poc
            self._anchor = self._number
        return step

    def _goes_on(self, header: Header) -> bool:
        """Tell whether the samples left out so far change nothing for this CRA: neither its order count nor what it keeps."""
        poc = order_count(header.poc_lsb, header.log2_max_poc_lsb, self._previous_poc)
        sent_poc = order_count(header.poc_lsb, header.log2_max_poc_lsb, self._sent_previous_poc)
        return poc == sent_poc and not self._references(header, poc)[2]

    def _references(self, header: Header, poc: int) -> tuple[list[int], dict[int, int], bool, bool]:
        """Numbers of the pictures it is predicted from; what stays, by order count; whether one is missing; whether one is
        ambiguous.
        """
        held = self._held
        uses: list[int] = []
        kept: dict[int, int] = {}
        missing = ambiguous = False
        for value, used, _, by_lsb in header.references:
            if by_lsb:
                low_bits = (1 << header.log2_max_poc_lsb) - 1
                matches = {other: number for other, number in held.items() if other & low_bits == value}
                ambiguous |= len(matches) > 1
                # Two candidates are settled by the decoder as in a linear decode, unless something was left out.
                found = len(matches) == 1 or (len(matches) > 1 and not self._left_out)
                kept.update(matches)
                if used:
                    uses.extend(matches.values())
            else:
                number = held.get(poc + value)
                found = number is not None
                if number is not None:
                    kept[poc + value] = number
                    if used:
                        uses.append(number)
            if not found and (used or (self._keep_following and self._left_out)):
                missing = True
        return uses, kept, missing, ambiguous


def order_count(lsb: int, low_bits: int, previous: int | None) -> int:
    """PicOrderCntVal of a picture whose header gives its lowest `low_bits` bits, H.265 8.3.1.

    `previous`: that of the picture that counts go by (prevTid0Pic), None where a sequence starts.

    >>> [order_count(lsb, 4, previous) for lsb, previous in ((3, 14), (15, 17), (5, None))]
    [19, 15, 5]
    """
    if previous is None:
        return lsb
    size = 1 << low_bits
    previous_lsb = previous & (size - 1)
    high = previous - previous_lsb
    if lsb < previous_lsb and previous_lsb - lsb >= size // 2:
        high += size
    elif lsb > previous_lsb and lsb - previous_lsb > size // 2:
        high -= size
    return high + lsb
