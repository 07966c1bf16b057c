"""MPEG transport streams, plain, with time stamps (M2TS) or with parity bytes: one scan finds all pictures of one stream.

Source: ISO/IEC 13818-1. Which streams there are is libavformat's word; packets are read here, since only so it is known exactly
which bytes of the file hold a picture.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ffbind.framing import PACKET_SIZES, TS_PACKET, Framing, FramingKind
from ffbind.index import VideoIndex
from ffbind.limits import Limits
from ffbind.sources import Source
from ffbind.transport import SYNC_BYTE, Demultiplexer, Fault, PesStart, Piece

from .access_units import AccessUnit, AccessUnits
from .annex_b import readable
from .table import Table, Times
from .window import BLOCK_BYTES

__all__ = ["read_transport_stream"]

_CLOCK = 90_000
_WRAP = 1 << 33
_JUMP = 10 * _CLOCK
"""A step of the clock that is taken for a new beginning, as the ffmpeg command does (dts_delta_threshold)."""

_PACKETS_AT_ONCE = 4096
_SYNC_RUN = 5
"""Sync bytes in a row, each a packet from the last, that are taken for the packets of a stream."""


def read_transport_stream(source: Source, pid: int, limits: Limits) -> VideoIndex:
    """Scan the packets of one stream of H.265.

    Times are those of the PES packets, 90 000 ticks a second, without the wrap-around of their 33 bits and without the jumps of a
    clock that is set anew; the first frame shown is at 0. A picture with lost, damaged or scrambled packets has its row: reading it
    gives a CorruptError.
    """
    scan = _Scan(pid, limits)
    size, phase = _find_grid(source, 0, PACKET_SIZES)
    position, first = phase, phase % size
    while position < source.size:
        data = source.read_at(position, _PACKETS_AT_ONCE * size)
        count = (len(data) + size - TS_PACKET) // size
        if count == 0:
            scan.cut_short(bytes(data), position)
            break
        grid = np.zeros((count, size), np.uint8)
        whole = min(count * size, len(data))
        grid.reshape(-1)[:whole] = np.frombuffer(data, np.uint8, whole)
        lost = np.flatnonzero(grid[:, 0] != SYNC_BYTE)
        good = int(lost[0]) if len(lost) else count
        if good:
            scan.take(grid[:good], position)
        position += good * size
        if len(lost):
            scan.lose()
            _, position = _find_grid(source, position + 1, (size,))
    scan.finish()
    return scan.index(source, Framing(FramingKind.TRANSPORT_STREAM, size, first, pid))


def _find_grid(source: Source, position: int, sizes: Iterable[int]) -> tuple[int, int]:
    """Find the first place from `position` on where sync bytes follow each other at one of these distances.

    Gives the distance and the place, which is the end of the file where there is none.
    """
    reach = max(sizes) * _SYNC_RUN
    while position < source.size:
        data = np.frombuffer(source.read_at(position, BLOCK_BYTES + reach), np.uint8)
        found: list[tuple[int, int]] = []
        for size in sizes:
            run = data == SYNC_BYTE
            for number in range(1, _SYNC_RUN):
                # Behind the end of the file nothing speaks against it.
                there = np.ones(len(data), bool)
                there[: max(len(data) - number * size, 0)] = data[number * size :] == SYNC_BYTE
                run = run & there
            places = np.flatnonzero(run[:BLOCK_BYTES])
            if len(places):
                found.append((int(places[0]), size))
        if found:
            place, size = min(found)
            return size, position + place
        position += BLOCK_BYTES
    return next(iter(sizes)), source.size


class _Scan:
    """Pictures of one stream, found packet by packet."""

    def __init__(self, pid: int, limits: Limits) -> None:
        self._demultiplexer = Demultiplexer(pid)
        self._units = AccessUnits(limits)
        self._table = Table(limits)
        self._pid = pid
        self._starts: list[int] = []  # of access units, in the elementary stream
        self._pes: list[PesStart] = []
        self._end = 0  # of the last access unit
        # Packets whose bytes may belong to access units to come, and faults: (place in the elementary stream, end of the packet).
        none = np.empty(0, np.int64)
        self._position, self._place, self._packet = none, none, none
        self._unit_starts = np.empty(0, bool)
        self._faults: list[tuple[int, int]] = []

    def lose(self) -> None:
        """Note that bytes which are no packets come next."""
        self._demultiplexer.lose()

    def take(self, grid: NDArray[np.uint8], offset: int) -> None:
        """Take packets, the first of which stands at `offset`."""
        piece = self._demultiplexer.feed(grid, offset)
        self._remember(piece)
        for unit in self._units.feed(piece.data):
            self._add(unit)
        self._forget()

    def finish(self) -> None:
        """Take the end of the stream."""
        for unit in self._units.finish():
            self._add(unit)
        self._extend_last()

    def cut_short(self, part: bytes, position: int) -> None:
        """Take what stands at the end of the file: the first part of a packet. Its picture is not whole."""
        if len(part) < 3 or ((part[1] & 0x1F) << 8 | part[2]) == self._pid:
            end = int(self._position[-1]) + 1 if len(self._position) else 0
            self._faults.append((end, position + TS_PACKET))

    def index(self, source: Source, framing: Framing) -> VideoIndex:
        """Make the index."""
        typical = round(_CLOCK * self._table.rate()[0] / self._table.rate()[1])
        composition = self._times(max(typical, 1))
        ascending = np.diff(np.sort(composition))
        ascending = ascending[ascending > 0]
        last = int(np.median(ascending)) if len(ascending) else max(typical, 1)
        return self._table.index(
            source,
            framing,
            Times(composition, _CLOCK, last, origin=None),
            fourcc="hev1",
            track_id=self._pid,
        )

    def _remember(self, piece: Piece) -> None:
        lengths = np.diff(piece.position, append=self._demultiplexer.position)
        carrying = lengths > 0
        self._position = np.concatenate((self._position, piece.position[carrying]))
        self._place = np.concatenate((self._place, piece.place[carrying]))
        self._packet = np.concatenate((self._packet, piece.packet[carrying]))
        self._unit_starts = np.concatenate((self._unit_starts, piece.unit_starts[carrying]))
        for row in np.flatnonzero(piece.fault != Fault.NONE).tolist():
            self._faults.append((int(piece.position[row]), int(piece.packet[row]) + TS_PACKET))
        self._pes.extend(piece.units)

    def _forget(self) -> None:
        """Let go of packets in front of the access unit that is coming in."""
        first = max(int(np.searchsorted(self._position, self._end, side="right")) - 1, 0)
        self._position, self._place = self._position[first:], self._place[first:]
        self._packet, self._unit_starts = self._packet[first:], self._unit_starts[first:]

    def _add(self, unit: AccessUnit) -> None:
        self._extend_last()
        damaged = any(unit.start < place <= unit.end for place, _ in self._faults)
        self._faults = [fault for fault in self._faults if fault[0] > unit.start]
        row = int(np.searchsorted(self._position, unit.start, side="right")) - 1
        into = unit.start - int(self._position[row])
        on_grid = into == 0 and self._unit_starts[row]
        offset = int(self._packet[row]) if on_grid else int(self._place[row]) + into
        row = int(np.searchsorted(self._position, unit.end - 1, side="right")) - 1
        end = int(self._place[row]) + unit.end - int(self._position[row])
        self._table.add(offset, end - offset, readable(unit.data), damaged=damaged)
        self._starts.append(unit.start)
        self._end = unit.end
        self._extend_last()

    def _extend_last(self) -> None:
        """Let the last access unit reach over the packets with faults up to its end: so whoever reads it meets them."""
        if self._starts:
            for place, end in self._faults:
                if self._starts[-1] < place <= self._end:
                    self._table.extend(len(self._starts) - 1, end)

    def _times(self, typical: int) -> NDArray[np.int64]:
        """Composition times of all access units, in decode order.

        A PES packet's stamps belong to the first access unit that starts in it (2.4.3.7). Where one has none, it lies between its
        neighbours.
        """
        count = len(self._starts)
        units = np.array([pes.position for pes in self._pes], np.int64)
        owner = np.searchsorted(units, np.array(self._starts, np.int64), side="right") - 1
        first = np.ones(count, bool)
        first[1:] = owner[1:] != owner[:-1]
        stamped = [
            (row, pes.pts, pes.dts)
            for row in np.flatnonzero(first & (owner >= 0)).tolist()
            if (pes := self._pes[owner[row]]).pts is not None and pes.dts is not None
        ]
        if not stamped:
            return np.arange(count, dtype=np.int64) * typical
        rows = np.array([row for row, _, _ in stamped], np.int64)
        pts = np.array([pts for _, pts, _ in stamped], np.int64)
        decoding = np.array([dts for _, _, dts in stamped], np.int64)
        delay = _signed(pts - decoding)
        distance = np.diff(rows)
        steps = _signed(np.diff(decoding))
        jumps = (steps < 0) | (steps > _JUMP * distance)
        steps = np.where(jumps, typical * distance, steps)
        composition = decoding[0] + np.concatenate(([0], np.cumsum(steps))) + delay
        return np.round(_fill(rows, composition, count, typical)).astype(np.int64)


def _fill(
    rows: NDArray[np.int64], values: NDArray[np.int64], count: int, typical: int
) -> NDArray[np.float64]:
    """Values for all rows, from those of some: between them evenly, outside a typical step from one to the next."""
    every = np.arange(count)
    filled = np.interp(every, rows, values)
    filled[: rows[0]] = values[0] - typical * (rows[0] - every[: rows[0]])
    filled[rows[-1] :] = values[-1] + typical * (every[rows[-1] :] - rows[-1])
    return filled


def _signed(difference: NDArray[np.int64]) -> NDArray[np.int64]:
    """The shortest way between two times of 33 bits."""
    return (difference + _WRAP // 2) % _WRAP - _WRAP // 2
