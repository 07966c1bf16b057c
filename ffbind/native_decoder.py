"""libavcodec's HEVC decoder as an object: samples in, pictures out, each with the key of its sample. It thinks nothing of references.

The decoder is given rewritten SPS (see `ffb_sps_without_delay`), so it holds no picture back to reorder it. With several threads it
decodes as many samples side by side (frame threads), and a picture comes out some samples later, or by `finish`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .avio import av_error_text
from .bitstream import Buffer, SequenceFacts
from .buffers import PictureBuffers
from .errors import CorruptError, DecoderError, UnsupportedError
from .frame import NativePicture
from .limits import Limits
from .native import ffi, lib

__all__ = ["NativeDecoder", "check_sequence", "decoder_bytes"]

_SCREEN_CONTENT_PROFILES = (9, 11)

_MOTION_BYTES = 12
"""Of a picture's motion vectors, for each block half as wide and high as the smallest coding blocks."""

_LISTS_BYTES = 528
"""Of a picture's reference lists, for each coding tree block."""

_THREAD_BYTES = 0.4
"""What each of a decoder's threads works on, for each luma sample."""

_CONTEXT_BYTES = 1 << 20
"""What each of them takes whatever the size of pictures, with a share of the samples in work."""


def decoder_bytes(facts: SequenceFacts, threads: int) -> int:
    """Say how many bytes a decoder takes that stands somewhere: its references, and what libavcodec has beside the pictures.

    Tables come with each picture, those in work included, and stay. (Picture buffers do not: csrc/buffers.h.) The figures are what
    libavcodec 5.1 to 9 allocates, and tests/ffbind/test_buffers.py measures them.
    """
    luma = facts.coded_width * facts.coded_height
    blocks = -(-facts.coded_width // facts.ctb_size) * -(-facts.coded_height // facts.ctb_size)
    tables = luma * _MOTION_BYTES // (facts.min_cb_size // 2) ** 2 + blocks * _LISTS_BYTES
    held = facts.max_dec_pic_buffering
    return int(
        held * facts.picture_bytes
        + (held + threads) * tables
        + (threads + 1) * _CONTEXT_BYTES
        + threads * luma * _THREAD_BYTES
    )


def check_sequence(facts: SequenceFacts, limits: Limits) -> None:
    """Refuse what cannot be decoded exactly, or not within limits, before libavcodec allocates anything for it."""
    limits.check_picture(facts.coded_width, facts.coded_height)
    if facts.profile in _SCREEN_CONTENT_PROFILES:
        raise UnsupportedError(
            "screen content coding (SCC) profiles of HEVC are not decoded exactly by libavcodec"
        )


class NativeDecoder:
    """A decoder that stays open. After an error of `send`, `pass_over` or `finish` it has forgotten everything: `start` again.

    Not for use by two threads at once.
    """

    def __init__(self, limits: Limits, buffers: PictureBuffers, threads: int = 1) -> None:
        self._limits = limits
        self._buffers = buffers
        self._threads = threads
        self._native: Any = None
        self._picture = ffi.new("AVFrame **")
        self._picture_tag = ffi.new("int64_t *")
        self._tag = 0
        self._in_work: dict[int, int] = {}  # key by tag
        self._parameter_sets: tuple[bytes, ...] = ()
        self._nal_length_size = 4
        self._announced = False
        self.opened = 0  # decoders of libavcodec opened so far

    @property
    def threads(self) -> int:
        """How many samples are decoded side by side."""
        return self._threads

    def start(self, parameter_sets: Iterable[Buffer], nal_length_size: int) -> None:
        """Forget all pictures. These parameter sets go in front of the next sample, which is an IRAP."""
        self.forget()
        self._parameter_sets = tuple(bytes(nal_unit) for nal_unit in parameter_sets)
        self._nal_length_size = nal_length_size
        self.announce()

    def forget(self) -> None:
        """Forget all pictures; parameter sets stay."""
        self._in_work.clear()
        if self._native is not None:
            lib.ffb_decoder_flush(self._native)

    def announce(self) -> None:
        """Put the parameter sets of `start` in front of the next sample, and nothing else."""
        if self._native is not None:
            lib.ffb_decoder_drop_front(self._native)
        self._announced = False

    def pass_over(self, sample: Buffer) -> None:
        """Keep what a sample that is not decoded carries for later ones. CorruptError where it does not hold together."""
        native = self._ready()
        with ffi.from_buffer("uint8_t[]", sample) as data:
            self._check(lib.ffb_decoder_pass_over(native, data, len(data), self._nal_length_size))

    def send(self, sample: Buffer, key: int) -> tuple[int, NativePicture] | None:
        """Decode a sample. Gives the picture that came out, if one did, with the key that its sample was sent by.

        CorruptError, UnsupportedError, DecoderError; with several threads it may be an earlier sample's.
        """
        native = self._ready()
        self._tag += 1
        self._in_work[self._tag] = key
        # Given back at once: an error keeps this call's locals alive, and CPython 3.11 crashes when its cycle collector
        # clears a memoryview that is still exported.
        with ffi.from_buffer("uint8_t[]", sample) as data:
            status = lib.ffb_decoder_decode(
                native, data, len(data), self._nal_length_size, self._tag, self._picture, self._picture_tag
            )
        return self._take(status)

    def finish(self) -> list[tuple[int, NativePicture]]:
        """Give the pictures still in work; those that do not come are shown by nobody. References stay."""
        pictures = []
        for _ in range(self._threads if self._threads > 1 else 0):
            if not self._in_work:
                break
            picture = self._take(lib.ffb_decoder_pump(self._native, self._picture, self._picture_tag))
            if picture is not None:
                pictures.append(picture)
        self._in_work.clear()
        return pictures

    def close(self) -> None:
        """Free it; it opens again when it is used."""
        native, self._native = self._native, None
        self._in_work.clear()
        if native is not None:
            ffi.release(native)

    def _take(self, status: int) -> tuple[int, NativePicture] | None:
        if status != lib.FFB_DECODE_OK:
            self._check(status)
        native = self._picture[0]
        if native == ffi.NULL:
            return None
        self._picture[0] = ffi.NULL
        picture = NativePicture(native)
        key = self._in_work.pop(self._picture_tag[0], None)
        if key is None:
            self._check(lib.FFB_DECODE_WRONG_PICTURE)
        assert key is not None
        return key, picture

    def _ready(self) -> Any:
        """Give the decoder of libavcodec, opened if need be, with the parameter sets in front of its first sample."""
        if self._native is None:
            error = ffi.new("int *")
            native = lib.ffb_decoder_open(self._buffers.native, self._limits.pixels, self._threads, error)
            if native == ffi.NULL:
                raise DecoderError(f"libavcodec's HEVC decoder does not open: {av_error_text(error[0])}")
            self._native = ffi.gc(native, lib.ffb_decoder_close)
            self.opened += 1
            self._announced = False
        if not self._announced:
            self._announced = True
            for nal_unit in self._parameter_sets:
                self._check(lib.ffb_decoder_add_nal(self._native, nal_unit, len(nal_unit)))
        return self._native

    def _check(self, status: int) -> None:
        """Turn a status of our C into an error; the decoder is then given up (any error may leave it in an odd state)."""
        if status == lib.FFB_DECODE_OK:
            return
        self.close()
        if status == lib.FFB_DECODE_BAD_SAMPLE:
            raise CorruptError("the sample is damaged: its NAL units do not hold together")
        if status == lib.FFB_DECODE_WRONG_PICTURE:
            raise DecoderError("libavcodec put out a picture of another sample; it was not used")
        if status == lib.FFB_DECODE_DAMAGED or status == lib.AVERROR_INVALIDDATA:
            raise CorruptError("the picture data is damaged: libavcodec found an error in it")
        if status == lib.AVERROR_PATCHWELCOME:
            raise UnsupportedError("the stream uses a tool of HEVC that libavcodec does not decode")
        raise DecoderError(f"libavcodec could not decode the sample: {av_error_text(status)}")
