"""Packets of a transport stream: the elementary stream of one PID, where its bytes lie, and what is wrong with its packets.

Source: ISO/IEC 13818-1 2.4.3 (transport stream packets, PES packets). Pure numpy; used for scanning and for reading samples alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .framing import TS_PACKET

__all__ = ["SYNC_BYTE", "Demultiplexer", "Fault", "PesStart", "Piece"]

SYNC_BYTE = 0x47

_HEAD = 4  # bytes of a packet's header
_PES_HEAD = 9  # bytes up to PES_header_data_length
_UNKNOWN = -1


class Fault(IntEnum):
    """What is wrong with a packet; the larger number is said where there are two."""

    NONE = 0
    LOST = 1
    """Packets are missing in front of it (continuity_counter, or bytes that are no packets)."""
    SHORT = 2
    """The PES packet in front of it is not as long as it says."""
    SCRAMBLED = 3
    DAMAGED = 4
    """Marked as damaged by whoever received it, or its headers contradict themselves."""


@dataclass(frozen=True, slots=True)
class PesStart:
    """A PES packet: where its payload starts in the elementary stream; its time stamps, None where it has none (90 kHz, 33 bits)."""

    position: int
    pts: int | None
    dts: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What some packets bring; arrays have one value for each of them that carries bytes of the stream, in their order.

    - `data`: their bytes of the elementary stream
    - `position`: where each one's bytes start in the elementary stream, int64
    - `place`: where they start in the file, int64
    - `packet`: where the packet itself (its sync byte) stands in the file, int64
    - `unit_starts`: whether a PES packet starts there; `fault`: a `Fault`, uint8
    - `units`: the PES packets that start here
    """

    data: bytes
    position: NDArray[np.int64]
    place: NDArray[np.int64]
    packet: NDArray[np.int64]
    unit_starts: NDArray[np.bool_]
    fault: NDArray[np.uint8]
    units: tuple[PesStart, ...]


class Demultiplexer:
    """Takes the packets of a transport stream in their order and gives the elementary stream of one PID."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._counter = _UNKNOWN
        self._last = b""  # the last packet with payload, to know it again
        self._position = 0
        self._left = _UNKNOWN  # bytes that the PES packet still has to come; unknown where it does not say
        self._lost = False

    @property
    def position(self) -> int:
        """Bytes of the elementary stream so far."""
        return self._position

    def lose(self) -> None:
        """Note that bytes which are no packets lie in front of the next packet."""
        self._lost = True

    def feed(self, grid: NDArray[np.uint8], offset: int, last_bytes: int = TS_PACKET) -> Piece:
        """Take packets: uint8 (packets, distance of sync bytes), each row from its sync byte on, the first one at `offset`.

        All rows have to begin with the sync byte. Of the last row only `last_bytes` are there.
        """
        pid = (grid[:, 1].astype(np.int32) & 0x1F) << 8 | grid[:, 2]
        rows = np.flatnonzero(pid == self._pid)
        packets = grid[rows, :TS_PACKET]
        ends = np.where(rows == len(grid) - 1, last_bytes, TS_PACKET)
        start, fault, discontinuity = _read_headers(packets)
        carrying = (start < TS_PACKET) | (fault != Fault.NONE)
        rows, packets, ends, start = rows[carrying], packets[carrying], ends[carrying], start[carrying]
        fault, discontinuity = fault[carrying], discontinuity[carrying]

        counter = (packets[:, 3] & 0x0F).astype(np.int32)
        repeated = self._find_repeated(packets, counter)
        if repeated.any():
            kept = ~repeated
            rows, packets, ends, start = rows[kept], packets[kept], ends[kept], start[kept]
            fault, discontinuity, counter = fault[kept], discontinuity[kept], counter[kept]
        unit_starts = (packets[:, 1] & 0x40) != 0
        if len(rows):
            before = np.concatenate(([self._counter], counter[:-1]))
            jump = (before != _UNKNOWN) & (counter != ((before + 1) & 0x0F)) & ~(discontinuity & unit_starts)
            jump[0] |= self._lost
            fault = np.maximum(fault, np.where(jump, Fault.LOST, Fault.NONE)).astype(np.uint8)
            self._counter, self._last, self._lost = int(counter[-1]), packets[-1].tobytes(), False

        units, start, fault = self._read_units(packets, start, ends, unit_starts, fault)
        start = np.minimum(start, ends)
        lengths = ends - start
        position = self._position + np.cumsum(lengths) - lengths
        data = _payloads(packets, start, ends)
        self._position += len(data)
        packet = offset + rows.astype(np.int64) * grid.shape[1]
        return Piece(
            data,
            position,
            packet + start,
            packet,
            unit_starts,
            fault,
            tuple(PesStart(int(position[row]), pts, dts) for row, pts, dts in units),
        )

    def _find_repeated(self, packets: NDArray[np.uint8], counter: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Packets that are sent twice (2.4.3.3): the same counter, and the same bytes but for the clock reference."""
        before = np.concatenate(([self._counter], counter[:-1]))
        repeated: NDArray[np.bool_] = counter == before
        for row in np.flatnonzero(repeated).tolist():
            previous = packets[row - 1].tobytes() if row else self._last
            repeated[row] = _without_clock(packets[row].tobytes()) == _without_clock(previous)
        return repeated

    def _read_units(
        self,
        packets: NDArray[np.uint8],
        start: NDArray[np.int64],
        ends: NDArray[np.int64],
        unit_starts: NDArray[np.bool_],
        fault: NDArray[np.uint8],
    ) -> tuple[list[tuple[int, int | None, int | None]], NDArray[np.int64], NDArray[np.uint8]]:
        """Read the PES headers; gives `(row, pts, dts)` of each, where payloads start behind them, and faults with those found."""
        start, fault = start.copy(), fault.copy()
        units = []
        rows = np.flatnonzero(unit_starts).tolist()
        self._check_length(0, rows[0] if rows else len(packets), start, ends, fault)
        for number, row in enumerate(rows):
            header = _read_pes_header(packets[row, start[row] : ends[row]].tobytes())
            if isinstance(header, Fault):
                start[row] = TS_PACKET
                fault[row] = max(int(fault[row]), header)
                self._left = _UNKNOWN
            else:
                length, self._left, pts, dts = header
                start[row] += length
                units.append((row, pts, dts))
            end = rows[number + 1] if number + 1 < len(rows) else len(packets)
            self._check_length(row, end, start, ends, fault)
        return units, start, fault

    def _check_length(
        self,
        first: int,
        end: int,
        start: NDArray[np.int64],
        ends: NDArray[np.int64],
        fault: NDArray[np.uint8],
    ) -> None:
        """Compare the payload of rows [first, end) with what the PES packet still has to come; `end` may start the next one."""
        if self._left == _UNKNOWN:
            return
        self._left -= int((ends[first:end] - start[first:end]).clip(0).sum())
        if self._left < 0:
            fault[end - 1] = max(int(fault[end - 1]), Fault.SHORT)
            self._left = _UNKNOWN
        elif self._left > 0 and end < len(fault):
            fault[end] = max(int(fault[end]), Fault.SHORT)


def _read_headers(
    packets: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.bool_]]:
    """Of each packet: where its payload starts (188: it has none), what is wrong with it, whether its counter may jump."""
    flags = packets[:, 3]
    has_adaptation = (flags & 0x20) != 0
    has_payload = (flags & 0x10) != 0
    adaptation = packets[:, 4].astype(np.int64)
    too_long = has_adaptation & (adaptation > np.where(has_payload, 182, 183))
    damaged = (
        ((packets[:, 1] & 0x80) != 0)  # transport_error_indicator
        | too_long
        | ~(has_adaptation | has_payload)
        | (((packets[:, 1] & 0x40) != 0) & ~has_payload)
    )
    start = np.where(
        has_payload & ~damaged, np.where(has_adaptation, _HEAD + 1 + adaptation, _HEAD), TS_PACKET
    )
    scrambled = (flags & 0xC0) != 0
    fault = np.where(damaged, Fault.DAMAGED, np.where(scrambled, Fault.SCRAMBLED, Fault.NONE))
    discontinuity = has_adaptation & (adaptation > 0) & ((packets[:, 5] & 0x80) != 0)
    return start, fault.astype(np.uint8), discontinuity


def _payloads(packets: NDArray[np.uint8], start: NDArray[np.int64], ends: NDArray[np.int64]) -> bytes:
    """Bytes [start, end) of each packet, one after the other. Most packets are nothing but payload: these go in one piece."""
    parts = []
    done = 0
    for row in np.flatnonzero((start != _HEAD) | (ends != TS_PACKET)).tolist():
        parts.append(packets[done:row, _HEAD:].tobytes())
        parts.append(packets[row, start[row] : ends[row]].tobytes())
        done = row + 1
    parts.append(packets[done:, _HEAD:].tobytes())
    return b"".join(parts)


def _without_clock(packet: bytes) -> bytes:
    """Give a packet without its program_clock_reference, which is the one thing in which a repeated packet may differ."""
    has_clock = packet[3] & 0x20 and packet[4] >= 7 and packet[5] & 0x10
    return packet[:6] + packet[12:] if has_clock else packet


def _read_pes_header(payload: bytes) -> tuple[int, int, int | None, int | None] | Fault:
    """Read a PES header (2.4.3.6): its length, bytes of payload (-1: it does not say), PTS and DTS; or what is wrong with it."""
    if len(payload) < _PES_HEAD or payload[:3] != b"\0\0\1" or payload[6] & 0xC0 != 0x80:
        return Fault.DAMAGED
    if payload[6] & 0x30:
        return Fault.SCRAMBLED
    declared = int.from_bytes(payload[4:6], "big")
    header = _PES_HEAD + payload[8]
    left = declared + 6 - header if declared else _UNKNOWN
    stamps = payload[7] >> 6
    needed = {0: 0, 2: 5, 3: 10}.get(stamps)
    if header > len(payload) or (declared and left < 0) or needed is None or payload[8] < needed:
        return Fault.DAMAGED
    pts = _read_time(payload[_PES_HEAD:]) if stamps else None
    dts = _read_time(payload[_PES_HEAD + 5 :]) if stamps == 3 else pts
    return header, left, pts, dts


def _read_time(field: bytes) -> int:
    """33 bits in five bytes, with marker bits between."""
    return (field[0] >> 1 & 7) << 30 | field[1] << 22 | (field[2] >> 1) << 15 | field[3] << 7 | field[4] >> 1
