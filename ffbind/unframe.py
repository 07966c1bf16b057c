"""Unwraps samples: from the bytes as they lie in the file to NAL units behind lengths, as the rest of the library has them.

Strict: a sample comes out whole or not at all. Sources: H.265 annex B, ISO/IEC 13818-1 2.4.3.
"""

from __future__ import annotations

import numpy as np

from .bitstream import Buffer
from .errors import CorruptError
from .framing import TS_PACKET, Framing, FramingKind
from .native import ffi, lib
from .transport import SYNC_BYTE, Demultiplexer, Fault

__all__ = ["unwrap", "unwrap_annex_b"]

_FAULTS = {
    Fault.LOST: "packets of the transport stream are missing in it",
    Fault.SHORT: "a PES packet in it is not as long as it says",
    Fault.SCRAMBLED: "its packets are scrambled",
    Fault.DAMAGED: "the header of a packet in it is damaged",
}


def unwrap(framing: Framing, data: memoryview, lead: int) -> memoryview:
    """Give a sample with lengths in front of its NAL units: of 4 bytes, or as the file has them. Empty stays empty.

    `data` starts `lead` bytes in front of the sample (see `Framing.lead`). CorruptError for anything but a whole sample.
    """
    if framing.kind is FramingKind.LENGTH_PREFIXED or len(data) == lead:
        return data[lead:]
    if framing.kind is FramingKind.ANNEX_B:
        return unwrap_annex_b(data[lead:])
    return unwrap_annex_b(_elementary_stream(framing, data, lead))


def unwrap_annex_b(data: Buffer) -> memoryview:
    """Give the NAL units between start codes with 4-byte lengths instead of these. CorruptError where no start code stands in front."""
    size = len(data)
    out = np.empty(size + size // 4 + 1, np.uint8)
    with ffi.from_buffer("uint8_t[]", data) as source, ffi.from_buffer("uint8_t[]", out) as target:
        written = lib.ffb_annexb_unwrap(source, size, target, len(out))
    if written < 0:
        raise CorruptError("the sample is damaged: it does not begin with the start code of a NAL unit")
    return memoryview(out.data)[:written]


def _elementary_stream(framing: Framing, data: memoryview, lead: int) -> memoryview:
    """Give the bytes of a sample without packets around them.

    on the grid:  [packet: head, PES head, 00 00 01 ...]...         offset = sync byte of the packet
    inside:       [packet: head, end of the one before, 00 00 01 ...]...         offset = the first 00, `lead` from the sync byte
    """
    first = data[lead]
    if lead and first == SYNC_BYTE:  # a packet behind lost bytes, on a grid of its own
        data, lead = data[lead:], 0
    count = -(-len(data) // framing.packet_size)
    grid = np.zeros((count, framing.packet_size), np.uint8)
    grid.reshape(-1)[: len(data)] = data
    if (grid[:, 0] != SYNC_BYTE).any():
        raise CorruptError("the sample is damaged: bytes that are no transport stream packets lie in it")
    last_bytes = min(len(data) - (count - 1) * framing.packet_size, TS_PACKET)
    piece = Demultiplexer(framing.pid).feed(grid, 0, last_bytes)
    if len(piece.packet) == 0 or piece.packet[0] != 0:
        raise CorruptError(
            f"the sample is damaged: it does not start with a packet of its stream (PID {framing.pid})"
        )
    worst = Fault(int(piece.fault.max()))
    if worst is not Fault.NONE:
        raise CorruptError(f"the sample is damaged: {_FAULTS[worst]}")
    skipped = lead - int(piece.place[0]) if lead else 0
    if skipped < 0 or (not lead and not piece.unit_starts[0]):
        raise CorruptError("the sample is damaged: it does not start where a PES packet does")
    return memoryview(piece.data)[skipped:]
