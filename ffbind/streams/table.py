"""Collects what a scan finds, sample by sample, and makes the index of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffbind.bitstream import Buffer, ParameterSets, sample_kind
from ffbind.color import Color
from ffbind.columns import PRESENTATION_DTYPE, SAMPLE_DTYPE, display_column, last_marked_row
from ffbind.errors import CorruptError, NotVideoError, UndecodableError
from ffbind.framing import Framing
from ffbind.hevc import Kind
from ffbind.index import SampleEntry, VideoIndex
from ffbind.limits import Limits
from ffbind.references import Verdict
from ffbind.scan import HeaderScan, Scanned
from ffbind.sets import SetsInForce
from ffbind.sources import Source

__all__ = ["Table", "Times"]

_DEFAULT_RATE = (1, 25)  # of a raw stream that does not say, as libavformat has it
_SIZE_LIMIT = 65535


@dataclass(frozen=True, slots=True)
class Times:
    """Times of all samples in ticks of 1 / timescale seconds.

    - `composition`: int64 (samples,), in decode order; which of them belongs to which picture is told by the order of showing, so
      that only their values count
    - `last`: how long the last frame is on screen
    - `origin`: what counts as time 0; None: the start of the first frame shown
    """

    composition: NDArray[np.int64]
    timescale: int
    last: int
    origin: int | None


class Table:
    """The samples of a stream in decode order, with their headers read as they come."""

    def __init__(self, limits: Limits, nal_length_size: int = 4, known: tuple[bytes, ...] = ()) -> None:
        """`known`: parameter sets that the container has."""
        self._limits = limits
        self._nal_length_size = nal_length_size
        self._scan = HeaderScan()
        for unit in known:
            self._scan.sets.add(unit)
        self._sets = SetsInForce(known)
        self._rows: list[tuple[int, int, int, int, int]] = []  # offset, size, kind, temporal id, entry
        self._shown: list[bool] = []
        self._readable = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, offset: int, size: int, sample: Buffer | None, *, damaged: bool = False) -> None:
        """Take the next sample: where it lies in the file, and its NAL units behind lengths; None: it cannot be read.

        Of a `damaged` one the headers are believed, for want of better, but no parameter sets.
        """
        self._limits.check_sample(offset, size)
        self._limits.check(len(self._rows) + 1, self._limits.samples, "samples")
        scanned = self._scan.take(sample, self._nal_length_size)
        kind, temporal_id = Kind.UNKNOWN, 0
        if scanned.header is not None and sample is not None:
            self._readable += 1
            if not damaged and scanned.step is not None:
                self._sets.take(sample, self._nal_length_size, scanned.header, scanned.step)
                self._limits.check(
                    len(self._sets), self._limits.sample_entries, "different groups of parameter sets"
                )
            if scanned.header.kind is not None:
                kind, temporal_id = scanned.header.kind, scanned.header.temporal_id
        elif sample is not None:
            kind, temporal_id = _kind_at_least(sample, self._nal_length_size)
        self._shown.append(self._is_shown(scanned))
        self._rows.append((offset, size, kind, temporal_id, self._sets.current))

    def extend(self, row: int, end: int) -> None:
        """Let a sample reach to `end` at least, so that who reads it meets the damage there."""
        offset, size, *rest = self._rows[row]
        self._rows[row] = (offset, max(size, end - offset), *rest)  # type: ignore[assignment]

    def _is_shown(self, scanned: Scanned) -> bool:
        """Say whether a linear decode shows a picture for this sample; for one that cannot be read it tries."""
        header, step = scanned.header, scanned.step
        if header is None or step is None:
            return True
        if step.verdict is Verdict.NOT_STARTED:
            return (
                self._readable < len(self._rows) + 1
            )  # behind damage, but not in front of the first IRAP picture
        return step.verdict not in (Verdict.SKIPPED, Verdict.EMPTY) and header.shown

    def rate(self) -> tuple[int, int]:
        """How long a picture lasts by the stream itself: (units, ticks a second); a 25th of a second where it does not say."""
        for group in self._sets.groups:
            duration = ParameterSets(group).picture_duration()
            if duration is not None:
                return duration
        return _DEFAULT_RATE

    def index(
        self,
        source: Source,
        framing: Framing,
        times: Times,
        *,
        fourcc: str,
        track_id: int,
        color: Color | None = None,
        pixel_aspect: tuple[int, int] = (1, 1),
    ) -> VideoIndex:
        """Make the index. Frames are shown in the order of their picture order counts, which a linear decode goes by."""
        count = len(self._rows)
        if count == 0:
            raise NotVideoError(
                "the HEVC stream in it holds no picture; the file was cut short, or is damaged"
            )
        if self._readable == 0:
            raise CorruptError(
                "no picture in it can be read: the file is damaged, or encrypted, or its parameter sets are missing"
            )
        rank = self._scan.rank()
        samples = np.zeros(count, SAMPLE_DTYPE)
        for name, column in zip(
            ("offset", "size", "kind", "temporal_id", "entry"), zip(*self._rows, strict=True), strict=True
        ):
            samples[name] = column
        ascending = np.sort(times.composition)
        samples["pts"] = ascending[rank]
        samples["duration"] = np.append(np.diff(ascending), times.last)[rank]
        samples["dts"] = ascending - max(int((ascending - samples["pts"]).max()), 0)
        samples["irap"] = last_marked_row((samples["kind"] >= 16) & (samples["kind"] <= 23))
        order = np.argsort(rank, kind="stable")
        order = order[np.array(self._shown)[order]]
        presentation = np.zeros(len(order), PRESENTATION_DTYPE)
        presentation["row"] = order
        if len(order):
            origin = int(samples["pts"][order[0]]) if times.origin is None else times.origin
            presentation["start"] = samples["pts"][order] - origin
        samples["display"] = display_column(presentation["row"], count)
        groups = self._sets.groups
        return VideoIndex(
            samples=samples,
            entries=tuple(self._entry(sets, fourcc, color, pixel_aspect) for sets in groups),
            presentation=presentation,
            timescale=times.timescale,
            rotation=0,
            mirrored=False,
            size=source.size,
            identity=source.identity,
            track_id=track_id,
            has_composition_times=True,
            framing=framing,
        )

    def _entry(
        self,
        sets: tuple[bytes, ...],
        fourcc: str,
        color: Color | None,
        pixel_aspect: tuple[int, int],
    ) -> SampleEntry:
        width = height = 0
        try:
            facts = ParameterSets(sets).facts()
        except UndecodableError:
            pass
        else:
            width, height = min(facts.width, _SIZE_LIMIT), min(facts.height, _SIZE_LIMIT)
        return SampleEntry(
            fourcc=fourcc,
            nal_length_size=self._nal_length_size,
            parameter_sets=sets,
            width=width,
            height=height,
            color=color,
            pixel_aspect=pixel_aspect,
            dolby_vision_profile=None,
        )


def _kind_at_least(sample: Buffer, nal_length_size: int) -> tuple[Kind, int]:
    """Tell the kind of a sample whose headers cannot be read, as far as its NAL units can."""
    try:
        kind, temporal_id = sample_kind(sample, nal_length_size)
    except CorruptError:
        return Kind.UNKNOWN, 0
    return (Kind.UNKNOWN, 0) if kind is None else (kind, temporal_id)
