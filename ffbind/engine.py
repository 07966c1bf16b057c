"""One decoder and where it stands in a track: sends it the samples of a course and hands on the pictures that come out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from .buffers import PictureBuffers
from .errors import CorruptError, UnsupportedError
from .frame import NativePicture
from .native_decoder import NativeDecoder
from .plan import Standing
from .reader import SampleReader
from .references import Verdict
from .samples import Samples
from .stats import Stats
from .trace import Trace

__all__ = ["DamageFound", "Engine"]


class DamageFound(Exception):
    """A sample of a trace proved damaged while it was decoded.

    - `row`: which one; None where one of several in work was: one by one will tell
    - `passed`: rows left out before it that brought parameter sets: one of them may be to blame
    """

    def __init__(
        self, trace: Trace, row: int | None, error: CorruptError, passed: Sequence[int] = ()
    ) -> None:
        super().__init__(str(error))
        self.trace = trace
        self.row = row
        self.error = error
        self.passed = passed


class Engine:
    """A persistent decoder over the samples of a track. Not for use by two threads at once.

    - `used`: when it last worked, by its owner's clock
    - `is_careful`: it met damage, or what damage could do unnoticed, and decodes one sample after the other for good
    """

    def __init__(self, samples: Samples, buffers: PictureBuffers, threads: int) -> None:
        self._samples = samples
        self._buffers = buffers
        self._decoder = NativeDecoder(samples.limits, buffers, threads)
        self._standing: Standing | None = None
        self._trace: Trace | None = None
        self._stats = Stats()
        self.used = 0
        self.is_careful = False

    @property
    def threads(self) -> int:
        """How many samples are decoded side by side."""
        return self._decoder.threads

    @property
    def trace(self) -> Trace | None:
        """What its standing goes by; None where it stands nowhere."""
        return self._trace if self.standing is not None else None

    @property
    def standing(self) -> Standing | None:
        """Where it stands; None where it has to start at an IRAP, be it that what it went by proved wrong."""
        return None if self._trace is None or self._trace.stale else self._standing

    @property
    def stats(self) -> Stats:
        """This decoder's share of the counters."""
        return self._stats + Stats(decoders_opened=self._decoder.opened)

    def run(
        self,
        trace: Trace,
        rows: Sequence[int],
        standing: Standing | None,
        reader: SampleReader,
        deliver: Callable[[int, NativePicture], None],
        go_on: Callable[[int], bool] | None = None,
    ) -> int:
        """Decode these rows of a trace: a course from `standing`, which is this decoder's, or None for a start at the trace's IRAP.

        Pictures are delivered in the order of the rows, each exact. `go_on` is asked before each row: where it says no, decoding ends
        there. Gives how many of the rows were decoded. Raises DamageFound, SourceError, UnsupportedError, DecoderError;
        after any of them the decoder has to start again.
        """
        if standing is None:
            entry = self._samples.entry(trace.start)
            self._decoder.start(entry.parameter_sets, entry.nal_length_size)
            standing = Standing.at(trace.start)
            self._stats.restarts += 1
        self._trace, self._standing = trace, None
        row = standing.position
        last = rows[-1]
        passed: list[int] = []
        sent = 0
        try:
            for row in rows:
                if go_on is not None and not go_on(row):
                    break
                sent += 1
                passed = (
                    self._pass_over(trace, standing.position, row, last, reader)
                    if row > standing.position
                    else []
                )
                traced = trace[row]
                if traced.step.forget:
                    self._deliver_rest(deliver)
                    self._decoder.forget()
                self._stats.samples_sent += 1
                picture = self._decoder.send(reader.read(row, last), row)
                if picture is not None:
                    self._stats.pictures += 1
                    deliver(*picture)
                assert traced.kind is not None
                standing = standing.sent(row, traced.step, trace.start, is_irap=traced.kind.is_irap)
            self._deliver_rest(deliver)
        except CorruptError as error:
            raise DamageFound(trace, row if self.threads == 1 else None, error, passed) from None
        except UnsupportedError as error:
            if self.threads > 1:
                raise DamageFound(trace, None, CorruptError(str(error))) from None
            if not passed:
                raise
            # Parameter sets that make no sense are a tool that libavcodec does not know, to some versions.
            raise DamageFound(trace, row, CorruptError(str(error)), passed) from None
        self._standing = standing
        return sent

    def take_care(self) -> None:
        """Decode one sample after the other from now on, so that it is known which one is damaged."""
        self.is_careful = True
        self.reopen(1)

    def reopen(self, threads: int) -> None:
        """Decode so many samples side by side from now on, from a new start."""
        opened = self._decoder.opened
        self._decoder.close()
        self._decoder = NativeDecoder(self._samples.limits, self._buffers, threads)
        self._decoder.opened = opened
        self._standing = None

    def close(self) -> None:
        """Free the decoder."""
        self._standing = None
        self._decoder.close()

    def _deliver_rest(self, deliver: Callable[[int, NativePicture], None]) -> None:
        for row, picture in self._decoder.finish():
            self._stats.pictures += 1
            deliver(row, picture)

    def _pass_over(self, trace: Trace, first: int, end: int, last: int, reader: SampleReader) -> list[int]:
        """Leave out the rows from `first` up to `end`, keeping what later samples need; gives those that brought parameter sets."""
        passed = []
        self._stats.samples_skipped += end - first
        bringers = trace.bringers
        for place in range(bisect_left(bringers, first), len(bringers)):
            row = bringers[place]
            if row >= end:
                break
            if trace[row].step.verdict is Verdict.LOST:
                self._decoder.announce()
                continue
            try:
                self._decoder.pass_over(reader.read(row, last))
            except CorruptError as error:
                raise DamageFound(trace, row, error) from None
            if trace[row].has_parameter_sets:
                passed.append(row)
        return passed
