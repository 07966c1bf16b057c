"""JPEG files of decoded pictures: libjpeg-turbo, through PyTurboJPEG, fed with YUV."""

from __future__ import annotations

from functools import cache

import numpy as np
from turbojpeg import TJFLAG_ACCURATEDCT, TurboJPEG

from ffbind.errors import ArgumentError, FFbindError
from ffbind.pixels import Picture, Size, to_jpeg_planes

__all__ = ["load_encoder", "to_jpeg"]


@cache
def load_encoder() -> TurboJPEG:
    """Load libjpeg-turbo and give PyTurboJPEG's encoder; later calls give the same one, which threads may
    share.

    The first call looks for the library on disk and may run `ldconfig` for that: call it early in a process
    that will not be allowed to open files later. FFbindError says how to install the library where it is
    missing.
    """
    try:
        return TurboJPEG()
    except (OSError, RuntimeError, AttributeError) as error:
        raise FFbindError(
            f"libjpeg-turbo's libturbojpeg cannot be loaded ({error}); install it: "
            "apt-get install libturbojpeg0, dnf install turbojpeg, or brew install jpeg-turbo."
        ) from error


def to_jpeg(picture: Picture, quality: int = 80, size: Size | None = None) -> bytes:
    """Encode a picture, upright, as a JPEG file (JFIF, baseline).

    `quality` is libjpeg's, 1 to 100. `size` is (width, height) as shown, one of them None to keep the shape.
    What happens to colour, chroma layout and odd sizes: `ffbind.pixels.to_jpeg_planes`. Pixels are not made
    square: the sample aspect ratio is not applied.

    Errors: ArgumentError for a quality or size outside its limits, UnsupportedError for a format or matrix
    that cannot be converted.
    """
    if isinstance(quality, bool) or not isinstance(quality, int | np.integer) or not 1 <= quality <= 100:
        raise ArgumentError(f"JPEG quality is a whole number from 1 to 100, not {quality!r}.")
    planes = to_jpeg_planes(picture, size)
    try:
        # The accurate DCT is asked for because libjpeg-turbo 2 and 3 differ in their default; it costs next
        # to nothing.
        encoded: bytes = load_encoder().encode_from_yuv(
            planes.buffer,
            planes.height,
            planes.width,
            int(quality),
            int(planes.subsampling),
            TJFLAG_ACCURATEDCT,
        )
    except OSError as error:
        raise FFbindError(
            f"libjpeg-turbo cannot encode this {planes.width}x{planes.height} picture: {error}."
        ) from error
    return encoded
