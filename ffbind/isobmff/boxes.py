"""Boxes: walking them at the top level of a source and inside a buffer; reading their fields, bounds-checked.

Source: ISO/IEC 14496-12, 4.2 (object structure).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ffbind.errors import CorruptError, NotVideoError
from ffbind.limits import Limits
from ffbind.sources import Source, read_exactly

__all__ = ["Box", "Fields", "TopLevel", "children", "corrupt", "find", "name_of", "walk_top_level"]

# What may stand first in a file of this family (ISO/IEC 14496-12 table 1, QuickTime's older atoms).
_FIRST_BOXES = frozenset(
    b"ftyp moov mdat free skip wide pnot uuid styp sidx ssix moof mfra meta prft emsg pdin udta junk".split()
)
_STILL_BRANDS = frozenset(b"heic heix heim heis avif mif1 jpeg".split())
_WINDOW = 64 << 10
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
        size, box_type = struct.unpack_from(">I4s", payload, position)
        header = 8
        if box_type == b"\0\0\0\0":
            return
        if size == 1 and end - position >= 16:
            size, header = int.from_bytes(payload[position + 8 : position + 16], "big"), 16
        elif size == 0:
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


@dataclass(frozen=True, slots=True)
class TopLevel:
    """What stands at the top level: payload of moov, payloads of all moof with their place in the file.

    `brand`: the major brand of ftyp, empty without one; `first`: places of the first moov, mdat and sidx.
    """

    moov: memoryview
    moofs: list[tuple[int, memoryview]]
    brand: bytes
    first: dict[bytes, int]


class _Window:
    """Reads pieces of a source in ascending order through one buffer, so that few reads reach the source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._start = 0
        self._data = memoryview(b"")

    def read(self, offset: int, length: int) -> memoryview:
        """Read `length` bytes; all of them lie within the source."""
        if not self._start <= offset <= offset + length <= self._start + len(self._data):
            whole = max(length, min(_WINDOW, self._source.size - offset))
            self._data = read_exactly(self._source, offset, whole)
            self._start = offset
        return self._data[offset - self._start : offset - self._start + length]


def walk_top_level(source: Source, limits: Limits) -> TopLevel:
    """Find and read moov and all moof boxes. NotVideoError where the bytes are no ISO-BMFF file.

    A last box that reaches beyond the end of the file is normal for mdat (a copy cut short): only the samples
    in the missing part are lost. A cut moof was never finished by its writer: the fragments before it count.
    """
    size = source.size
    window = _Window(source)
    moov: memoryview | None = None
    moofs: list[tuple[int, memoryview]] = []
    moof_bytes = 0
    brand = b""
    first: dict[bytes, int] = {}
    position = count = 0
    while size - position >= 8:
        head = window.read(position, min(16, size - position))
        length, box_type = struct.unpack_from(">I4s", head)
        header = 8
        if length == 1 and len(head) == 16:
            length, header = int.from_bytes(head[8:16], "big"), 16
        elif length == 0:
            length = size - position
        if position == 0 and (box_type not in _FIRST_BOXES or length < header):
            break
        if length < header:
            if moov is not None:
                break
            raise corrupt(
                f"box {name_of(box_type)} at byte {position} says {length} bytes, less than its header"
            )
        count += 1
        limits.check(count, limits.boxes, "boxes at the top level")
        whole = length <= size - position
        if box_type in (b"moov", b"mdat", b"sidx"):
            first.setdefault(box_type, position)
        if box_type == b"moov" and moov is None:
            if not whole:
                raise corrupt(
                    f"box moov at byte {position} says {length} bytes, the file ends after {size - position}"
                )
            limits.check(length, limits.header_bytes, "bytes of moov")
            moov = window.read(position, length)[header:]
        elif box_type == b"moof" and whole:
            moof_bytes += length
            limits.check(moof_bytes, limits.header_bytes, "bytes of moof boxes")
            moofs.append((position, window.read(position, length)[header:]))
        elif box_type == b"ftyp" and whole and length >= header + 4 and position == 0:
            brand = bytes(window.read(position + header, 4))
        position += length
    if moov is not None:
        return TopLevel(moov, moofs, brand, first)
    if size == 0:
        raise NotVideoError("the file is empty; copy or record it again")
    if count == 0:
        raise NotVideoError(
            f"not an MP4 or MOV file: its {size} bytes do not start with a box of ISO/IEC 14496-12; "
            "give an MP4 or MOV file"
        )
    if brand in _STILL_BRANDS:
        raise NotVideoError(f"a still image (brand {name_of(brand)}), not a video; give an MP4 or MOV file")
    if moofs:
        raise corrupt(
            "it has fragments (moof) but no moov box", "put the initialization segment in front of them"
        )
    raise corrupt("it has no moov box, so its recording or copy was never finished")
