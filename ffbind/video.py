"""The face of the library: `open()` gives a `Video`, and a `Video` gives exact frames by index, time or byte offset."""

from __future__ import annotations

import operator
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from . import isobmff, streams
from .bitstream import ParameterSets
from .color import Color
from .cores import usable_cores
from .decoding import Decoding
from .errors import (
    ArgumentError,
    CorruptError,
    FFbindError,
    FrameIndexError,
    FrameTimeError,
    NotVideoError,
    SourceError,
    UndecodableError,
)
from .fetching import FetchingSource, FetchSettings
from .frame import Frame, with_fallback
from .index import VideoIndex
from .isobmff import LazyTable
from .limits import Limits
from .plan import Plan, plan_frames
from .samples import KnownPart
from .scan import Watch
from .sources import FileSource, Source, SourceLike, as_source, is_near
from .stats import Stats
from .track import Track
from .turn import Turn

__all__ = ["Frames", "Video", "open"]

T = TypeVar("T")

_KEPT_BYTES = 512 << 20


def open(  # noqa: A001
    source: SourceLike,
    *,
    index: VideoIndex | LazyTable | str | os.PathLike[str] | None = None,
    threads: int | None = None,
    track: int | None = None,
    kept_bytes: int = _KEPT_BYTES,
    limits: Limits | None = None,
    fetch: FetchSettings | None = None,
) -> Video:
    """Open a video for exact frames. Raw streams, Matroska and transport streams have no table of samples: they are read whole, once.

    - `source`: a path, bytes, a binary file object, or anything with the members of `ffbind.sources.Source`
    - `index`: a `VideoIndex` or the path of a saved one, which saves reading the file's tables, or what `isobmff.open_table` gave for
      the same source elsewhere; IndexMismatchError if it is not of these bytes
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
    if isinstance(index, (str, os.PathLike)):
        index = VideoIndex.load(index, limits=limits)
    opened = as_source(source)
    reading = opened if is_near(opened) else FetchingSource(opened, fetch)
    try:
        table = _read_table(reading, track, limits) if index is None else index
        known = table.partial.index if isinstance(table, LazyTable) else table
        known.check(opened)
        _check_pictures(known, limits)
        return Video(reading, table, threads=threads, path=path, kept_bytes=kept_bytes, limits=limits)
    except BaseException as error:
        if isinstance(reading, FetchingSource):
            reading.close()
        if isinstance(opened, FileSource) and opened is not source:
            opened.close()
        if path is not None and isinstance(error, FFbindError) and not isinstance(error, SourceError):
            error.args = (f"{path}: {error}", *error.args[1:])
        raise


def _read_table(source: Source, track: int | None, limits: Limits) -> VideoIndex | LazyTable:
    """Read the table of an MP4 or MOV file; anything else has none, and is scanned from the first byte to the last."""
    try:
        return isobmff.open_table(source, track=track, limits=limits)
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
        table: VideoIndex | LazyTable,
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
        self._limits = limits
        self._track = Track(table, self._fetching, self._turn, limits, self._new_decoding)
        self._fetched_before = self._fetched()

    def _new_decoding(self, index: VideoIndex, known: KnownPart | None) -> Decoding:
        return Decoding(
            self._source,
            index.bound_to(self._path if self._path is not None else self._source),
            self._turn,
            threads=self._threads,
            kept_bytes=self._kept_bytes,
            limits=self._limits,
            known=known,
        )

    # What the video is

    @property
    def _decoding(self) -> Decoding:
        """What goes by the whole table."""
        return self._track.whole()

    @property
    def _index(self) -> VideoIndex:
        return self._decoding.index

    @property
    def index(self) -> VideoIndex:
        """The sample table. Kinds are UNKNOWN until bytes were read; `scan()` gives one with all of them."""
        return self._index

    @property
    def stats(self) -> Stats:
        """A copy of the counters."""
        self._turn.check_process()
        with self._turn.lock:
            return self._track.stats + self._fetched() - self._fetched_before

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
        frames = f"{len(self)} frames" if self._track.is_whole else "fragments read when they are needed"
        return f"<ffbind.Video {self._path or 'of ' + str(self._source.size) + ' bytes'}: {frames}>"

    @property
    def codec(self) -> str:
        """Always 'hevc': other codecs are refused when opening."""
        return "hevc"

    @property
    def profile(self) -> int:
        """general_profile_idc of the bitstream (H.265 annex A): 1 is Main, 2 is Main 10."""
        return self._track.now.sequence().profile

    @property
    def source(self) -> Source:
        """Where the bytes come from."""
        return self._source if self._fetching is None else self._fetching.source

    @property
    def width(self) -> int:
        """Width as shown: cropped and upright."""
        facts = self._track.now.sequence()
        return facts.height if self._track.now.index.rotation in (90, 270) else facts.width

    @property
    def height(self) -> int:
        """Height as shown: cropped and upright."""
        facts = self._track.now.sequence()
        return facts.width if self._track.now.index.rotation in (90, 270) else facts.height

    @property
    def bit_depth(self) -> int:
        """Bits of a decoded value: 8 to 16."""
        return self._track.now.sequence().bit_depth

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of the format that pictures decode to, such as 'yuv420p10le'."""
        return self._track.now.sequence().pixel_format

    @property
    def rotation(self) -> int:
        """Degrees clockwise by which pictures are turned to be upright: 0, 90, 180 or 270."""
        return self._track.now.index.rotation

    @property
    def color(self) -> Color:
        """Primaries, transfer, matrix and range: of the bitstream, else of the container."""
        return with_fallback(self._track.now.sequence().color, self._track.now.index.entries[0].color)

    @property
    def pixel_aspect(self) -> tuple[int, int]:
        """Shape of a pixel, width : height, before rotation; frames are not stretched by it."""
        container = self._track.now.index.entries[0].pixel_aspect
        return container if container != (1, 1) else self._track.now.sequence().pixel_aspect

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
            decoding = self._track.now
            index = decoding.samples.index
            frame = decoding.frame(index.row_of_display(place))
            return decoding.samples.at_place(frame, place % len(index))

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
            decoding = self._decoding
        rows_and_places = (
            (decoding.index.row_of_display(place), place) for place in map(operator.index, indices)
        )
        for frame, place in decoding.in_order(rows_and_places, operator.length_hint(indices)):
            yield decoding.samples.at_place(frame, place % len(decoding.index))

    def frame_at_offset(self, offset: int, irap_offset: int | None = None) -> Frame:
        """Give the picture whose sample starts at byte `offset` of the file, shown by the edit list or not.

        `irap_offset`: byte offset of an IRAP sample at or before it in decode order, where decoding may start at the latest; it
        saves looking for one. Raises OffsetError, NotIrapError, BeforeIrapError; UndecodableError, NotShownError, CorruptError.

        Of a long fragmented file that is far only the fragments are read that this frame needs. What its `index`, `time` and `duration`
        are is then found out when they are asked for.
        """
        return self._track.frame_at_offset(offset, irap_offset)

    def frames_at_offsets(self, offsets: Iterable[int], irap_offset: int | None = None) -> Iterator[Frame]:
        """Give the pictures whose samples start at these bytes, in the caller's order; see `frame_at_offset`."""
        return self._track.frames_at_offsets(offsets, irap_offset)

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
                plan = replace(plan, samples=self._decoding.needed(wanted))
        return plan

    def scan(self, watch: Watch | None = None) -> VideoIndex:
        """Read the headers of all samples (which reads the whole file) and give the index with true kinds and IRAPs.

        The video uses it from then on. `watch` is called with each sample, in decode order: for progress, or for more facts.
        Where the file has no composition times, the order of showing comes from the picture order counts (H.265 8.3.1).
        """
        return self._decoding.scan(watch)

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
            self._track.close()
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
        return _reopen, (self._path, self._index, self._threads, self._kept_bytes, self._limits)

    # Addresses

    def _know_order(self) -> None:
        """Make sure that the order of showing is known, which takes a scan where time stamps cannot tell."""
        decoding = self._track.whole()
        if not decoding.samples.index.has_composition_times and decoding.sequence().max_num_reorder > 0:
            self.scan()


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
