"""NAL and slice headers of samples, read by our C: what a sample is, and what it refers to.

Source: ITU-T H.265 7.3 (syntax), ISO/IEC 14496-15 (framing in samples).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from .color import Color
from .errors import CorruptError, UndecodableError
from .hevc import Kind
from .native import ffi, lib

__all__ = [
    "Buffer",
    "ParameterSets",
    "Reference",
    "SampleHeader",
    "SequenceFacts",
    "brings_parameter_sets",
    "sample_kind",
]

Buffer: TypeAlias = "bytes | bytearray | memoryview"

# Looked up once: all of them are asked of each sample.
_HAS_SETS = lib.FFB_SAMPLE_HAS_SETS
_EOS_BEFORE, _EOS_AFTER = lib.FFB_SAMPLE_EOS_BEFORE, lib.FFB_SAMPLE_EOS_AFTER
_NO_FIRST, _TWO_PICTURES, _OUTPUT = (
    lib.FFB_SAMPLE_NO_FIRST,
    lib.FFB_SAMPLE_TWO_PICTURES,
    lib.FFB_SAMPLE_OUTPUT,
)
_ALONE = lib.FFB_SAMPLE_MANY_SLICES | lib.FFB_SAMPLE_HASH
_BRINGS = _HAS_SETS | _EOS_BEFORE | _EOS_AFTER | lib.FFB_SAMPLE_LASTING_SEI
_MARKS = [
    (
        bool(mark & lib.FFB_REFERENCE_USED),
        bool(mark & lib.FFB_REFERENCE_LONG),
        bool(mark & lib.FFB_REFERENCE_LSB),
    )
    for mark in range(8)
]
"""Used, long term, by low bits: of each value of reference_flags."""

_KINDS = {kind.value: kind for kind in Kind}
_CHROMA_HALVES = (0, 1, 2, 4)
"""Samples of both chroma planes for two of luma, by chroma_format_idc (H.265 6.2)."""

_PIXEL_FORMATS = {0: "gray", 1: "yuv420p", 2: "yuv422p", 3: "yuv444p"}


class Reference(NamedTuple):
    """One entry of a picture's reference picture set (H.265 8.3.2).

    `value` is the difference of picture order counts to the picture itself, or, where `by_lsb`, the low bits of the reference's
    order count. `used`: the picture itself is predicted from it (Curr); otherwise it is only kept for later ones (Foll).
    """

    value: int
    used: bool
    long_term: bool
    by_lsb: bool


@lru_cache(4096)
def _reference(value: int, mark: int) -> Reference:
    """Give a reference as C describes it; the same few come again and again."""
    return Reference(value, *_MARKS[mark])


class SampleHeader(NamedTuple):
    """What the headers of one sample say. `kind` is None where the sample holds no picture of the base layer."""

    kind: Kind | None
    temporal_id: int
    sps_id: int
    poc_lsb: int
    log2_max_poc_lsb: int
    references: tuple[Reference, ...]
    shown: bool  # pic_output_flag
    has_parameter_sets: bool
    brings: bool  # something that later samples need: parameter sets, an end of sequence, SEI that lasts
    alone: bool  # not to be decoded side by side with others: more than one slice segment, or a hash of the picture
    sequence_ends_before: bool  # an end-of-sequence NAL unit in front of the picture
    sequence_ends_after: bool


@dataclass(frozen=True, slots=True)
class SequenceFacts:
    """What an SPS says of the pictures: sizes in luma samples (cropped, not rotated), depth in bits, colour code points."""

    profile: int
    width: int
    height: int
    coded_width: int
    coded_height: int
    bit_depth: int
    chroma_format: int
    max_num_reorder: int
    max_dec_pic_buffering: int
    min_cb_size: int
    ctb_size: int
    color: Color
    pixel_aspect: tuple[int, int]

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of the pixel format that decoding gives."""
        if self.chroma_format == 3 and self.color.matrix == 0:
            name = "gbrp"
        else:
            name = _PIXEL_FORMATS[self.chroma_format]
            if self.bit_depth == 8 and self.color.full_range and name == "yuv420p":
                name = "yuvj420p"  # libavcodec has the old name for full range here and only here
        return name if self.bit_depth == 8 else f"{name}{self.bit_depth}le"

    @property
    def picture_bytes(self) -> int:
        """Bytes of a decoded picture's planes, uncropped; what is put around them to align lines is not counted."""
        luma = self.coded_width * self.coded_height * (1 if self.bit_depth == 8 else 2)
        return luma + luma * _CHROMA_HALVES[self.chroma_format] // 2


def _check(status: int) -> None:
    if status == lib.FFB_SAMPLE_BAD_NAL:
        raise CorruptError("the sample is damaged: the lengths of its NAL units do not add up")
    if status == lib.FFB_SAMPLE_BAD_SETS:
        raise CorruptError("the sample is damaged: it carries a parameter set that cannot be read")
    if status == lib.FFB_SAMPLE_BAD_SLICE:
        raise CorruptError(
            "the slice header cannot be read: the sample is damaged, or its parameter sets are missing"
        )


def _header(sample: Any) -> SampleHeader:
    flags = sample.flags
    if flags & _NO_FIRST:
        raise CorruptError("the sample is damaged: the first slice of its picture is missing")
    if flags & _TWO_PICTURES:
        raise CorruptError("the sample is malformed: it holds more than one picture")
    count = sample.reference_count
    return SampleHeader(
        kind=_KINDS.get(sample.nal_type),
        temporal_id=sample.temporal_id,
        sps_id=sample.sps_id,
        poc_lsb=sample.poc_lsb,
        log2_max_poc_lsb=sample.log2_max_poc_lsb,
        references=tuple(
            map(_reference, ffi.unpack(sample.reference, count), ffi.unpack(sample.reference_flags, count))
        ),
        shown=bool(flags & _OUTPUT),
        has_parameter_sets=bool(flags & _HAS_SETS),
        brings=bool(flags & _BRINGS),
        alone=bool(flags & _ALONE),
        sequence_ends_before=bool(flags & _EOS_BEFORE),
        sequence_ends_after=bool(flags & _EOS_AFTER),
    )


def sample_kind(data: Buffer, nal_length_size: int) -> tuple[Kind | None, int]:
    """Read a sample's picture kind and TemporalId from its NAL headers alone; kind None where it holds no picture.

    CorruptError where the NAL units do not fit the sample.
    """
    sample = ffi.new("ffb_sample *")
    _check(lib.ffb_sample_kind(ffi.from_buffer("uint8_t[]", data), len(data), nal_length_size, sample))
    return (Kind(sample.nal_type) if sample.nal_type >= 0 else None), sample.temporal_id


def brings_parameter_sets(data: Buffer, nal_length_size: int) -> bool:
    """Tell whether a sample carries VPS, SPS or PPS of the base layer. CorruptError where the NAL units do not fit the sample."""
    sample = ffi.new("ffb_sample *")
    _check(lib.ffb_sample_kind(ffi.from_buffer("uint8_t[]", data), len(data), nal_length_size, sample))
    return bool(sample.flags & lib.FFB_SAMPLE_HAS_SETS)


class ParameterSets:
    """The SPS and PPS that are in force at one point of a stream (H.265 7.4.2.4.2). Not for use by two threads at once."""

    def __init__(self, nal_units: Iterable[Buffer] = ()) -> None:
        params = lib.ffb_params_new()
        if params == ffi.NULL:
            raise MemoryError
        self._params = ffi.gc(params, lib.ffb_params_free)
        self._sample = ffi.new("ffb_sample *")
        for nal_unit in nal_units:
            self.add(nal_unit)

    def clear(self) -> None:
        """Forget all sets."""
        lib.ffb_params_clear(self._params)

    def add(self, nal_unit: Buffer) -> None:
        """Take one VPS, SPS or PPS NAL unit, without start code or length. Other types change nothing."""
        if lib.ffb_params_add(self._params, ffi.from_buffer("uint8_t[]", nal_unit), len(nal_unit)) < 0:
            raise CorruptError(
                "a parameter set (VPS, SPS or PPS) cannot be read: the video's header is damaged"
            )

    def add_readable(self, nal_units: Iterable[Buffer]) -> None:
        """Take those that can be read; what refers to another one will fail."""
        for nal_unit in nal_units:
            with suppress(CorruptError):
                self.add(nal_unit)

    def read(self, data: Buffer, nal_length_size: int) -> SampleHeader:
        """Read a sample's headers; parameter sets that it carries are taken in. CorruptError where they cannot be read."""
        sample = self._sample
        _check(
            lib.ffb_sample_read(
                self._params, ffi.from_buffer("uint8_t[]", data), len(data), nal_length_size, sample
            )
        )
        return _header(sample)

    def picture_duration(self) -> tuple[int, int] | None:
        """Tell how long a picture lasts by the first SPS that says so (VUI): `(units, ticks a second)`; None where none does."""
        units, scale = ffi.new("uint32_t *"), ffi.new("uint32_t *")
        if lib.ffb_params_timing(self._params, -1, units, scale) < 0:
            return None
        return units[0], scale[0]

    def facts(self, sps_id: int = -1) -> SequenceFacts:
        """Tell what SPS `sps_id` says, or the one with the lowest id. UndecodableError where there is none."""
        facts = ffi.new("ffb_sps_facts *")
        if lib.ffb_params_facts(self._params, sps_id, facts) < 0:
            raise UndecodableError(
                "the stream has no sequence parameter set (SPS): nothing of it can be decoded"
            )
        return SequenceFacts(
            profile=facts.profile,
            width=facts.width,
            height=facts.height,
            coded_width=facts.coded_width,
            coded_height=facts.coded_height,
            bit_depth=facts.bit_depth,
            chroma_format=facts.chroma_format,
            max_num_reorder=facts.max_num_reorder,
            max_dec_pic_buffering=facts.max_dec_pic_buffering,
            min_cb_size=facts.min_cb_size,
            ctb_size=facts.ctb_size,
            color=Color(facts.primaries, facts.transfer, facts.matrix, bool(facts.full_range)),
            pixel_aspect=(facts.sar_width, facts.sar_height),
        )
