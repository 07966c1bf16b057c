"""Worker for torchcodec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import torch
from torchcodec.decoders import VideoDecoder

from benchmarks.peers.worker import Picture, Reader, serve

__all__ = ["TorchCodec"]

_CHUNK = 60
"""Frames asked for at a time where all are wanted."""


class TorchCodec(Reader):
    """VideoDecoder on the CPU, in its exact seek mode; arrays are views of its tensors."""

    forms = ("rgb",)
    seek_mode = "exact"
    _decoder: Any = None

    def versions(self) -> dict[str, str]:
        return {"torchcodec": version("torchcodec"), "torch": torch.__version__}

    def open(self, path: str, threads: int, form: str) -> None:
        torch.set_num_threads(threads)
        self._decoder = VideoDecoder(
            path, dimension_order="NHWC", num_ffmpeg_threads=threads, seek_mode=self.seek_mode
        )

    def close(self) -> None:
        self._decoder = None

    def frame(self, index: int) -> Picture:
        return (self._decoder.get_frame_at(index).data.numpy(),)

    def batch(self, indices: Sequence[int]) -> list[Picture]:
        return [(picture,) for picture in self._decoder.get_frames_at(list(indices)).data.numpy()]

    def everything(self) -> Iterator[Picture]:
        frames = len(self._decoder)
        for start in range(0, frames, _CHUNK):
            for picture in self._decoder.get_frames_in_range(start, min(start + _CHUNK, frames)).data.numpy():
                yield (picture,)


if __name__ == "__main__":
    serve(TorchCodec())
