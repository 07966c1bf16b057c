"""A persistent HEVC decoder: parameter sets in, samples in, exact pictures out, one for each sample and at once.

The decoder is given rewritten SPS (see `ffb_sps_without_delay`), so it holds no picture back: a picture comes out the moment its
sample goes in, in decode order. Which order to show them in is the business of whoever knows times or order counts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from .avio import av_error_text
from .bitstream import Buffer, ParameterSets, SampleHeader
from .errors import (
    ClosedError,
    CorruptError,
    DecoderError,
    ForkedError,
    UndecodableError,
    UnsupportedError,
)
from .frame import Frame, NativePicture
from .isobmff.entries import parse_hvcc
from .limits import Limits
from .native import ffi, lib
from .plan import ReferenceTracker, Step, Verdict

__all__ = ["Decoder", "Outcome"]

_KEEPS_FOLLOWING = 62 << 16  # from FFmpeg 8 on, a missing Foll picture is an error
_SCREEN_CONTENT_PROFILES = (9, 11)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one sample. `picture` is None unless `step` says DECODE and the stream shows the picture."""

    header: SampleHeader
    step: Step
    picture: NativePicture | None


class Decoder:
    """A container-free HEVC decoder.

    `parameter_sets`: an hvcC record, or VPS, SPS and PPS NAL units without start codes; may be empty where samples carry them.
    Samples are access units in decode order, each NAL unit behind a length of `nal_length_size` bytes (hvcC tells; otherwise 4).
    Decoding runs in the calling thread; for more cores, give each thread a decoder and GOPs of its own.

    >>> decoder = ffbind.Decoder(hvcc)  # doctest: +SKIP
    >>> frame = decoder.decode(sample)  # doctest: +SKIP

    One decoder serves one thread at a time; calls from several threads wait for each other.
    """

    def __init__(
        self,
        parameter_sets: Buffer | Iterable[Buffer] = (),
        *,
        nal_length_size: int = 4,
        limits: Limits | None = None,
    ) -> None:
        if isinstance(parameter_sets, (bytes, bytearray, memoryview)):
            nal_length_size, parameter_sets = parse_hvcc(parameter_sets)
        self._nal_length_size = nal_length_size
        self._limits = limits or Limits()
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._tracker = ReferenceTracker(keep_following=lib.avcodec_version() >= _KEEPS_FOLLOWING)
        self._sets = ParameterSets()
        self._tag = 0
        self._closed = False
        self._native: Any = None
        self.opened = 0  # native decoders opened so far
        self.read_headers = False  # whether the headers of the last sample could be read, damaged or not
        parameter_sets = tuple(parameter_sets)
        ParameterSets(parameter_sets)
        self.restart(parameter_sets)

    # The plain interface

    def decode(self, sample: Buffer) -> Frame | None:
        """Decode the next sample in decode order.

        None is a legal answer: a RASL picture after the IRAP that decoding started at, a picture that the stream marks as not
        shown, a sample without a picture. CorruptError when the sample is damaged, UndecodableError when pictures that it
        refers to were not decoded; after damage, decoding goes on at the next IRAP.
        """
        outcome = self.push(sample)
        if outcome.step.verdict is Verdict.NOT_STARTED:
            raise UndecodableError("decoding starts at an IRAP picture: feed samples from one on")
        if outcome.step.verdict is Verdict.MISSING:
            raise UndecodableError("pictures that this one refers to were not decoded")
        if outcome.picture is None or outcome.header.kind is None:
            return None
        return Frame(outcome.picture, kind=outcome.header.kind)

    def flush(self) -> None:
        """Forget all pictures; parameter sets stay. The next sample has to be an IRAP."""
        with self._turn():
            if self._native is not None:
                lib.ffb_decoder_flush(self._native)
            self._tracker.reset()

    def close(self) -> None:
        """Free the decoder; closing twice is fine. Frames that came out of it stay valid."""
        if os.getpid() != self._process:
            return  # the parent's decoder: perhaps in the middle of a picture, with its lock held for ever in this process
        with self._lock:
            self._closed = True
            self._discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What Video works with

    def restart(self, parameter_sets: Iterable[Buffer] = (), nal_length_size: int | None = None) -> None:
        """Start again, at an IRAP and with these parameter sets. One that cannot be read is left out: what needs it will fail."""
        with self._turn():
            self.flush()
            if nal_length_size is not None:
                self._nal_length_size = nal_length_size
            self._entry_sets = tuple(bytes(nal_unit) for nal_unit in parameter_sets)
            self._take_entry_sets()

    def push(self, sample: Buffer, *, damaged: bool = False) -> Outcome:
        """Take the next sample in decode order and decode it if all that it refers to is there.

        A `damaged` one is only stepped over, and what does not depend on it is decoded. CorruptError when a sample proves
        damaged: the decoder is then given up and goes on at the next IRAP; to decode the rest of the GOP, restart and step
        over the damaged sample.
        """
        with self._turn():
            self.read_headers = False
            try:
                header = self._sets.read(sample, self._nal_length_size)
            except CorruptError:
                self.lose()
                raise
            self.read_headers = True
            if header.kind is not None and not damaged:
                self._check_sequence(header)
            step = self._tracker.step(header, damaged=damaged)
            native = self._ready()
            if step.forget:
                lib.ffb_decoder_flush(native)
            if step.verdict is not Verdict.DECODE:
                with ffi.from_buffer("uint8_t[]", sample) as data:
                    self._check(lib.ffb_decoder_pass_over(native, data, len(data), self._nal_length_size))
                return Outcome(header, step, None)
            return Outcome(header, step, self._decode(native, sample))

    def lose(self) -> None:
        """Step over a sample that cannot even be read: the next one has to be an IRAP.

        It may have brought parameter sets, or spoiled them: those of the sample entry are taken, as for random access.
        """
        with self._turn():
            self._tracker.lose()
            self._take_entry_sets()

    def _take_entry_sets(self) -> None:
        self._sets.clear()
        for nal_unit in self._entry_sets:
            with suppress(CorruptError):
                self._sets.add(nal_unit)
        if self._native is not None:
            lib.ffb_decoder_drop_front(self._native)
        self._announced = False

    def _decode(self, native: Any, sample: Buffer) -> NativePicture | None:
        frame = ffi.new("AVFrame **")
        self._tag += 1
        # Given back at once: an error keeps this call's locals alive, and CPython 3.11 crashes when its cycle collector
        # clears a memoryview that is still exported.
        with ffi.from_buffer("uint8_t[]", sample) as data:
            self._check(
                lib.ffb_decoder_decode(native, data, len(data), self._nal_length_size, self._tag, frame)
            )
        return NativePicture(frame[0]) if frame[0] != ffi.NULL else None

    def _check(self, status: int) -> None:
        """Turn a status of our C into an error; the native decoder is then given up (decoding.md: any error discards it)."""
        if status == lib.FFB_DECODE_OK:
            return
        self._discard()
        self.lose()
        if status == lib.FFB_DECODE_BAD_SAMPLE:
            raise CorruptError("the sample is damaged: its NAL units do not hold together")
        if status == lib.FFB_DECODE_WRONG_PICTURE:
            raise DecoderError("libavcodec put out a picture of another sample; it was not used")
        if status == lib.FFB_DECODE_DAMAGED or status == lib.AVERROR_INVALIDDATA:
            raise CorruptError("the picture data is damaged: libavcodec found an error in it")
        if status == lib.AVERROR_PATCHWELCOME:
            raise UnsupportedError("the stream uses a tool of HEVC that libavcodec does not decode")
        raise DecoderError(f"libavcodec could not decode the sample: {av_error_text(status)}")

    def _check_sequence(self, header: SampleHeader) -> None:
        """Refuse what cannot be decoded exactly, or not within limits, before libavcodec allocates anything for it."""
        facts = self._sets.facts(header.sps_id)
        self._limits.check_picture(facts.coded_width, facts.coded_height)
        if facts.profile in _SCREEN_CONTENT_PROFILES:
            raise UnsupportedError(
                "screen content coding (SCC) profiles of HEVC are not decoded exactly by libavcodec"
            )

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for the other threads, then do what needs an open decoder."""
        # Before the lock is asked for: after fork() nobody is left to release it.
        if os.getpid() != self._process:
            raise ForkedError("this decoder belongs to the parent process; open another one after fork()")
        with self._lock:
            if self._closed:
                raise ClosedError("this decoder was closed; open another one")
            yield

    def _ready(self) -> Any:
        """Give the native decoder, opened if need be, with the entry's parameter sets in front of the first sample."""
        if self._native is None:
            error = ffi.new("int *")
            native = lib.ffb_decoder_open(self._limits.pixels, error)
            if native == ffi.NULL:
                raise DecoderError(f"libavcodec's HEVC decoder does not open: {av_error_text(error[0])}")
            self._native = ffi.gc(native, lib.ffb_decoder_close)
            self.opened += 1
            self._announced = False
        if not self._announced:
            self._announced = True
            for nal_unit in self._entry_sets:
                self._check(lib.ffb_decoder_add_nal(self._native, nal_unit, len(nal_unit)))
        return self._native

    def _discard(self) -> None:
        native, self._native = self._native, None
        if native is not None:
            ffi.release(native)
