"""Write PNG (ISO/IEC 15948) from RGB pixels: the one lossless picture format that every viewer opens."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["encode_png"]

_TRUECOLOUR = 2  # colour type of IHDR (clause 11.2.2)
_UP = 2  # filter: each byte less the one above it (clause 9.2); good on pictures, and one operation in numpy


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode an array of shape (height, width, 3), dtype uint8, in the order R, G, B."""
    height, width, channels = pixels.shape
    if channels != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"a PNG needs (height, width, 3) uint8, not {pixels.shape} {pixels.dtype}")
    rows = pixels.reshape(height, width * 3)
    filtered = np.empty((height, 1 + width * 3), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, _TRUECOLOUR, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(filtered.tobytes(), 4)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
