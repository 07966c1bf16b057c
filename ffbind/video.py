"""The face of the library: `open()` gives a `Video`, and a `Video` gives exact frames by index, time or byte offset."""

from __future__ import annotations

import operator
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import islice, pairwise
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from . import isobmff, streams
from .ahead import Ahead
from .bitstream import ParameterSets, SequenceFacts
from .color import Color
from .cores import usable_cores
from .errors import (
    ArgumentError,
    BeforeIrapError,
    CorruptError,
    FFbindError,
    FrameIndexError,
    FrameTimeError,
    NotIrapError,
    NotVideoError,
    OffsetError,
    SourceError,
    UndecodableError,
)
from .fetching import FetchingSource, FetchSettings
from .flow import Flow, Result
from .frame import Frame, with_fallback
from .index import VideoIndex
from .limits import Limits
from .plan import Plan, plan_frames
from .pool import EnginePool, ScanNeeded
from .reader import SampleReader
from .samples import PictureCache, Samples
from .scan import Watch, scan_headers
from .sources import BytesSource, FileObjectSource, FileSource, Source, SourceLike, as_source
from .stats import Stats
from .turn import Turn

__all__ = ["Frames", "Video", "open"]

T = TypeVar("T")

_KEPT_BYTES = 512 << 20
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


def open(  # noqa: A001
    source: SourceLike,
    *,
    index: VideoIndex | str | os.PathLike[str] | None = None,
    threads: int | None = None,
    track: int | None = None,
    kept_bytes: int = _KEPT_BYTES,
    limits: Limits | None = None,
    fetch: FetchSettings | None = None,
) -> Video:
    """Open a video for exact frames. Raw streams, Matroska and transport streams have no table of samples: they are read whole, once.

    - `source`: a path, bytes, a binary file object, or anything with the members of `ffbind.sources.Source`
    - `index`: a `VideoIndex` or the path of a saved one, which saves reading the file's tables; IndexMismatchError if it is not
      of these bytes
    - `threads`: how many cores are kept busy, with one GOP or with several, default all; of one GOP up to twice as many pictures are in
      work, since they wait for each other
    - `track`: the track's id in the file, in a transport stream its PID, in Matroska its place from 1; default the first enabled video
      track with most samples
    - `kept_bytes`: memory for what is kept: decoders, parked where they were last used, take 90 % of it at most, pictures the
      rest (for stepping back, and for showing in another order than that of decoding). One decoder and the last few pictures stay in
      any case. Beside it all videos of a process keep up to 64 MB of picture memory for the next picture
    - `limits`: how large the video and its parts may be, and how much one frame may cost
    - `fetch`: how a `source` that is no path, bytes or file object is read: how many requests side by side, how much is kept and how
      much is fetched ahead, by threads that end with the video

    Raises NotVideoError, UnsupportedError (another codec or container; it names it), EncryptedError, LimitError, CorruptError,
    SourceError. Each names the file where it was given by path.

    >>> with ffbind.open("clip.mp4") as video:  # doctest: +SKIP
    ...     video[120].to_numpy().shape
    (1080, 1920, 3)
    """
    if threads is not None and threads < 1:
        raise ArgumentError(f"threads must be 1 or more, not {threads}; leave it out for all cores")
    path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
    limits = limits or Limits()
    if index is not None and not isinstance(index, VideoIndex):
        index = VideoIndex.load(index, limits=limits)
    opened = as_source(source)
    near = isinstance(opened, (BytesSource, FileSource, FileObjectSource))
    reading = opened if near else FetchingSource(opened, fetch)
    try:
        if index is None:
            index = _read_index(reading, track, limits)
        index.check(opened)
        _check_pictures(index, limits)
        return Video(reading, index, threads=threads, path=path, kept_bytes=kept_bytes, limits=limits)
    except BaseException as error:
        if isinstance(reading, FetchingSource):
            reading.close()
        if isinstance(opened, FileSource) and opened is not source:
            opened.close()
        if path is not None and isinstance(error, FFbindError) and not isinstance(error, SourceError):
            error.args = (f"{path}: {error}", *error.args[1:])
        raise


def _read_index(source: Source, track: int | None, limits: Limits) -> VideoIndex:
    """Read the tables of an MP4 or MOV file; anything else has none, and is scanned from the first byte to the last."""
    try:
        return isobmff.read_index(source, track=track, limits=limits)
    except NotVideoError as error:
        if source.size == 0:
            raise
        known = error
    return streams.read_index(source, known, track, limits=limits)


def _check_pictures(index: VideoIndex, limits: Limits) -> None:
    """Refuse pictures that are too large, by the parameter sets outside the samples; those inside are checked when they are read."""
    for entry in index.entries:
        with suppress(CorruptError, UndecodableError):
            facts = ParameterSets(entry.parameter_sets).facts()
            limits.check_picture(facts.coded_width, facts.coded_height)


class Video:
    """An open video. Made by `ffbind.open`; close it, or use it in a `with` statement.

    Frames are addressed in presentation order, edit lists applied, as the `ffmpeg` command shows them; `frame_at_offset` reaches
    every sample, shown or not. A `Video` may be shared between threads (they take turns) and pickled when it was opened by path.
    """

    def __init__(
        self,
        source: Source,
        index: VideoIndex,
        *,
        threads: int | None,
        path: str | None,
        kept_bytes: int,
        limits: Limits,
    ) -> None:
        self._source = source
        self._fetching = source if isinstance(source, FetchingSource) else None
        self._threads = threads if threads is not None else usable_cores()
        self._path = path
        self._turn = Turn("video", "open it again")
        self._kept_bytes = kept_bytes
        index = index.bound_to(path if path is not None else source)
        self._samples = Samples(index, PictureCache(kept_bytes, _KEPT_PICTURES), limits)
        self._ahead = None if self._fetching is None else Ahead(self._samples, self._fetching)
        self._fetched_before = self._fetched()
        self._reader = self._new_reader()
        self._pool = EnginePool(self._samples, self._new_reader, self._threads, kept_bytes)
        self._reused = 0
        self._last_place = -2  # no frame is a step from here
        self._facts: SequenceFacts | None = None

    # What the video is

    @property
    def _index(self) -> VideoIndex:
        return self._samples.index

    @property
    def index(self) -> VideoIndex:
        """The sample table. Kinds are UNKNOWN until bytes were read; `scan()` gives one with all of them."""
        return self._index

    @property
    def stats(self) -> Stats:
        """A copy of the counters."""
        self._turn.check_process()
        with self._turn.lock:
            own = Stats(
                pictures_reused=self._reused, source_reads=self._reader.reads, source_bytes=self._reader.bytes
            )
            return self._pool.stats + own + self._fetched() - self._fetched_before

    def _fetched(self) -> Stats:
        """What a source that is far has done since it was opened: first for the file's tables, then for samples."""
        far = self._fetching
        if far is None:
            return Stats()
        return Stats(
            used_reads=far.used_reads,  # before those that they are a part of, which threads add to
            used_bytes=far.used_bytes,
            source_reads=far.reads,
            source_bytes=far.bytes,
            waits=far.waits,
            wait_us=round(far.wait_seconds * 1e6),
        )

    def __len__(self) -> int:
        """Count the frames shown."""
        return len(self._index)

    def __repr__(self) -> str:
        return f"<ffbind.Video {self._path or 'of ' + str(self._source.size) + ' bytes'}: {len(self)} frames>"

    @property
    def codec(self) -> str:
        """Always 'hevc': other codecs are refused when opening."""
        return "hevc"

    @property
    def profile(self) -> int:
        """general_profile_idc of the bitstream (H.265 annex A): 1 is Main, 2 is Main 10."""
        return self._sequence().profile

    @property
    def source(self) -> Source:
        """Where the bytes come from."""
        return self._source if self._fetching is None else self._fetching.source

    @property
    def width(self) -> int:
        """Width as shown: cropped and upright."""
        facts = self._sequence()
        return facts.height if self._index.rotation in (90, 270) else facts.width

    @property
    def height(self) -> int:
        """Height as shown: cropped and upright."""
        facts = self._sequence()
        return facts.width if self._index.rotation in (90, 270) else facts.height

    @property
    def bit_depth(self) -> int:
        """Bits of a decoded value: 8 to 16."""
        return self._sequence().bit_depth

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of the format that pictures decode to, such as 'yuv420p10le'."""
        return self._sequence().pixel_format

    @property
    def rotation(self) -> int:
        """Degrees clockwise by which pictures are turned to be upright: 0, 90, 180 or 270."""
        return self._index.rotation

    @property
    def color(self) -> Color:
        """Primaries, transfer, matrix and range: of the bitstream, else of the container."""
        return with_fallback(self._sequence().color, self._index.entries[0].color)

    @property
    def pixel_aspect(self) -> tuple[int, int]:
        """Shape of a pixel, width : height, before rotation; frames are not stretched by it."""
        container = self._index.entries[0].pixel_aspect
        return container if container != (1, 1) else self._sequence().pixel_aspect

    @property
    def duration(self) -> float:
        """Seconds from 0 to the end of the last frame shown."""
        return self._index.span(len(self) - 1)[1] / self._index.timescale if len(self) else 0.0

    @property
    def frame_rate(self) -> float:
        """Frames shown a second, averaged over the video; 0.0 where nothing is shown."""
        if not len(self):
            return 0.0
        ticks = self._index.span(len(self) - 1)[1] - self._index.span(0)[0]
        return len(self) * self._index.timescale / ticks if ticks else 0.0

    def _sequence(self) -> SequenceFacts:
        """Read the first SPS: of the sample entry, or of the first sample where that one holds none."""
        with self._turn:
            if self._facts is None:
                entry = self._samples.entry(0)
                sets = ParameterSets(entry.parameter_sets)
                try:
                    self._facts = sets.facts()
                except UndecodableError:
                    sets.read(self._reader.read(0), entry.nal_length_size)
                    self._facts = sets.facts()
                self._pool.expect(self._facts)
            return self._facts

    # Frames

    @overload
    def __getitem__(self, key: int) -> Frame: ...
    @overload
    def __getitem__(self, key: slice) -> Frames: ...
    def __getitem__(self, key: int | slice) -> Frame | Frames:
        """Give one frame by its place in presentation order (negative from the end), or a lazy sequence for a slice.

        FrameIndexError (also an IndexError) outside.
        """
        if isinstance(key, slice):
            return Frames(self, range(*key.indices(len(self))))
        place = operator.index(key)
        with self._turn:
            self._know_order()
            frame = self._frame(self._index.row_of_display(place))
            return self._samples.at_place(frame, place % len(self))

    def __iter__(self) -> Iterator[Frame]:
        """Iterate over all frames in presentation order; each is decoded once."""
        return self.frames(range(len(self)))

    def frame_at(self, time: float) -> Frame:
        """Give the frame that is on screen at `time` seconds after edits. FrameTimeError (also a ValueError) where none is."""
        with self._turn:
            self._know_order()
            return self[self._index.display_at_time(time)]

    def frames_at(self, times: Iterable[float], tolerance: float | None = None) -> Iterator[Frame]:
        """Give the frame on screen at each time, in the caller's order.

        With `tolerance`, in seconds, a time farther than that from its frame's start is a FrameTimeError.
        """
        with self._turn:
            self._know_order()
            index = self._index
            chosen = []
            for time in times:
                display = index.display_at_time(time)
                start = float(index.starts[display]) / index.timescale
                if tolerance is not None and abs(time - start) > tolerance:
                    raise FrameTimeError(
                        f"the frame on screen at {time} s starts at {start} s, farther away than {tolerance} s"
                    )
                chosen.append(display)
        return self.frames(chosen)

    def frames(self, indices: Iterable[int]) -> Iterator[Frame]:
        """Give frames by their places in presentation order, in the caller's order, a repeated one again.

        Ascending ones are decoded ahead of who takes them and given as they come, others in the cheapest order, batch by batch, one
        ahead of the one that is handed out. Any number of them takes bounded memory.
        """
        with self._turn:
            self._know_order()
        rows_and_places = (
            (self._index.row_of_display(place), place) for place in map(operator.index, indices)
        )
        for frame, place in self._in_order(rows_and_places, operator.length_hint(indices)):
            yield self._samples.at_place(frame, place % len(self))

    def frame_at_offset(self, offset: int, irap_offset: int | None = None) -> Frame:
        """Give the picture whose sample starts at byte `offset` of the file, shown by the edit list or not.

        `irap_offset`: byte offset of an IRAP sample at or before it in decode order, where decoding may start at the latest; it
        saves looking for one. Raises OffsetError, NotIrapError, BeforeIrapError; UndecodableError, NotShownError, CorruptError.
        """
        with self._turn:
            return self._frame(self._row_at_offset(offset, irap_offset))

    def frames_at_offsets(self, offsets: Iterable[int], irap_offset: int | None = None) -> Iterator[Frame]:
        """Give the pictures whose samples start at these bytes, in the caller's order; see `frame_at_offset`."""
        rows = ((self._row_at_offset(offset, irap_offset), offset) for offset in offsets)
        for frame, _ in self._in_order(rows, operator.length_hint(offsets)):
            yield frame

    def to_numpy(
        self,
        indices: Iterable[int],
        format: str = "rgb24",  # noqa: A002
        size: tuple[int | None, int | None] | None = None,
    ) -> NDArray[Any]:
        """Make one array of many frames: (N, H, W, 3) uint8 for 'rgb24', in the caller's order, the caller's own.

        Formats and `size` as in `Frame.to_numpy`. No frame gives an array of length 0.
        """
        places = list(indices)
        if not places and len(self):
            return self.to_numpy([0], format, size)[:0]
        out: NDArray[Any] = np.empty(0)
        with ThreadPoolExecutor(self._threads, thread_name_prefix="ffbind") as converters:
            work: deque[Future[None]] = deque()
            for i, frame in enumerate(self.frames(places)):
                if i == 0:
                    first = frame.to_numpy(format, size)
                    out = np.empty((len(places), *first.shape), first.dtype)
                    out[0] = first
                    continue
                work.append(converters.submit(frame.to_numpy_into, out[i], format, size))
                if len(work) > 2 * self._threads:  # a frame that waits takes memory
                    work.popleft().result()
            for done in work:
                done.result()
        return out

    def plan(self, indices: Iterable[int], *, exact: bool = False) -> Plan:
        """Tell what these frames would cost from a standing start: samples, ranges and bytes.

        By the index alone nothing of the pictures is read, and `samples` is what there is between IRAP and frame: the most that is
        decoded. `exact` reads the headers of these samples, as decoding does: `samples` is then how many a decoder is given.
        """
        with self._turn:
            self._know_order()
        rows = [self._index.row_of_display(place) for place in indices]
        plan = plan_frames(self._index, rows)
        if exact:
            with self._turn:
                wanted = sorted(set(rows))
                plan = replace(plan, samples=self._with_scan(lambda: self._pool.needed(wanted)))
        return plan

    def scan(self, watch: Watch | None = None) -> VideoIndex:
        """Read the headers of all samples (which reads the whole file) and give the index with true kinds and IRAPs.

        The video uses it from then on. `watch` is called with each sample, in decode order: for progress, or for more facts.
        Where the file has no composition times, the order of showing comes from the picture order counts (H.265 8.3.1).
        """
        with self._turn:
            samples = self._samples
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

    # Life

    def close(self) -> None:
        """Free decoder, pictures and the file, if it was opened by path; closing twice is fine. Frames stay valid."""
        if self._turn.is_forked:
            return  # the parent's; its lock may be held by a thread that this process does not have
        if self._fetching is not None:
            self._fetching.close()  # first: a thread that decodes may wait for bytes
        with self._turn.lock:
            if self._turn.closed:
                return
            self._turn.closed = True
            self._pool.close()
            self._samples.pictures.clear()
            if self._path is not None and isinstance(self._source, FileSource):
                self._source.close()

    def __enter__(self) -> Self:
        with self._turn:
            return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is None:
            raise TypeError("a video can be pickled only when it was opened by path")
        return _reopen, (self._path, self._index, self._threads, self._kept_bytes, self._samples.limits)

    # Addresses

    def _row_at_offset(self, offset: int, irap_offset: int | None) -> int:
        row = self._index.row_of_offset(offset)
        if row is None:
            raise OffsetError(
                f"no sample of the video track starts at byte {offset}; take offsets from the video's index"
            )
        if irap_offset is not None:
            irap = self._index.row_of_offset(irap_offset)
            if irap is None:
                raise OffsetError(
                    f"no sample of the video track starts at byte {irap_offset} (irap_offset); take offsets from the video's index"
                )
            self._reader.check(irap)
            if self._ahead is not None:
                self._ahead.first_sample(row)
            # What is far is read up to the frame at once; another reader finds it there.
            if not self._samples.is_irap(irap, self._reader, None if self._fetching is None else row):
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

    def _know_order(self) -> None:
        """Make sure that the order of showing is known, which takes a scan where time stamps cannot tell."""
        if not self._index.has_composition_times and self._sequence().max_num_reorder > 0:
            self.scan()

    # Decoding

    def _frame(self, row: int) -> Frame:
        """Give the frame of a row: one that is kept, or decoded now, together with those that are asked for next when stepping."""
        place: int = self._samples.displays.item(row)
        step = place - self._last_place if place >= 0 else 0
        self._last_place = place
        if self._ahead is not None:
            self._ahead.frame(row, place)
        frame = self._samples.pictures.get(row)
        if frame is not None:
            self._reused += 1
            return frame
        self._expect()
        result = self._decode_now(self._stretch(row, place, step))[row]
        if isinstance(result, FFbindError):
            raise result
        return result

    def _stretch(self, row: int, place: int, step: int) -> list[int]:
        """Rows to decode at once for a step, of this GOP only.

        Backwards all before it, or as many as half of the memory for pictures holds, since the way from the IRAP is paid for once;
        forwards as many as keep all threads busy.
        """
        if step != -1 and (step != 1 or self._threads == 1):
            return [row]
        most = self._pictures_in(self._samples.pictures.limit // 2)
        if step == -1:
            order = self._index.order[max(0, place - most + 1) : place]
        else:
            order = self._index.order[place + 1 : place + min(2 * self._threads, most)]
        iraps = self._samples.iraps
        near = (int(other) for other in order if iraps[other] == iraps[row] and (step > 0 or other <= row))
        return sorted({row, *(other for other in near if self._samples.pictures.get(other) is None)})

    def _new_reader(self) -> SampleReader:
        index = self._index
        if self._fetching is None:
            return SampleReader(
                self._source, index.samples, _READ_AHEAD, self._samples.limits, framing=index.framing
            )
        return SampleReader(
            self._fetching,
            index.samples,
            0,
            self._samples.limits,
            0,
            index.framing,
            most=_FETCHED_RUN,
            gap=self._fetching.settings.gap,
        )

    def _expect(self) -> None:
        """Let the pool know how large pictures are; where the stream does not say, decoding will tell why."""
        if self._facts is None:
            with suppress(FFbindError):
                self._sequence()

    def _pictures_in(self, size: int) -> int:
        """Say how many pictures fit into so many bytes; one where the stream does not say how large they are."""
        try:
            facts = self._sequence()
        except (CorruptError, UndecodableError):  # decoding will tell of which sample
            return 1
        return max(1, size * 15 // 16 // facts.picture_bytes)  # lines are aligned

    def _in_order(self, rows: Iterable[tuple[int, int]], count: int) -> Iterator[tuple[Frame, int]]:
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

    def _flowing(self, rows: Iterator[tuple[int, int]], keep: bool) -> Iterator[tuple[Frame, int]]:
        """Decode rows that are wanted in about the order of decoding: each is given as soon as it is there."""
        most = min(_FLOWING_FRAMES, self._pictures_in(_BATCH_BYTES))
        steady = min(_STEADY_FRAMES, self._pictures_in(_STEADY_BYTES))
        least = min(most, max(_STEADY_FRAMES_EACH * self._threads, steady))
        foresee = None if self._ahead is None else self._ahead.batches
        flow = Flow(rows, self._samples, _LOOKAHEAD, lambda: self._turn.is_wanted, foresee)
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
            self._expect()
            reused = flow.reused
            self._with_scan(lambda: self._pool.decode_flow(flow, least, most, keep=keep))
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
            self._expect()
            results: dict[int, Result] = {}
            for row in set(rows):
                frame = self._samples.pictures.get(row)
                if frame is not None:
                    self._reused += 1
                    results[row] = frame
            results.update(self._decode_now(sorted(set(rows) - results.keys()), keep))
            return results

    def _decode_now(self, rows: Sequence[int], keep: bool = True) -> dict[int, Result]:
        return self._with_scan(lambda: self._pool.decode(rows, keep=keep))

    def _with_scan(self, work: Callable[[], T]) -> T:
        """Do what may turn out to need the headers of all samples: then read them, and do it again."""
        try:
            return work()
        except ScanNeeded:
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


def _reopen(path: str, index: VideoIndex, threads: int, kept_bytes: int, limits: Limits) -> Video:
    return open(path, index=index, threads=threads, kept_bytes=kept_bytes, limits=limits)


class Frames(Sequence[Frame]):
    """A lazy sequence of frames, as a slice of a video gives it: nothing is decoded before it is asked for."""

    def __init__(self, video: Video, places: range) -> None:
        self._video = video
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, key: int) -> Frame: ...
    @overload
    def __getitem__(self, key: slice) -> Frames: ...
    def __getitem__(self, key: int | slice) -> Frame | Frames:
        if isinstance(key, slice):
            return Frames(self._video, self._places[key])
        place = operator.index(key)
        if not -len(self) <= place < len(self):
            raise FrameIndexError(f"frame {place} of a slice of {len(self)} frames")
        return self._video[self._places[place]]

    def __iter__(self) -> Iterator[Frame]:
        return self._video.frames(self._places)
