"""A file as far away as a store: each request waits first. As a source of ranges, and as a file object that reads blocks."""

from __future__ import annotations

import io
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

__all__ = ["BlockFile", "DelayedFile"]

_KEPT_BYTES = 64 << 20


class DelayedFile:
    """Ranges of a file, each answered after `delay` seconds; several may wait at once. It counts requests and bytes.

    Has the members of `ffbind.sources.Source`. Bytes themselves take no time: only requests are dear here.
    """

    def __init__(self, path: str, delay: float) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        self._size = os.fstat(self._fd).st_size
        self._delay = delay
        self._lock = threading.Lock()
        self.requests = 0
        self.bytes = 0

    @property
    def size(self) -> int:
        return self._size

    @property
    def identity(self) -> str:
        return ""

    def read_at(self, offset: int, length: int) -> bytes:
        time.sleep(self._delay)
        data = os.pread(self._fd, length, offset)
        with self._lock:
            self.requests += 1
            self.bytes += len(data)
        return data

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | bytearray | memoryview]:
        return [self.read_at(offset, length) for offset, length in ranges]

    def counters(self) -> dict[str, float]:
        """Count what was asked for so far."""
        return {"requests": self.requests, "bytes": self.bytes}

    def __del__(self) -> None:
        os.close(self._fd)  # not before the last request in flight is done with it


class BlockFile(io.RawIOBase):
    """A seekable file object that reads aligned blocks of a delayed file, as file objects over stores do, and keeps the last 64 MiB."""

    def __init__(self, source: DelayedFile, block: int) -> None:
        self._source = source
        self._block = block
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._source.size}[whence]
        self._place = base + offset
        return self._place

    def read(self, size: int = -1) -> bytes:
        end = self._source.size if size < 0 else min(self._place + size, self._source.size)
        parts = []
        while self._place < end:
            number, start = divmod(self._place, self._block)
            part = self._of(number)[start : start + end - self._place]
            parts.append(part)
            self._place += len(part)
        return b"".join(parts)

    def _of(self, number: int) -> bytes:
        block = self._blocks.pop(number, None)
        if block is None:
            block = self._source.read_at(number * self._block, self._block)
        self._blocks[number] = block
        while len(self._blocks) * self._block > _KEPT_BYTES and len(self._blocks) > 1:
            self._blocks.popitem(last=False)
        return block
