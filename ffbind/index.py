"""`VideoIndex`: the sample table of one video track as a value, with look-ups, saving and loading.

An index may come from elsewhere (a cache, a client). Loading one checks that it is well formed, never that it
is true: offsets and kinds are hints, and whoever reads samples goes by the bytes read now.
"""

from __future__ import annotations

import base64
import json
import math
import os
import reprlib
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .color import Color
from .errors import (
    ArgumentError,
    CorruptError,
    FrameIndexError,
    FrameTimeError,
    IndexMismatchError,
    LimitError,
    SourceError,
)
from .framing import LENGTH_PREFIXED, Framing, FramingKind
from .hevc import Kind
from .limits import Limits
from .packing import pack_columns, unpack_columns
from .sources import Source, SourceLike

__all__ = ["PRESENTATION_DTYPE", "SAMPLE_DTYPE", "SampleEntry", "VideoIndex"]

StructuredArray: TypeAlias = NDArray[np.void]

SAMPLE_DTYPE = np.dtype(
    [
        ("offset", "<u8"),
        ("size", "<u4"),
        ("dts", "<i8"),
        ("pts", "<i8"),
        ("duration", "<i8"),
        ("kind", "u1"),
        ("temporal_id", "u1"),
        ("entry", "<u2"),
        ("irap", "<i4"),
        ("display", "<i4"),
    ]
)
"""One row for each sample, in decode order.

`offset`, `size`: bytes of the sample in the file; `dts`, `pts`, `duration`: decode time, composition time
before edits and decode duration in the track's time base; `kind`: a `Kind` value, UNKNOWN (255) until bytes
were read; `temporal_id`: true only where `kind` is known; `entry`: place in `VideoIndex.entries`; `irap`: row
of the IRAP picture that the sample belongs to in decode order (provisional until bytes were read; -1: not
known); `display`: 0-based place in presentation order after edits (the first one, where edits show it more
than once), -1: decoded but not shown.
"""

PRESENTATION_DTYPE = np.dtype([("row", "<i4"), ("edit", "<u4"), ("start", "<i8")])
"""One row for each frame shown, in presentation order: its sample's row, its edit, its start."""

_MAGIC = b"FFBINDEX\x02\x00\r\n"
_JSON_VERSION = 1
_FRAMED_VERSION = 2  # with `framing`: a reader of version 1 would take the bytes for something else
_MAX_HEADER = 4 << 20
_MAX_ROWS = 2**31 - 1
_TIME_LIMIT = 2**62
_KINDS = np.zeros(256, dtype=bool)
_KINDS[[kind.value for kind in Kind]] = True


@dataclass(frozen=True, slots=True)
class SampleEntry:
    """One visual sample entry of `stsd`: what a decoder needs before the first sample.

    `parameter_sets` are the NAL units of hvcC in their order (VPS, SPS, PPS, SEI), without length prefix;
    empty where they are in the samples only. `width` and `height` are those of the entry, before rotation.
    """

    fourcc: str
    nal_length_size: int
    parameter_sets: tuple[bytes, ...]
    width: int
    height: int
    color: Color | None
    pixel_aspect: tuple[int, int]
    dolby_vision_profile: int | None


@dataclass(frozen=True, slots=True, eq=False)
class VideoIndex:
    """The sample table of one video track, immutable.

    - `samples`: array of SAMPLE_DTYPE, decode order
    - `presentation`: array of PRESENTATION_DTYPE, presentation order: what the `ffmpeg` command shows after
      edit lists
    - `order`: rows in presentation order, int32 (frames shown,); a row comes twice where edits show it twice
    - `starts`: start of each frame shown, int64 ticks of the time base after edits, ascending
    - `timescale`: ticks a second of all times
    - `rotation`, `mirrored`: to show a picture upright, first mirror it left to right where `mirrored`, then
      turn it clockwise by `rotation` degrees (0, 90, 180 or 270)
    - `size`, `identity`: of the bytes it was made from (see `Source`); `track_id`: of the track in the file
    - `has_composition_times`: whether the file says in which order samples are composed. False without
      composition offsets (`pts` is `dts` then), and where two frames shown at one time prove them wrong. Then
      only the stream itself knows the order; see `with_display_order`.
    - `framing`: how the bytes of a sample lie in the file
    """

    samples: StructuredArray
    entries: tuple[SampleEntry, ...]
    presentation: StructuredArray
    timescale: int
    rotation: int
    mirrored: bool
    size: int
    identity: str
    track_id: int
    has_composition_times: bool
    framing: Framing = LENGTH_PREFIXED
    _source: SourceLike | None = field(default=None, repr=False)
    order: NDArray[np.int32] = field(init=False, repr=False)
    starts: NDArray[np.int64] = field(init=False, repr=False)
    _by_offset: NDArray[np.intp] = field(init=False, repr=False)
    _sorted_offsets: NDArray[np.uint64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check that all numbers are in range (CorruptError), and prepare the look-up by offset."""
        _validate(self)
        for array in (self.samples, self.presentation):
            array.flags.writeable = False
        # Samples of no bytes share their offset with a neighbour and hold no picture: never found by offset.
        rows = np.flatnonzero(self.samples["size"])
        offsets = self.samples["offset"][rows]
        if not bool(np.all(offsets[1:] > offsets[:-1])):
            order = np.argsort(offsets, kind="stable")
            rows, offsets = rows[order], offsets[order]
        object.__setattr__(self, "order", self.presentation["row"])
        object.__setattr__(self, "starts", self.presentation["start"])
        object.__setattr__(self, "_by_offset", rows)
        object.__setattr__(self, "_sorted_offsets", offsets)

    def __len__(self) -> int:
        """Count the frames shown."""
        return len(self.presentation)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VideoIndex):
            return NotImplemented
        return self._scalars() == other._scalars() and all(
            np.array_equal(mine, theirs)
            for mine, theirs in ((self.samples, other.samples), (self.presentation, other.presentation))
        )

    def __hash__(self) -> int:
        return hash((self.size, self.identity, self.track_id, len(self.samples), len(self.presentation)))

    def __repr__(self) -> str:
        return (
            f"VideoIndex({len(self.samples)} samples, {len(self.presentation)} frames shown, "
            f"timescale {self.timescale}, track {self.track_id} of {self.size} bytes)"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return VideoIndex, (self.samples, *(getattr(self, name) for name in _ARGUMENTS[1:]))

    def _scalars(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in _ARGUMENTS if name not in ("samples", "presentation"))

    # Presentation

    @property
    def times(self) -> NDArray[np.float64]:
        """Start of each frame shown, float64 seconds after edits, ascending."""
        return self.starts / self.timescale

    @property
    def ends(self) -> NDArray[np.int64]:
        """End of each frame shown, int64 ticks: the start of the next; the last lasts its own duration."""
        ends = np.empty(len(self), dtype=np.int64)
        if len(self):
            ends[:-1] = self.starts[1:]
            ends[-1] = self.span(len(self) - 1)[1]
        return ends

    def span(self, display: int) -> tuple[int, int]:
        """Start and end of the frame at a place in presentation order, in ticks of the time base after edits."""
        starts = self.starts
        start: int = starts.item(display)
        if display + 1 < len(starts):
            return start, starts.item(display + 1)
        return start, start + max(int(self.samples["duration"][self.order[display]]), 1)

    @property
    def durations(self) -> NDArray[np.float64]:
        """How long each frame shown is on screen, float64 seconds."""
        return (self.ends - self.starts) / self.timescale

    # Look-ups

    def row_of_offset(self, offset: int) -> int | None:
        """Row of the sample that starts at this byte, None if none does; the lowest row where several do."""
        if not 0 <= offset < 2**64:
            return None
        place = int(np.searchsorted(self._sorted_offsets, np.uint64(offset)))
        if place == len(self._sorted_offsets) or int(self._sorted_offsets[place]) != offset:
            return None
        return int(self._by_offset[place])

    def row_of_display(self, display: int) -> int:
        """Row of a frame by its place in presentation order (negative: from the end), or FrameIndexError."""
        if not -len(self) <= display < len(self):
            raise FrameIndexError(
                f"frame {display} of a video of {len(self)} frames: ask for one from 0 to {len(self) - 1}"
                if len(self)
                else f"frame {display} of a video whose edit list shows no frame: ask by byte offset instead"
            )
        return int(self.order[display])

    def display_at_time(self, seconds: float) -> int:
        """Place in presentation order of the frame that is on screen at this time after edits.

        A frame is on screen from its start until the next one starts; the last for its own duration. A time
        within a millionth of a tick of a frame's start counts as the start, so that times computed in
        floating point find their frame. FrameTimeError where no frame is on screen.
        """
        ticks = seconds * self.timescale
        if not math.isfinite(ticks):
            raise FrameTimeError(f"{seconds!r} is not a time; give seconds as a finite number")
        if len(self) == 0:
            raise FrameTimeError(
                f"no frame at {seconds} s: the edit list shows no frame; ask by byte offset instead"
            )
        nearest = round(ticks)
        tick = nearest if abs(nearest - ticks) <= 1e-6 + abs(ticks) * 1e-15 else math.floor(ticks)
        first, end = int(self.starts[0]), int(self.ends[-1])
        if not first <= tick < end:
            raise FrameTimeError(
                f"no frame is on screen at {seconds} s; ask for a time from {first / self.timescale} s "
                f"up to, not including, {end / self.timescale} s"
            )
        return int(np.searchsorted(self.starts, tick, side="right")) - 1

    def row_at_time(self, seconds: float) -> int:
        """Row of the frame that is on screen at this time; see `display_at_time`."""
        return int(self.order[self.display_at_time(seconds)])

    def fits(self, row: int) -> bool:
        """Say whether all bytes of the sample lie within the file; where not, the file was cut short."""
        return int(self.samples["offset"][row]) + int(self.samples["size"][row]) <= self.size

    def check(self, source: Source) -> None:
        """Raise IndexMismatchError where size or identity (if known) show that it belongs to other bytes."""
        if self.size != source.size:
            raise IndexMismatchError(
                f"this index belongs to a file of {self.size} bytes, the source has {source.size}: "
                "make the index again"
            )
        if self.identity and source.identity and self.identity != source.identity:
            raise IndexMismatchError(
                f"this index belongs to version {self.identity} of the file, not to {source.identity}; "
                "make the index again"
            )

    # New indexes from this one

    @property
    def media_bytes(self) -> int:
        """Bytes of all samples: what `scan` reads."""
        return int(self.samples["size"].sum(dtype=np.int64))

    def bound_to(self, source: SourceLike) -> VideoIndex:
        """Give the same index, which knows where `scan` reads when it is not told. It is neither saved nor compared."""
        bound = object.__new__(VideoIndex)
        for name in (
            self.__slots__
        ):  # the tables were checked when this one was made; going through them again takes as long
            object.__setattr__(bound, name, getattr(self, name))
        object.__setattr__(bound, "_source", source)
        return bound

    def scan(self, source: SourceLike | None = None) -> VideoIndex:
        """Read the headers of all samples and give the index with true kinds and IRAPs, and the order of showing where times lack.

        Costs reading `media_bytes` bytes, and no decoding. `source`: where the video is; the index of an open video knows. It has
        to be the one that the index was made from (IndexMismatchError).

        >>> full = video.index.scan()  # doctest: +SKIP
        """
        from .video import open as open_video  # the one way up: scanning needs the native reader of headers

        if source is None:
            source = self._source
        if source is None:
            raise ArgumentError("this index does not know where its video is; say so: index.scan(source)")
        with open_video(source, index=self) as video:
            return video.scan()

    def with_kinds(self, kinds: ArrayLike, temporal_ids: ArrayLike) -> VideoIndex:
        """Give the index that is known once NAL headers were read; arrays of one number for each row.

        `irap` then goes by kinds; rows whose kind is still UNKNOWN keep counting as IRAP where the file
        marked them so.
        """
        kind = _column(kinds, len(self.samples), "kinds").astype(np.uint8)
        samples = self.samples.copy()
        samples["kind"] = kind
        samples["temporal_id"] = _column(temporal_ids, len(self.samples), "temporal_ids")
        rows = np.arange(len(samples), dtype=np.int32)
        marked = np.where(kind == Kind.UNKNOWN, self.samples["irap"] == rows, (kind >= 16) & (kind <= 23))
        samples["irap"] = last_marked_row(marked)
        return replace(self, samples=samples)

    def with_entries(self, entries: Iterable[SampleEntry], entry: ArrayLike) -> VideoIndex:
        """Give the index with these sample entries, and the place in them of the one that each row belongs to.

        For streams whose parameter sets change in the samples: random access then finds those that are in force.
        """
        samples = self.samples.copy()
        samples["entry"] = _column(entry, len(self.samples), "entry")
        return replace(self, samples=samples, entries=tuple(entries))

    def with_display_order(self, rank: ArrayLike) -> VideoIndex:
        """Give the index whose frames are shown by ascending rank (an integer for each row).

        For files whose composition times do not tell the order: the rank comes from the picture order counts
        of the stream. Which frames the edit list hides stays as it is, and the n-th frame shown gets the n-th
        time. Where two frames had the same time, all are laid out anew at the distances of decoding. `pts` of
        the row of n-th rank becomes the n-th smallest, and `has_composition_times` true.
        """
        ranks = _column(rank, len(self.samples), "rank")
        samples = self.samples.copy()
        samples["pts"][np.argsort(ranks, kind="stable")] = np.sort(self.samples["pts"])
        shown = self.presentation
        presentation = shown[np.lexsort((ranks[shown["row"]], shown["edit"]))]
        starts = shown["start"]
        if bool((np.diff(starts) == 0).any()):
            decoding = np.sort(samples["dts"][shown["row"]])
            if bool((np.diff(decoding) > 0).all()):
                starts = decoding + int(np.median(starts - decoding))
        presentation["start"] = starts
        samples["display"] = display_column(presentation["row"], len(samples))
        return replace(self, samples=samples, presentation=presentation, has_composition_times=True)

    # Saving and loading

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file, in the form of `to_bytes`, replaced whole or not at all."""
        target = Path(path)
        part = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.part")
        try:
            try:
                part.write_bytes(self.to_bytes())
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise SourceError(
                error.errno, f"The index could not be saved: {error.strerror}", str(target)
            ) from error

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, limits: Limits | None = None) -> VideoIndex:
        """Read what `save` wrote. CorruptError for anything else, LimitError, SourceError where it cannot be read."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise SourceError(
                error.errno, f"The index could not be read: {error.strerror}", os.fspath(path)
            ) from error
        try:
            return cls.from_bytes(data, limits=limits)
        except (CorruptError, LimitError) as error:
            error.args = (f"{os.fspath(path)}: {error}", *error.args[1:])
            raise

    def to_bytes(self) -> bytes:
        """Give the index in its compact form: some 2 bytes a sample where sizes and times are regular, 3 where they are not.

        A line that says what it is, the length of the header (4 bytes, little-endian), the header as JSON with all but the tables,
        the tables as `ffbind.packing` packs them, and the CRC-32 of all of it (4 bytes).
        """
        widths, tables = pack_columns(_to_residuals(self.samples, self.presentation))
        header = json.dumps(self._header() | {"widths": widths}).encode()
        data = _MAGIC + len(header).to_bytes(4, "little") + header + tables
        return data + zlib.crc32(data).to_bytes(4, "little")

    @classmethod
    def from_bytes(cls, data: bytes, *, limits: Limits | None = None) -> VideoIndex:
        """Read what `to_bytes` gave. CorruptError for anything else; LimitError before the memory for its tables is taken."""
        start, end = len(_MAGIC) + 4, len(data) - 4
        if not data.startswith(_MAGIC) or end < start:
            raise CorruptError("not a saved VideoIndex of this version; make the index again")
        view = memoryview(data)
        # A wrong bit in a parameter set would give pictures that look right.
        if zlib.crc32(view[:end]) != int.from_bytes(view[end:], "little"):
            raise _malformed("its checksum is not that of its bytes")
        length = int.from_bytes(view[len(_MAGIC) : start], "little")
        if length > min(_MAX_HEADER, end - start):
            raise _malformed("its header is cut short")
        header = _parse_json(data[start : start + length])
        rows, shown = _whole(header, "sample_count"), _whole(header, "shown_count")
        limits = limits or Limits()
        limits.check(rows, limits.samples, "samples")
        limits.check(shown, max(limits.samples, limits.edit_work), "frames shown")
        widths = header.get("widths")
        if not isinstance(widths, list) or len(widths) != len(_RESIDUALS):
            raise _malformed(f"its tables do not have {len(_RESIDUALS)} columns")
        lengths = [rows if table == "samples" else shown for table in _RESIDUALS.values()]
        try:
            columns = unpack_columns(
                [_in_range(width, 0, 8, "width") for width in widths],
                lengths,
                view[start + length : end],
            )
        except CorruptError as error:
            raise _malformed(str(error)) from error
        return cls._from_header(header, *_from_residuals(columns, rows, shown))

    def to_json(self) -> str:
        """Give the index as one JSON object; its tables hold one array of numbers for each column."""
        document = self._header()
        for name, array in (("samples", self.samples), ("presentation", self.presentation)):
            document[name] = {column: array[column].tolist() for column in array.dtype.names or ()}
        return json.dumps(document)

    @classmethod
    def from_json(cls, text: str | bytes) -> VideoIndex:
        """Read what `to_json` gave. CorruptError for anything else."""
        document = _parse_json(text)
        return cls._from_header(
            document,
            _array_from_columns(document, "samples", SAMPLE_DTYPE, _whole(document, "sample_count")),
            _array_from_columns(
                document, "presentation", PRESENTATION_DTYPE, _whole(document, "shown_count")
            ),
        )

    def _header(self) -> dict[str, Any]:
        header = {
            "version": _JSON_VERSION,
            "size": self.size,
            "identity": self.identity,
            "track_id": self.track_id,
            "timescale": self.timescale,
            "rotation": self.rotation,
            "mirrored": self.mirrored,
            "has_composition_times": self.has_composition_times,
            "entries": [_entry_to_json(entry) for entry in self.entries],
            "sample_count": len(self.samples),
            "shown_count": len(self.presentation),
        }
        if self.framing != LENGTH_PREFIXED:
            header |= {"version": _FRAMED_VERSION, "framing": _framing_to_json(self.framing)}
        return header

    @classmethod
    def _from_header(
        cls, header: dict[str, Any], samples: StructuredArray, presentation: StructuredArray
    ) -> VideoIndex:
        version = header.get("version")
        if version not in (_JSON_VERSION, _FRAMED_VERSION):
            raise _malformed(
                f"its version is {reprlib.repr(version)}, not {_JSON_VERSION} or {_FRAMED_VERSION}"
            )
        entries = header.get("entries")
        if not isinstance(entries, list):
            raise _malformed("it has no list of sample entries")
        return cls(
            samples=samples,
            entries=tuple(_entry_from_json(entry) for entry in entries),
            presentation=presentation,
            timescale=_whole(header, "timescale"),
            rotation=_whole(header, "rotation"),
            mirrored=_typed(header, "mirrored", bool),
            size=_whole(header, "size"),
            identity=_typed(header, "identity", str),
            track_id=_whole(header, "track_id"),
            has_composition_times=_typed(header, "has_composition_times", bool),
            framing=LENGTH_PREFIXED
            if version == _JSON_VERSION
            else _framing_from_json(header.get("framing")),
        )


_ARGUMENTS = (
    "samples",
    "entries",
    "presentation",
    "timescale",
    "rotation",
    "mirrored",
    "size",
    "identity",
    "track_id",
    "has_composition_times",
    "framing",
)


_RESIDUALS = {
    "size": "samples",
    "offset": "samples",
    "duration": "samples",
    "dts": "samples",
    "pts": "samples",
    "kind": "samples",
    "temporal_id": "samples",
    "entry": "samples",
    "irap": "samples",
    "row": "presentation",
    "edit": "presentation",
    "start": "presentation",
}
"""Columns of the compact form in their order, each with its table; `display` follows from the presentation."""


def _to_residuals(samples: StructuredArray, presentation: StructuredArray) -> list[NDArray[np.int64]]:
    """Take from each column what the ones before it say: see `_from_residuals`, which adds it again."""
    column = {name: samples[name].astype(np.int64) for name in samples.dtype.names or ()}
    column |= {name: presentation[name].astype(np.int64) for name in presentation.dtype.names or ()}
    return [
        column["size"],
        np.diff(column["offset"], prepend=0) - _shifted(column["size"]),
        np.diff(column["duration"], prepend=0),
        np.diff(column["dts"], prepend=0) - _shifted(column["duration"]),
        column["pts"] - column["dts"],
        column["kind"],
        column["temporal_id"],
        np.diff(column["entry"], prepend=0),
        np.diff(column["irap"], prepend=0),
        np.diff(column["row"], prepend=0) - 1,
        np.diff(column["edit"], prepend=0),
        np.diff(column["start"] - column["pts"][column["row"]], prepend=0),
    ]


def _from_residuals(
    residuals: list[NDArray[np.int64]], rows: int, shown: int
) -> tuple[StructuredArray, StructuredArray]:
    """Make samples and presentation of what `_to_residuals` left. CorruptError for numbers that their columns cannot hold.

    A sample starts where the one before ends and is decoded when that one is over; a frame shown is one row further than the one
    before it, and starts as long after its composition time.
    """
    found = dict(zip(_RESIDUALS, residuals, strict=True))
    found["offset"] = np.cumsum(found["offset"] + _shifted(found["size"]))
    found["duration"] = np.cumsum(found["duration"])
    found["dts"] = np.cumsum(found["dts"] + _shifted(found["duration"]))
    found["pts"] = found["pts"] + found["dts"]
    for name in ("entry", "irap", "edit", "start"):
        found[name] = np.cumsum(found[name])
    found["row"] = np.cumsum(found["row"] + 1)
    if not _all_within(found["row"], 0, rows - 1):
        raise _malformed("a frame shown is of a sample that is not there")
    found["start"] = found["start"] + found["pts"][found["row"]]
    found["display"] = display_column(found["row"].astype(np.int32), rows).astype(np.int64)
    tables = []
    for dtype, length in ((SAMPLE_DTYPE, rows), (PRESENTATION_DTYPE, shown)):
        table = np.empty(length, dtype=dtype)
        for name in dtype.names or ():
            kind = dtype[name]
            if kind.itemsize < 8 and not _all_within(
                found[name], int(np.iinfo(kind).min), int(np.iinfo(kind).max)
            ):
                raise _malformed(f"column {name} holds a number that is out of range")
            table[name] = found[name].view(kind) if kind.itemsize == 8 else found[name]
        tables.append(table)
    return tables[0], tables[1]


def _shifted(column: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give for each row the number of the row before, 0 for the first."""
    shifted = np.zeros_like(column)
    shifted[1:] = column[:-1]
    return shifted


def last_marked_row(marked: NDArray[np.bool_]) -> NDArray[np.int32]:
    """For each row, the last marked row at or before it, -1 before the first: int32 (rows,)."""
    rows = np.where(marked, np.arange(len(marked), dtype=np.int32), np.int32(-1))
    return np.maximum.accumulate(rows)


def display_column(order: NDArray[np.int32], rows: int) -> NDArray[np.int32]:
    """For each row, its first place in `order`, -1 where it has none: int32 (rows,)."""
    display = np.full(rows, -1, dtype=np.int32)
    # Written from the back, so that the first of several places is the one that stays.
    display[order[::-1]] = np.arange(len(order) - 1, -1, -1, dtype=np.int32)
    return display


def _column(values: ArrayLike, rows: int, name: str) -> NDArray[np.int64]:
    """Take a caller's numbers for each row as int64, or say what is wrong with them (ValueError)."""
    column = np.asarray(values)
    if column.shape != (rows,) or column.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be {rows} integers, one for each sample; got {column.dtype} {column.shape}"
        )
    return column.astype(np.int64)


def _malformed(why: str) -> CorruptError:
    return CorruptError(f"the index is malformed: {why}; make it again from the video")


def _validate(index: VideoIndex) -> None:
    """Check every number that is later used as an address or to compute: CorruptError where out of range.

    A sample may reach beyond `size` (a file cut short keeps its table); the read of such a sample fails, not
    the index.
    """
    samples, presentation = index.samples, index.presentation
    for array, dtype, name in (
        (samples, SAMPLE_DTYPE, "samples"),
        (presentation, PRESENTATION_DTYPE, "presentation"),
    ):
        if array.dtype != dtype or array.ndim != 1:
            raise _malformed(f"{name} is not a one-dimensional array of the right columns")
    rows, shown = len(samples), len(presentation)
    if not 0 < rows <= _MAX_ROWS or shown > _MAX_ROWS:
        raise _malformed(f"{rows} samples and {shown} frames shown")
    if not 0 < index.timescale < 2**32 or not 0 <= index.size < 2**63 or not 0 <= index.track_id < 2**32:
        raise _malformed(f"timescale {index.timescale}, size {index.size}, track {index.track_id}")
    if index.rotation not in (0, 90, 180, 270):
        raise _malformed(f"rotation {index.rotation}")
    if index.framing.kind is not FramingKind.LENGTH_PREFIXED and any(
        entry.nal_length_size != 4 for entry in index.entries
    ):
        raise _malformed("its samples have no lengths in the file, but its entries say how long these are")
    if not _all_within(samples["offset"], 0, _TIME_LIMIT):
        raise _malformed("an offset is beyond any file")
    for name, low, high in (
        ("dts", -_TIME_LIMIT, _TIME_LIMIT),
        ("pts", -_TIME_LIMIT, _TIME_LIMIT),
        ("duration", 0, 2**40),
    ):
        if not _all_within(samples[name], low, high):
            raise _malformed(f"a {name} is out of range")
    if not _KINDS[samples["kind"]].all():
        raise _malformed("a kind is none of H.265")
    if not _all_within(samples["temporal_id"], 0, 6):
        raise _malformed("a temporal id is above 6")
    if not _all_within(samples["entry"], 0, len(index.entries) - 1):
        raise _malformed("a sample names a sample entry that is not there")
    if not _all_within(samples["irap"], -1, rows - 1) or bool((samples["irap"] > np.arange(rows)).any()):
        raise _malformed("a sample names an IRAP picture that does not come before it")
    if not _all_within(samples["display"], -1, shown - 1):
        raise _malformed("a place in presentation order is out of range")
    if not _all_within(presentation["row"], 0, rows - 1):
        raise _malformed("a frame shown is of a sample that is not there")
    if not _all_within(presentation["start"], -_TIME_LIMIT, _TIME_LIMIT):
        raise _malformed("a start time is out of range")
    if bool((np.diff(presentation["start"]) < 0).any()):
        raise _malformed("the frames shown are not in the order of their times")
    if not np.array_equal(display_column(presentation["row"], rows), samples["display"]):
        raise _malformed("samples and presentation disagree about what is shown when")


def _all_within(values: NDArray[Any], low: int, high: int) -> bool:
    values = np.ascontiguousarray(values)  # a column of a table, which is looked through twice
    return len(values) == 0 or (int(values.min()) >= low and int(values.max()) <= high)


def _entry_to_json(entry: SampleEntry) -> dict[str, Any]:
    color = entry.color
    return {
        "fourcc": entry.fourcc,
        "nal_length_size": entry.nal_length_size,
        "parameter_sets": [base64.b64encode(unit).decode() for unit in entry.parameter_sets],
        "width": entry.width,
        "height": entry.height,
        "color": None if color is None else [color.primaries, color.transfer, color.matrix, color.full_range],
        "pixel_aspect": list(entry.pixel_aspect),
        "dolby_vision_profile": entry.dolby_vision_profile,
    }


def _entry_from_json(document: Any) -> SampleEntry:
    if not isinstance(document, dict):
        raise _malformed("a sample entry is not an object")
    units = document.get("parameter_sets")
    if not isinstance(units, list) or not all(isinstance(unit, str) for unit in units):
        raise _malformed("parameter sets are not a list of strings")
    try:
        parameter_sets = tuple(base64.b64decode(unit, validate=True) for unit in units)
    except ValueError as error:
        raise _malformed("parameter sets are not base64") from error
    color = document.get("color")
    if color is not None:
        if not isinstance(color, list) or len(color) != 4 or not isinstance(color[3], bool):
            raise _malformed("a colour is not three numbers and a range")
        primaries, transfer, matrix = (_in_range(value, 0, 65535, "colour") for value in color[:3])
        color = Color(primaries, transfer, matrix, full_range=color[3])
    aspect = document.get("pixel_aspect")
    if not isinstance(aspect, list) or len(aspect) != 2:
        raise _malformed("a pixel aspect is not two numbers")
    profile = document.get("dolby_vision_profile")
    length_size = _in_range(document.get("nal_length_size"), 1, 4, "NAL length size")
    if length_size == 3:
        raise _malformed("NAL length size is 3")
    return SampleEntry(
        fourcc=_typed(document, "fourcc", str),
        nal_length_size=length_size,
        parameter_sets=parameter_sets,
        width=_in_range(document.get("width"), 0, 65535, "width"),
        height=_in_range(document.get("height"), 0, 65535, "height"),
        color=color,
        pixel_aspect=(
            _in_range(aspect[0], 1, 2**32 - 1, "pixel aspect"),
            _in_range(aspect[1], 1, 2**32 - 1, "pixel aspect"),
        ),
        dolby_vision_profile=None if profile is None else _in_range(profile, 0, 127, "Dolby Vision profile"),
    )


def _framing_to_json(framing: Framing) -> dict[str, Any]:
    return {
        "kind": framing.kind.value,
        "packet_size": framing.packet_size,
        "phase": framing.phase,
        "pid": framing.pid,
    }


def _framing_from_json(document: Any) -> Framing:
    if not isinstance(document, dict):
        raise _malformed("its framing is not an object")
    try:
        return Framing(
            FramingKind(document.get("kind")),
            _whole(document, "packet_size"),
            _whole(document, "phase"),
            _whole(document, "pid"),
        )
    except ValueError as error:
        raise _malformed(f"its framing is {document}") from error


def _parse_json(text: str | bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed("it is not JSON") from error
    if not isinstance(document, dict):
        raise _malformed("it is not a JSON object")
    return document


def _typed(document: dict[str, Any], name: str, kind: type) -> Any:
    value = document.get(name)
    if type(value) is not kind:
        raise _malformed(f"{name} is {reprlib.repr(value)}")
    return value


def _whole(document: dict[str, Any], name: str) -> int:
    return _in_range(document.get(name), 0, 2**63 - 1, name)


def _in_range(value: Any, low: int, high: int, name: str) -> int:
    if type(value) is not int or not low <= value <= high:
        raise _malformed(f"{name} is {reprlib.repr(value)}")
    return value


def _array_from_columns(
    document: dict[str, Any], name: str, dtype: np.dtype[np.void], rows: int
) -> StructuredArray:
    columns = document.get(name)
    if not isinstance(columns, dict) or set(columns) != set(dtype.names or ()):
        raise _malformed(f"{name} does not have the right columns")
    if not all(isinstance(values, list) and len(values) == rows for values in columns.values()):
        raise _malformed(f"a column of {name} does not have {rows} numbers")
    array = np.zeros(rows, dtype=dtype)
    for column, values in columns.items():
        if not all(type(value) is int for value in values):
            raise _malformed(f"column {column} of {name} holds something other than whole numbers")
        try:
            array[column] = np.array(values, dtype=dtype[column])
        except OverflowError as error:
            raise _malformed(f"column {column} of {name} holds a number that is out of range") from error
    return array
