"""The face of the library: `open()` gives a `Video`, and a `Video` gives exact frames by index, time or byte offset."""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import groupby, islice
from types import TracebackType
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from . import isobmff, streams
from .bitstream import ParameterSets, SequenceFacts
from .color import Color
from .cores import usable_cores
from .engine import Engine, Stats
from .errors import (
    ArgumentError,
    BeforeIrapError,
    ClosedError,
    CorruptError,
    FFbindError,
    ForkedError,
    FrameIndexError,
    FrameTimeError,
    NotIrapError,
    NotVideoError,
    OffsetError,
    SourceError,
    UndecodableError,
)
from .frame import Frame, with_fallback
from .index import VideoIndex
from .limits import Limits
from .plan import Plan, plan_frames
from .reader import SampleReader
from .samples import PictureCache, Samples
from .scan import Watch, scan_headers
from .sources import FileSource, Source, SourceLike, as_source

__all__ = ["Frames", "Video", "open"]

_KEPT_BYTES = 256 << 20
_KEPT_PICTURES = 6
"""Pictures kept at least: decoding runs ahead of showing by the stream's reordering, 2 to 5 pictures in camera video."""

_BATCH_BYTES = 256 << 20
"""What the frames of one batch may take, which bounds what `frames()` holds at a time."""

_READ_AHEAD = 512 << 10


def open(  # noqa: A001
    source: SourceLike,
    *,
    index: VideoIndex | str | os.PathLike[str] | None = None,
    threads: int | None = None,
    track: int | None = None,
    kept_bytes: int = _KEPT_BYTES,
    limits: Limits | None = None,
) -> Video:
    """Open a video for exact frames.

    - `source`: a path, bytes, a binary file object, or anything with the members of `ffbind.sources.Source`
    - `index`: a `VideoIndex` or the path of a saved one, which saves reading the file's tables; IndexMismatchError if it is not
      of these bytes
    - `threads`: how many GOPs of a batch or of an iteration are decoded side by side, default all cores; a picture is always
      decoded by one thread
    - `track`: the track's id in the file; default the first enabled video track with most samples
    - `kept_bytes`: memory for decoded pictures that are kept, for stepping back and for showing in another order than that of
      decoding; the last few stay in any case
    - `limits`: how large the video and its parts may be, and how much one frame may cost

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
        index = VideoIndex.load(index)
    opened = as_source(source)
    try:
        if index is None:
            index = _read_index(opened, track, limits)
        index.check(opened)
        _check_pictures(index, limits)
        return Video(opened, index, threads=threads, path=path, kept_bytes=kept_bytes, limits=limits)
    except BaseException as error:
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
        self._threads = threads if threads is not None else usable_cores()
        self._path = path
        self._process = os.getpid()
        self._closed = False
        self._lock = threading.RLock()
        self._kept_bytes = kept_bytes
        index = index.bound_to(path if path is not None else source)
        self._samples = Samples(index, PictureCache(kept_bytes, _KEPT_PICTURES), limits)
        self._reader = SampleReader(source, index.samples, _READ_AHEAD, limits, framing=index.framing)
        self._engines: list[Engine] = []
        self._reused = 0
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
        self._check_process()
        with self._lock:
            own = Stats(
                pictures_reused=self._reused, source_reads=self._reader.reads, source_bytes=self._reader.bytes
            )
            return sum((engine.stats for engine in self._engines), own)

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
        return self._source

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
        with self._turn():
            if self._facts is None:
                entry = self._samples.entry(0)
                sets = ParameterSets(entry.parameter_sets)
                try:
                    self._facts = sets.facts()
                except UndecodableError:
                    sets.read(self._reader.read(0), entry.nal_length_size)
                    self._facts = sets.facts()
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
        with self._turn():
            self._know_order()
            frame = self._frame(self._index.row_of_display(place))
            return self._samples.at_place(frame, place % len(self))

    def __iter__(self) -> Iterator[Frame]:
        """Iterate over all frames in presentation order; each is decoded once."""
        return self.frames(range(len(self)))

    def frame_at(self, time: float) -> Frame:
        """Give the frame that is on screen at `time` seconds after edits. FrameTimeError (also a ValueError) where none is."""
        with self._turn():
            self._know_order()
            return self[self._index.display_at_time(time)]

    def frames_at(self, times: Iterable[float], tolerance: float | None = None) -> Iterator[Frame]:
        """Give the frame on screen at each time, in the caller's order.

        With `tolerance`, in seconds, a time farther than that from its frame's start is a FrameTimeError.
        """
        with self._turn():
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

        They are decoded in the cheapest order, batch by batch, so any number of them takes bounded memory.
        """
        self._know_order()
        places = map(operator.index, indices)
        while batch := list(islice(places, self._batch_size())):
            rows = [self._index.row_of_display(place) for place in batch]
            for frame, place in zip(self._batch(rows), batch, strict=True):
                yield self._samples.at_place(frame, place % len(self))

    def frame_at_offset(self, offset: int, irap_offset: int | None = None) -> Frame:
        """Give the picture whose sample starts at byte `offset` of the file, shown by the edit list or not.

        `irap_offset`: byte offset of an IRAP sample at or before it in decode order, where decoding may start at the latest; it
        saves looking for one. Raises OffsetError, NotIrapError, BeforeIrapError; UndecodableError, NotShownError, CorruptError.
        """
        with self._turn():
            return self._frame(self._row_at_offset(offset, irap_offset))

    def frames_at_offsets(self, offsets: Iterable[int], irap_offset: int | None = None) -> Iterator[Frame]:
        """Give the pictures whose samples start at these bytes, in the caller's order; see `frame_at_offset`."""
        places = iter(offsets)
        while batch := list(islice(places, self._batch_size())):
            with self._turn():
                rows = [self._row_at_offset(offset, irap_offset) for offset in batch]
            yield from self._batch(rows)

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
        for i, frame in enumerate(self.frames(places)):
            if i == 0:
                first = frame.to_numpy(format, size)
                out = np.empty((len(places), *first.shape), first.dtype)
                out[0] = first
            else:
                frame.to_numpy_into(out[i], format, size)
        return out

    def plan(self, indices: Iterable[int]) -> Plan:
        """Tell what these frames would cost from a standing start: samples, ranges and bytes. Reads nothing of the pictures."""
        self._know_order()
        return plan_frames(self._index, [self._index.row_of_display(place) for place in indices])

    def scan(self, watch: Watch | None = None) -> VideoIndex:
        """Read the headers of all samples (which reads the whole file) and give the index with true kinds and IRAPs.

        The video uses it from then on. `watch` is called with each sample, in decode order: for progress, or for more facts.
        Where the file has no composition times, the order of showing comes from the picture order counts (H.265 8.3.1).
        """
        with self._turn():
            samples = self._samples
            headers = scan_headers(samples, self._reader, watch)
            index = samples.index.with_kinds(samples.kinds, samples.temporal_ids)
            index = index.with_entries(headers.entries, headers.entry)
            if not index.has_composition_times:
                index = index.with_display_order(headers.rank)
                samples.pictures.clear()  # they were placed in the wrong order
            samples.index = index
            return index

    # Life

    def close(self) -> None:
        """Free decoder, pictures and the file, if it was opened by path; closing twice is fine. Frames stay valid."""
        if os.getpid() != self._process:
            return  # the parent's; its lock may be held by a thread that this process does not have
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for engine in self._engines:
                engine.close()
            self._samples.pictures.clear()
            if self._path is not None and isinstance(self._source, FileSource):
                self._source.close()

    def __enter__(self) -> Self:
        with self._turn():
            return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is None:
            raise TypeError("a video can be pickled only when it was opened by path")
        return _reopen, (self._path, self._index, self._threads, self._kept_bytes, self._samples.limits)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for the other threads, then do what needs an open video."""
        # Before the lock is asked for: after fork() nobody is left to release it.
        self._check_process()
        with self._lock:
            if self._closed:
                raise ClosedError("this video was closed; open it again")
            yield

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise ForkedError("this video belongs to the parent process; open it again after fork()")

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
            if not self._samples.is_irap(irap, self._reader):
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
        with self._turn():
            if not self._index.has_composition_times and self._sequence().max_num_reorder > 0:
                self.scan()

    # Decoding

    def _frame(self, row: int) -> Frame:
        """Give the frame of a row: one that is kept, or from the decoder that stands nearest before it."""
        frame = self._samples.pictures.get(row)
        if frame is not None:
            self._reused += 1
            return frame
        if not self._engines:
            self._engines.append(self._new_engine())
        return min(self._engines, key=lambda engine: _cost(engine, row)).decode(row)

    def _new_engine(self) -> Engine:
        samples = self._samples
        index = samples.index
        reader = SampleReader(self._source, index.samples, _READ_AHEAD, samples.limits, framing=index.framing)
        return Engine(samples, reader)

    def _batch_size(self) -> int:
        facts = self._sequence()
        picture = facts.coded_width * facts.coded_height * (3 if facts.bit_depth == 8 else 6)
        return max(1, min(64, _BATCH_BYTES // picture))

    def _batch(self, rows: Sequence[int]) -> Iterator[Frame]:
        """Decode a bounded batch, each row once; hand out in the order given, errors in their place too.

        Each decoder takes a run of GOPs and goes through it in decode order; several decoders work side by side.
        """
        with self._turn():
            done: dict[int, Frame | FFbindError] = {}
            runs = self._runs(sorted(set(rows)))
            if len(runs) == 1:
                for row in runs[0]:
                    done[row] = _result(self._frame, row)
            else:
                self._decode_side_by_side(runs, done)
        for row in rows:
            result = done[row]
            if isinstance(result, FFbindError):
                done.clear()  # whoever keeps the error keeps no pictures with it
                raise result
            yield result

    def _runs(self, rows: list[int]) -> list[list[int]]:
        """Split ascending rows into runs of whole GOPs (by the IRAPs that the index names), at most one for each thread."""
        iraps = self._index.samples["irap"]
        runs: list[list[int]] = [[]]
        for _, gop in groupby(rows, key=lambda row: int(iraps[row])):
            if len(runs[-1]) * self._threads >= len(rows):
                runs.append([])
            runs[-1].extend(gop)
        return runs

    def _decode_side_by_side(self, runs: list[list[int]], done: dict[int, Frame | FFbindError]) -> None:
        while len(self._engines) < len(runs):
            self._engines.append(self._new_engine())
        idle = list(self._engines)
        jobs = []
        for run in runs:
            engine = min(idle, key=partial(_cost, row=run[0]))
            idle.remove(engine)
            jobs.append((engine, run))

        def decode_run(job: tuple[Engine, list[int]]) -> int:
            """Decode a run; count the frames of it that were kept."""
            engine, run = job
            reused = 0
            for row in run:
                kept = self._samples.pictures.get(row)
                done[row] = kept if kept is not None else _result(engine.decode, row)
                reused += kept is not None
            return reused

        with ThreadPoolExecutor(len(runs), thread_name_prefix="ffbind") as pool:
            # An error that is not a frame's own comes out here.
            self._reused += sum(pool.map(decode_run, jobs))


def _cost(engine: Engine, row: int) -> float:
    """Samples from where a decoder stands to `row`; one that stands nowhere before it is the last choice."""
    distance = engine.distance(row)
    return float("inf") if distance is None else distance


def _result(decode: Callable[[int], Frame], row: int) -> Frame | FFbindError:
    try:
        return decode(row)
    except FFbindError as error:
        return error


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
