"""What a linear decode from an IRAP on does with each sample, found out from headers: read once, then planned with."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakSet

from .bitstream import ParameterSets, SampleHeader
from .errors import CorruptError, FFbindError
from .hevc import Kind
from .native import keeps_following
from .native_decoder import check_sequence
from .references import ReferenceTracker, Step, Verdict

if TYPE_CHECKING:
    from .reader import SampleReader
    from .samples import Samples

__all__ = ["Trace", "Traced", "Traces"]

_KEPT_STEPS = 50_000
"""Steps of traces that are kept; some 400 bytes each."""


class Traced(NamedTuple):
    """One sample of a trace.

    - `kind`: what it is, None for no picture; `shown`: pic_output_flag
    - `brings`: it carries what later samples need though it may not be decoded itself: parameter sets, an end of sequence, SEI
    - `refusal`: why it must not be decoded though it could be: too large, or not decoded exactly
    """

    step: Step
    kind: Kind | None = None
    shown: bool = False
    brings: bool = False
    has_parameter_sets: bool = False
    refusal: FFbindError | None = None


_LOST = Traced(Step(Verdict.LOST))


class Trace:
    """The steps of a linear decode that starts at the IRAP of row `start`, up to the next sample entry or a break in what is known.

    Several threads may share it.

    It goes by what `samples` knows of damage. When more of it is found the trace is `stale`, and another one takes its place.
    """

    def __init__(self, samples: Samples, start: int) -> None:
        self.start = start
        self.stale = False
        self.probed = start  # all that comes before this row was decoded once, to see what is damaged
        self._samples = samples
        self._entry = samples.entry(start)
        self._lock = threading.Lock()
        self._tracker = ReferenceTracker(keep_following=keeps_following())
        self._sets = ParameterSets()
        self._take_entry_sets()
        self._first = start  # rows before it are forgotten
        self._traced: list[Traced] = []
        self.bringers: list[int] = []  # rows that have to be passed over with care, ascending

    @property
    def end(self) -> int:
        """Row behind the last one traced."""
        return self._first + len(self._traced)

    def __len__(self) -> int:
        return len(self._traced)

    def __getitem__(self, row: int) -> Traced:
        """Give a row that was traced; IndexError where it was not, or is forgotten."""
        place = row - self._first
        if place < 0:
            raise IndexError(row)
        return self._traced[place]

    def covers(self, row: int) -> bool:
        """Tell whether a row was traced and is not forgotten."""
        return 0 <= row - self._first < len(self._traced)

    def step(self, row: int) -> Step | None:
        """Give the step of a row, None where it was not traced or is forgotten."""
        # Planning asks this most of all: no more calls than it takes.
        place = row - self._first
        return self._traced[place].step if 0 <= place < len(self._traced) else None

    def extend(self, row: int, reader: SampleReader) -> bool:
        """Go on up to `row`; False where another sample entry or a break comes before it, or the trace proves stale.

        Samples whose headers cannot be read are marked in `samples`, with what keeps them from being shown. SourceError where the
        source fails.
        """
        samples = self._samples
        with self._lock:
            while self.end <= row and not self.stale:
                if samples.breaks and self.end >= samples.end_known(self.start):
                    return False
                if samples.entry(self.end) is not self._entry:
                    return False
                self._trace(self.end, row, reader)
            # What lies so far back that no frame may be decoded from there is of no use.
            most = 2 * self._samples.limits.gop_samples
            if len(self._traced) > 2 * most:
                self._first += len(self._traced) - most
                del self._traced[:-most]
            return not self.stale

    def suspects(self, row: int) -> list[int]:
        """Rows without a picture that brought parameter sets since the last picture before `row`.

        They are a picture's data, as likely as not, behind a damaged header.
        """
        found: list[int] = []
        for other in range(row - 1, self._first - 1, -1):
            traced = self[other]
            if traced.step.verdict is Verdict.DECODE:
                break
            if traced.has_parameter_sets and (
                traced.step.verdict is Verdict.EMPTY or other in self._samples.damaged
            ):
                found.append(other)
        return found[::-1]

    def _trace(self, row: int, last: int, reader: SampleReader) -> None:
        samples = self._samples
        if row in samples.lost:
            self._lose()
            return
        damaged = row in samples.damaged
        try:
            header = self._sets.read(reader.read(row, last), self._entry.nal_length_size)
        except CorruptError as error:
            if not damaged:
                for suspect in self.suspects(row) or [row]:
                    samples.fail(suspect, error)
                    samples.mark_damaged(suspect, lost=True)
            if not self.stale:
                self._lose()
            return
        samples.learn(row, header)
        samples.one_by_one |= header.alone
        if header.has_parameter_sets and header.kind is not None and not header.kind.is_irap:
            samples.meet_sets(row)
        reader.headers += 1
        step = self._tracker.step(header, damaged=damaged)
        if header.brings:
            self.bringers.append(row)
        self._traced.append(
            Traced(
                step,
                header.kind,
                header.shown,
                header.brings,
                header.has_parameter_sets,
                self._refusal(header) if step.verdict is Verdict.DECODE else None,
            )
        )

    def _lose(self) -> None:
        """Step over a sample that cannot be read. It may have brought parameter sets, or spoiled them: those of the entry are taken."""
        self._tracker.lose()
        self._sets.clear()
        self._take_entry_sets()
        self.bringers.append(self.end)
        self._traced.append(_LOST)

    def _take_entry_sets(self) -> None:
        self._sets.add_readable(self._entry.parameter_sets)
        self._refusals: dict[int, FFbindError | None] = {}

    def _refusal(self, header: SampleHeader) -> FFbindError | None:
        """Say why a picture must not be given to libavcodec: too large, or of a kind that it does not decode exactly."""
        if header.has_parameter_sets:
            self._refusals.clear()
        if header.sps_id not in self._refusals:
            self._refusals[header.sps_id] = None
            try:
                check_sequence(self._sets.facts(header.sps_id), self._samples.limits)
            except FFbindError as error:
                self._refusals[header.sps_id] = error
        return self._refusals[header.sps_id]


class Traces:
    """The traces of a track, by the row where they start; least recently used out first. For several threads."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._traces: OrderedDict[int, Trace] = OrderedDict()
        self._in_use: WeakSet[Trace] = WeakSet()  # decoders go by some that are not kept here any more
        self._lock = threading.Lock()

    def at(self, start: int) -> Trace:
        """Give the trace from an IRAP."""
        with self._lock:
            trace = self._traces.get(start)
            if trace is None:
                trace = self._traces[start] = Trace(self._samples, start)
                self._in_use.add(trace)
                total = sum(map(len, self._traces.values()))
                while total > _KEPT_STEPS and len(self._traces) > 1:
                    _, gone = self._traces.popitem(last=False)
                    total -= len(gone)
            else:
                self._traces.move_to_end(start)
            return trace

    def knows(self, start: int) -> bool:
        """Tell whether something is known of what follows an IRAP."""
        trace = self._traces.get(start)
        return trace is not None and len(trace) > 1

    def clear(self) -> None:
        """Let go of all traces."""
        with self._lock:
            for trace in self._in_use:
                trace.stale = True
            self._traces.clear()

    def drop(self, row: int) -> None:
        """Let go of all traces that a row is in: it proved to be something else."""
        with self._lock:
            for trace in self._in_use:
                if trace.covers(row):
                    trace.stale = True
                    if self._traces.get(trace.start) is trace:
                        del self._traces[trace.start]
