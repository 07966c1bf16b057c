"""What a file that is no MP4 may be, by its first bytes alone: for those who only want to name it, and parse nothing."""

from __future__ import annotations

from .framing import PACKET_SIZES

__all__ = ["HEAD_BYTES", "name_container"]

HEAD_BYTES = 4096
"""As many bytes of the beginning as `name_container` looks at."""

_EBML = b"\x1a\x45\xdf\xa3"
_SYNC = 0x47
_PACKETS = 3


def name_container(head: bytes) -> str | None:
    r"""Name the container by the beginning of a file: Matroska, MPEG-TS or a raw stream; None for anything else.

    >>> name_container(b"\0\0\0\1\x40\1\x0c\1\xff")
    'raw stream'
    """
    head = head[:HEAD_BYTES]
    if head.startswith(_EBML):
        return "Matroska"
    code, _, unit = head.partition(b"\1")
    # A NAL unit header of H.265: a type, layer 0, TemporalId 0.
    if len(code) >= 2 and not code.strip(b"\0") and len(unit) >= 2 and not unit[0] & 0x81 and unit[1] == 1:
        return "raw stream"
    for size in PACKET_SIZES:
        for first in range(min(size, len(head))):
            run = head[first::size][:_PACKETS]
            if len(run) == _PACKETS and run == bytes((_SYNC,)) * _PACKETS:
                return "MPEG-TS"
    return None
