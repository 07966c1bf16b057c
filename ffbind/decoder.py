"""A container-free decoder: parameter sets in, samples in, exact pictures out, one for each sample and at once.

No picture is held back to be reordered: it comes out the moment its sample goes in, in decode order. Which order to show them in is the
business of whoever knows times or order counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from .bitstream import Buffer, ParameterSets
from .buffers import shared_buffers
from .errors import CorruptError, FFbindError, UndecodableError
from .frame import Frame
from .isobmff.entries import parse_hvcc
from .limits import Limits
from .native import keeps_following
from .native_decoder import NativeDecoder, check_sequence
from .references import ReferenceTracker, Verdict
from .turn import Turn

__all__ = ["Decoder"]


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
        self._parameter_sets = tuple(bytes(nal_unit) for nal_unit in parameter_sets)
        self._limits = limits or Limits()
        self._turn = Turn("decoder", "open another one")
        self._tracker = ReferenceTracker(keep_following=keeps_following())
        self._sets = ParameterSets(self._parameter_sets)
        self._native = NativeDecoder(self._limits, shared_buffers())
        self._native.start(self._parameter_sets, nal_length_size)

    @property
    def opened(self) -> int:
        """Decoders of libavcodec opened so far: one, and one more after each damaged sample that it found."""
        return self._native.opened

    def decode(self, sample: Buffer) -> Frame | None:
        """Decode the next sample in decode order.

        None is a legal answer: a RASL picture after the IRAP that decoding started at, a picture that the stream marks as not
        shown, a sample without a picture. CorruptError when the sample is damaged, UndecodableError when pictures that it
        refers to were not decoded; after damage, decoding goes on at the next IRAP.
        """
        with self._turn:
            try:
                header = self._sets.read(sample, self._nal_length_size)
            except CorruptError:
                self._lose()
                raise
            if header.kind is not None:
                check_sequence(self._sets.facts(header.sps_id), self._limits)
            step = self._tracker.step(header)
            picture = None
            try:
                if step.forget:
                    self._native.forget()
                if step.verdict is Verdict.DECODE:
                    picture = self._native.send(sample, 0)
                elif header.brings:
                    self._native.pass_over(sample)
            except FFbindError:
                self._lose()
                raise
            if step.verdict is Verdict.NOT_STARTED:
                raise UndecodableError("decoding starts at an IRAP picture: feed samples from one on")
            if step.verdict is Verdict.MISSING:
                raise UndecodableError("pictures that this one refers to were not decoded")
            if picture is None or header.kind is None:
                return None
            return Frame(picture[1], kind=header.kind)

    def flush(self) -> None:
        """Forget all pictures; parameter sets stay. The next sample has to be an IRAP."""
        with self._turn:
            self._native.forget()
            self._tracker.reset()

    def close(self) -> None:
        """Free the decoder; closing twice is fine. Frames that came out of it stay valid."""
        if self._turn.is_forked:
            return  # the parent's decoder: perhaps in the middle of a picture, with its lock held for ever in this process
        with self._turn.lock:
            self._turn.closed = True
            self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lose(self) -> None:
        """Step over a sample that proved damaged: the next one has to be an IRAP.

        It may have brought parameter sets, or spoiled them: the first ones are taken, as for random access.
        """
        self._tracker.lose()
        self._sets.clear()
        self._sets.add_readable(self._parameter_sets)
        self._native.announce()
