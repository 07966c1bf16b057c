"""CPU time of `Frame.to_jpeg` against libjpeg-turbo's encode of the very same planes."""

from __future__ import annotations

import time
from pathlib import Path

from turbojpeg import TJFLAG_ACCURATEDCT, TJSAMP_420, TurboJPEG

import ffbind

__all__ = ["measure"]

_FRAMES = 12
_QUALITY = 80


def measure(path: Path, rounds: int) -> dict[str, list[float]]:
    """Give the ratio of CPU times, one a round, over a dozen frames; the two take turns frame by frame.

    The bare encode gets the planes that our own JPEG decodes to: colour converted, turned, and as rich in detail.
    """
    encoder = TurboJPEG()
    ratios = []
    with ffbind.open(path) as video:
        frames = list(video.frames(range(0, len(video), max(len(video) // _FRAMES, 1))))[:_FRAMES]
    planes = [encoder.decode_to_yuv(frame.to_jpeg(_QUALITY))[0] for frame in frames]
    for _ in range(rounds):
        ours = bare = 0.0
        for frame, plane in zip(frames, planes, strict=True):
            start = time.thread_time()
            frame.to_jpeg(_QUALITY)
            middle = time.thread_time()
            encoder.encode_from_yuv(
                plane, frame.height, frame.width, _QUALITY, TJSAMP_420, TJFLAG_ACCURATEDCT
            )
            bare += time.thread_time() - middle
            ours += middle - start
        ratios.append(ours / bare)
    return {"CPU of the bare encode": ratios}
