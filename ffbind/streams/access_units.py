"""Splits a byte stream into access units while it comes in (H.265 7.4.2.4.4, annex B)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffbind.limits import Limits
from ffbind.native import ffi, lib

__all__ = ["AccessUnit", "AccessUnits"]

# Types that start an access unit once a picture was there: VPS, SPS, PPS, AUD, prefix SEI, and some that are reserved
# or unspecified.
_STARTERS = frozenset((32, 33, 34, 35, 39, *range(41, 45), *range(48, 56)))
_LAST_VCL = 31
_CODE = 3
_HEAD = 3  # NAL unit header, and the byte with first_slice_segment_in_pic_flag
_CODES_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """An access unit: where it starts and ends in the stream, its bytes with start codes. The end is where the next one starts."""

    start: int
    end: int
    data: bytes


class AccessUnits:
    """Takes a stream in parts of any size and gives its access units; holds little more than the one that is not complete.

    An access unit starts with its first start code, the zero_byte of it included; what stands before the first one is left out.
    Raises LimitError where one grows larger than the limits allow.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # All positions are those in the stream; the buffer starts at `_base`.
        self._buffer = bytearray()
        self._base = 0
        self._searched = 0
        self._start: int | None = None  # of the access unit that is coming in
        self._next: int | None = None  # where the next one starts, if a picture of the base layer follows
        self._has_picture = False
        self._found = np.empty(_CODES_AT_ONCE, np.int64)

    def feed(self, data: bytes | memoryview) -> Iterator[AccessUnit]:
        """Take the next bytes; give the access units that are complete with them."""
        self._buffer += data
        end = self._base + len(self._buffer)
        yield from self._split(end - _HEAD)
        start = self._start
        if start is None:
            start = max(self._base, self._searched - 1)  # a zero_byte may stand there
        else:
            self._limits.check_sample(start, end - start)
        del self._buffer[: start - self._base]
        self._base = start

    def finish(self) -> Iterator[AccessUnit]:
        """Give what is left when the stream has ended."""
        end = self._base + len(self._buffer)
        yield from self._split(end)
        if self._start is not None:
            yield self._cut(end)

    def _split(self, end: int) -> Iterator[AccessUnit]:
        """Look at the start codes in the bytes before `end`."""
        while True:
            codes = self._codes(end)
            for code in codes:
                boundary = self._boundary(code)
                if boundary is not None:
                    yield self._cut(boundary)
            if len(codes) < _CODES_AT_ONCE:
                return

    def _codes(self, end: int) -> list[int]:
        """Positions of the next start codes that lie before `end`, a bounded number of them."""
        if end - self._searched < _CODE:
            return []
        with (
            ffi.from_buffer("uint8_t[]", self._buffer) as data,
            ffi.from_buffer("int64_t[]", self._found) as found,
        ):
            size, begin = end - self._base, self._searched - self._base
            count = lib.ffb_annexb_find(data, size, begin, found, _CODES_AT_ONCE)
        codes: list[int] = (self._found[:count] + self._base).tolist()
        self._searched = codes[-1] + _CODE if count == _CODES_AT_ONCE else end - _CODE + 1
        return codes

    def _boundary(self, code: int) -> int | None:
        """Take the NAL unit behind a start code; where an access unit has ended before it, tell where."""
        place = code - self._base
        # A zero in front of it is a zero_byte (B.2.2): NAL units do not end with one.
        begin = code - 1 if place > 0 and self._buffer[place - 1] == 0 else code
        head = self._buffer[place + _CODE : place + _CODE + _HEAD]
        if self._start is None:
            self._start = begin
        if len(head) < _HEAD:
            return None
        kind, layer = head[0] >> 1 & 0x3F, (head[0] & 1) << 5 | head[1] >> 3
        boundary = None
        if kind <= _LAST_VCL and layer > 0:
            self._next = None  # what stood between belongs to another layer of the same picture
        elif kind <= _LAST_VCL:
            if self._has_picture and (head[2] & 0x80 or self._next is not None):
                boundary = begin if self._next is None else self._next
                self._next = None
            self._has_picture = True
        elif layer == 0 and kind in _STARTERS and self._has_picture and self._next is None:
            self._next = begin
        return boundary

    def _cut(self, end: int) -> AccessUnit:
        start = self._start
        assert start is not None
        self._start = end
        return AccessUnit(start, end, bytes(self._buffer[start - self._base : end - self._base]))
