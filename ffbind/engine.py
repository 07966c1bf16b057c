"""One decoder and where it stands in a track: reaches a sample by going on, or by starting at an IRAP when it must."""

from __future__ import annotations

from dataclasses import dataclass, fields

from .decoder import Decoder, Outcome
from .errors import CorruptError, FFbindError, NotShownError, UndecodableError
from .frame import Frame
from .hevc import Kind
from .index import SampleEntry
from .plan import Verdict
from .reader import SampleReader
from .samples import Samples

__all__ = ["Engine", "Stats"]

_MAX_AROUND = 64
"""Damaged samples in one run that are worth the same way again, for what does not depend on them."""

_MAX_STARTS = 4
"""IRAPs tried for one picture; a conforming stream needs two."""


@dataclass(slots=True)
class Stats:
    """What a video has done so far. Counters only grow.

    - `decoders_opened`: libavcodec decoders; one, unless damage made another one necessary or batches use several cores
    - `restarts`: how often decoding started at an IRAP
    - `samples_read`: samples whose headers were read on the way; `samples_sent`: given to a decoder; `samples_skipped`: stepped over
    - `pictures`: pictures that came out; `pictures_reused`: frames answered from those kept
    - `fallbacks`: starts at an earlier IRAP than the nearest, found necessary only on the way
    - `source_reads`, `source_bytes`: reads of samples, without the file's tables
    """

    decoders_opened: int = 0
    restarts: int = 0
    samples_read: int = 0
    samples_sent: int = 0
    samples_skipped: int = 0
    pictures: int = 0
    pictures_reused: int = 0
    fallbacks: int = 0
    source_reads: int = 0
    source_bytes: int = 0

    def __add__(self, other: Stats) -> Stats:
        return Stats(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


class Engine:
    """A persistent decoder over the samples of a track. Not for use by two threads at once.

    `position` is the row that the decoder takes next, None where it has to start at an IRAP.
    """

    def __init__(self, samples: Samples, reader: SampleReader) -> None:
        self._samples = samples
        self.reader = reader
        self._decoder = Decoder(limits=samples.limits)
        self.position: int | None = None
        self._started_at = 0
        self._entry: SampleEntry | None = None  # whose parameter sets the decoder has
        self._brought: list[
            int
        ] = []  # rows without a picture that gave the decoder parameter sets since the last picture
        self._stats = Stats()

    @property
    def stats(self) -> Stats:
        """This decoder's share of the counters."""
        return self._stats + Stats(
            decoders_opened=self._decoder.opened,
            source_reads=self.reader.reads,
            source_bytes=self.reader.bytes,
        )

    def close(self) -> None:
        """Free the decoder."""
        self.position = None
        self._decoder.close()

    def distance(self, row: int) -> int | None:
        """Count the samples up to `row` from where the decoder stands; None where it has passed it or stands nowhere."""
        return row - self.position if self.position is not None and self.position <= row else None

    def decode(self, row: int) -> Frame:
        """Decode up to `row`: going on from where the decoder stands, or from an IRAP where that is nearer or must be.

            rows:      I . . . . p . . . . I' . . . t          p: where the decoder stands, t: wanted
            go on:               p---------------->t           when t needs pictures from before I', or p lies behind I'
            restart:                       I'----->t           otherwise; should t prove to be a RASL picture of I', then
            fall back: I-------------------------->t           from the IRAP before

        Raises what keeps the picture from being shown; it is remembered, so asking again costs nothing. LimitError, before work
        begins, where the way is longer than the limits allow: from where the decoder stands, or from the IRAP.
        """
        samples = self._samples
        known = samples.failure(row)
        if known is not None:
            raise known
        self.reader.check(row)
        start = samples.irap_at_or_before(row, self.reader)
        if start is None:
            raise samples.fail(row, self._without_start(row))
        if self.position is not None and self._goes_on(start, row):
            samples.check_run(self.position, row)
            self.reader.run(self.position, row)
        kind = samples.kind(row, self.reader)
        if kind is not None and kind.is_rasl:
            earlier = self._earlier_start(start)
            start = start if earlier is None else earlier
        outcome = None
        for _ in range(_MAX_STARTS):
            if not self._goes_on(start, row):
                samples.check_run(start, row)
                self._restart(start)
            outcome = self._run_to(row)
            if outcome is not None and outcome.picture is not None:
                return samples.keep(row, outcome.header, outcome.picture)
            failure = self._failure(row, outcome)
            if failure is not None:
                raise samples.fail(row, failure)
            earlier = self._earlier_start(self._started_at)
            if earlier is None:
                break
            self._stats.fallbacks += 1
            start = earlier
        raise samples.fail(row, _without_references(outcome))

    def _without_start(self, row: int) -> FFbindError:
        """Say why there is no IRAP to start at."""
        named = int(self._samples.index.samples["irap"][row])
        if named >= 0 and self._samples.kind(named, self.reader) is None:
            return CorruptError(
                f"the picture depends on the one at offset {self._samples.offset(named)}, which cannot be read; copy the file again"
            )
        return UndecodableError("no IRAP picture comes before this sample: no decoder can show it")

    def _goes_on(self, start: int, row: int) -> bool:
        """Tell whether the decoder can go on to `row`, which needs what comes from `start` on."""
        return self.position is not None and self._started_at <= start <= self.position <= row

    def _earlier_start(self, irap: int) -> int | None:
        """Find the IRAP before this one, if starting there can help: only a CRA has leading pictures that need it."""
        if irap == 0 or self._samples.kind(irap, self.reader) is not Kind.CRA:
            return None
        return self._samples.irap_at_or_before(irap - 1, self.reader)

    def _restart(self, row: int) -> None:
        self.position = None
        self._enter(self._samples.entry(row))
        self.position = self._started_at = row
        self._brought = []
        self._stats.restarts += 1

    def _enter(self, entry: SampleEntry) -> None:
        self._entry = entry
        self._decoder.restart(entry.parameter_sets, entry.nal_length_size)

    def _run_to(self, row: int) -> Outcome | None:
        """Give the decoder all samples up to `row`; what became of that one, or None where it cannot be read."""
        around = 0
        while True:
            try:
                return self._run_once(row)
            except CorruptError as error:
                damaged = self.position
                assert damaged is not None
                self.position = None
                # Parameter sets that came without a picture are a picture's data, as likely as not, behind a damaged header.
                suspects = self._brought or [damaged]
                around += 1
                for suspect in suspects:
                    self._samples.mark_damaged(suspect, lost=bool(self._brought) or around > _MAX_AROUND)
                    failure = self._samples.fail(suspect, error)
                if damaged in suspects and damaged == row:
                    raise failure from None
                unreadable = not (self.reader.fits(damaged) and self._decoder.read_headers)
                if damaged in suspects and (unreadable or damaged in self._samples.lost):
                    # All that comes before the next IRAP is lost with it: no need to go back.
                    self._decoder.lose()
                    self.position = damaged + 1
                else:
                    # The decoder is lost with the damaged sample: the same way again, around it.
                    self._restart(self._started_at)
            except BaseException:
                self.position = None
                raise

    def _run_once(self, row: int) -> Outcome | None:
        assert self.position is not None
        samples = self._samples
        outcome = None
        for current in range(self.position, row + 1):
            self.position = current
            if samples.entry(current) is not self._entry:
                self._enter(samples.entry(current))
            damaged = current in samples.damaged
            if current in samples.lost:
                self._decoder.lose()
                outcome = None
                continue
            try:
                outcome = self._decoder.push(self.reader.read(current, row), damaged=damaged)
            except CorruptError:
                if not damaged:
                    raise
                self._decoder.lose()
                outcome = None
                continue
            self._count(current, outcome)
            if outcome.step.verdict is Verdict.DECODE:
                self._brought = []
            elif outcome.header.has_parameter_sets and (damaged or outcome.step.verdict is Verdict.EMPTY):
                self._brought.append(current)
            if current < row and outcome.picture is not None:
                samples.keep(current, outcome.header, outcome.picture)
        self.position = row + 1
        return outcome

    def _count(self, row: int, outcome: Outcome) -> None:
        self._samples.learn(row, outcome.header)
        stats = self._stats
        stats.samples_read += 1
        if outcome.step.verdict is Verdict.DECODE:
            stats.samples_sent += 1
        else:
            stats.samples_skipped += 1
        if outcome.picture is not None:
            stats.pictures += 1

    def _failure(self, row: int, outcome: Outcome | None) -> FFbindError | None:
        """Say why there is no picture, or None where starting earlier may give one."""
        if outcome is None or outcome.step.verdict is Verdict.EMPTY:
            return UndecodableError("the sample holds no picture (of the base layer)")
        verdict = outcome.step.verdict
        if verdict is Verdict.DECODE:
            if not outcome.header.shown:
                return NotShownError(
                    "the stream says that this picture is never shown (pic_output_flag is 0)"
                )
            return UndecodableError("libavcodec put out no picture for this sample")
        damaged = self._samples.damaged_between(self._started_at, row)
        if damaged is not None and verdict is not Verdict.SKIPPED:
            offset = self._samples.offset(damaged)
            return CorruptError(
                f"the picture depends on damaged data: the sample at offset {offset} cannot be decoded"
            )
        return None


def _without_references(outcome: Outcome | None) -> FFbindError:
    if outcome is not None and outcome.step.verdict is Verdict.SKIPPED:
        return UndecodableError(
            "a RASL picture whose IRAP starts the stream or follows a break: the pictures that it refers to are not there, so no "
            "decoder can show it (H.265 8.3.3)"
        )
    return UndecodableError(
        "pictures that this one refers to are not in the stream, so no decoder can show it exactly"
    )
