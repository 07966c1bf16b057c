"""Worker for PyAV: `python -m benchmarks.peers.pyav SLICE|FRAME`, the kind of threads its decoder uses."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from benchmarks.peers.worker import Picture, Reader, serve

__all__ = ["PyAV"]

_TRIES = 4


class PyAV(Reader):
    """PyAV, exact by the usual recipe: seek to the key frame before, decode until the time stamp comes.

    It goes on from where it stands when the frame wanted lies ahead in the same GOP. Where the seek has landed too late (the index of
    libavformat goes by decoding times, and leading pictures of an open GOP need the GOP before) it seeks again, a GOP earlier.
    """

    forms = ("planes", "rgb")
    _container: Any = None

    def __init__(self, thread_type: str) -> None:
        self._thread_type = thread_type

    def versions(self) -> dict[str, str]:
        return {"av": av.__version__} | {
            name: ".".join(map(str, value)) for name, value in av.library_versions.items()
        }

    def open(self, path: str, threads: int, form: str) -> None:
        self._container = av.open(path)
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = self._thread_type
        self._stream.codec_context.thread_count = threads
        self._form = form
        self._start = self._stream.start_time or 0
        self._frame_ticks = 1 / (self._stream.average_rate * self._stream.time_base)
        self._keys: list[int] | None = None
        self._frames: Iterator[Any] | None = None
        self._last: int | None = None

    def close(self) -> None:
        self._frames = None
        if self._container is not None:
            self._container.close()
            self._container = None

    def frame(self, index: int) -> Picture:
        wanted = self._start + round(index * self._frame_ticks)
        if index == 0 and self._frames is None:
            self._frames = self._container.decode(self._stream)  # a file just opened stands there
        elif not self._lies_ahead(wanted):
            self._seek(wanted)
        target = wanted
        for _ in range(_TRIES):
            first = None
            for frame in self._frames or ():
                self._last = frame.pts
                if frame.pts == wanted:
                    return self._picture(frame)
                first = frame.pts if first is None else first
                if frame.pts > wanted:
                    break
            target = self._key_before(target)
            self._seek(target)
        raise LookupError(f"no frame with time stamp {wanted} is found")

    def everything(self) -> Iterator[Picture]:
        for frame in self._container.decode(self._stream):
            yield self._picture(frame)

    def _lies_ahead(self, wanted: int) -> bool:
        """Tell whether the frame comes after the last one given, with no key frame in between to seek to."""
        if self._frames is None or self._last is None or self._last >= wanted:
            return False
        keys = self._key_stamps()
        return bisect_right(keys, wanted) == bisect_right(keys, self._last)

    def _key_stamps(self) -> list[int]:
        if self._keys is None:
            self._keys = [entry.timestamp for entry in self._stream.index_entries if entry.is_keyframe]
        return self._keys

    def _key_before(self, stamp: int) -> int:
        keys = self._key_stamps()
        return keys[max(bisect_right(keys, stamp) - 2, 0)]

    def _seek(self, stamp: int) -> None:
        self._container.seek(stamp, stream=self._stream, backward=True)
        self._frames = self._container.decode(self._stream)
        self._last = None

    def _picture(self, frame: Any) -> Picture:
        if self._form == "rgb":
            return (frame.to_ndarray(format="rgb24"),)
        return tuple(
            np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
            for plane in frame.planes
        )


if __name__ == "__main__":
    serve(PyAV(sys.argv[1]))
