"""Columns of whole numbers as few bytes: the differences that a table is predicted by, in byte planes, deflated.

    column -> residuals (int64) -> zigzag (uint64) -> planes: all lowest bytes, then all second ones ... -> zlib

A table of samples is regular: times advance by their durations, samples follow one another, GOPs repeat. What the prediction
leaves is small, so high planes are left out, and what repeats zlib finds. Arithmetic is modulo 2**64 throughout, so that each
column comes back exactly, whatever is in it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import CorruptError

__all__ = ["pack_columns", "unpack_columns"]

_LEVEL = 6


def pack_columns(columns: Sequence[NDArray[np.int64]]) -> tuple[list[int], bytes]:
    """Give the bytes that one number of each column takes (0 to 8), and the deflated planes of all columns."""
    widths, planes = [], []
    for column in columns:
        zigzag = ((column << 1) ^ (column >> 63)).view(np.uint64)
        width = (int(zigzag.max()).bit_length() + 7) // 8 if len(zigzag) else 0
        widths.append(width)
        planes.append(zigzag.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width].T.tobytes())
    return widths, zlib.compress(b"".join(planes), _LEVEL)


def unpack_columns(
    widths: Sequence[int], lengths: Sequence[int], data: bytes | memoryview
) -> list[NDArray[np.int64]]:
    """Give back the columns of `pack_columns`, `lengths` numbers long each. Takes no more memory than these say; CorruptError."""
    expected = sum(width * length for width, length in zip(widths, lengths, strict=True))
    inflating = zlib.decompressobj()
    try:
        planes = inflating.decompress(data, expected) if expected else b""
        # The checksum stands behind the last byte.
        rest = inflating.decompress(inflating.unconsumed_tail if expected else data, 1)
    except zlib.error as error:
        raise CorruptError("its tables cannot be inflated") from error
    if len(planes) != expected or rest or not inflating.eof or inflating.unused_data:
        raise CorruptError("its tables are not as long as its header says")
    columns, start = [], 0
    for width, length in zip(widths, lengths, strict=True):
        columns.append(_unzigzag(np.frombuffer(planes, np.uint8, width * length, start), width, length))
        start += width * length
    return columns


def _unzigzag(planes: NDArray[np.uint8], width: int, length: int) -> NDArray[np.int64]:
    if width == 0:
        return np.zeros(length, dtype=np.int64)
    zigzag = planes[:length].astype(np.uint64)
    for place in range(1, width):
        zigzag |= planes[place * length : (place + 1) * length].astype(np.uint64) << np.uint64(8 * place)
    negative = -(zigzag & np.uint64(1)).view(np.int64)
    zigzag >>= np.uint64(1)
    return zigzag.view(np.int64) ^ negative
