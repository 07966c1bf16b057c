"""Boxes inside a buffer: walking them, and reading their fields, bounds-checked.

Source: ISO/IEC 14496-12, 4.2 (object structure).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ffbind.errors import CorruptError

__all__ = ["Box", "Boxes", "Fields", "children", "corrupt", "find", "name_of", "read_header"]

_MAX_CHILDREN = 4096


@dataclass(frozen=True, slots=True)
class Box:
    """One box inside a buffer: its type and its payload."""

    type: bytes
    payload: memoryview

    @property
    def name(self) -> str:
        """The type as text."""
        return name_of(self.type)

    def fields(self) -> Fields:
        """Give a reader of the payload from its first byte."""
        return Fields(self.payload, self.name)


Boxes: TypeAlias = "dict[bytes, Box]"


def name_of(box_type: bytes) -> str:
    """Give a four-character code as text that can be printed."""
    return "".join(chr(c) if 32 <= c < 127 else f"\\x{c:02x}" for c in box_type)


def corrupt(what: str, advice: str = "copy or record it again") -> CorruptError:
    """Make the error for damage in the container."""
    return CorruptError(f"the file is damaged: {what}; {advice}")


class Fields:
    """Reads the fields of one box in order; a read past its end is a CorruptError."""

    __slots__ = ("_data", "_name", "_position")

    def __init__(self, data: memoryview, name: str) -> None:
        self._data = data
        self._name = name
        self._position = 0

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self._position

    def take(self, count: int) -> memoryview:
        """Read `count` bytes."""
        if count > self.left:
            raise corrupt(f"box {self._name} ends {count - self.left} bytes too early")
        start = self._position
        self._position += count
        return self._data[start : self._position]

    def rest(self) -> memoryview:
        """Read all bytes that are left."""
        return self.take(self.left)

    def unsigned(self, size: int) -> int:
        """Read a big-endian unsigned number of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def signed(self, size: int) -> int:
        """Read a big-endian signed number of `size` bytes."""
        return int.from_bytes(self.take(size), "big", signed=True)

    def version_and_flags(self) -> tuple[int, int]:
        """Read what every full box starts with."""
        word = self.unsigned(4)
        return word >> 24, word & 0xFFFFFF

    def table(self, count: int, columns: int = 1, dtype: str = ">u4") -> NDArray[np.int64]:
        """Read rows of equal numbers as int64 (count, columns); checked before memory is taken."""
        size = np.dtype(dtype).itemsize * columns
        if count * size > self.left:
            raise corrupt(f"box {self._name} promises {count} entries and has room for {self.left // size}")
        return np.frombuffer(self.take(count * size), dtype).reshape(count, columns).astype(np.int64)


def read_header(data: bytes | bytearray | memoryview, at: int = 0) -> tuple[int, bytes, int]:
    """Read the header of a box, of which 8 bytes are there: the size that it says the box has, its type, and its own size.

    A size of 64 bits is read where all 16 bytes of such a header are there. Size 0 behind a header of 8 bytes means: to the end.
    """
    size, box_type = struct.unpack_from(">I4s", data, at)
    if size == 1 and len(data) - at >= 16:
        return int.from_bytes(data[at + 8 : at + 16], "big"), box_type, 16
    return size, box_type, 8


def children(payload: memoryview, parent: str) -> Iterator[Box]:
    """Give the boxes inside a container box, in order. CorruptError for one that overruns its parent.

    Fewer than 8 bytes at the end, or a type of zeros, end the list: QuickTime closes some lists with 4 zero
    bytes.
    """
    position, end, count = 0, len(payload), 0
    while end - position >= 8:
        count += 1
        if count > _MAX_CHILDREN:
            raise corrupt(f"{parent} holds more than {_MAX_CHILDREN} boxes")
        size, box_type, header = read_header(payload, position)
        if box_type == b"\0\0\0\0":
            return
        if size == 0 and header == 8:
            size = end - position
        if not header <= size <= end - position:
            raise corrupt(
                f"box {name_of(box_type)} in {parent} says {size} bytes where {end - position} are left"
            )
        yield Box(box_type, payload[position + header : position + size])
        position += size


def find(payload: memoryview, parent: str) -> Boxes:
    """Give the boxes inside a container by type; the first of each type counts."""
    boxes: Boxes = {}
    for box in children(payload, parent):
        boxes.setdefault(box.type, box)
    return boxes
