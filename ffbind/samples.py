"""What is known of a track's samples so far: kinds as read, damage found, failures, pictures kept. Shared by its decoders."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from math import nan

import numpy as np
from numpy.typing import NDArray

from .bitstream import Buffer, SampleHeader, brings_parameter_sets, sample_kind
from .errors import CorruptError, FFbindError, NeedsEarlierIrapError
from .frame import Frame, LateFrame, NativePicture, Place
from .framing import LENGTH_PREFIXED
from .hevc import Kind
from .index import SampleEntry, VideoIndex
from .limits import Limits
from .reader import SampleReader
from .sets import sets_by_beginning
from .trace import Traces

__all__ = ["KnownPart", "PictureCache", "Samples"]

_BACKWARDS = 256
"""Samples whose headers are read in one go when looking for an IRAP that nobody names."""


@dataclass(frozen=True, slots=True)
class KnownPart:
    """What of a stream is known.

    - `breaks`: rows in front of which something is left out, ascending
    - `place_of`: tells where the frame whose sample is at a byte offset stands in the whole video
    """

    breaks: tuple[int, ...]
    place_of: Callable[[int], Place]


class PictureCache:
    """Decoded pictures kept for a while: by row, least recently used out first, bounded in bytes.

    `minimum`: this many stay whatever their size, so that showing in an order that is not the decoder's works at all.
    """

    def __init__(self, limit: int, minimum: int) -> None:
        self._limit = limit
        self._minimum = minimum
        self._frames: OrderedDict[int, Frame] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0

    @property
    def limit(self) -> int:
        """Bytes that it may take; pictures leave until they fit."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        with self._lock:
            self._limit = limit
            self._make_room()

    def get(self, row: int) -> Frame | None:
        """Give the frame of this row if it is still here, and keep it longer."""
        with self._lock:
            frame = self._frames.get(row)
            if frame is not None:
                self._frames.move_to_end(row)
            return frame

    def put(self, row: int, frame: Frame) -> None:
        """Keep a frame; others leave until all fit."""
        with self._lock:
            old = self._frames.pop(row, None)
            if old is not None:
                self.bytes -= old.nbytes
            self._frames[row] = frame
            self.bytes += frame.nbytes
            self._make_room()

    def _make_room(self) -> None:
        while self.bytes > self._limit and len(self._frames) > self._minimum:
            _, gone = self._frames.popitem(last=False)
            self.bytes -= gone.nbytes

    def clear(self) -> None:
        """Let go of all frames."""
        with self._lock:
            self._frames.clear()
            self.bytes = 0


class Samples:
    """The samples of one track, by row of the index, and what reading and decoding has taught about them.

    What is learned is only ever added, and the same whoever adds it, so decoders on several threads may share it.

    `known`: where the index knows only part of the stream, which, and who tells where a frame of it stands in the whole video; `breaks`
    are its.
    """

    def __init__(
        self,
        index: VideoIndex,
        pictures: PictureCache,
        limits: Limits | None = None,
        known: KnownPart | None = None,
    ) -> None:
        self._go_by(index)
        self._known = known
        self.breaks = known.breaks if known is not None else ()
        self.limits = limits or Limits()
        self.pictures = pictures
        self.kinds: NDArray[np.uint8] = index.samples["kind"].copy()
        self.temporal_ids: NDArray[np.uint8] = index.samples["temporal_id"].copy()
        self._known_iraps = bytearray(_is_irap_kind(self.kinds).tobytes())  # by row: 1 where `kinds` says so
        self.traces = Traces(self)
        self.one_by_one = False  # a sample was met that must not be decoded side by side with others
        self._failed: dict[int, FFbindError] = {}
        self.damaged: set[int] = set()
        self.lost: set[int] = (
            set()
        )  # damaged, and their headers tell nothing: decoding goes on at the next IRAP
        # Streams without tables are indexed by a scan.
        self._scanned = index.framing != LENGTH_PREFIXED or not bool((self.kinds == Kind.UNKNOWN).any())
        # By sample entry: its first sample brings parameter sets, so others may.
        self._changing_sets: dict[int, bool] = {}
        self._sure_starts: set[int] = set()

    def __len__(self) -> int:
        return len(self.index.samples)

    def _go_by(self, index: VideoIndex) -> None:
        """Take an index, and the columns of its table that are looked at for each frame: finding one by name costs more than a look."""
        self.index = index
        samples = index.samples
        self._offsets, self._entries, self.iraps = samples["offset"], samples["entry"], samples["irap"]
        self.displays, self._pts = samples["display"], samples["pts"]

    def entry(self, row: int) -> SampleEntry:
        """Give the sample entry that a row belongs to."""
        number: int = self._entries.item(row)
        return self.index.entries[number]

    def offset(self, row: int) -> int:
        """Give the byte offset of a row."""
        offset: int = self._offsets.item(row)
        return offset

    @cached_property
    def bytes_before(self) -> NDArray[np.int64]:
        """Bytes of all samples in front of a row, int64 (samples + 1,)."""
        return np.concatenate(([0], np.cumsum(self.index.samples["size"], dtype=np.int64)))

    def learn(self, row: int, header: SampleHeader) -> None:
        """Remember what a header said."""
        if header.kind is not None:
            self._learn_kind(row, header.kind, header.temporal_id)

    def _learn_kind(self, row: int, kind: Kind, temporal_id: int) -> None:
        self.kinds[row], self.temporal_ids[row] = kind, temporal_id
        self._known_iraps[row] = kind.is_irap

    def fail(self, row: int, error: FFbindError) -> FFbindError:
        """Remember why a row has no picture, so that finding out is paid once."""
        self._failed[row] = type(error)(f"sample at offset {self.offset(row)}: {error}")
        return copy(self._failed[row])

    def failure(self, row: int) -> FFbindError | None:
        """Say why a row has no picture, where that is known: an error of its own each time, as raising one changes it."""
        error = self._failed.get(row)
        return None if error is None else copy(error)

    def mark_damaged(self, row: int, *, lost: bool) -> None:
        """Remember that a sample is damaged.

        One that the container calls an IRAP is always lost: were its header believed, pictures behind it could be taken for ones
        of the sequence before.
        """
        self.damaged.add(row)
        self.traces.drop(row)
        if lost or int(self.index.samples["irap"][row]) == row:
            self.lost.add(row)

    def damaged_between(self, first: int, end: int) -> int | None:
        """Find the last row known to be damaged in [first, end)."""
        return max((row for row in tuple(self.damaged) if first <= row < end), default=None)

    def renew(self, index: VideoIndex) -> None:
        """Go by an index of the same samples that a scan has made; what was planned by the old one is void."""
        self._go_by(index)
        self._scanned = True
        self.traces.clear()

    def grow(self, index: VideoIndex, known: KnownPart) -> None:
        """Go by an index of more samples, all of them behind those known so far, and of the same sample entries."""
        more = index.samples[len(self) :]
        self.kinds = np.concatenate([self.kinds, more["kind"]])
        self.temporal_ids = np.concatenate([self.temporal_ids, more["temporal_id"]])
        self._known_iraps += _is_irap_kind(more["kind"]).tobytes()
        self._go_by(index)
        self._known, self.breaks = known, known.breaks
        self.__dict__.pop("bytes_before", None)

    def doubts_parameter_sets(self, start: int, reader: SampleReader) -> bool:
        """Tell whether the parameter sets in force at an IRAP may be others than those of its sample entry; a scan settles it.

        So it is where the first sample of the entry carries some and the IRAP does not: samples in between may have brought others.
        (ISO/IEC 14496-15 8.4.3 wants them repeated at each IRAP.)
        """
        if self._scanned or start in self._sure_starts:
            return False
        number = int(self.index.samples["entry"][start])
        if number not in self._changing_sets:
            first = int(np.argmax(self.index.samples["entry"] == number))
            self._changing_sets[number] = self._brings_sets(first, reader)
        if self._changing_sets[number] and not self._brings_sets(start, reader):
            return True
        self._sure_starts.add(start)
        return False

    def settle_first(self, beginning: Buffer) -> bool:
        """Find out by the beginning of the first sample whether it brings parameter sets; False where only all of it tells."""
        number: int = self._entries.item(0)
        brings = sets_by_beginning(
            beginning, int(self.index.samples["size"][0]), self.entry(0).nal_length_size
        )
        if brings is None:
            return False
        self._changing_sets.setdefault(number, brings)
        return True

    def meet_sets(self, row: int) -> None:
        """Remember that a sample that is no IRAP brings parameter sets: an IRAP behind it without any is in doubt."""
        self._changing_sets[int(self.index.samples["entry"][row])] = True
        self._sure_starts.clear()

    def _brings_sets(self, row: int, reader: SampleReader) -> bool:
        try:
            return brings_parameter_sets(reader.read(row), self.entry(row).nal_length_size)
        except CorruptError:
            return False

    # Breaks

    def first_known(self, row: int) -> int:
        """Give the first row of the unbroken stretch of the stream that a row lies in."""
        place = bisect_right(self.breaks, row)
        return self.breaks[place - 1] if place else 0

    def end_known(self, row: int) -> int:
        """Give the row behind the last one of the unbroken stretch of the stream that a row lies in."""
        place = bisect_right(self.breaks, row)
        return self.breaks[place] if place < len(self.breaks) else len(self)

    # GOPs

    def gops(self, rows: Iterable[int]) -> list[list[int]]:
        """Split rows where the GOP changes, as the index names them; in their order, each GOP's ascending."""
        return [sorted(group) for _, group in groupby(rows, key=self.iraps.item)]

    def leave_leading(self, groups: Sequence[Sequence[int]]) -> list[list[int]]:
        """Move leading pictures to the group before, which ends with the GOP that they refer to: whoever decodes it goes on to them."""
        times, iraps = self._pts, self.iraps
        moved = [list(groups[0])]
        for before, group in pairwise(groups):
            irap = int(iraps[group[0]])
            goes_on = irap > self.first_known(irap) and iraps[irap - 1] == iraps[before[0]]
            leading = [row for row in group if goes_on and times[row] < times[irap]]
            moved[-1] += leading  # one course, into the GOP behind
            moved.append([row for row in group if row not in leading])
        return [group for group in moved if group]

    # Kinds

    def kind(self, row: int, reader: SampleReader, last: int | None = None) -> Kind | None:
        """Tell what kind of picture a sample is, by its bytes; None: it holds none, or cannot be read.

        `last`: the row up to which samples will be read next.
        """
        if self.kinds[row] == Kind.UNKNOWN:
            try:
                kind, temporal_id = sample_kind(reader.read(row, last), self.entry(row).nal_length_size)
            except CorruptError:
                return None
            if kind is None:
                return None
            self._learn_kind(row, kind, temporal_id)
        return Kind(int(self.kinds[row]))

    def known_kind(self, row: int) -> Kind | None:
        """Tell what kind of picture a sample is, where it is known without reading it."""
        kind = Kind(int(self.kinds[row]))
        return None if kind is Kind.UNKNOWN else kind

    def is_irap(self, row: int, reader: SampleReader, last: int | None = None) -> bool:
        """Tell whether decoding can start at a sample, by its bytes."""
        kind = self.kind(row, reader, last)
        return kind is not None and kind.is_irap

    def irap_at_or_before(self, row: int, reader: SampleReader) -> int | None:
        """Find an IRAP to start at: the nearest that is known or that the container names, proved by its bytes.

        A nearer one that the container does not name may exist; starting earlier is as exact, and once its kind was read it is
        found. Where the container names none, samples are read backwards until one turns up; LimitError where that is too far,
        NeedsEarlierIrapError where what comes before is not known.
        """
        target, step, least = row, 1, self.first_known(row) if self.breaks else 0
        while row >= least:
            named: int = self.iraps.item(row)
            # What comes before the one that is named is farther away than that one.
            candidate = max(self._known_iraps.rfind(1, max(named, 0), row + 1), named)
            if named < 0:
                # Whatever was not read yet may be one.
                unknown = least + np.flatnonzero(self.kinds[least : row + 1] == Kind.UNKNOWN)
                candidate = max(candidate, int(unknown[-1]) if len(unknown) else -1)
            if candidate < least:
                break
            if self._known_iraps[candidate]:
                return candidate
            if named < 0:
                self.check_run(candidate, target)
            if self.is_irap(candidate, reader, target):
                return candidate
            if named < 0:
                # Backwards one by one, each would be a read of its own.
                for earlier in range(max(least, candidate - step), candidate):
                    self.kind(earlier, reader, candidate)
                step = min(4 * step, _BACKWARDS)
            row = candidate - 1
        self.check_beginning(least)
        return None

    def check_beginning(self, row: int) -> None:
        """Raise NeedsEarlierIrapError where a row is not the first of the stream, but what comes before it is not known."""
        if row and row == self.first_known(row):
            raise NeedsEarlierIrapError(
                f"decoding starts before the sample at offset {self.offset(row)}, in fragments that were not read"
            )

    def check_run(self, first: int, last: int) -> None:
        """Raise LimitError where decoding all rows from `first` to `last` is more than one frame may cost."""
        size = self.bytes_before.item(last + 1) - self.bytes_before.item(first)
        self.limits.check_run(self.offset(last), last - first + 1, size)

    # Frames

    def frame(self, row: int, kind: Kind, picture: NativePicture) -> Frame:
        """Make the frame of a row from its picture."""
        index, entry = self.index, self.entry(row)
        if self._known is not None:
            return LateFrame(
                picture,
                self._known.place_of,
                kind=kind,
                offset=self.offset(row),
                pts=self._pts.item(row),
                container_color=entry.color,
                dolby_vision_profile=entry.dolby_vision_profile,
                rotation=index.rotation,
                mirrored=index.mirrored,
            )
        display: int = self.displays.item(row)
        start, end = index.span(display) if display >= 0 else (nan, nan)
        return Frame(
            picture,
            kind=kind,
            offset=self.offset(row),
            pts=self._pts.item(row),
            index=display,
            time=start / index.timescale,
            duration=(end - start) / index.timescale,
            container_color=entry.color,
            dolby_vision_profile=entry.dolby_vision_profile,
            rotation=index.rotation,
            mirrored=index.mirrored,
        )

    def at_place(self, frame: Frame, place: int) -> Frame:
        """Give the same picture as the frame at a place in presentation order (edits may show a picture twice)."""
        if place == frame.index:
            return frame
        index = self.index
        start, end = index.span(place)
        return frame.shown_at(place, start / index.timescale, (end - start) / index.timescale)


def _is_irap_kind(kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (kinds >= Kind.BLA_W_LP) & (kinds <= Kind.RSV_IRAP_VCL23)
