"""Decoded pictures kept for a while: by row, least recently used out first, bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict

from .frame import Frame

__all__ = ["PictureCache"]


class PictureCache:
    """Frames by sample row. Not for use by two threads at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._frames: OrderedDict[int, Frame] = OrderedDict()
        self.bytes = 0

    def get(self, row: int) -> Frame | None:
        """Give the frame of this row if it is still here, and keep it longer."""
        frame = self._frames.get(row)
        if frame is not None:
            self._frames.move_to_end(row)
        return frame

    def put(self, row: int, frame: Frame) -> None:
        """Keep a frame; others leave until all fit. One larger than the limit is not kept."""
        old = self._frames.pop(row, None)
        if old is not None:
            self.bytes -= old.nbytes
        self._frames[row] = frame
        self.bytes += frame.nbytes
        while self.bytes > self._limit:
            _, gone = self._frames.popitem(last=False)
            self.bytes -= gone.nbytes

    def clear(self) -> None:
        """Let go of all frames."""
        self._frames.clear()
        self.bytes = 0
