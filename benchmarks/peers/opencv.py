"""Worker for OpenCV's VideoCapture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2

from benchmarks.peers.worker import Picture, Reader, serve

__all__ = ["OpenCV"]

_NEAR = 60
"""Frames ahead that are reached by going on in a batch: OpenCV does not tell where key frames are."""


class OpenCV(Reader):
    """VideoCapture: set the position and read; read alone where the next frame is wanted. It gives BGR, which counts as RGB."""

    forms = ("rgb",)
    _capture: Any = None

    def versions(self) -> dict[str, str]:
        lines = cv2.getBuildInformation().splitlines()
        return {
            "cv2": cv2.__version__,
            "libavcodec": next((line.split()[-1] for line in lines if "avcodec:" in line), ""),
        }

    def open(self, path: str, threads: int, form: str) -> None:
        self._capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
        if not self._capture.isOpened():
            raise OSError(f"OpenCV does not open {path}")
        self._next = 0

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def frame(self, index: int) -> Picture:
        if index != self._next:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        got, picture = self._capture.read()
        if not got:
            self._next = -1
            raise LookupError(f"OpenCV gives no frame {index}")
        self._next = index + 1
        return (picture[..., ::-1],)

    def batch(self, indices: Sequence[int]) -> list[Picture]:
        found = {}
        for index in sorted(set(indices)):
            # Frames on the way are decoded without being converted, where that is no more than a seek would decode.
            if 0 <= index - self._next < _NEAR:
                while self._next < index and self._capture.grab():
                    self._next += 1
            found[index] = self.frame(index)
        return [found[index] for index in indices]

    def everything(self) -> Iterator[Picture]:
        while True:
            got, picture = self._capture.read()
            if not got:
                return
            yield (picture[..., ::-1],)


if __name__ == "__main__":
    serve(OpenCV())
