"""What the numbers of a picture mean: colour as H.273 code points, and the matrices that follow from them.

Source: ITU-T H.273 (colour primaries table 2, transfer characteristics table 3, matrix coefficients table 4,
range equations 20 to 37), ITU-T T.871 (JFIF: what the numbers in a JPEG file mean).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ffbind.errors import UnsupportedError

__all__ = ["Affine", "Color", "Matrix", "codes_to_8bit", "codes_to_jfif", "codes_to_rgb"]


@dataclass(frozen=True, slots=True)
class Color:
    """Colour description in ITU-T H.273 code points; 2 means unspecified.

    `full_range` says that luma runs over all values (0-255 at 8 bits) instead of the limited range (16-235).
    """

    primaries: int
    transfer: int
    matrix: int
    full_range: bool


class Matrix(IntEnum):
    """MatrixCoefficients of H.273 table 4: how Y'CbCr was made of R'G'B'."""

    IDENTITY = 0
    BT709 = 1
    UNSPECIFIED = 2
    FCC = 4
    BT470BG = 5
    SMPTE170M = 6
    SMPTE240M = 7
    YCGCO = 8
    BT2020_NCL = 9
    BT2020_CL = 10
    SMPTE2085 = 11
    CHROMA_DERIVED_NCL = 12
    CHROMA_DERIVED_CL = 13
    ICTCP = 14
    IPT_C2 = 15
    YCGCO_RE = 16
    YCGCO_RO = 17


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """`factor @ codes + offset`: what to do with the sample values of one pixel, in the order of the planes.

    `factor` is (3, 3) and `offset` (3,), both read-only float64.
    """

    factor: NDArray[np.float64]
    offset: NDArray[np.float64]

    def __post_init__(self) -> None:
        self.factor.setflags(write=False)
        self.offset.setflags(write=False)


# K_R and K_B of H.273 table 4. Unspecified is read as BT.601, as the ffmpeg command does at every picture
# size.
_LUMA_WEIGHTS: dict[int, tuple[float, float]] = {
    Matrix.BT709: (0.2126, 0.0722),
    Matrix.UNSPECIFIED: (0.299, 0.114),
    Matrix.FCC: (0.30, 0.11),
    Matrix.BT470BG: (0.299, 0.114),
    Matrix.SMPTE170M: (0.299, 0.114),
    Matrix.SMPTE240M: (0.212, 0.087),
    Matrix.BT2020_NCL: (0.2627, 0.0593),
}

# H.273 equations 56 to 58; rows Y, Cg, Co (the names of planes 1 and 2), columns R, G, B.
_YCGCO = np.array([[0.25, 0.5, 0.25], [-0.25, 0.5, -0.25], [0.5, 0.0, -0.5]])

# Planar RGB comes in the order G, B, R (H.273: G is carried as Y, B as Cb, R as Cr).
_RGB_OF_GBR = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def _ycc_of_rgb(matrix: int) -> NDArray[np.float64]:
    """Rows Y' (0 to 1), Cb, Cr (-0.5 to 0.5) from R'G'B' (0 to 1): H.273 equations 38 to 43."""
    if matrix == Matrix.YCGCO:
        return _YCGCO
    weights = _LUMA_WEIGHTS.get(matrix)
    if weights is None:
        name = next((known.name for known in Matrix if known == matrix), "reserved")
        raise UnsupportedError(
            f"Matrix coefficients {matrix} ({name}) of H.273 are not a constant 3x3 matrix, so there is no "
            "RGB or JPEG of this picture; use the planes as decoded with a tool that knows this colour space."
        )
    red, blue = weights
    luma = np.array([red, 1 - red - blue, blue])
    cb = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - blue))
    cr = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - red))
    return np.stack([luma, cb, cr])


def _normalized(color: Color, bit_depth: int, *, rgb: bool) -> Affine:
    """From codes to 0..1 (Y', R', G', B') and -0.5..0.5 (Cb, Cr): H.273 equations 20 to 37, inverted."""
    top = float((1 << bit_depth) - 1)
    unit = float(1 << (bit_depth - 8))
    if color.full_range:
        zero, span = np.array([0.0, 128 * unit, 128 * unit]), np.array([top, top, top])
    else:
        zero, span = np.array([16.0, 128.0, 128.0]) * unit, np.array([219.0, 224.0, 224.0]) * unit
    if rgb:
        zero, span = zero[[0, 0, 0]], span[[0, 0, 0]]
    return Affine(np.diag(1 / span), -zero / span)


@lru_cache(maxsize=64)
def codes_to_rgb(color: Color, bit_depth: int, *, rgb: bool = False) -> Affine:
    """From samples of `bit_depth` bits to R', G', B' in 0..1, not clipped.

    `rgb` says that the planes hold G, B, R instead of Y', Cb, Cr; the matrix of `color` is then not looked
    at. UnsupportedError names a matrix that is not a constant 3x3 (constant luminance, ICtCp, ...).
    """
    normal = _normalized(color, bit_depth, rgb=rgb)
    matrix = _RGB_OF_GBR if rgb else np.linalg.inv(_ycc_of_rgb(color.matrix))
    return Affine(matrix @ normal.factor, matrix @ normal.offset)


@lru_cache(maxsize=64)
def codes_to_jfif(color: Color, bit_depth: int, *, rgb: bool = False) -> Affine:
    """From samples of `bit_depth` bits to those of a JPEG file: full-range BT.601 at 8 bits (T.871 clause 7),
    not clipped.

    Y'CbCr keeps its structure: Cb and Cr of the result depend on Cb and Cr alone. `rgb` and errors as in
    `codes_to_rgb`.
    """
    display = codes_to_rgb(color, bit_depth, rgb=rgb)
    matrix = 255 * _ycc_of_rgb(Matrix.SMPTE170M)
    return Affine(matrix @ display.factor, matrix @ display.offset + np.array([0.0, 128.0, 128.0]))


@lru_cache(maxsize=64)
def codes_to_8bit(color: Color, bit_depth: int) -> Affine:
    """From Y'CbCr samples of `bit_depth` bits to 8 bits of the same range and matrix, not clipped."""
    normal = _normalized(color, bit_depth, rgb=False)
    span = _normalized(color, 8, rgb=False)
    scale = np.diag(normal.factor) / np.diag(span.factor)
    return Affine(np.diag(scale), (normal.offset - span.offset) / np.diag(span.factor))
