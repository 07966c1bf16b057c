"""Frames by row of one index: its samples, the decoders, what is fetched ahead, and what is decoded together, in which order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice, pairwise
from typing import TypeVar

import numpy as np

from .ahead import Ahead
from .bitstream import ParameterSets, SequenceFacts
from .errors import BeforeIrapError, CorruptError, FFbindError, NotIrapError, OffsetError, UndecodableError
from .fetching import FetchingSource
from .flow import Flow, Result
from .frame import Frame
from .index import VideoIndex
from .limits import Limits
from .pool import EnginePool, ScanNeeded
from .reader import SampleReader
from .samples import KnownPart, PictureCache, Samples
from .scan import Watch, scan_headers
from .sources import Source
from .stats import Stats
from .turn import Turn

__all__ = ["Decoding"]

T = TypeVar("T")

_KEPT_PICTURES = 6
"""Pictures kept at least: decoding runs ahead of showing by the stream's reordering, 2 to 5 pictures in camera video."""

_BATCH_FRAMES = 128
_BATCH_BYTES = 256 << 20
"""What is decoded at a time, which bounds what `frames()` holds: one batch is handed out while the next is decoded."""

_STEADY_BYTES = 64 << 20
_STEADY_FRAMES = 64
_STEADY_FRAMES_EACH = 8
"""What is held of frames that are wanted one after the other: so many, within so many bytes, or for each thread, if that is more."""

_FLOWING_FRAMES = 384
"""How many may be held, within the bytes of a batch, where that lets GOPs be decoded side by side."""

_LOOKAHEAD = 512
"""Of such frames, how many are known ahead."""

_FEW = 128
"""Frames asked for at once that are kept, should they be asked for again; more would only pass through."""

_READ_AHEAD = 512 << 10
"""Bytes read at a time of what is near: file and memory."""

_FETCHED_RUN = 16 << 20
"""Bytes of a GOP asked for at once of what is far, several requests side by side where it is more than one should bring."""

_KNOWN_BATCHES = 2
"""Batches whose frames are known while another is handed out: the one in work, and the next, whose bytes come meanwhile."""


class Decoding:
    """Decodes the samples of a track, which are named by row of its index. Several threads may share it: they take turns.

    `turn`: whose turn it is; closing is for who made it, and who knows that nobody is at work. `known`: where the index has only part
    of the samples, which. NeedsEarlierIrapError and ScanNeeded then say that a frame takes others.
    """

    def __init__(
        self,
        source: Source,
        index: VideoIndex,
        turn: Turn,
        *,
        threads: int,
        kept_bytes: int,
        limits: Limits,
        known: KnownPart | None = None,
    ) -> None:
        self._source = source
        self._fetching = source if isinstance(source, FetchingSource) else None
        self._turn = turn
        self._threads = threads
        self._is_whole = known is None
        self.samples = Samples(index, PictureCache(kept_bytes, _KEPT_PICTURES), limits, known)
        self._ahead = None if self._fetching is None else Ahead(self.samples, self._fetching)
        self._reader = self._new_reader()
        self.pool = EnginePool(self.samples, self._new_reader, threads, kept_bytes)
        self._closed = False
        self._reused = 0
        self._last_place = -2  # no frame is a step from here
        self._facts: SequenceFacts | None = None

    @property
    def index(self) -> VideoIndex:
        """What the samples are named by."""
        return self.samples.index

    @property
    def stats(self) -> Stats:
        """What was decoded so far, and reads of a source that is near."""
        own = Stats(
            pictures_reused=self._reused, source_reads=self._reader.reads, source_bytes=self._reader.bytes
        )
        return self.pool.stats + own

    def sequence(self) -> SequenceFacts:
        """Read the first SPS: of the sample entry, or of the first sample where that one holds none."""
        with self._turn:
            if self._facts is None:
                entry = self.samples.entry(0)
                sets = ParameterSets(entry.parameter_sets)
                try:
                    self._facts = sets.facts()
                except UndecodableError:
                    sets.read(self._reader.read(0), entry.nal_length_size)
                    self._facts = sets.facts()
                self.pool.expect(self._facts)
            return self._facts

    def row_at_offset(self, offset: int, irap_offset: int | None) -> int:
        """Find the sample that starts at a byte, and see that decoding can start at the one at `irap_offset`, if there is one."""
        row = self.samples.index.row_of_offset(offset)
        if row is None:
            raise OffsetError(
                f"no sample of the video track starts at byte {offset}; take offsets from the video's index"
            )
        if irap_offset is not None:
            irap = self.index.row_of_offset(irap_offset)
            if irap is None:
                raise OffsetError(
                    f"no sample of the video track starts at byte {irap_offset} (irap_offset); take offsets from the video's index"
                )
            self._reader.check(irap)
            if self._ahead is not None:
                self._ahead.first_sample(row)
            # What is far is read up to the frame at once; another reader finds it there.
            if not self.samples.is_irap(irap, self._reader, None if self._fetching is None else row):
                raise NotIrapError(
                    f"the sample at byte {irap_offset} is no IRAP picture, so decoding cannot start there; take irap_offset from the "
                    "video's index"
                )
            if irap > row:
                raise BeforeIrapError(
                    f"the sample at byte {offset} comes before the IRAP at byte {irap_offset} in decode order; give an earlier "
                    "irap_offset"
                )
        return row

    def frame(self, row: int) -> Frame:
        """Give the frame of a row: one that is kept, or decoded now, together with those that are asked for next when stepping."""
        place: int = self.samples.displays.item(row)
        step = place - self._last_place if place >= 0 else 0
        self._last_place = place
        if self._ahead is not None:
            self._ahead.frame(row, place)
        frame = self.samples.pictures.get(row)
        if frame is not None:
            self._reused += 1
            return frame
        if self._ahead is not None and not self.pool.goes_on_to(row):
            self._ahead.again(row)
        self._expect()
        result = self._decode_now(self._stretch(row, place, step))[row]
        if isinstance(result, FFbindError):
            raise result
        return result

    def in_order(self, rows: Iterable[tuple[int, int]], count: int) -> Iterator[tuple[Frame, int]]:
        """Decode rows, each with an address of the caller's, and give their frames in this order, decoding ahead of it.

        `count`: how many there are, 0 where that is not known.
        """
        self._turn.check_process()
        keep = 0 < count <= _FEW
        most = min(_BATCH_FRAMES, self._pictures_in(_BATCH_BYTES))
        left = _Peekable(rows)
        while first := left.peek(most):
            if _is_ascending(first):
                yield from self._flowing(_ascending(left), keep)
            else:
                yield from self._in_batches(_unordered(left, most), keep)

    def grow(self, index: VideoIndex, known: KnownPart) -> bool:
        """Go by an index that knows more; False, and nothing is done, where what is known now is not how that one begins."""
        with self._turn:
            mine = self.index.samples
            same = len(mine) <= len(index.samples) and all(
                np.array_equal(mine[name], index.samples[name][: len(mine)])
                for name in ("offset", "size", "irap")
            )
            same &= [*map(id, self.index.entries)] == [
                *map(id, index.entries)
            ]  # traces know theirs by being it
            if not same or self.samples.breaks != known.breaks[: len(self.samples.breaks)]:
                return False
            self.samples.grow(index.bound_to(self._source), known)
            self._reader.renew(index.samples)
            self.pool.renew()
            return True

    def needed(self, rows: Sequence[int]) -> int:
        """Count the samples that a decoder is given for these rows, ascending, from a standing start; their headers are read."""
        return self._with_scan(lambda: self.pool.needed(rows))

    def scan(self, watch: Watch | None = None) -> VideoIndex:
        """Read the headers of all samples, and go by what they say from now on; gives the index that is known then."""
        with self._turn:
            samples = self.samples
            if self._ahead is not None:
                self._ahead.everything()
            headers = scan_headers(samples, self._reader, watch)
            index = samples.index.with_kinds(samples.kinds, samples.temporal_ids)
            index = index.with_entries(headers.entries, headers.entry)
            if not index.has_composition_times:
                index = index.with_display_order(headers.rank)
                samples.pictures.clear()  # they were placed in the wrong order
            samples.renew(index)
            return index

    def close(self) -> None:
        """Free decoders and pictures; frames stay valid. What is decoded ahead of an iteration that was given up is left."""
        self._closed = True
        self.pool.close()
        self.samples.pictures.clear()

    # Inside

    def _stretch(self, row: int, place: int, step: int) -> list[int]:
        """Rows to decode at once for a step, of this GOP only.

        Backwards all before it, or as many as half of the memory for pictures holds, since the way from the IRAP is paid for once;
        forwards as many as keep all threads busy.
        """
        if step != -1 and (step != 1 or self._threads == 1):
            return [row]
        most = self._pictures_in(self.samples.pictures.limit // 2)
        if step == -1:
            order = self.index.order[max(0, place - most + 1) : place]
        else:
            order = self.index.order[place + 1 : place + min(2 * self._threads, most)]
        iraps = self.samples.iraps
        near = (int(other) for other in order if iraps[other] == iraps[row] and (step > 0 or other <= row))
        return sorted({row, *(other for other in near if self.samples.pictures.get(other) is None)})

    def _new_reader(self) -> SampleReader:
        index = self.index
        if self._fetching is None:
            return SampleReader(
                self._source, index.samples, _READ_AHEAD, self.samples.limits, framing=index.framing
            )
        return SampleReader(
            self._fetching,
            index.samples,
            0,
            self.samples.limits,
            0,
            index.framing,
            most=_FETCHED_RUN,
            gap=self._fetching.settings.gap,
        )

    def _expect(self) -> None:
        """Let the pool know how large pictures are; where the stream does not say, decoding will tell why."""
        if self._facts is None:
            with suppress(FFbindError):
                self.sequence()

    def _pictures_in(self, size: int) -> int:
        """Say how many pictures fit into so many bytes; one where the stream does not say how large they are."""
        try:
            facts = self.sequence()
        except (CorruptError, UndecodableError):  # decoding will tell of which sample
            return 1
        return max(1, size * 15 // 16 // facts.picture_bytes)  # lines are aligned

    def _flowing(self, rows: Iterator[tuple[int, int]], keep: bool) -> Iterator[tuple[Frame, int]]:
        """Decode rows that are wanted in about the order of decoding: each is given as soon as it is there."""
        most = min(_FLOWING_FRAMES, self._pictures_in(_BATCH_BYTES))
        steady = min(_STEADY_FRAMES, self._pictures_in(_STEADY_BYTES))
        least = min(most, max(_STEADY_FRAMES_EACH * self._threads, steady))
        foresee = None if self._ahead is None else self._ahead.batches
        flow = Flow(rows, self.samples, _LOOKAHEAD, lambda: self._turn.is_wanted, foresee)
        ahead = ThreadPoolExecutor(1, thread_name_prefix="ffbind-ahead")
        work: Future[None] | None = None

        def is_working() -> bool:
            return work is not None and not work.done()

        try:
            while following := flow.next():
                row, address = following
                result = None
                while result is None:
                    if not is_working() and flow.has_room:
                        if work is not None:
                            work.result()
                        work = ahead.submit(self._decode_flow, flow, least, most, keep)
                        work.add_done_callback(lambda _: flow.wake())
                    result = flow.take(row, is_working)
                if isinstance(result, FFbindError):
                    raise result
                yield result, address
        finally:
            flow.close()
            ahead.shutdown(wait=False, cancel_futures=True)

    def _decode_flow(self, flow: Flow, least: int, most: int, keep: bool) -> None:
        with self._turn:
            if self._closed:
                return
            self._expect()
            reused = flow.reused
            self._with_scan(lambda: self.pool.decode_flow(flow, least, most, keep=keep))
            self._reused += flow.reused - reused
        self._turn.give_way()

    def _in_batches(
        self, batches: Iterator[Sequence[tuple[int, int]]], keep: bool
    ) -> Iterator[tuple[Frame, int]]:
        """Decode batches, each in the order that ends soonest, one ahead of the one that is given."""
        ahead = ThreadPoolExecutor(1, thread_name_prefix="ffbind-ahead")
        try:
            known = deque(islice(batches, _KNOWN_BATCHES))
            self._fetch(known)
            results = self._decode([row for row, _ in known[0]], keep) if known else {}
            while known:
                batch = known.popleft()
                known.extend(islice(batches, _KNOWN_BATCHES - len(known)))
                self._fetch(known)
                coming = ahead.submit(self._decode, [row for row, _ in known[0]], keep) if known else None
                for row, address in batch:
                    result = results[row]
                    if isinstance(result, FFbindError):
                        results.clear()  # whoever keeps the error keeps no pictures with it
                        raise result
                    yield result, address
                results = {} if coming is None else coming.result()
        finally:
            ahead.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, batches: Iterable[Sequence[tuple[int, int]]]) -> None:
        """Have the bytes of batches come, the first of which is decoded next."""
        if self._ahead is not None:
            self._ahead.batches([[row for row, _ in batch] for batch in batches])

    def _decode(self, rows: Sequence[int], keep: bool) -> dict[int, Result]:
        """Decode a batch, each row once; kept ones are not decoded again. `keep`: these are kept as well."""
        with self._turn:
            results: dict[int, Result] = {}
            if self._closed:
                return results
            self._expect()
            for row in set(rows):
                frame = self.samples.pictures.get(row)
                if frame is not None:
                    self._reused += 1
                    results[row] = frame
            results.update(self._decode_now(sorted(set(rows) - results.keys()), keep))
            return results

    def _decode_now(self, rows: Sequence[int], keep: bool = True) -> dict[int, Result]:
        return self._with_scan(lambda: self.pool.decode(rows, keep=keep))

    def _with_scan(self, work: Callable[[], T]) -> T:
        """Do what may turn out to need the headers of all samples: then read them, and do it again."""
        try:
            return work()
        except ScanNeeded:
            if not self._is_whole:
                raise
            self.scan()
            return work()


class _Peekable(Iterator[tuple[int, int]]):
    """Rows with their addresses, of which some can be looked at before they are taken."""

    def __init__(self, rows: Iterable[tuple[int, int]]) -> None:
        self._rows = iter(rows)
        self._seen: deque[tuple[int, int]] = deque()

    def __next__(self) -> tuple[int, int]:
        return self._seen.popleft() if self._seen else next(self._rows)

    def peek(self, most: int) -> list[tuple[int, int]]:
        """Give the next ones, fewer only at the end, and leave them here."""
        self._seen.extend(islice(self._rows, max(0, most - len(self._seen))))
        return list(islice(self._seen, most))


def _is_ascending(rows: Sequence[tuple[int, int]]) -> bool:
    return all(before[1] <= after[1] for before, after in pairwise(rows))


def _ascending(rows: _Peekable) -> Iterator[tuple[int, int]]:
    """Take rows as long as their addresses ascend."""
    before = None
    while following := rows.peek(1):
        if before is not None and following[0][1] < before:
            return
        before = following[0][1]
        yield next(rows)


def _unordered(rows: _Peekable, most: int) -> Iterator[list[tuple[int, int]]]:
    """Take rows so many at a time, as long as their addresses do not ascend."""
    while (batch := rows.peek(most)) and not _is_ascending(batch):
        yield list(islice(rows, most))
