"""NAL units, parameter sets and slice headers: against hand-made bits, H.265's formulas written out, and libavcodec.

`Sps` and `Slice` hold syntax elements; `write` makes the bits, and the formulas below tell what the library has to read from them.
"""

from __future__ import annotations

import contextlib
import functools
import json
import random
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pytest
from clips import ELEMENTARY, MP4
from clips import REAL as ALL_REAL
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ffbind._native import ffi, lib
from ffbind.bitstream import ParameterSets, Reference, SequenceFacts, sample_kind
from ffbind.buffers import PictureBuffers
from ffbind.color import Color
from ffbind.errors import CorruptError, UndecodableError
from ffbind.hevc import Kind
from ffbind.isobmff import read_index
from ffbind.references import ReferenceTracker, Verdict
from ffbind.sources import BytesSource

# Other tests run beside this one: how long an example takes says nothing.
PATIENT = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], print_blob=True
)

LARGE = ("mediabunny/video-h265.mp4", "hevcjs/hevcjs_dash_720p_frag.mp4")
REAL = tuple(name for name in ALL_REAL if name not in LARGE)


@pytest.fixture(scope="session")
def find(
    clip: Callable[[str], Path], request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Function that gives the path of a name: a generated clip, a real file, an elementary stream put into MP4."""

    @functools.cache
    def get(name: str) -> Path:
        if "/" not in name:
            return clip(name)
        path: Path = request.getfixturevalue("media") / name
        if path.suffix == ".h265":
            wrapped = tmp_path_factory.mktemp("wrapped") / f"{path.name}.mp4"
            command = ["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-c", "copy", wrapped]
            subprocess.run(command, check=True)
            return wrapped
        return path

    return get


def nal_units(sample: bytes, length_size: int) -> list[bytes]:
    """Take a sample apart, the plain way."""
    units = []
    while sample:
        size = int.from_bytes(sample[:length_size], "big")
        units.append(sample[length_size : length_size + size])
        sample = sample[length_size + size :]
    return units


def parameter_set_units(path: Path) -> list[bytes]:
    """All parameter sets of the base layer in a file: of its sample entries and of its samples."""
    data = path.read_bytes()
    index = read_index(BytesSource(data))
    units = [unit for entry in index.entries for unit in entry.parameter_sets]
    for row in index.samples:
        sample = data[row["offset"] : row["offset"] + row["size"]]
        units += nal_units(sample, index.entries[row["entry"]].nal_length_size)
    wanted = [
        unit for unit in units if 32 <= unit[0] >> 1 & 63 <= 34 and (unit[0] & 1, unit[1] >> 3) == (0, 0)
    ]
    return list(dict.fromkeys(wanted))


# ---------------------------------------------------------------------------------------------------------------------
# Making bits
# ---------------------------------------------------------------------------------------------------------------------


class Bits:
    """Writes syntax elements by their descriptors (H.265 7.2): u(n), ue(v), se(v)."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def u(self, count: int, *values: int) -> None:
        for value in values:
            assert 0 <= value < 1 << count or count == 0
            self._bits.append(f"{value:0{count}b}" if count else "")

    def ue(self, *values: int) -> None:
        for value in values:
            code = f"{value + 1:b}"
            self._bits.append("0" * (len(code) - 1) + code)

    def se(self, *values: int) -> None:
        for value in values:
            self.ue(2 * value - 1 if value > 0 else -2 * value)

    def raw(self, bits: str) -> None:
        self._bits.append(bits)

    def nal(self, kind: int, *, temporal_id: int = 0, layer: int = 0, stop: bool = True) -> bytes:
        """Give the NAL unit: header, stop bit, emulation prevention (H.265 7.3.1.1)."""
        bits = "".join(self._bits) + ("1" if stop else "")
        bits += "0" * (-len(bits) % 8)
        payload = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
        escaped = re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", payload)
        return bytes([kind << 1 | layer >> 5, (layer & 31) << 3 | temporal_id + 1]) + escaped


class Explicit(NamedTuple):
    """st_ref_pic_set() with its entries (H.265 7.3.7): (delta_poc_minus1, used) of each side."""

    negative: tuple[tuple[int, bool], ...]
    positive: tuple[tuple[int, bool], ...]


class Predicted(NamedTuple):
    """st_ref_pic_set() from another one: `back` is delta_idx_minus1 + 1; flags are (used_by_curr_pic, use_delta)."""

    back: int
    delta_rps: int
    flags: tuple[tuple[bool, bool], ...]


RpsSyntax = Explicit | Predicted
NOTHING = Explicit((), ())


class Rps(NamedTuple):
    """The variables of H.265 7.4.8: DeltaPocS0, UsedByCurrPicS0, DeltaPocS1, UsedByCurrPicS1."""

    s0: list[int]
    used0: list[bool]
    s1: list[int]
    used1: list[bool]

    @property
    def references(self) -> tuple[Reference, ...]:
        pairs = list(zip(self.s0, self.used0, strict=True)) + list(zip(self.s1, self.used1, strict=True))
        return tuple(Reference(delta, used, False, False) for delta, used in pairs)


def derive(syntax: RpsSyntax, before: Sequence[Rps]) -> Rps:
    """H.265 7.4.8, equations 7-59 to 7-72, with the names of the standard."""
    if isinstance(syntax, Explicit):
        rps = Rps([], [], [], [])
        for entries, deltas, used, sign in (
            (syntax.negative, rps.s0, rps.used0, -1),
            (syntax.positive, rps.s1, rps.used1, 1),
        ):
            for minus1, flag in entries:
                deltas.append((deltas[-1] if deltas else 0) + sign * (minus1 + 1))
                used.append(flag)
        return rps
    ref = before[len(before) - syntax.back]
    delta_rps = syntax.delta_rps
    used_by_curr_pic_flag = [used for used, _ in syntax.flags]
    use_delta_flag = [used or delta for used, delta in syntax.flags]
    num_negative, num_positive = len(ref.s0), len(ref.s1)
    num_delta_pocs = num_negative + num_positive
    new = Rps([], [], [], [])
    for j in range(num_positive - 1, -1, -1):
        d_poc = ref.s1[j] + delta_rps
        if d_poc < 0 and use_delta_flag[num_negative + j]:
            new.s0.append(d_poc)
            new.used0.append(used_by_curr_pic_flag[num_negative + j])
    if delta_rps < 0 and use_delta_flag[num_delta_pocs]:
        new.s0.append(delta_rps)
        new.used0.append(used_by_curr_pic_flag[num_delta_pocs])
    for j in range(num_negative):
        d_poc = ref.s0[j] + delta_rps
        if d_poc < 0 and use_delta_flag[j]:
            new.s0.append(d_poc)
            new.used0.append(used_by_curr_pic_flag[j])
    for j in range(num_negative - 1, -1, -1):
        d_poc = ref.s0[j] + delta_rps
        if d_poc > 0 and use_delta_flag[j]:
            new.s1.append(d_poc)
            new.used1.append(used_by_curr_pic_flag[j])
    if delta_rps > 0 and use_delta_flag[num_delta_pocs]:
        new.s1.append(delta_rps)
        new.used1.append(used_by_curr_pic_flag[num_delta_pocs])
    for j in range(num_positive):
        d_poc = ref.s1[j] + delta_rps
        if d_poc > 0 and use_delta_flag[num_negative + j]:
            new.s1.append(d_poc)
            new.used1.append(used_by_curr_pic_flag[num_negative + j])
    return new


def write_rps(bits: Bits, syntax: RpsSyntax, index: int, total: int) -> None:
    """st_ref_pic_set( index ), H.265 7.3.7."""
    if index:
        bits.u(1, isinstance(syntax, Predicted))
    if isinstance(syntax, Predicted):
        if index == total:
            bits.ue(syntax.back - 1)
        else:
            assert syntax.back == 1
        bits.u(1, syntax.delta_rps < 0)
        bits.ue(abs(syntax.delta_rps) - 1)
        for used, use_delta in syntax.flags:
            bits.u(1, used)
            if not used:
                bits.u(1, use_delta)
    else:
        bits.ue(len(syntax.negative), len(syntax.positive))
        for minus1, used in syntax.negative + syntax.positive:
            bits.ue(minus1)
            bits.u(1, used)


@dataclass(frozen=True)
class Sps:
    """Syntax elements of seq_parameter_set_rbsp(), H.265 7.3.2.2; the values that no test varies are fixed in `write`."""

    id: int = 0
    profile: int = 1
    compatibility: int = 0  # 32 flags and 43 bits behind them: what they are is all the same here
    constraints: int = 0
    sub_layers: int = 1
    sub_layer_profiles: tuple[tuple[bool, bool], ...] = ()
    chroma_format: int = 1
    separate_planes: bool = False
    size: tuple[int, int] = (192, 112)
    window: tuple[int, int, int, int] | None = None
    depth: tuple[int, int] = (8, 8)
    log2_max_poc_lsb: int = 8
    ordering_for_all: bool = True
    ordering: tuple[tuple[int, int, int], ...] = ((4, 2, 0),)  # (buffering minus 1, reorder, latency plus 1)
    scaling_lists: bool = False
    pcm: bool = False
    blocks: tuple[int, int] = (
        0,
        3,
    )  # log2_min_luma_coding_block_size_minus3, and what coding tree blocks have more
    rps: tuple[RpsSyntax, ...] = ()
    long_term: tuple[tuple[int, bool], ...] | None = None  # (lt_ref_pic_poc_lsb_sps, used); None: not present
    vui: Callable[[Bits], None] | None = None

    def write(self) -> bytes:
        bits = Bits()
        bits.u(4, 0)
        bits.u(3, self.sub_layers - 1)
        bits.u(1, 1)
        self._write_profile(bits)
        bits.ue(self.id, self.chroma_format)
        if self.chroma_format == 3:
            bits.u(1, self.separate_planes)
        bits.ue(*self.size)
        bits.u(1, self.window is not None)
        if self.window is not None:
            bits.ue(*self.window)
        bits.ue(self.depth[0] - 8, self.depth[1] - 8, self.log2_max_poc_lsb - 4)
        bits.u(1, self.ordering_for_all)
        assert len(self.ordering) == (self.sub_layers if self.ordering_for_all else 1)
        for entry in self.ordering:
            bits.ue(*entry)
        bits.ue(*self.blocks, 0, 3, 0, 0)
        bits.u(1, self.scaling_lists)
        if self.scaling_lists:
            bits.u(1, 1)
            self._write_scaling_lists(bits)
        bits.u(1, 1, 0)
        bits.u(1, self.pcm)
        if self.pcm:
            bits.u(4, 7, 7)
            bits.ue(0, 2)
            bits.u(1, 1)
        bits.ue(len(self.rps))
        for index, syntax in enumerate(self.rps):
            write_rps(bits, syntax, index, len(self.rps))
        bits.u(1, self.long_term is not None)
        if self.long_term is not None:
            bits.ue(len(self.long_term))
            for lsb, used in self.long_term:
                bits.u(self.log2_max_poc_lsb, lsb)
                bits.u(1, used)
        bits.u(1, 1, 0)
        bits.u(1, self.vui is not None)
        if self.vui is not None:
            self.vui(bits)
        bits.u(1, 0)
        return bits.nal(33)

    def _write_profile(self, bits: Bits) -> None:
        """profile_tier_level( 1, sub_layers - 1 ), H.265 7.3.3."""
        bits.u(2, 0)
        bits.u(1, 0)
        bits.u(5, self.profile)
        bits.u(32, self.compatibility)
        bits.u(48, self.constraints)
        bits.u(8, 93)
        for has_profile, has_level in self.sub_layer_profiles:
            bits.u(1, has_profile, has_level)
        if self.sub_layers > 1:
            assert len(self.sub_layer_profiles) == self.sub_layers - 1
            bits.u(2, *[0] * (9 - self.sub_layers))
        for has_profile, has_level in self.sub_layer_profiles:
            if has_profile:
                bits.u(88, self.constraints)
            if has_level:
                bits.u(8, 60)

    @staticmethod
    def _write_scaling_lists(bits: Bits) -> None:
        """scaling_list_data(), H.265 7.3.4: predicted and explicit ones by turns."""
        turn = 0
        for size_id in range(4):
            for _ in range(0, 6, 3 if size_id == 3 else 1):
                turn += 1
                bits.u(1, turn % 2)
                if turn % 2 == 0:
                    bits.ue(0)
                    continue
                if size_id > 1:
                    bits.se(-3)
                bits.se(*[(n % 5) - 2 for n in range(min(64, 1 << (4 + (size_id << 1))))])

    @property
    def derived(self) -> list[Rps]:
        sets: list[Rps] = []
        for syntax in self.rps:
            sets.append(derive(syntax, sets))
        return sets


@dataclass(frozen=True)
class Pps:
    """Syntax elements of pic_parameter_set_rbsp(), H.265 7.3.2.3, up to what slice headers need."""

    id: int = 0
    sps_id: int = 0
    output_flag_present: bool = False
    extra_bits: int = 0

    def write(self) -> bytes:
        bits = Bits()
        bits.ue(self.id, self.sps_id)
        bits.u(1, 0, self.output_flag_present)
        bits.u(3, self.extra_bits)
        bits.u(8, 0xA5, 0x5A)
        return bits.nal(34)


class LongTerm(NamedTuple):
    """One long-term entry of a slice header: `index` into the SPS or an lsb of its own; cycle None: no MSB."""

    from_sps: bool
    value: int
    used: bool
    cycle: int | None


@dataclass(frozen=True)
class Slice:
    """Syntax elements of slice_segment_header(), H.265 7.3.6.1, of the first slice of a picture."""

    kind: int = 1
    temporal_id: int = 0
    slice_type: int = 1
    shown: bool = True
    lsb: int = 5
    rps: RpsSyntax | int = NOTHING  # an int: short_term_ref_pic_set_idx
    long_term: tuple[LongTerm, ...] = ()
    tail: str = "1011001110001111"

    def write(self, sps: Sps, pps: Pps) -> bytes:
        bits = Bits()
        bits.u(1, 1)
        if 16 <= self.kind <= 23:
            bits.u(1, 0)
        bits.ue(pps.id)
        bits.u(1, *[1] * pps.extra_bits)
        bits.ue(self.slice_type)
        if pps.output_flag_present:
            bits.u(1, self.shown)
        if sps.separate_planes:
            bits.u(2, 2)
        if self.kind not in (19, 20):
            bits.u(sps.log2_max_poc_lsb, self.lsb)
            bits.u(1, isinstance(self.rps, int))
            if isinstance(self.rps, int):
                bits.u((len(sps.rps) - 1).bit_length(), self.rps)
            else:
                write_rps(bits, self.rps, len(sps.rps), len(sps.rps))
            if sps.long_term is not None:
                self._write_long_term(bits, sps, sps.long_term)
        bits.raw(self.tail)
        return bits.nal(self.kind, temporal_id=self.temporal_id)

    def _write_long_term(self, bits: Bits, sps: Sps, known: tuple[tuple[int, bool], ...]) -> None:
        if known:
            bits.ue(sum(entry.from_sps for entry in self.long_term))
        bits.ue(sum(not entry.from_sps for entry in self.long_term))
        for entry in self.long_term:
            if entry.from_sps:
                bits.u((len(known) - 1).bit_length(), entry.value)
            else:
                bits.u(sps.log2_max_poc_lsb, entry.value)
                bits.u(1, entry.used)
            bits.u(1, entry.cycle is not None)
            if entry.cycle is not None:
                bits.ue(entry.cycle)

    def references(self, sps: Sps) -> tuple[Reference, ...]:
        """The reference picture set by H.265 7.4.8 and 8.3.2, order counts as differences to this picture's."""
        if self.kind in (19, 20):
            return ()
        sets = sps.derived
        short = sets[self.rps] if isinstance(self.rps, int) else derive(self.rps, sets)
        found = list(short.references)
        cycles: list[int] = []
        num_long_term_sps = sum(entry.from_sps for entry in self.long_term)
        for i, entry in enumerate(self.long_term):
            delta_poc_msb_cycle_lt = entry.cycle or 0
            if i in (0, num_long_term_sps):  # 7-52
                cycles.append(delta_poc_msb_cycle_lt)
            else:
                cycles.append(delta_poc_msb_cycle_lt + cycles[i - 1])
            assert sps.long_term is not None
            poc_lt, used = sps.long_term[entry.value] if entry.from_sps else (entry.value, entry.used)
            if entry.cycle is None:
                found.append(Reference(poc_lt, used, True, True))
            else:  # 8-5: PicOrderCntVal - cycle * MaxPicOrderCntLsb - (PicOrderCntVal & (MaxPicOrderCntLsb - 1))
                difference = poc_lt - cycles[i] * (1 << sps.log2_max_poc_lsb) - self.lsb
                found.append(Reference(difference, used, True, False))
        return tuple(found)


def sample_of(*units: bytes, length_size: int = 4) -> bytes:
    return b"".join(len(unit).to_bytes(length_size, "big") + unit for unit in units)


def facts_of(unit: bytes) -> SequenceFacts:
    return ParameterSets([unit]).facts()


def rewritten(unit: bytes, capacity: int | None = None) -> bytes | None:
    """`ffb_sps_without_delay`; None where it refuses."""
    capacity = 2 * len(unit) + 64 if capacity is None else capacity
    out = ffi.new("uint8_t[]", capacity + 8)
    ffi.buffer(out)[:] = b"\xcd" * (capacity + 8)
    size = lib.ffb_sps_without_delay(unit, len(unit), out, capacity)
    assert bytes(ffi.buffer(out))[capacity:] == b"\xcd" * 8
    assert size <= capacity
    return bytes(ffi.buffer(out, size)) if size >= 0 else None


# ---------------------------------------------------------------------------------------------------------------------
# Strategies
# ---------------------------------------------------------------------------------------------------------------------

DELTAS = st.one_of(st.integers(0, 8), st.integers(0, 2**15 - 1))
ENTRIES = st.lists(st.tuples(DELTAS, st.booleans()), max_size=6).map(tuple)
EXPLICIT = st.builds(Explicit, ENTRIES, ENTRIES)


@st.composite
def reference_sets(draw: st.DrawFn, most: int = 8) -> tuple[RpsSyntax, ...]:
    """The sets of an SPS, each explicit or predicted from the one before."""
    made: list[RpsSyntax] = []
    sets: list[Rps] = []
    for _ in range(draw(st.integers(0, most))):
        syntax = draw(predicted(sets, 1)) if sets and draw(st.booleans()) else draw(EXPLICIT)
        made.append(syntax)
        sets.append(derive(syntax, sets))
        assume(len(sets[-1].s0) <= 16 and len(sets[-1].s1) <= 16)
    return tuple(made)


@st.composite
def predicted(draw: st.DrawFn, sets: Sequence[Rps], most_back: int) -> Predicted:
    back = draw(st.integers(1, most_back))
    ref = sets[len(sets) - back]
    flags = st.sampled_from([(True, False), (True, False), (False, True), (False, False)])
    count = len(ref.s0) + len(ref.s1) + 1
    # Around the deltas that are there, so that some of them change sides and some become 0.
    turning = [side - delta for delta in ref.s0 + ref.s1 for side in (-1, 0, 1)]
    choices = [st.integers(-8, 8), st.integers(-(2**15), 2**15)]
    if turning:
        choices += [st.sampled_from(turning)] * 2
    delta = draw(st.one_of(choices).filter(lambda value: 0 < abs(value) <= 2**15))
    return Predicted(back, delta, tuple(draw(st.lists(flags, min_size=count, max_size=count))))


@st.composite
def sequences(draw: st.DrawFn) -> Sps:
    """SPS with anything in them that stands in front of what is read or rewritten."""
    layers = draw(st.integers(1, 7))
    for_all = draw(st.booleans())
    count = layers if for_all else 1
    entry = st.integers(0, 15).flatmap(
        lambda most: st.tuples(
            st.just(most), st.integers(0, most), st.one_of(st.integers(0, 9), st.integers(0, 2**32 - 2))
        )
    )
    chroma = draw(st.integers(0, 3))
    width, height = draw(st.integers(1, 40)) * 8, draw(st.integers(1, 40)) * 8
    window = st.integers(0, 1)
    return Sps(
        id=draw(st.integers(0, 15)),
        profile=draw(st.integers(0, 11)),
        compatibility=draw(st.one_of(st.just(0), st.integers(0, 2**32 - 1))),
        constraints=draw(st.one_of(st.just(0), st.integers(0, 2**48 - 1))),
        sub_layers=layers,
        sub_layer_profiles=tuple(
            draw(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=layers - 1, max_size=layers - 1))
        ),
        chroma_format=chroma,
        separate_planes=chroma == 3 and draw(st.booleans()),
        size=(width, height),
        window=draw(st.none() | st.tuples(window, window, window, window)),
        depth=(draw(st.integers(8, 16)), draw(st.integers(8, 16))),
        log2_max_poc_lsb=draw(st.integers(4, 16)),
        ordering_for_all=for_all,
        ordering=tuple(draw(st.lists(entry, min_size=count, max_size=count))),
        scaling_lists=draw(st.booleans()),
        pcm=draw(st.booleans()),
        blocks=draw(st.sampled_from([(0, 1), (0, 2), (0, 3), (1, 0), (1, 2), (2, 0), (2, 1), (3, 0)])),
        rps=draw(reference_sets(4)),
    )


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Sps, Pps, Slice]:
    """An SPS, a PPS and a slice header that go together."""
    log2 = draw(st.integers(4, 16))
    lsbs = st.integers(0, (1 << log2) - 1)
    rps = draw(reference_sets())
    known = draw(st.none() | st.lists(st.tuples(lsbs, st.booleans()), max_size=32).map(tuple))
    sps = Sps(
        id=draw(st.integers(0, 15)),
        chroma_format=3 if draw(st.booleans()) else 1,
        log2_max_poc_lsb=log2,
        rps=rps,
        long_term=known,
    )
    if sps.chroma_format == 3:
        sps = replace(sps, separate_planes=draw(st.booleans()))
    pps = Pps(draw(st.integers(0, 63)), sps.id, draw(st.booleans()), draw(st.integers(0, 7)))
    choices: list[st.SearchStrategy[RpsSyntax | int]] = [EXPLICIT]
    if rps:
        choices += [st.integers(0, len(rps) - 1), predicted(sps.derived, len(rps))]
    own = draw(st.one_of(choices))
    if not isinstance(own, int):
        derived = derive(own, sps.derived)
        assume(len(derived.s0) <= 16 and len(derived.s1) <= 16)
    long_term: list[LongTerm] = []
    if known is not None:
        cycles = st.none() | st.integers(0, 40)
        if known:
            places = st.integers(0, len(known) - 1)
            listed = st.builds(LongTerm, st.just(True), places, st.just(False), cycles)
            long_term += draw(st.lists(listed, max_size=min(5, len(known))))
        long_term += draw(
            st.lists(st.builds(LongTerm, st.just(False), lsbs, st.booleans(), cycles), max_size=5)
        )
    kind = draw(st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 18, 19, 20, 21]))
    picture = Slice(
        kind,
        draw(st.integers(0, 6)),
        draw(st.integers(0, 2)),
        draw(st.booleans()),
        0 if kind in (19, 20) else draw(lsbs),
        own,
        tuple(long_term),
    )
    return sps, pps, picture


# ---------------------------------------------------------------------------------------------------------------------
# SPS: what it says
# ---------------------------------------------------------------------------------------------------------------------


@settings(PATIENT, max_examples=100)
@given(sequences())
def test_facts_of_an_sps(sps: Sps) -> None:
    """What was written is what is read, whatever stands before and between."""
    unit_x, unit_y = {0: (1, 1), 1: (2, 2), 2: (2, 1), 3: (1, 1)}[sps.chroma_format]
    left, right, top, bottom = sps.window or (0, 0, 0, 0)
    facts = facts_of(sps.write())
    assert facts == SequenceFacts(
        profile=sps.profile,
        width=sps.size[0] - unit_x * (left + right),
        height=sps.size[1] - unit_y * (top + bottom),
        coded_width=sps.size[0],
        coded_height=sps.size[1],
        bit_depth=sps.depth[0],
        chroma_format=sps.chroma_format,
        max_num_reorder=sps.ordering[-1][1],
        max_dec_pic_buffering=sps.ordering[-1][0] + 1,
        min_cb_size=8 << sps.blocks[0],
        ctb_size=8 << sum(sps.blocks),
        color=Color(2, 2, 2, False),
        pixel_aspect=(1, 1),
    )


@pytest.mark.parametrize(
    ("aspect", "expected"),
    [
        ((1,), (1, 1)),
        ((2,), (12, 11)),
        ((13,), (160, 99)),
        ((16,), (2, 1)),
        ((17,), (1, 1)),
        ((0,), (1, 1)),
        ((255, 7, 5), (7, 5)),
        ((255, 0, 5), (1, 1)),
        ((255, 65535, 65535), (65535, 65535)),
        (None, (1, 1)),
    ],
)
def test_shape_of_pixels_and_colour(aspect: tuple[int, ...] | None, expected: tuple[int, int]) -> None:
    """vui_parameters(), H.265 E.2.1 and table E.1."""

    def vui(bits: Bits) -> None:
        bits.u(1, aspect is not None)
        if aspect is not None:
            bits.u(8, aspect[0])
            bits.u(16, *aspect[1:])
        bits.u(1, 1, 1)  # overscan
        bits.u(1, 1)
        bits.u(3, 5)
        bits.u(1, 1, 1)  # full range, colour description
        bits.u(8, 9, 16, 14)
        bits.u(1, 0, 0, 0, 0, 0, 0, 0, 0)

    facts = facts_of(Sps(vui=vui).write())
    assert facts.pixel_aspect == expected
    assert facts.color == Color(9, 16, 14, True)


@pytest.mark.parametrize(
    "wrong",
    [
        Sps(id=16),
        Sps(chroma_format=4),
        Sps(size=(0, 16)),
        Sps(size=(16, 65537)),
        Sps(window=(48, 48, 0, 0)),
        Sps(window=(0, 0, 0, 56)),
        Sps(window=(2**31, 2**31, 0, 0)),
        Sps(depth=(17, 8)),
        Sps(depth=(8, 17)),
        Sps(log2_max_poc_lsb=17),
        Sps(ordering=((16, 0, 0),)),
        Sps(ordering=((3, 4, 0),)),
        Sps(rps=(Explicit(((0, True),) * 17, ()),)),
        Sps(rps=(Explicit((), ((0, True),) * 17),)),
        Sps(rps=(Explicit(((2**15 + 1, True),), ()),)),
        Sps(rps=(Explicit(((0, True),), ()), Predicted(1, 2**15 + 1, ((True, True),) * 2))),
        Sps(rps=(Explicit(((0, True),) * 16, ()), Predicted(1, -1, ((True, True),) * 17))),
        Sps(rps=(Explicit((), ()),) * 65),
        Sps(long_term=((0, True),) * 33),
    ],
    ids=repr,
)
def test_an_sps_out_of_bounds_is_refused(wrong: Sps) -> None:
    """Each value just beyond what H.265 allows; the same SPS without it is fine."""
    with pytest.raises(CorruptError, match=r"a parameter set .* cannot be read"):
        ParameterSets([wrong.write()])


def test_an_sps_at_its_bounds_is_read() -> None:
    sixteen = ((2**15 - 1, True),) * 16
    most = Sps(
        id=15,
        size=(65536, 65536),
        depth=(16, 16),
        log2_max_poc_lsb=16,
        ordering=((15, 15, 2**32 - 2),),
        rps=(Explicit(sixteen, sixteen), *[Predicted(1, 2**15, ((True, True),) * 33)] * 63),
        long_term=((65535, True),) * 32,
    )
    # Each prediction moves what is negative by 2**15 towards and over zero; 16 on the positive side are full at once.
    with pytest.raises(CorruptError):
        ParameterSets([most.write()])
    most = replace(most, rps=(Explicit(sixteen, sixteen),) * 64)
    assert facts_of(most.write()).coded_width == 65536
    picture = Slice(
        rps=63,
        lsb=65535,
        long_term=(*[LongTerm(True, 31, False, 1)] * 32, LongTerm(False, 9, True, 5)),
    )
    sets = ParameterSets([most.write(), Pps(0, 15).write()])
    header = sets.read(sample_of(picture.write(most, Pps(0, 15))), 4)
    assert len(header.references) == 65
    assert header.references == picture.references(most)


def test_a_set_of_another_layer_changes_nothing() -> None:
    """NAL units with nuh_layer_id above 0 are not of the base layer."""
    other = bytearray(Sps(size=(64, 64)).write())
    other[1] |= 1 << 3
    sets = ParameterSets([Sps().write(), bytes(other)])
    assert sets.facts().width == 192


def test_the_lowest_id_or_the_one_that_is_asked_for() -> None:
    sets = ParameterSets([Sps(id=7, size=(64, 64)).write(), Sps(id=3).write()])
    assert sets.facts().width == 192
    assert sets.facts(7).width == 64
    with pytest.raises(UndecodableError, match="no sequence parameter set"):
        sets.facts(0)
    sets.clear()
    with pytest.raises(UndecodableError, match="no sequence parameter set"):
        sets.facts()


PROBED = (
    *MP4[:3],
    *[name for name in MP4 if name.startswith(("yuv", "gray", "rgb", "cropped", "lossless"))],
    *REAL,
    *LARGE,
)


@pytest.mark.parametrize("name", PROBED)
def test_facts_are_those_of_libavcodec(name: str, find: Callable[[str], Path]) -> None:
    """Size, pixel format, depth and shape of pixels as `ffprobe` tells them."""
    path = find(name)
    fields = "codec_type,width,height,coded_width,coded_height,pix_fmt,sample_aspect_ratio,profile"
    command = [
        "ffprobe",
        "-v",
        "quiet",
        "-select_streams",
        "v:0",
        "-show_entries",
        f"stream={fields}",
        "-of",
        "json",
        path,
    ]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"][0]
    facts = ParameterSets(parameter_set_units(path)).facts()
    assert (facts.width, facts.height) == (told["width"], told["height"])
    assert facts.pixel_format == told["pix_fmt"]
    assert {"Main": 1, "Main 10": 2, "Rext": 4}[told["profile"]] == facts.profile


# ---------------------------------------------------------------------------------------------------------------------
# SPS: rewritten
# ---------------------------------------------------------------------------------------------------------------------


@settings(PATIENT, max_examples=150)
@given(sequences())
def test_the_rewritten_sps_is_the_one_written_without_delay(sps: Sps) -> None:
    """Byte for byte, emulation prevention and all; and then it stays as it is."""
    wanted = replace(sps, ordering=tuple((buffering, 0, 0) for buffering, _, _ in sps.ordering)).write()
    assert rewritten(sps.write()) == wanted
    assert rewritten(wanted) == wanted


def test_emulation_prevention_is_done_again() -> None:
    """Bytes 00 00 03 that go, that come, and that stay."""
    changes = set()
    for latency in (0, 1, 254, 255, 65534, 65535, 2**20, 2**32 - 2):
        for constraints in (0, 1, 3, 0x010000000003, 2**47, 2**48 - 1):
            for zeros in range(
                9, 15
            ):  # runs of 2 * zeros + 1 bits behind what is rewritten, which moves them
                rps = (Explicit(((2**zeros - 1, False),) * 3, ()),)
                sps = Sps(constraints=constraints, ordering=((5, 3, latency),), rps=rps)
                plain = replace(sps, ordering=((5, 0, 0),)).write()
                assert rewritten(sps.write()) == plain
                changes.add(plain.count(b"\0\0\3") - sps.write().count(b"\0\0\3"))
    assert {-1, 0, 1} <= changes


def test_an_sps_that_grows_finds_room_in_the_decoder() -> None:
    """Fewer bits, and yet more bytes: the decoder sets enough aside for the emulation prevention that comes."""
    error = ffi.new("int *")
    buffers = PictureBuffers(0)
    growing = 0
    for zeros in range(9, 15):
        for width in range(8, 512, 8):
            rps = (Explicit(((2**zeros - 1, False),) * 6, ()),)
            unit = Sps(size=(width, 8), ordering=((5, 1, 0),), rps=rps).write()
            without = rewritten(unit)
            assert without is not None
            if len(without) > len(unit):
                growing += 1
                native = lib.ffb_decoder_open(buffers.native, 1 << 20, 1, error)
                decoder = ffi.gc(native, lib.ffb_decoder_close)
                assert lib.ffb_decoder_add_nal(decoder, unit, len(unit)) == lib.FFB_DECODE_OK
                ffi.release(decoder)
    assert growing > 0


@settings(PATIENT, max_examples=50)
@given(sequences(), st.integers(1, 6))
def test_zero_words_behind_an_sps_go(sps: Sps, words: int) -> None:
    """cabac_zero_words and trailing_zero_8bits are no part of the RBSP (H.265 7.3.2.10, B.2.1)."""
    assert rewritten(sps.write() + b"\0\0\3" * words) == rewritten(sps.write())
    assert rewritten(sps.write() + b"\0" * words) == rewritten(sps.write())
    assert facts_of(sps.write() + b"\0\0\3" * words) == facts_of(sps.write())


@pytest.mark.parametrize("name", [*MP4, *REAL, *LARGE, *ELEMENTARY])
def test_real_sps_say_the_same_but_for_the_delay(name: str, find: Callable[[str], Path]) -> None:
    found = [unit for unit in parameter_set_units(find(name)) if unit[0] >> 1 == 33]
    assert found
    for unit in found:
        without = rewritten(unit)
        assert without is not None
        facts = facts_of(unit)
        assert facts_of(without) == replace(facts, max_num_reorder=0)
        assert rewritten(without) == without
        assert without != unit or facts.max_num_reorder == 0


@given(sequences(), st.data())
@settings(PATIENT, max_examples=100)
def test_a_cut_sps_is_refused_or_read(sps: Sps, data: st.DataObject) -> None:
    """Cut anywhere, with bytes changed, and with little room: a size within the room, or None."""
    unit = sps.write()
    needed = rewritten(unit)
    assert needed is not None
    assert rewritten(unit, len(needed)) == needed
    assert rewritten(unit, data.draw(st.integers(0, len(needed) - 1))) is None
    cut = unit[: data.draw(st.integers(0, len(unit) - 1))]
    if len(cut) < 16:  # profile, level and id alone take as much
        assert rewritten(cut) is None
        with pytest.raises(CorruptError):
            ParameterSets([cut or b"\x42"])
    rewritten(cut)
    changed = bytearray(unit)
    for place in data.draw(st.lists(st.integers(2, len(unit) - 1), max_size=6)):
        changed[place] = data.draw(st.integers(0, 255))
    rewritten(bytes(changed))


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"\x42\x01", b"\x42\x01\x01", b"\x44\x01", b"\x26\x01", b"\x02\x01"]),
)
@settings(PATIENT, max_examples=300)
def test_any_bytes_are_refused_or_read(data: bytes, head: bytes) -> None:
    """As SPS, as PPS, as a sample: an error of ours or an answer."""
    unit = head + data
    if head[:1] != b"\x42":
        assert unit[:1] in (b"\x42", b"\x43") or rewritten(unit) is None
    else:
        rewritten(unit)
    sets = ParameterSets([Sps().write(), Pps().write()])
    for use in (lambda: sets.add(unit), lambda: sets.read(sample_of(unit), 4), lambda: sets.read(unit, 4)):
        with contextlib.suppress(CorruptError):
            use()
    for size in (1, 2, 4):
        with contextlib.suppress(CorruptError):
            sample_kind(unit, size)


def test_other_nal_units_are_not_rewritten() -> None:
    for kind in (1, 32, 34, 39):
        unit = bytearray(Sps().write())
        unit[0] = kind << 1
        assert rewritten(bytes(unit)) is None


# ---------------------------------------------------------------------------------------------------------------------
# Slice headers
# ---------------------------------------------------------------------------------------------------------------------


@settings(PATIENT, max_examples=200)
@given(pictures())
def test_slice_headers(made: tuple[Sps, Pps, Slice]) -> None:
    """Every reference in its order, explicit, predicted, chosen from the SPS, long-term with and without MSB."""
    sps, pps, picture = made
    sets = ParameterSets([sps.write(), pps.write()])
    header = sets.read(sample_of(picture.write(sps, pps)), 4)
    assert header.kind == picture.kind
    assert header.temporal_id == picture.temporal_id
    assert header.sps_id == sps.id
    assert header.log2_max_poc_lsb == sps.log2_max_poc_lsb
    assert header.poc_lsb == picture.lsb
    assert header.references == picture.references(sps)
    assert header.shown == (picture.shown or not pps.output_flag_present)
    assert not header.has_parameter_sets
    assert sets.read(sample_of(sps.write(), pps.write(), picture.write(sps, pps)), 4) == header._replace(
        has_parameter_sets=True, brings=True
    )


@settings(PATIENT, max_examples=40)
@given(pictures())
def test_a_cut_slice_header_is_an_error(made: tuple[Sps, Pps, Slice]) -> None:
    """Cut within what is read, there are no references out of nothing."""
    sps, pps, picture = made
    sets = ParameterSets([sps.write(), pps.write()])
    unit = replace(picture, tail="").write(sps, pps)
    whole = sets.read(sample_of(unit), 4)
    for size in range(3, len(unit)):
        try:
            header = sets.read(sample_of(unit[:size]), 4)
        except CorruptError:
            continue
        assert header == whole  # what was cut is the stop bit or an emulation prevention byte alone
        assert size >= len(unit) - 2


@pytest.mark.parametrize(
    ("sps", "pps", "picture"),
    [
        (Sps(), Pps(), Slice(rps=Explicit(((0, True),) * 17, ()))),
        (Sps(), Pps(), Slice(slice_type=3)),
        (Sps(long_term=()), Pps(), Slice(long_term=(LongTerm(False, 0, True, None),) * 34)),
        (Sps(long_term=()), Pps(), Slice(long_term=(LongTerm(False, 0, True, 2**24 + 1),))),
        (Sps(rps=(Explicit((), ()),)), Pps(), Slice(rps=Predicted(2, 1, ((True, True),)))),
    ],
)
def test_a_slice_header_out_of_bounds_is_an_error(sps: Sps, pps: Pps, picture: Slice) -> None:
    sets = ParameterSets([sps.write(), pps.write()])
    with pytest.raises(CorruptError, match="the slice header cannot be read"):
        sets.read(sample_of(picture.write(sps, pps)), 4)


def test_indices_that_no_set_has_are_errors() -> None:
    """short_term_ref_pic_set_idx of 3 in two bits where there are three sets; lt_idx_sps likewise; no sets at all."""
    three = Sps(rps=(Explicit((), ()),) * 3, long_term=((1, True),) * 3)
    sets = ParameterSets([three.write(), Pps().write()])
    for picture in (Slice(rps=3), Slice(long_term=(LongTerm(True, 3, True, None),))):
        with pytest.raises(CorruptError, match="the slice header cannot be read"):
            sets.read(sample_of(picture.write(three, Pps())), 4)
    sets = ParameterSets([Sps().write(), Pps().write()])
    with pytest.raises(CorruptError, match="the slice header cannot be read"):
        sets.read(sample_of(Slice(rps=0).write(Sps(), Pps())), 4)


def test_parameter_sets_have_to_be_there() -> None:
    picture = sample_of(Slice().write(Sps(), Pps()))
    for units in (
        [],
        [Sps().write()],
        [Pps().write()],
        [Sps(id=1).write(), Pps().write()],
        [Sps().write(), Pps(1).write()],
    ):
        with pytest.raises(CorruptError, match="or its parameter sets are missing"):
            ParameterSets(units).read(picture, 4)
    sets = ParameterSets([Sps().write(), Pps().write()])
    assert sets.read(picture, 4).kind is Kind.TRAIL_R
    with pytest.raises(CorruptError, match="a parameter set that cannot be read"):
        sets.read(sample_of(Sps(rps=(Explicit(((0, True),) * 17, ()),)).write()) + picture, 4)
    with pytest.raises(CorruptError, match="or its parameter sets are missing"):
        sets.read(picture, 4)  # the damaged one took the place of the good one
    sets = ParameterSets([Sps().write(), Pps().write()])
    with pytest.raises(CorruptError, match="a parameter set that cannot be read"):
        sets.read(sample_of(Pps(0, 16).write()) + picture, 4)
    with pytest.raises(CorruptError, match="or its parameter sets are missing"):
        sets.read(picture, 4)


# ---------------------------------------------------------------------------------------------------------------------
# Samples
# ---------------------------------------------------------------------------------------------------------------------

AUD = bytes([35 << 1, 1, 0x50])
SEI = bytes([39 << 1, 1, 0x80])
EOS = bytes([36 << 1, 1])
EOB = bytes([37 << 1, 1])


def _slice(kind: int, *, temporal_id: int = 0, first: bool = True, layer: int = 0) -> bytes:
    return bytes([kind << 1 | layer >> 5, (layer & 31) << 3 | temporal_id + 1, 0x80 if first else 0x20, 0x77])


@pytest.mark.parametrize("length_size", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind < 10 or 16 <= kind <= 21])
def test_kinds(kind: Kind, length_size: int) -> None:
    """Behind delimiters and SEI, in front of further slices and other layers, whatever the size of lengths."""
    unit = _slice(kind, temporal_id=2)
    plain = sample_of(unit, length_size=length_size)
    assert sample_kind(plain, length_size) == (kind, 2)
    around = sample_of(
        AUD,
        SEI,
        _slice(1, layer=1),
        _slice(20, layer=63),
        unit,
        _slice(kind, temporal_id=2, first=False),
        bytes([40 << 1, 1, 0x80]),
        length_size=length_size,
    )
    assert sample_kind(around, length_size) == (kind, 2)
    assert sample_kind(bytes(length_size) + plain + bytes(length_size), length_size) == (
        kind,
        2,
    )  # empty NAL units


def test_samples_without_a_picture() -> None:
    for units in ((), (AUD, SEI), (EOS,), (_slice(1, layer=1),), (_slice(22),), (_slice(30),), (_slice(10),)):
        assert sample_kind(sample_of(*units), 4)[0] is None


@pytest.mark.parametrize("length_size", [1, 2, 4])
def test_lengths_that_do_not_add_up(length_size: int) -> None:
    whole = sample_of(AUD, _slice(1), length_size=length_size)
    ends = {0, length_size + len(AUD), len(whole)}
    for size in range(len(whole) + 1):
        if size in ends:
            sample_kind(whole[:size], length_size)
        else:
            with pytest.raises(CorruptError, match="the lengths of its NAL units do not add up"):
                sample_kind(whole[:size], length_size)


@pytest.mark.parametrize("head", [b"\x82\x01\x80", b"\x02\x00\x80", b"\x02", b"\x02\xf8\x80"])
def test_headers_that_are_none(head: bytes) -> None:
    """forbidden_zero_bit, nuh_temporal_id_plus1 of 0, one byte alone (H.265 7.4.2.2)."""
    with pytest.raises(CorruptError):
        sample_kind(sample_of(head), 4)


@pytest.mark.parametrize("length_size", [-1, 0, 5, 8, 1000])
def test_a_length_size_that_is_none(length_size: int) -> None:
    with pytest.raises(CorruptError):
        sample_kind(sample_of(_slice(1)), length_size)


def test_marks_around_the_picture() -> None:
    sps, pps = Sps(), Pps()
    picture = Slice(kind=21).write(sps, pps)
    sets = ParameterSets([sps.write(), pps.write()])
    for before, after in ((False, False), (True, False), (False, True), (True, True)):
        for end in (EOS, EOB):
            header = sets.read(sample_of(*[end] * before, picture, *[end] * after), 4)
            assert (header.sequence_ends_before, header.sequence_ends_after) == (before, after)
    with pytest.raises(CorruptError, match="the first slice of its picture is missing"):
        sets.read(sample_of(_slice(1, first=False)), 4)
    with pytest.raises(CorruptError, match="more than one picture"):
        sets.read(sample_of(picture, picture), 4)


# ---------------------------------------------------------------------------------------------------------------------
# Order counts
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "plain.mp4",
        "closed.mp4",
        "open_gop.mp4",
        "radl.mp4",
        "two_layers.mp4",
        "slices.mp4",
        "intra_refresh.mp4",
        "poc_wrap.mp4",
    ]
    + ["in_band.mp4", "cut_start.mp4", *REAL, *ELEMENTARY]
    + [pytest.param(name, marks=pytest.mark.long) for name in LARGE],
)
def test_order_counts_give_the_order_of_a_linear_decode(name: str, find: Callable[[str], Path]) -> None:
    """Pictures sorted by coded video sequence and order count come in the order in which libavcodec puts them out."""
    path = find(name)
    data = path.read_bytes()
    index = read_index(BytesSource(data))
    sets = ParameterSets(index.entries[0].parameter_sets)
    tracker = ReferenceTracker(keep_following=False)
    sequence = 0
    counts: list[tuple[int, int, int]] = []
    for row in index.samples:
        offset, size = int(row["offset"]), int(row["size"])
        header = sets.read(data[offset : offset + size], index.entries[row["entry"]].nal_length_size)
        step = tracker.step(header)
        sequence += step.starts_sequence
        if step.verdict is Verdict.DECODE and header.shown:
            counts.append((sequence, step.poc, offset))
        else:
            assert step.verdict is Verdict.SKIPPED or not header.shown
    assert len({key[:2] for key in counts}) == len(counts)
    command = ["ffprobe", "-v", "fatal", "-threads", "1", "-ignore_editlist", "1", "-select_streams", "v:0"]
    command += ["-show_entries", "frame=pkt_pos", "-of", "csv=p=0", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [offset for _, _, offset in sorted(counts)] == [int(line.split(",")[0]) for line in told.split()]


def test_the_files_hold_what_is_to_be_tested(find: Callable[[str], Path]) -> None:
    """Reference sets by index and by prediction, several sub-layers, leading pictures: some file has each."""
    kinds = set()
    layers = set()
    for name in ("open_gop.mp4", "radl.mp4", "two_layers.mp4"):
        path = find(name)
        data = path.read_bytes()
        for row in read_index(BytesSource(data)).samples:
            kind, temporal_id = sample_kind(data[row["offset"] : row["offset"] + row["size"]], 4)
            kinds.add(kind)
            layers.add(temporal_id)
    assert {
        Kind.CRA,
        Kind.RASL_N,
        Kind.RASL_R,
        Kind.RADL_N,
        Kind.IDR_W_RADL,
        Kind.TSA_N,
        Kind.TRAIL_R,
    } <= kinds
    assert layers >= {0, 1}


def test_random_samples_of_real_files_changed(find: Callable[[str], Path]) -> None:
    """Bytes changed in real headers: an answer or CorruptError, and the sets still work afterwards."""
    path = find("in_band.mp4")
    data = path.read_bytes()
    index = read_index(BytesSource(data))
    first = index.samples[0]
    good = data[first["offset"] : first["offset"] + first["size"]]
    sets = ParameterSets()
    expected = sets.read(good, 4)
    chance = random.Random(2)
    for _ in range(3000):
        changed = bytearray(good)
        for _ in range(chance.randint(1, 5)):
            changed[chance.randrange(min(len(changed), 200))] = chance.randrange(256)
        with contextlib.suppress(CorruptError):
            sets.read(changed, 4)
    assert sets.read(good, 4) == expected


@pytest.mark.parametrize(
    ("nal_type", "messages", "alone"),
    [
        (40, b"\x84\x01\x00", True),
        (40, b"\x01\x03abc\x84\x01\x00", True),
        (40, b"\x01\x03\x84\x01\x00", False),
        (39, b"\x84\x01\x00", False),  # in a prefix SEI 132 is no hash
        (39, b"\xff\x01\x01\x00", True),
        (39, b"\x05" + b"\xff" * 20 + b"\x00" + b"x" * 5100 + b"\xff\x01\x01\x00", True),
        (
            39,
            b"\x05\x06\x00\x00\x03\x01\x00\x00\x03\x01\xff\x01\x01\x00",
            True,
        ),  # emulation prevention does not count
        (40, b"\x84", True),  # cut short: whatever a decoder makes of it
        (40, b"", False),
        (40, b"\xff" * 40, False),
    ],
)
def test_a_picture_with_a_hash_is_not_decoded_side_by_side(
    nal_type: int, messages: bytes, alone: bool
) -> None:
    sps, pps = Sps(), Pps()
    sets = ParameterSets([sps.write(), pps.write()])
    sei = bytes([nal_type << 1, 1]) + messages + b"\x80"
    picture = Slice(kind=21).write(sps, pps)
    units = (sei, picture) if nal_type == 39 else (picture, sei)
    assert sets.read(sample_of(*units), 4).alone is alone
