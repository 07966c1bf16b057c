"""How the bytes of a sample lie in the file: the value that an index carries. Unwrapping them is `ffbind.unframe`'s part."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["LENGTH_PREFIXED", "PACKET_SIZES", "TS_PACKET", "Framing", "FramingKind"]

TS_PACKET = 188
"""Bytes of a transport stream packet from its sync byte on (ISO/IEC 13818-1 2.4.3.2)."""

PACKET_SIZES = (TS_PACKET, 192, 204)
"""Bytes from one sync byte to the next: plain, with a time stamp (M2TS), with parity bytes (DVB)."""


class FramingKind(Enum):
    """What the byte range of a sample holds."""

    LENGTH_PREFIXED = "length_prefixed"
    """NAL units, each behind its length (ISO/IEC 14496-15): MP4, MOV and Matroska."""
    ANNEX_B = "annex_b"
    """NAL units, each behind a start code (H.265 annex B): a raw stream."""
    TRANSPORT_STREAM = "transport_stream"
    """Packets of a transport stream (ISO/IEC 13818-1), other streams' among them; inside, PES packets; inside, annex B."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How the bytes of all samples of an index lie in the file.

    Of a transport stream: `pid` names the packets that belong to the video, `packet_size` bytes lie from one sync byte to the
    next, and the first of these stands `phase` bytes from the beginning of the file. A sample whose first NAL unit is the first
    thing in a PES packet starts at the sync byte of that packet, any other one at its own first byte.
    """

    kind: FramingKind
    packet_size: int = 0
    phase: int = 0
    pid: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be (ValueError)."""
        if self.kind is FramingKind.TRANSPORT_STREAM:
            valid = (
                self.packet_size in PACKET_SIZES
                and 0 <= self.phase < self.packet_size
                and 0 <= self.pid < 0x1FFF
            )
        else:
            valid = (self.packet_size, self.phase, self.pid) == (0, 0, 0)
        if not valid:
            raise ValueError(f"{self} is no framing")

    def lead(self, offset: int) -> int:
        """How many bytes in front of a sample have to be read with it: those of its first packet, if it starts inside one."""
        return (offset - self.phase) % self.packet_size if self.packet_size and offset >= self.phase else 0


LENGTH_PREFIXED = Framing(FramingKind.LENGTH_PREFIXED)
