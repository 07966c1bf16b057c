"""The decoders of a video: a bounded number of them, parked where they were last used, and GOPs shared out among them.

    one frame, or few GOPs   one decoder for a GOP, with as many samples side by side as there are threads
    many GOPs                GOPs side by side, each by a decoder with one thread; what does not go into that evenly, as above
    a whole file             the same, GOP after GOP, as long as it is taken; where so many GOPs do not fit into memory, one at a time

Either way a GOP's wanted frames are one course (`plan.course`): each picture is decoded once, and only what is needed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from .bitstream import SequenceFacts
from .buffers import shared_buffers
from .engine import DamageFound, Engine
from .errors import (
    CorruptError,
    DecoderError,
    FFbindError,
    LimitError,
    NotShownError,
    SourceError,
    UndecodableError,
)
from .flow import Flow, Result, Stretch
from .frame import NativePicture
from .hevc import Kind
from .native import keeps_following
from .native_decoder import decoder_bytes
from .parking import Parked, least_missed
from .plan import Standing, choose, course, part
from .reader import SampleReader
from .references import Verdict
from .samples import Samples
from .sharing import share_out
from .stats import Stats
from .trace import Trace

__all__ = ["EnginePool", "ScanNeeded"]

_MOST_PARKED = 16
"""Decoders parked at most; memory may allow fewer."""

_PARKED_SHARE = 0.9
"""Of the memory for what is kept, what parked decoders may take: a decoder near a frame spares more than as many pictures do."""

_WIDEST = 8
"""Samples of one GOP in work at most: pictures wait for each other, so more threads bring little and delay the last picture."""

_IN_WORK = 2
"""Samples of one GOP in work for each core: while one is large, or waits for its reference, another has something to do."""

_IN_FLOW = 4
"""The same where a long stretch is decoded frame after frame: there is more to do beside a chain of references."""

_MAX_AROUND = 64
"""Damaged samples in one GOP that are worth the same way again, for what does not depend on them."""

_MAX_STARTS = 4
"""IRAPs tried for one picture; a conforming stream needs two."""

_Job = TypeVar("_Job")

_NEAR = 8
"""Samples in front of an IRAP from which a decoder goes on into it: leading pictures behind it may want what came before."""


class ScanNeeded(Exception):
    """Only the headers of all samples tell which parameter sets are in force where decoding has to start."""


@dataclass(slots=True)
class _Errand:
    """What is done with wanted rows.

    - `hand_on`: takes each with what became of it, at once, on whatever thread
    - `keeps`: their pictures are kept, should they be asked for again; those that come out on the way are in any case
    - `go_on`: asked before each row that is decoded, wanted or not; None: always
    """

    hand_on: Callable[[int, Result], None]
    keeps: bool = True
    go_on: Callable[[int], bool] | None = None


class _Settled(set[int]):
    """The rows of a group of which it is known what became of them; that is handed on."""

    def __init__(self, hand_on: Callable[[int, Result], None]) -> None:
        super().__init__()
        self._hand_on = hand_on

    def settle(self, row: int, result: Result) -> None:
        """Hand on what became of a row."""
        self.add(row)
        self._hand_on(row, result)


@dataclass(slots=True)
class _Worker:
    """A thread's share of the pool while it works: decoders that nobody else uses meanwhile, and a reader.

    `spare` gives one of them that may start anew, `threads`: with so many threads.
    """

    engines: list[Engine]
    spare: Callable[[], Engine]
    reader: SampleReader
    errand: _Errand
    threads: int = 1


class EnginePool:
    """Decodes rows of a track with the decoders it keeps. One call at a time."""

    def __init__(
        self, samples: Samples, make_reader: Callable[[], SampleReader], threads: int, kept_bytes: int
    ) -> None:
        self._samples = samples
        self._make_reader = make_reader
        self._threads = threads
        self._in_work = min(_IN_WORK * threads, _WIDEST) if threads > 1 else 1
        self._in_flow = min(_IN_FLOW * threads, _WIDEST) if threads > 1 else 1
        self._kept_bytes = kept_bytes
        self._buffers = shared_buffers()
        self._engines: list[Engine] = []
        self._readers: list[SampleReader] = []
        self._facts: SequenceFacts | None = None
        self._clock = 0
        self._fallbacks = 0
        self._lock = threading.Lock()  # for the counters that workers share

    @property
    def stats(self) -> Stats:
        """Counters of all decoders, and of the reads made for them."""
        reading = Stats(
            fallbacks=self._fallbacks,
            samples_read=sum(reader.headers for reader in self._readers),
            source_reads=sum(reader.reads for reader in self._readers),
            source_bytes=sum(reader.bytes for reader in self._readers),
        )
        return sum((engine.stats for engine in self._engines), reading)

    def close(self) -> None:
        """Free all decoders."""
        for engine in self._engines:
            engine.close()

    def renew(self) -> None:
        """Take in that more samples are known, behind those known so far."""
        for reader in self._readers:
            reader.renew(self._samples.index.samples)

    def goes_on_to(self, row: int) -> bool:
        """Tell whether a decoder stands in the GOP of a row and before it."""
        irap = self._samples.iraps.item(row)
        return any(
            standing is not None and irap in standing.starts and standing.position <= row
            for standing in (engine.standing for engine in self._engines)
        )

    def expect(self, facts: SequenceFacts) -> None:
        """Say what pictures are like, which settles how many decoders are kept."""
        self._facts = facts
        self._share_memory()

    def decode(self, rows: Sequence[int], *, keep: bool = True) -> dict[int, Result]:
        """Decode these rows, ascending, each once. An error that is not one row's own is raised.

        `keep`: their pictures are kept, should they be asked for again; those that come out on the way are in any case.
        """
        results: dict[int, Result] = {}
        self._decode(rows, _Errand(results.__setitem__, keep), self._in_work)
        return results

    def decode_flow(self, flow: Flow, least: int, most: int, *, keep: bool) -> None:
        """Decode rows of a flow until nothing is left, or it says to stop. What is in work when an error is raised is given back.

        `least`, `most`: pictures that may be held for whoever takes them; `most` where that lets GOPs be decoded side by side.
        """
        flow.go()
        if flow.rest is not None and flow.rest <= most:
            flow.window = most
            stretch = flow.begin_rest()
            try:
                self._decode(stretch.rows, _Errand(flow.put, keep, stretch.go_on), self._in_flow)
            finally:
                flow.stop(stretch)
            return
        flow.window = least
        errand = _Errand(flow.put, keep)
        worker = self._worker(errand, self._in_flow)
        while flow.is_starting:
            if not self._decode_next(flow, worker):
                return
        lengths = flow.lengths()
        window = least + (self._threads - 1) * max(lengths, default=0)
        if 1 < self._threads <= len(lengths) and window <= most:
            flow.window = window
            self._decode_lanes(flow, errand)
        else:
            while self._decode_next(flow, worker):
                pass

    def needed(self, rows: Sequence[int]) -> int:
        """Count the samples that decoding these rows, ascending, takes from a standing start.

        Reads headers, and decodes only where a reference is missing, to see what is damaged.
        """
        spare = partial(self._spare, self._in_work)
        worker = _Worker([], spare, self._reader(0), _Errand(_nobody_asks))
        needed: set[int] = set()
        for group in self._samples.gops(rows):
            settled = _Settled(_nobody_asks)
            while pending := [row for row in group if row not in settled and row not in needed]:
                try:
                    trace = self._trace_for(pending, worker, settled)
                except DamageFound as damage:
                    self._learn(damage, worker, lost=False)
                    continue
                if trace is None:
                    settled.update(row for row in pending if self._samples.failure(row) is not None)
                    continue
                wanted = [
                    row
                    for row in pending
                    if (step := trace.step(row)) is not None and step.verdict is Verdict.DECODE
                ]
                found = course(trace, wanted, Standing.at(trace.start), keep_following=keeps_following())
                needed.update(found or wanted)
        return len(needed)

    # Sharing out

    def _costs(self, groups: Sequence[Sequence[int]]) -> list[int]:
        """Say what each group costs: the bytes from its IRAP on, since what can be left out holds few of them."""
        iraps, before = self._samples.iraps, self._samples.bytes_before
        starts = [max(iraps.item(group[0]), 0) for group in groups]
        return [
            max(1, before.item(group[-1] + 1) - before.item(start))
            for start, group in zip(starts, groups, strict=True)
        ]

    def _share_out(self, groups: list[list[int]]) -> tuple[list[list[list[int]]], Sequence[Sequence[int]]]:
        """Give runs of groups for a thread each, and the groups that are left to all threads."""
        if self._threads == 1 or len(groups) < 2:
            return [], groups
        moved = self._samples.leave_leading(groups)
        widest = 1 if self._samples.one_by_one else _WIDEST
        runs, together = share_out(self._costs(moved), self._threads, widest)
        if not runs:
            return [], groups
        return [[moved[place] for place in run] for run in runs], [moved[place] for place in together]

    def _decode(self, rows: Sequence[int], errand: _Errand, threads: int) -> None:
        """Decode these rows, ascending, in whatever order ends soonest. `threads`: of a decoder that starts with a GOP by itself."""
        runs, together = self._share_out(self._samples.gops(rows)) if len(rows) > 1 else ([], [rows])
        if runs:
            self._decode_side_by_side(runs, errand)
        worker = self._worker(errand, threads, partial(self._wide, threads) if runs else None)
        for group in together:
            self._decode_group(group, worker)

    def _decode_side_by_side(self, shares: Sequence[Sequence[list[int]]], errand: _Errand) -> None:
        """Give each thread a run of groups; who is done first takes from the end of the longest run left."""
        runs = list(map(deque, shares))
        lock = threading.Lock()

        def next_group(mine: deque[list[int]]) -> list[int] | None:
            with lock:
                if mine:
                    return mine.popleft()
                longest = max(runs, key=len)
                return longest.pop() if longest else None

        def work(mine: deque[list[int]], worker: _Worker) -> None:
            while (group := next_group(mine)) is not None:
                self._decode_group(group, worker)

        self._side_by_side(work, [(run, run[0][0]) for run in runs], errand)

    def _decode_lanes(self, flow: Flow, errand: _Errand) -> None:
        """Let each thread begin with one stretch of a flow after the other."""

        def work(stretch: Stretch | None, worker: _Worker) -> None:
            while (stretch := stretch or flow.begin(lanes)) and self._decode_stretch(flow, stretch, worker):
                stretch = None

        lanes = self._threads
        first = flow.begin(lanes, waits=False)
        if first is None:
            return
        begun = [first, *(flow.begin(lanes, waits=False) for _ in range(lanes - 1))]
        firsts = [(stretch, (stretch or first).rows[0]) for stretch in begun]
        self._side_by_side(work, firsts, errand)

    def _side_by_side(
        self, work: Callable[[_Job, _Worker], None], jobs: Sequence[tuple[_Job, int]], errand: _Errand
    ) -> None:
        """Do jobs, each on a thread of its own with a decoder of its own: one that is near the row that comes with it."""
        taken: list[Engine] = []
        workers: list[_Worker] = []
        for number, (_, row) in enumerate(jobs):
            taken.append(engine := self._lone(row, taken))
            workers.append(_Worker([engine], partial(_same, engine), self._reader(number), errand))
        if jobs:
            with ThreadPoolExecutor(len(jobs), thread_name_prefix="ffbind") as executor:
                list(executor.map(work, [job for job, _ in jobs], workers))

    def _decode_next(self, flow: Flow, worker: _Worker) -> bool:
        """Decode the next stretch of a flow; False where it was told to stop, or there is none."""
        stretch = flow.begin()
        return stretch is not None and self._decode_stretch(flow, stretch, worker)

    def _decode_stretch(self, flow: Flow, stretch: Stretch, worker: _Worker) -> bool:
        worker.errand = replace(worker.errand, go_on=stretch.go_on)
        try:
            for group in self._samples.gops(stretch.rows):
                if not self._decode_group(group, worker):
                    break
        finally:
            stopped = flow.stop(stretch)
        return not stopped

    # Decoders

    def _open(self, threads: int) -> Engine:
        engine = Engine(self._samples, self._buffers, threads)
        self._engines.append(engine)
        self._share_memory()
        return engine

    def _worker(self, errand: _Errand, threads: int, spare: Callable[[], Engine] | None = None) -> _Worker:
        """Give all decoders to the calling thread. Those that start anew have so many threads, unless `spare` gives others."""
        spare = spare or partial(self._spare, threads)
        now = 1 if self._samples.one_by_one else threads
        return _Worker(self._engines, spare, self._reader(0), errand, now)

    def _spare(self, threads: int) -> Engine:
        """Give a decoder to start anew, with so many threads: one that stands nowhere, a new one, or the least missed."""
        if self._samples.one_by_one:
            threads = 1
        if len(self._engines) < self._most() and all(engine.standing is not None for engine in self._engines):
            return self._open(threads)
        engine = self._least_missed(self._engines)
        if engine.threads != threads and not engine.is_careful:
            engine.reopen(threads)
        return engine

    def _wide(self, threads: int) -> Engine:
        """Give a decoder to start anew, with all threads: one that has them already, so that batch after batch opens no more."""
        wide = [engine for engine in self._engines if engine.threads == threads]
        return self._least_missed(wide) if wide else self._spare(threads)

    def _lone(self, row: int, taken: Sequence[Engine]) -> Engine:
        """Give a decoder with one thread, best one near in front of `row`, that is not taken yet."""
        others = [engine for engine in self._engines if engine not in taken]
        near = min(
            (engine for engine in others if engine.threads == 1),
            key=partial(_distance, row=row),
            default=None,
        )
        if near is not None:
            return near
        if not others or len(self._engines) < self._most():
            return self._open(1)
        engine = self._least_missed(others)
        engine.reopen(1)
        return engine

    def _least_missed(self, engines: Sequence[Engine]) -> Engine:
        idle = next((engine for engine in engines if engine.standing is None), None)
        return idle or engines[least_missed([self._parked(engine) for engine in engines])]

    def _parked(self, engine: Engine) -> Parked:
        assert engine.standing is not None
        start = engine.standing.starts[-1]
        end = int(np.searchsorted(self._samples.iraps, start, side="right"))
        return Parked(start, engine.standing.position, end, self._clock - engine.used + 1)

    def _most(self) -> int:
        if self._facts is None:
            return 1
        each = decoder_bytes(self._facts, self._in_work)
        return max(1, min(_MOST_PARKED, int(self._kept_bytes * _PARKED_SHARE) // each))

    def _share_memory(self) -> None:
        """Leave to kept pictures what decoders do not take."""
        facts = self._facts
        taken = sum(decoder_bytes(facts, engine.threads) for engine in self._engines) if facts else 0
        least = int(self._kept_bytes * (1 - _PARKED_SHARE))
        self._samples.pictures.limit = max(self._kept_bytes - taken, least)

    def _reader(self, number: int) -> SampleReader:
        while len(self._readers) <= number:
            self._readers.append(self._make_reader())
        return self._readers[number]

    def _fall_back(self) -> None:
        with self._lock:
            self._fallbacks += 1

    # One GOP

    def _decode_group(self, rows: Sequence[int], worker: _Worker) -> bool:
        """Decode rows of one GOP: in one course where that goes, and what cannot be decoded that way each by itself.

        False where it was told not to go on.
        """
        samples = self._samples
        settled = _Settled(worker.errand.hand_on)
        around = 0
        goes_on = True
        while goes_on and (pending := [row for row in rows if row not in settled]):
            try:
                for row in pending:
                    failure = samples.failure(row)
                    if failure is not None:
                        settled.settle(row, failure)
                    else:
                        worker.reader.check(row)
                if remaining := [row for row in pending if row not in settled]:
                    goes_on = self._decode_some(remaining, worker, settled)
            except DamageFound as damage:
                around += damage.row is not None
                self._learn(damage, worker, lost=around > _MAX_AROUND)
            except SourceError as error:
                for row in pending:
                    if row not in settled:
                        settled.settle(row, copy(error))
            except FFbindError as error:
                if len(pending) == 1:
                    settled.settle(pending[0], error)
                    continue
                return all(self._decode_group([row], worker) for row in pending if row not in settled)
        return goes_on

    def _decode_some(self, pending: list[int], worker: _Worker, settled: _Settled) -> bool:
        """Decode what goes in one course with the first of the pending rows, or settle why that one cannot be decoded.

        False where it was told not to go on.
        """
        samples = self._samples
        trace = self._trace_for(pending, worker, settled)
        if trace is None:
            return True
        wanted = []
        for row in pending:
            traced = trace[row] if trace.covers(row) else None
            if traced is not None and traced.step.verdict is Verdict.DECODE and row not in settled:
                if traced.shown:
                    wanted.append(row)
                else:
                    never = NotShownError(
                        "the stream says that this picture is never shown (pic_output_flag is 0)"
                    )
                    settled.settle(row, samples.fail(row, never))
        if not wanted:
            return True
        self._stay_exact(worker)
        standings = [engine.standing for engine in worker.engines]
        now = part(trace, wanted, standings, keep_following=keeps_following())
        engine, trace, rows, standing = self._choose(trace, now, standings, worker)
        refusal = next((refusal for row in rows if (refusal := trace[row].refusal) is not None), None)
        if refusal is not None:
            raise copy(refusal)
        hoped = set(now)
        # Of the others only those shown later are worth their memory: whoever steps on, or iterates, comes to them next.
        display = samples.displays.item
        last_shown = max(map(display, now))

        def deliver(row: int, picture: NativePicture) -> None:
            if row in hoped or display(row) > last_shown:
                kind = trace[row].kind
                assert kind is not None
                frame = samples.frame(row, kind, picture)
                if row in hoped:
                    settled.settle(row, frame)
                if worker.errand.keeps or row not in hoped:
                    samples.pictures.put(row, frame)

        sent = self._run(engine, trace, rows, standing, worker, deliver, worker.errand.go_on)
        for row in rows[:sent]:
            if row in hoped and row not in settled:
                lacking = UndecodableError("libavcodec put out no picture for this sample")
                settled.settle(row, samples.fail(row, lacking))
        return sent == len(rows)

    def _run(
        self,
        engine: Engine,
        trace: Trace,
        rows: Sequence[int],
        standing: Standing | None,
        worker: _Worker,
        deliver: Callable[[int, NativePicture], None],
        go_on: Callable[[int], bool] | None = None,
    ) -> int:
        with self._lock:
            self._clock += 1
            engine.used = self._clock
        try:
            return engine.run(trace, rows, standing, worker.reader, deliver, go_on)
        except DamageFound as damage:
            if damage.row is None:
                engine.take_care()
            raise

    def _trace_for(self, pending: list[int], worker: _Worker, settled: _Settled) -> Trace | None:
        """Find a trace in which the first pending row is decoded; None where there is none, or new damage came to light.

        rows:      I . . . . . I' . . t         wanted: t
        nearest:               I'---->t         unless t proves to be a RASL picture of I', or damage keeps I' from being one
        earlier:   I----------------->t
        """
        samples, reader = self._samples, worker.reader
        row = pending[0]
        start = samples.irap_at_or_before(row, reader)
        if start is None:
            settled.settle(row, samples.fail(row, self._without_start(row, reader)))
            return None
        kind = samples.known_kind(row)
        if kind is not None and kind.is_rasl:
            earlier = self._earlier_start(start, reader)
            start = start if earlier is None else earlier
        verdict = Verdict.NOT_STARTED
        for _ in range(_MAX_STARTS):
            reachable = self._within_limits(start, pending, worker, settled)
            if row in settled:
                return None
            if samples.doubts_parameter_sets(start, reader):
                raise ScanNeeded
            trace = self._trace(start, worker)
            trace.extend(reachable[-1], reader)
            if trace.stale or samples.failure(row) is not None:
                return None
            step = trace.step(row)
            verdict = Verdict.NOT_STARTED if step is None else step.verdict
            if verdict is Verdict.DECODE:
                return self._with_leading(trace, reachable, worker)
            if verdict is not Verdict.SKIPPED:
                if verdict in (Verdict.MISSING, Verdict.NOT_STARTED) and step is not None:
                    self._probe(trace, row, worker)
                failure = self._failure(trace, row, verdict)
                if failure is not None:
                    settled.settle(row, samples.fail(row, failure))
                    return None
            earlier = self._earlier_start(start, reader)
            if earlier is None:
                break
            if verdict is not Verdict.SKIPPED:
                self._fall_back()
            start = earlier
        settled.settle(row, samples.fail(row, _without_references(verdict)))
        return None

    def _with_leading(self, trace: Trace, rows: list[int], worker: _Worker) -> Trace:
        """Give the trace from the IRAP before where RASL pictures of this one are wanted too: one course for all of them."""
        leading = [
            row for row in rows if (step := trace.step(row)) is not None and step.verdict is Verdict.SKIPPED
        ]
        if not leading:
            return trace
        start = self._earlier_start(trace.start, worker.reader)
        if start is None:
            return trace
        earlier = self._trace(start, worker)
        if not earlier.extend(rows[-1], worker.reader):
            return trace
        whole = all(
            (step := earlier.step(row)) is not None and step.verdict is Verdict.DECODE
            for row in (rows[0], *leading)
        )
        return earlier if whole else trace

    def _trace(self, start: int, worker: _Worker) -> Trace:
        """Give the trace from an IRAP: one that a decoder goes by, if there is one, since that may reach farther back than others."""
        for engine in worker.engines:
            trace = engine.trace
            if trace is not None and trace.start == start:
                return trace
        return self._samples.traces.at(start)

    def _within_limits(self, start: int, pending: list[int], worker: _Worker, settled: _Settled) -> list[int]:
        """Leave out, with LimitError, rows too far away from the IRAP, from the decoders that may go on, and from the row before."""
        first = start
        for engine in worker.engines:
            standing = engine.standing
            if standing is not None and start in standing.starts and standing.position <= pending[0]:
                first = max(first, standing.position)
        near = []
        for row in pending:
            try:
                self._samples.check_run(first, row)
            except LimitError as error:
                settled.settle(row, error)
            else:
                near.append(row)
                first = row + 1
        return near

    def _choose(
        self,
        trace: Trace,
        wanted: Sequence[int],
        standings: Sequence[Standing | None],
        worker: _Worker,
    ) -> tuple[Engine, Trace, Sequence[int], Standing | None]:
        """Choose the decoder with the least to do: it, what it goes by, the rows to send, and where it stands (None: it starts).

        `standings`: of the worker's decoders, in their order.
        """
        keep_following = keeps_following()
        engines = worker.engines
        place, rows = choose(trace, wanted, standings, keep_following=keep_following)
        if (
            rows is None
        ):  # the way from the IRAP is longer than what is remembered of it, and no decoder stands near
            self._samples.check_run(trace.start, wanted[-1])
            raise DecoderError("there is no way to decode this picture exactly")
        if place is not None:
            return engines[place], trace, rows, standings[place]
        # One that stands right before the IRAP goes on into it as cheaply as another starts there, and leaves that one alone.
        for engine, standing in zip(engines, standings, strict=True):
            before = engine.trace
            if standing is None or before is None:
                continue
            if not standing.position <= trace.start <= standing.position + _NEAR:
                continue
            if engine.threads < worker.threads < len(rows):  # as cheaply, and later
                continue
            if (
                worker.reader.far and before.end < trace.start
            ):  # a request of its own is dearer than a restart
                continue
            if before.extend(wanted[-1], worker.reader) and all(
                before[row].step.verdict is Verdict.DECODE for row in wanted
            ):
                found = course(before, wanted, standing, keep_following=keep_following)
                if found is not None and len(found) <= len(rows):
                    return engine, before, found, standing
        return worker.spare(), trace, rows, None

    def _stay_exact(self, worker: _Worker) -> None:
        """Decode one sample after the other where pictures have several slices, or a hash.

        Damage that libavcodec does not notice can put a slice where another one is: then what a picture that is decoded side by side
        with this one refers to would depend on who is faster. And where a hash is wrong, libavcodec takes the picture out of its
        buffer while the next thread copies that, and crashes.
        """
        if self._samples.one_by_one:
            for engine in worker.engines:
                if engine.threads > 1:
                    engine.take_care()

    # What cannot be decoded

    def _learn(self, damage: DamageFound, worker: _Worker, *, lost: bool) -> None:
        """Remember what is damaged; where that is not known yet, the decoder does one sample after the other from now on."""
        if damage.row is None:
            self._fall_back()
        else:
            self._mark(self._certain(damage, worker), lost=lost)

    def _certain(self, damage: DamageFound, worker: _Worker) -> DamageFound:
        """Where parameter sets of a picture that was left out may be to blame, decode everything up to here, to know."""
        assert damage.row is not None
        left_out = (damage.trace[row].step.verdict is Verdict.DECODE for row in damage.passed)
        if any(left_out):
            try:
                self._probe(damage.trace, damage.row + 1, worker)
            except DamageFound as found:
                return found
        return damage

    def _mark(self, damage: DamageFound, *, lost: bool) -> None:
        """Remember what is damaged. Parameter sets that came without a picture are a picture's data behind a damaged header."""
        assert damage.row is not None
        samples = self._samples
        suspects = [
            row
            for row in damage.passed
            if row in samples.damaged or damage.trace[row].step.verdict is Verdict.EMPTY
        ]
        for row in suspects or [damage.row]:
            again = row in samples.damaged
            samples.fail(row, damage.error)
            samples.mark_damaged(row, lost=bool(suspects) or again or lost)

    def _probe(self, trace: Trace, row: int, worker: _Worker) -> None:
        """Decode everything in front of a row whose references are missing: it may be damage that nobody has met yet.

        DamageFound if so. Done once for a trace.
        """
        if trace.probed >= row:
            return
        rows = [
            other
            for other in range(trace.start, row)
            if (step := trace.step(other)) is not None and step.verdict is Verdict.DECODE
        ]
        if rows and all(trace[other].refusal is None for other in rows):
            self._fall_back()
            engine = worker.spare()
            if engine.threads > 1:
                engine.take_care()
            self._run(engine, trace, rows, None, worker, lambda row, picture: None)
        trace.probed = row

    def _failure(self, trace: Trace, row: int, verdict: Verdict) -> FFbindError | None:
        """Say why there is no picture, or None where starting earlier may give one."""
        samples = self._samples
        if verdict is Verdict.EMPTY:
            return UndecodableError("the sample holds no picture (of the base layer)")
        damaged = samples.damaged_between(trace.start, row)
        if damaged is not None:
            return CorruptError(
                f"the picture depends on damaged data: the sample at offset {samples.offset(damaged)} cannot be decoded"
            )
        return None

    def _without_start(self, row: int, reader: SampleReader) -> FFbindError:
        """Say why there is no IRAP to start at."""
        named = int(self._samples.iraps[row])
        if named >= 0 and self._samples.kind(named, reader) is None:
            return CorruptError(
                f"the picture depends on the one at offset {self._samples.offset(named)}, which cannot be read; copy the file again"
            )
        return UndecodableError("no IRAP picture comes before this sample: no decoder can show it")

    def _earlier_start(self, irap: int, reader: SampleReader) -> int | None:
        """Find the IRAP before this one, if starting there can help: only a CRA has leading pictures that need it."""
        if irap == 0 or self._samples.kind(irap, reader) is not Kind.CRA:
            return None
        self._samples.check_beginning(irap)
        return self._samples.irap_at_or_before(irap - 1, reader)


def _same(engine: Engine) -> Engine:
    return engine


def _nobody_asks(row: int, result: Result) -> None:
    pass


def _distance(engine: Engine, row: int) -> float:
    """Samples from where a decoder stands to `row`; one that stands nowhere before it is the last choice."""
    standing = engine.standing
    return float("inf") if standing is None or standing.position > row else row - standing.position


def _without_references(verdict: Verdict) -> FFbindError:
    if verdict is Verdict.SKIPPED:
        return UndecodableError(
            "a RASL picture whose IRAP starts the stream or follows a break: the pictures that it refers to are not there, so no "
            "decoder can show it (H.265 8.3.3)"
        )
    return UndecodableError(
        "pictures that this one refers to are not in the stream, so no decoder can show it exactly"
    )
