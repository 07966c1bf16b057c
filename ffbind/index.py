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
from dataclasses import InitVar, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .color import Color
from .columns import (
    PRESENTATION_DTYPE,
    SAMPLE_DTYPE,
    ColumnMap,
    StructuredArray,
    as_columns,
    as_table,
    check_columns,
    display_column,
    last_marked_row,
    malformed,
)
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
from .residuals import RESIDUALS, from_residuals, to_residuals
from .sources import Source, SourceLike

__all__ = ["PRESENTATION_DTYPE", "SAMPLE_DTYPE", "SampleEntry", "VideoIndex"]

_MAGIC = b"FFBINDEX\x02\x00\r\n"
_JSON_VERSION = 1
_FRAMED_VERSION = 2  # with `framing`: a reader of version 1 would take the bytes for something else
_MAX_HEADER = 4 << 20


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
    _columns: InitVar[tuple[ColumnMap, ColumnMap] | None] = None
    """Samples and presentation by column, where whoever makes one has them: checking them is faster."""
    order: NDArray[np.int32] = field(init=False, repr=False)
    starts: NDArray[np.int64] = field(init=False, repr=False)
    _by_offset: NDArray[np.intp] = field(init=False, repr=False)
    _sorted_offsets: NDArray[np.uint64] = field(init=False, repr=False)

    def __post_init__(self, _columns: tuple[ColumnMap, ColumnMap] | None) -> None:
        """Check that all numbers are in range (CorruptError), and prepare the look-up by offset."""
        _check_facts(self)
        samples, presentation = _columns or (as_columns(self.samples), as_columns(self.presentation))
        check_columns(samples, presentation, len(self.entries))
        for array in (self.samples, self.presentation):
            array.flags.writeable = False
        # Samples of no bytes share their offset with a neighbour and hold no picture: never found by offset.
        sizes, offsets = samples["size"], samples["offset"]
        rows = np.arange(len(sizes)) if sizes.all() else np.flatnonzero(sizes)
        offsets = offsets[rows].astype(np.uint64)
        if not bool((offsets[1:] > offsets[:-1]).all()):
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
        widths, tables = pack_columns(to_residuals(self.samples, self.presentation))
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
            raise malformed("its checksum is not that of its bytes")
        length = int.from_bytes(view[len(_MAGIC) : start], "little")
        if length > min(_MAX_HEADER, end - start):
            raise malformed("its header is cut short")
        header = _parse_json(data[start : start + length])
        rows, shown = _whole(header, "sample_count"), _whole(header, "shown_count")
        limits = limits or Limits()
        limits.check(rows, limits.samples, "samples")
        limits.check(shown, max(limits.samples, limits.edit_work), "frames shown")
        widths = header.get("widths")
        if not isinstance(widths, list) or len(widths) != len(RESIDUALS):
            raise malformed(f"its tables do not have {len(RESIDUALS)} columns")
        lengths = [rows if table == "samples" else shown for table in RESIDUALS.values()]
        try:
            columns = unpack_columns(
                [_in_range(width, 0, 8, "width") for width in widths],
                lengths,
                view[start + length : end],
            )
        except CorruptError as error:
            raise malformed(str(error)) from error
        return cls._from_header(header, *from_residuals(columns, rows))

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
            _columns_from_json(document, "samples", SAMPLE_DTYPE, _whole(document, "sample_count")),
            _columns_from_json(document, "presentation", PRESENTATION_DTYPE, _whole(document, "shown_count")),
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
    def _from_header(cls, header: dict[str, Any], samples: ColumnMap, presentation: ColumnMap) -> VideoIndex:
        version = header.get("version")
        if version not in (_JSON_VERSION, _FRAMED_VERSION):
            raise malformed(
                f"its version is {reprlib.repr(version)}, not {_JSON_VERSION} or {_FRAMED_VERSION}"
            )
        entries = header.get("entries")
        if not isinstance(entries, list):
            raise malformed("it has no list of sample entries")
        return cls(
            samples=as_table(samples, SAMPLE_DTYPE),
            entries=tuple(_entry_from_json(entry) for entry in entries),
            presentation=as_table(presentation, PRESENTATION_DTYPE),
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
            _columns=(samples, presentation),
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


def _column(values: ArrayLike, rows: int, name: str) -> NDArray[np.int64]:
    """Take a caller's numbers for each row as int64, or say what is wrong with them (ValueError)."""
    column = np.asarray(values)
    if column.shape != (rows,) or column.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be {rows} integers, one for each sample; got {column.dtype} {column.shape}"
        )
    return column.astype(np.int64)


def _check_facts(index: VideoIndex) -> None:
    """Check all but the numbers in the tables: CorruptError where something is out of range."""
    for array, dtype, name in (
        (index.samples, SAMPLE_DTYPE, "samples"),
        (index.presentation, PRESENTATION_DTYPE, "presentation"),
    ):
        if array.dtype != dtype or array.ndim != 1:
            raise malformed(f"{name} is not a one-dimensional array of the right columns")
    if not 0 < index.timescale < 2**32 or not 0 <= index.size < 2**63 or not 0 <= index.track_id < 2**32:
        raise malformed(f"timescale {index.timescale}, size {index.size}, track {index.track_id}")
    if index.rotation not in (0, 90, 180, 270):
        raise malformed(f"rotation {index.rotation}")
    if index.framing.kind is not FramingKind.LENGTH_PREFIXED and any(
        entry.nal_length_size != 4 for entry in index.entries
    ):
        raise malformed("its samples have no lengths in the file, but its entries say how long these are")


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
        raise malformed("a sample entry is not an object")
    units = document.get("parameter_sets")
    if not isinstance(units, list) or not all(isinstance(unit, str) for unit in units):
        raise malformed("parameter sets are not a list of strings")
    try:
        parameter_sets = tuple(base64.b64decode(unit, validate=True) for unit in units)
    except ValueError as error:
        raise malformed("parameter sets are not base64") from error
    color = document.get("color")
    if color is not None:
        if not isinstance(color, list) or len(color) != 4 or not isinstance(color[3], bool):
            raise malformed("a colour is not three numbers and a range")
        primaries, transfer, matrix = (_in_range(value, 0, 65535, "colour") for value in color[:3])
        color = Color(primaries, transfer, matrix, full_range=color[3])
    aspect = document.get("pixel_aspect")
    if not isinstance(aspect, list) or len(aspect) != 2:
        raise malformed("a pixel aspect is not two numbers")
    profile = document.get("dolby_vision_profile")
    length_size = _in_range(document.get("nal_length_size"), 1, 4, "NAL length size")
    if length_size == 3:
        raise malformed("NAL length size is 3")
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
        raise malformed("its framing is not an object")
    try:
        return Framing(
            FramingKind(document.get("kind")),
            _whole(document, "packet_size"),
            _whole(document, "phase"),
            _whole(document, "pid"),
        )
    except ValueError as error:
        raise malformed(f"its framing is {document}") from error


def _parse_json(text: str | bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise malformed("it is not JSON") from error
    if not isinstance(document, dict):
        raise malformed("it is not a JSON object")
    return document


def _typed(document: dict[str, Any], name: str, kind: type) -> Any:
    value = document.get(name)
    if type(value) is not kind:
        raise malformed(f"{name} is {reprlib.repr(value)}")
    return value


def _whole(document: dict[str, Any], name: str) -> int:
    return _in_range(document.get(name), 0, 2**63 - 1, name)


def _in_range(value: Any, low: int, high: int, name: str) -> int:
    if type(value) is not int or not low <= value <= high:
        raise malformed(f"{name} is {reprlib.repr(value)}")
    return value


def _columns_from_json(
    document: dict[str, Any], name: str, dtype: np.dtype[np.void], rows: int
) -> dict[str, NDArray[np.int64]]:
    lists = document.get(name)
    if not isinstance(lists, dict) or set(lists) != set(dtype.names or ()):
        raise malformed(f"{name} does not have the right columns")
    if not all(isinstance(values, list) and len(values) == rows for values in lists.values()):
        raise malformed(f"a column of {name} does not have {rows} numbers")
    columns = {}
    for column, values in lists.items():
        if not all(type(value) is int for value in values):
            raise malformed(f"column {column} of {name} holds something other than whole numbers")
        try:
            columns[column] = np.array(values, dtype=np.int64)
        except OverflowError as error:
            raise malformed(f"column {column} of {name} holds a number that is out of range") from error
    return columns
