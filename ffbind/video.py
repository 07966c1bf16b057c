"""The face of the library: `open()` gives a `Video`, and a `Video` gives exact frames by index, time or byte offset."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from . import isobmff
from .bitstream import ParameterSets, SampleHeader, SequenceFacts, sample_kind
from .color import Color
from .decoder import Decoder, Outcome
from .errors import (
    BeforeIrapError,
    ClosedError,
    CorruptError,
    FFbindError,
    ForkedError,
    FrameTimeError,
    NotIrapError,
    NotShownError,
    NotVideoError,
    OffsetError,
    UndecodableError,
)
from .frame import Frame, NativePicture, with_fallback
from .hevc import Kind
from .index import SampleEntry, VideoIndex
from .pictures import PictureCache
from .plan import Plan, ReferenceTracker, Verdict, plan_frames
from .probe import explain_foreign
from .reader import SampleReader
from .sources import FileSource, Source, SourceLike, as_source

__all__ = ["Frames", "Stats", "Video", "open"]

_KEPT_BYTES = 256 << 20
"""Decoded pictures kept per video: the order of showing differs from that of decoding by up to 16 pictures, and people step back."""

_READ_AHEAD = 512 << 10
_MAX_FALLBACKS = 4
"""IRAPs tried for one picture; a conforming stream needs two."""

_BATCH = 64
"""Frames of one batch that are put into decode order together; bounds what `frames()` holds at a time."""


@dataclass(slots=True)
class Stats:
    """What a video has done so far. Counters only grow.

    - `decoders_opened`: libavcodec decoders; one, unless a damaged sample made a new one necessary
    - `restarts`: how often decoding started at an IRAP
    - `samples_read`: samples whose headers were read on the way; `samples_sent`: given to the decoder; `samples_skipped`: stepped over
    - `pictures`: pictures that came out; `pictures_reused`: frames answered from those kept
    - `fallbacks`: starts at an earlier IRAP than the nearest, for RASL pictures and the like
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


def open(  # noqa: A001
    source: SourceLike,
    *,
    index: VideoIndex | str | os.PathLike[str] | None = None,
    threads: int | None = None,
    track: int | None = None,
) -> Video:
    """Open a video for exact frames.

    - `source`: a path, bytes, a binary file object, or anything with the members of `ffbind.sources.Source`
    - `index`: a `VideoIndex` or the path of a saved one, which saves reading the file's tables; IndexMismatchError if it is not
      of these bytes
    - `threads`: decoder threads, default all cores
    - `track`: the track's id in the file; default the first enabled video track with most samples

    Raises NotVideoError, UnsupportedError (another codec or container; it names it), EncryptedError, CorruptError, SourceError.

    >>> with ffbind.open("clip.mp4") as video:  # doctest: +SKIP
    ...     video[120].to_numpy().shape
    (1080, 1920, 3)
    """
    path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
    opened = as_source(source)
    try:
        if index is None:
            index = _read_index(opened, path, track)
        elif not isinstance(index, VideoIndex):
            index = VideoIndex.load(index)
        index.check(opened)
        return Video(opened, index, threads=threads, path=path)
    except BaseException:
        if isinstance(opened, FileSource) and opened is not source:
            opened.close()
        raise


def _read_index(source: Source, path: str | None, track: int | None) -> VideoIndex:
    try:
        return isobmff.read_index(source, track=track)
    except NotVideoError as error:
        if source.size == 0:
            raise
        raise explain_foreign(source, path or "the source", error) from None


class Video:
    """An open video. Made by `ffbind.open`; close it, or use it in a `with` statement.

    Frames are addressed in presentation order, edit lists applied, as the `ffmpeg` command shows them; `frame_at_offset` reaches
    every sample, shown or not. A `Video` may be shared between threads (they take turns) and pickled when it was opened by path.
    """

    def __init__(self, source: Source, index: VideoIndex, *, threads: int | None, path: str | None) -> None:
        self._source = source
        self._index = index
        self._threads = threads
        self._path = path
        self._process = os.getpid()
        self._closed = False
        self._lock = threading.RLock()
        self._stats = Stats()
        self._reader = SampleReader(source, index.samples, _READ_AHEAD)
        self._pictures = PictureCache(_KEPT_BYTES)
        self._kinds: NDArray[np.uint8] = index.samples["kind"].copy()
        self._temporal_ids: NDArray[np.uint8] = index.samples["temporal_id"].copy()
        self._failed: dict[int, FFbindError] = {}
        self._damaged: set[int] = set()
        self._decoder: Decoder | None = None
        self._position: int | None = (
            None  # the row that the decoder takes next; None: it has to start at an IRAP
        )
        self._started_at = 0  # the IRAP row that it started at
        self._facts: SequenceFacts | None = None

    # What the video is

    @property
    def index(self) -> VideoIndex:
        """The sample table. Kinds are UNKNOWN until bytes were read; `scan()` gives one with all of them."""
        return self._index

    @property
    def stats(self) -> Stats:
        """A copy of the counters."""
        with self._lock:
            stats = Stats(**{name: getattr(self._stats, name) for name in Stats.__dataclass_fields__})
            stats.decoders_opened = self._decoder.opened if self._decoder else 0
            stats.source_reads = self._reader.reads
            stats.source_bytes = self._reader.bytes
            return stats

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
        return float(self._index.ends[-1] / self._index.timescale) if len(self) else 0.0

    @property
    def frame_rate(self) -> float:
        """Frames shown a second, averaged over the video; 0.0 where nothing is shown."""
        if not len(self):
            return 0.0
        ticks = int(self._index.ends[-1] - self._index.starts[0])
        return len(self) * self._index.timescale / ticks if ticks else 0.0

    def _sequence(self) -> SequenceFacts:
        """Read the first SPS: of the sample entry, or of the first sample where that one holds none."""
        with self._lock:
            self._check_usable()
            if self._facts is None:
                entry = self._entry(0)
                sets = ParameterSets(entry.parameter_sets)
                try:
                    self._facts = sets.facts()
                except UndecodableError:
                    sets.read(self._reader.read(0), entry.nal_length_size)
                    self._facts = sets.facts()
            return self._facts

    def _entry(self, row: int) -> SampleEntry:
        return self._index.entries[int(self._index.samples["entry"][row])]

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
        with self._lock:
            self._check_usable()
            self._know_order()
            return self._frame(self._index.row_of_display(key), key % len(self))

    def __iter__(self) -> Iterator[Frame]:
        """Iterate over all frames in presentation order; each is decoded once."""
        return self.frames(range(len(self)))

    def frame_at(self, time: float) -> Frame:
        """Give the frame that is on screen at `time` seconds after edits. FrameTimeError (also a ValueError) where none is."""
        with self._lock:
            self._check_usable()
            self._know_order()
            return self[self._index.display_at_time(time)]

    def frames_at(self, times: Iterable[float], tolerance: float | None = None) -> Iterator[Frame]:
        """Give the frame on screen at each time, in the caller's order.

        With `tolerance`, in seconds, a time farther than that from its frame's start is a FrameTimeError.
        """
        with self._lock:
            self._check_usable()
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
        places = iter(indices)
        while batch := list(islice(places, _BATCH)):
            rows = [self._index.row_of_display(place) for place in batch]
            yield from self._batch(rows, [place % len(self) for place in batch])

    def frame_at_offset(self, offset: int, irap_offset: int | None = None) -> Frame:
        """Give the picture whose sample starts at byte `offset` of the file, shown by the edit list or not.

        `irap_offset`: byte offset of an IRAP sample at or before it in decode order, where decoding may start at the latest; it
        saves looking for one. Raises OffsetError, NotIrapError, BeforeIrapError; UndecodableError, NotShownError, CorruptError.
        """
        with self._lock:
            self._check_usable()
            return self._frame(self._row_at_offset(offset, irap_offset), None)

    def frames_at_offsets(self, offsets: Iterable[int], irap_offset: int | None = None) -> Iterator[Frame]:
        """Give the pictures whose samples start at these bytes, in the caller's order; see `frame_at_offset`."""
        places = iter(offsets)
        while batch := list(islice(places, _BATCH)):
            with self._lock:
                self._check_usable()
                rows = [self._row_at_offset(offset, irap_offset) for offset in batch]
            yield from self._batch(rows, [None] * len(rows))

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

    def scan(self) -> VideoIndex:
        """Read the headers of all samples (which reads the whole file) and give the index with true kinds and IRAPs.

        The video uses it from then on. Where the file has no composition times, the order of showing comes from the picture
        order counts (H.265 8.3.1).
        """
        with self._lock:
            self._check_usable()
            order = self._scan()
            index = self._index.with_kinds(self._kinds, self._temporal_ids)
            if not index.has_composition_times:
                index = index.with_display_order(order)
            self._index = index
            return index

    # Life

    def close(self) -> None:
        """Free decoder, pictures and the file, if it was opened by path; closing twice is fine. Frames stay valid."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._decoder is not None:
                self._decoder.close()
            self._pictures.clear()
            if self._path is not None and isinstance(self._source, FileSource):
                self._source.close()

    def __enter__(self) -> Self:
        self._check_usable()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is None:
            raise TypeError("a video can be pickled only when it was opened by path")
        return _reopen, (self._path, self._index, self._threads)

    def _check_usable(self) -> None:
        if self._closed:
            raise ClosedError("this video was closed; open it again")
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
            if not self._is_irap(irap):
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
        with self._lock:
            self._check_usable()
            if not self._index.has_composition_times and self._sequence().max_num_reorder > 0:
                self.scan()

    # Kinds

    def _kind(self, row: int, last: int | None = None) -> Kind | None:
        """Read what kind of picture a sample is, if it is not known yet; None: it holds none, or cannot be read.

        `last`: the row up to which samples will be read next.
        """
        if self._kinds[row] == Kind.UNKNOWN:
            try:
                kind, temporal_id = sample_kind(
                    self._reader.read(row, last), self._entry(row).nal_length_size
                )
            except CorruptError:
                return None
            if kind is None:
                return None
            self._kinds[row], self._temporal_ids[row] = kind, temporal_id
        return Kind(int(self._kinds[row]))

    def _is_irap(self, row: int, last: int | None = None) -> bool:
        kind = self._kind(row, last)
        return kind is not None and kind.is_irap

    def _irap_at_or_before(self, row: int) -> int | None:
        """Find an IRAP to start at: the nearest that is known or that the container names, proved by its bytes.

        A nearer one that the container does not name may exist; starting earlier is as exact, and once its kind was read it is
        found. Where the container names none, samples are read backwards until one turns up.
        """
        target = row
        while row >= 0:
            known = self._kinds[: row + 1]
            irap = (known >= Kind.BLA_W_LP) & (known <= Kind.RSV_IRAP_VCL23)
            nearest = int(np.flatnonzero(irap)[-1]) if irap.any() else -1
            named = int(self._index.samples["irap"][row])
            candidate = max(nearest, min(named, row))
            if named < 0 and nearest < row:
                candidate = row
            if candidate < 0:
                return None
            if self._is_irap(candidate, target):
                return candidate
            row = candidate - 1
        return None

    def _scan(self) -> NDArray[np.int64]:
        """Read all headers into `_kinds`; give for each row its rank in the order of showing."""
        count = len(self._index.samples)
        tracker = ReferenceTracker(keep_following=False)
        sets = ParameterSets()
        entry: SampleEntry | None = None
        sequence = np.zeros(count, dtype=np.int64)
        poc = np.zeros(count, dtype=np.int64)
        current = 0
        for row in range(count):
            if self._entry(row) is not entry:
                entry = self._entry(row)
                sets = ParameterSets(entry.parameter_sets)
                tracker.reset()
            try:
                header = sets.read(self._reader.read(row, count), entry.nal_length_size)
            except CorruptError:
                tracker.lose()
                sequence[row], poc[row] = current, poc[row - 1] if row else 0
                continue
            step = tracker.step(header)
            if step.starts_sequence:
                current += 1
            self._learn(row, header)
            sequence[row], poc[row] = current, step.poc
        self._stats.samples_read += count
        rank = np.empty(count, dtype=np.int64)
        rank[np.lexsort((poc, sequence))] = np.arange(count)
        return rank

    def _learn(self, row: int, header: SampleHeader) -> None:
        if header.kind is not None:
            self._kinds[row], self._temporal_ids[row] = header.kind, header.temporal_id

    # Decoding

    def _batch(self, rows: Sequence[int], places: Sequence[int | None]) -> Iterator[Frame]:
        """Decode a bounded batch in decode order, each row once; hand out in the order given, errors in their place too."""
        with self._lock:
            self._check_usable()
            done: dict[int, Frame | FFbindError] = {}
            for row in sorted(set(rows)):
                try:
                    done[row] = self._frame(row, None)
                except FFbindError as error:
                    done[row] = error
        for row, place in zip(rows, places, strict=True):
            result = done[row]
            if isinstance(result, FFbindError):
                raise result
            yield result if place is None or place == result.index else self._at_place(result, place)

    def _frame(self, row: int, place: int | None) -> Frame:
        """Give the frame of a row: one that is kept, or decode up to it."""
        frame = self._pictures.get(row)
        if frame is not None:
            self._stats.pictures_reused += 1
        else:
            frame = self._decode_to(row)
        return frame if place is None or place == frame.index else self._at_place(frame, place)

    def _decode_to(self, row: int) -> Frame:
        """Decode up to `row`: going on from where the decoder stands, or from an IRAP where that is nearer or must be.

        rows:      I . . . . p . . . . I' . . . t          p: where the decoder stands, t: wanted
        go on:               p---------------->t           when t needs pictures from before I', or p lies behind I'
        restart:                       I'----->t           otherwise; should t prove to be a RASL picture of I', then
        fall back: I-------------------------->t           from the IRAP before
        """
        if row in self._failed:
            raise self._failed[row]
        start = self._irap_at_or_before(row)
        if start is None:
            raise self._fail(
                row, UndecodableError("no IRAP picture comes before this sample: no decoder can show it")
            )
        if self._goes_on(start, row) and self._position is not None and self._kinds[row] == Kind.UNKNOWN:
            self._reader.run(self._position, row)
        kind = self._kind(row)
        if kind is not None and kind.is_rasl:
            start = self._earlier_start(start) or start
        for _ in range(_MAX_FALLBACKS):
            if not self._goes_on(start, row):
                self._restart(start)
            outcome = self._run_to(row)
            if outcome is not None and outcome.picture is not None:
                return self._keep(row, outcome.header, outcome.picture)
            failure = self._failure(row, outcome)
            earlier = self._earlier_start(self._started_at) if failure is None else None
            if earlier is None:
                raise self._fail(row, failure or _without_references(outcome))
            self._stats.fallbacks += 1
            start = earlier
        raise self._fail(row, _without_references(outcome))

    def _goes_on(self, start: int, row: int) -> bool:
        """Tell whether the decoder can go on to `row`, which needs what comes from `start` on."""
        return self._position is not None and self._started_at <= start <= self._position <= row

    def _earlier_start(self, irap: int) -> int | None:
        """Find the IRAP before this one, if starting there can help: only a CRA has leading pictures that need it."""
        if self._kind(irap) is not Kind.CRA or irap == 0:
            return None
        return self._irap_at_or_before(irap - 1)

    def _restart(self, row: int) -> None:
        entry = self._entry(row)
        if self._decoder is None:
            self._decoder = Decoder()
        self._decoder.restart(entry.parameter_sets, entry.nal_length_size)
        self._position = self._started_at = row
        self._stats.restarts += 1

    def _run_to(self, row: int) -> Outcome | None:
        """Give the decoder all samples up to `row`; what became of that one, or None where it cannot be read."""
        while True:
            try:
                return self._run_once(row)
            except CorruptError as error:
                damaged = self._position
                assert damaged is not None
                self._position = None
                self._damaged.add(damaged)
                self._fail(damaged, error)
                if damaged == row:
                    raise self._failed[row] from None
                # The decoder is lost with the damaged sample: the same way again, around it.
                self._restart(self._started_at)
            except BaseException:
                self._position = None
                raise

    def _run_once(self, row: int) -> Outcome | None:
        decoder = self._decoder
        assert decoder is not None
        assert self._position is not None
        outcome = None
        entry = self._entry(self._position)
        for current in range(self._position, row + 1):
            self._position = current
            if self._entry(current) is not entry:
                entry = self._entry(current)
                decoder.restart(entry.parameter_sets, entry.nal_length_size)
            damaged = current in self._damaged
            try:
                outcome = decoder.push(self._reader.read(current, row), damaged=damaged)
            except CorruptError:
                if not damaged:
                    raise
                decoder.lose()
                outcome = None
                continue
            self._count(current, outcome)
            if current < row and outcome.picture is not None:
                self._keep(current, outcome.header, outcome.picture)
        self._position = row + 1
        return outcome

    def _count(self, row: int, outcome: Outcome) -> None:
        self._learn(row, outcome.header)
        stats = self._stats
        stats.samples_read += 1
        if outcome.step.verdict is Verdict.DECODE:
            stats.samples_sent += 1
        else:
            stats.samples_skipped += 1
        if outcome.picture is not None:
            stats.pictures += 1

    def _keep(self, row: int, header: SampleHeader, picture: NativePicture) -> Frame:
        assert header.kind is not None
        index = self._index
        frame = Frame(
            picture,
            kind=header.kind,
            offset=int(index.samples["offset"][row]),
            pts=int(index.samples["pts"][row]),
            container_color=self._entry(row).color,
            rotation=index.rotation,
            mirrored=index.mirrored,
        )
        display = int(index.samples["display"][row])
        if display >= 0:
            frame = self._at_place(frame, display)
        self._pictures.put(row, frame)
        return frame

    def _at_place(self, frame: Frame, place: int) -> Frame:
        """Give the same picture as the frame at a place in presentation order (edits may show a picture twice)."""
        index = self._index
        start = int(index.starts[place])
        end = int(index.starts[place + 1]) if place + 1 < len(index) else int(index.ends[-1])
        return frame.shown_at(place, start / index.timescale, (end - start) / index.timescale)

    def _failure(self, row: int, outcome: Outcome | None) -> FFbindError | None:
        """Say why there is no picture, or None where starting earlier may give one."""
        damaged = [at for at in self._damaged if self._started_at <= at < row]
        if outcome is None or outcome.step.verdict is Verdict.EMPTY:
            return UndecodableError("the sample holds no picture (of the base layer)")
        verdict = outcome.step.verdict
        if verdict is Verdict.DECODE:
            if not outcome.header.shown:
                return NotShownError(
                    "the stream says that this picture is never shown (pic_output_flag is 0)"
                )
            return UndecodableError("libavcodec put out no picture for this sample")
        if damaged and verdict is not Verdict.SKIPPED:
            offset = int(self._index.samples["offset"][max(damaged)])
            return CorruptError(
                f"the picture depends on damaged data: the sample at offset {offset} cannot be decoded"
            )
        return None

    def _fail(self, row: int, error: FFbindError) -> FFbindError:
        """Remember why a row has no picture, so that finding out is paid once."""
        offset = int(self._index.samples["offset"][row])
        failure = type(error)(f"sample at offset {offset}: {error}")
        self._failed[row] = failure
        return failure


def _without_references(outcome: Outcome | None) -> FFbindError:
    if outcome is not None and outcome.step.verdict is Verdict.SKIPPED:
        return UndecodableError(
            "a RASL picture whose IRAP starts the stream or follows a break: the pictures that it refers to are not in the "
            "stream, so no decoder can show it (H.265 8.3.3)"
        )
    return UndecodableError(
        "pictures that this one refers to are not in the stream, so no decoder can show it exactly"
    )


def _reopen(path: str, index: VideoIndex, threads: int | None) -> Video:
    return open(path, index=index, threads=threads)


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
        return self._video[self._places[key]]

    def __iter__(self) -> Iterator[Frame]:
        return self._video.frames(self._places)
