"""A source that is read from front to back in large blocks, the last of which stay at hand."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from ffbind.sources import Source, read_exactly

__all__ = ["BLOCK_BYTES", "Window"]

BLOCK_BYTES = 1 << 20
_BLOCKS = 16


class Window:
    """A `Source` over another one, for a demuxer that reads it in small parts, and for looking again at what it has just read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._blocks: OrderedDict[int, memoryview] = OrderedDict()

    @property
    def size(self) -> int:
        return self._source.size

    @property
    def identity(self) -> str:
        return self._source.identity

    def read_at(self, offset: int, length: int) -> bytes:
        """Read as `Source.read_at` does, in whole blocks."""
        end = min(offset + length, self.size)
        parts = []
        while offset < end:
            number, start = divmod(offset, BLOCK_BYTES)
            part = self._block(number)[start : start + end - offset]
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | bytearray | memoryview]:
        return [self.read_at(offset, length) for offset, length in ranges]

    def _block(self, number: int) -> memoryview:
        block = self._blocks.get(number)
        if block is None:
            start = number * BLOCK_BYTES
            block = read_exactly(self._source, start, min(BLOCK_BYTES, self.size - start))
            self._blocks[number] = block
            if len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(number)
        return block
