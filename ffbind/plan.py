"""Planning: which samples a frame needs, from which decoder state, and what that costs. Pure: no I/O, no FFmpeg.

`ReferenceTracker` follows the decoded picture buffer over the samples that a decoder is given, so that it is known *before* decoding
whether every picture that a sample refers to is there. Some libavcodec versions invent a grey picture for a missing reference
and say nothing; here it is an error.

`plan_frames` tells what a set of frames costs. The order of work is

    bytes:    [ IRAP ][ .. ][ .. ][ .. ][ wanted ][ .. ][ IRAP ]
    restart:  ^-------- samples sent ----------->^
    go on:              ^ parked here: sent --->^         (only forward, only when nearer than the IRAP)

until a later version sends only what the wanted frames refer to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from .hevc import Kind
from .index import VideoIndex

__all__ = ["Header", "Plan", "ReferenceTracker", "Step", "Verdict", "coalesce", "plan_frames"]


class _Reference(Protocol):
    @property
    def value(self) -> int: ...
    @property
    def used(self) -> bool: ...
    @property
    def long_term(self) -> bool: ...
    @property
    def by_lsb(self) -> bool: ...


class Header(Protocol):
    """What the tracker reads of a sample's headers (see `ffbind.bitstream.SampleHeader`)."""

    @property
    def kind(self) -> Kind | None: ...
    @property
    def temporal_id(self) -> int: ...
    @property
    def poc_lsb(self) -> int: ...
    @property
    def log2_max_poc_lsb(self) -> int: ...
    @property
    def references(self) -> Iterable[_Reference]: ...
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


@dataclass(frozen=True, slots=True)
class Step:
    """The tracker's answer for one sample. `poc` is its picture order count within the coded video sequence."""

    verdict: Verdict
    poc: int = 0
    starts_sequence: bool = False  # an IRAP with NoRaslOutputFlag 1: nothing before it is referenced
    forget: bool = (
        False  # a start that the decoder would not see by itself: make it forget its pictures first
    )


class ReferenceTracker:
    """Picture order counts and reference pictures of a decoder that starts empty and is given samples in decode order.

    `keep_following`: the decoder treats a missing picture as an error even where only later pictures would need it (the Foll
    lists of H.265 8.3.2), as libavcodec 62 and later do.
    """

    def __init__(self, *, keep_following: bool) -> None:
        self._keep_following = keep_following
        self.reset()

    def reset(self) -> None:
        """Start empty: the next sample is the first."""
        self._held: set[int] = set()
        self._started = False
        self._sequence_ended = True
        self._rasl = (
            Verdict.SKIPPED
        )  # what becomes of RASL pictures of the last IRAP; DECODE: as any other picture
        self._previous_poc = 0  # of the last TemporalId 0 picture that order counts go by, H.265 8.3.1
        self._sent_previous_poc = 0  # the same over the samples that were decoded
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
        return step

    def lose(self) -> None:
        """Take one sample whose headers cannot be read: it may have been anything, so wait for the next IRAP."""
        self._started = self._sequence_ended = False

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

        poc = _order_count(header, self._previous_poc, starts)
        sent_poc = _order_count(header, self._sent_previous_poc, starts)
        counts = header.temporal_id == 0 and not (kind.is_sublayer_nonref or kind.is_rasl or kind.is_radl)
        if counts:
            self._previous_poc = poc
        if kind.is_rasl and self._rasl is not Verdict.DECODE:
            return Step(self._rasl, poc)
        if starts:
            self._held = set()
            self._left_out = False
        kept, missing = self._references(header, poc)
        if damaged or missing or sent_poc != poc:
            self._left_out = True
            return Step(Verdict.MISSING, poc, starts)
        self._held = kept | {poc}
        if counts:
            self._sent_previous_poc = poc
        return Step(Verdict.DECODE, poc, starts, forget)

    def _goes_on(self, header: Header) -> bool:
        """Tell whether the samples left out so far change nothing for this CRA: neither its order count nor what it keeps."""
        poc = _order_count(header, self._previous_poc, False)
        return (
            poc == _order_count(header, self._sent_previous_poc, False)
            and not self._references(header, poc)[1]
        )

    def _references(self, header: Header, poc: int) -> tuple[set[int], bool]:
        """Held pictures that stay, and whether one that has to be there is not."""
        kept: set[int] = set()
        missing = False
        low_bits = (1 << header.log2_max_poc_lsb) - 1
        for reference in header.references:
            if reference.by_lsb:
                matches = {held for held in self._held if held & low_bits == reference.value}
                # Two candidates are settled by the decoder as in a linear decode, unless something was left out.
                found = len(matches) == 1 or (len(matches) > 1 and not self._left_out)
                kept |= matches
            else:
                found = poc + reference.value in self._held
                if found:
                    kept.add(poc + reference.value)
            if not found and (reference.used or (self._keep_following and self._left_out)):
                missing = True
        return kept, missing


def _order_count(header: Header, previous: int, starts: bool) -> int:
    """PicOrderCntVal, H.265 8.3.1."""
    size = 1 << header.log2_max_poc_lsb
    lsb = header.poc_lsb
    if starts:
        return lsb
    previous_lsb = previous & (size - 1)
    high = previous - previous_lsb
    if lsb < previous_lsb and previous_lsb - lsb >= size // 2:
        high += size
    elif lsb > previous_lsb and lsb - previous_lsb > size // 2:
        high -= size
    return high + lsb


@dataclass(frozen=True, slots=True)
class Plan:
    """What a set of frames costs, by the index alone; kinds that are still unknown make it an estimate.

    - `samples`: how many samples a decoder is given
    - `pictures`: how many of the asked pictures there are, each counted once
    - `ranges`: `(offset, length)` of the bytes to read, ascending, neighbours merged
    - `bytes`: sum of the lengths
    """

    samples: int
    pictures: int
    ranges: tuple[tuple[int, int], ...]
    bytes: int


def plan_frames(index: VideoIndex, rows: Iterable[int], *, gap: int = 0) -> Plan:
    """Tell what decoding these rows of the sample table costs, each GOP from its IRAP to the last row wanted.

    RASL rows count from the IRAP before their own. Ranges closer than `gap` bytes are merged.
    """
    wanted = sorted(set(rows))
    samples = index.samples
    spans: list[tuple[int, int]] = []
    for row in wanted:
        start = int(samples["irap"][row])
        if Kind(int(samples["kind"][row])).is_rasl and start > 0:
            start = int(samples["irap"][start - 1])
        start = max(start, 0)
        if spans and start <= spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], row)
        else:
            spans.append((start, row))
    needed = [row for first, last in spans for row in range(first, last + 1)]
    ranges = coalesce(((int(samples["offset"][row]), int(samples["size"][row])) for row in needed), gap=gap)
    return Plan(
        samples=len(needed),
        pictures=len(wanted),
        ranges=tuple(ranges),
        bytes=sum(length for _, length in ranges),
    )


def coalesce(ranges: Iterable[tuple[int, int]], *, gap: int = 0) -> list[tuple[int, int]]:
    """Sort `(offset, length)` ranges and merge those that overlap or lie at most `gap` bytes apart; empty ones go.

    >>> coalesce([(10, 5), (0, 10), (40, 1), (17, 3), (50, 0)], gap=2)
    [(0, 20), (40, 1)]
    """
    merged: list[tuple[int, int]] = []
    for offset, length in sorted(ranges):
        if length == 0:
            continue
        if merged and offset <= merged[-1][0] + merged[-1][1] + gap:
            start, held = merged[-1]
            merged[-1] = (start, max(held, offset + length - start))
        else:
            merged.append((offset, length))
    return merged
