"""The matrices of H.273 against numbers from the standards and formulas written out here."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from ffbind.color import Affine, Color, Matrix, codes_to_8bit, codes_to_jfif, codes_to_rgb
from ffbind.errors import UnsupportedError

LINEAR = (
    Matrix.BT709,
    Matrix.FCC,
    Matrix.BT470BG,
    Matrix.SMPTE170M,
    Matrix.SMPTE240M,
    Matrix.YCGCO,
    Matrix.BT2020_NCL,
)


def applied(affine: Affine, *codes: float) -> np.ndarray:
    return affine.factor @ np.array(codes, np.float64) + affine.offset


# 100 % colour bars in 8-bit limited range as BT.709 and BT.601 (170M) write them, rounded to whole codes.
BARS = [
    (Matrix.BT709, (235, 128, 128), (1, 1, 1)),
    (Matrix.BT709, (16, 128, 128), (0, 0, 0)),
    (Matrix.BT709, (63, 102, 240), (1, 0, 0)),
    (Matrix.BT709, (173, 42, 26), (0, 1, 0)),
    (Matrix.BT709, (32, 240, 118), (0, 0, 1)),
    (Matrix.SMPTE170M, (81, 90, 240), (1, 0, 0)),
    (Matrix.SMPTE170M, (145, 54, 34), (0, 1, 0)),
    (Matrix.SMPTE170M, (41, 240, 110), (0, 0, 1)),
    (Matrix.BT2020_NCL, (74, 97, 240), (1, 0, 0)),
    (Matrix.BT2020_NCL, (164, 47, 25), (0, 1, 0)),
    (Matrix.BT2020_NCL, (29, 240, 119), (0, 0, 1)),
]


@pytest.mark.parametrize(("matrix", "codes", "rgb"), BARS)
def test_colour_bars(matrix: Matrix, codes: tuple[int, int, int], rgb: tuple[int, int, int]) -> None:
    assert applied(codes_to_rgb(Color(1, 1, matrix, full_range=False), 8), *codes) == pytest.approx(
        rgb, abs=0.006
    )


def test_numbers_of_bt709_limited_range() -> None:
    factor = codes_to_rgb(Color(1, 1, Matrix.BT709, full_range=False), 8).factor * 255
    expected = [[1.16438, 0, 1.79274], [1.16438, -0.21325, -0.53291], [1.16438, 2.11240, 0]]
    assert factor == pytest.approx(np.array(expected), abs=1e-5)


@pytest.mark.parametrize("depth", [8, 10, 12, 16])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", LINEAR)
def test_white_black_and_gray_have_no_colour(matrix: Matrix, full_range: bool, depth: int) -> None:
    color = Color(2, 2, matrix, full_range)
    unit = 1 << (depth - 8)
    black, white = (0, (1 << depth) - 1) if full_range else (16 * unit, 235 * unit)
    for luma, level in ((black, 0.0), (white, 1.0), ((black + white) / 2, 0.5)):
        assert applied(codes_to_rgb(color, depth), luma, 128 * unit, 128 * unit) == pytest.approx([level] * 3)
        jfif = applied(codes_to_jfif(color, depth), luma, 128 * unit, 128 * unit)
        assert jfif == pytest.approx([255 * level, 128, 128])


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", LINEAR)
def test_jpeg_chroma_depends_on_chroma_alone(matrix: Matrix, full_range: bool) -> None:
    factor = codes_to_jfif(Color(2, 2, matrix, full_range), 8).factor
    assert abs(factor[1:, 0]).max() < 1e-12
    # Luma of another matrix is not the luma of BT.601: there chroma has a say in it.
    same_luma = matrix in (Matrix.BT470BG, Matrix.SMPTE170M)
    assert bool(abs(factor[0, 1:]).max() < 1e-12) is same_luma


def test_full_range_bt601_is_what_a_jpeg_holds() -> None:
    for matrix in (Matrix.SMPTE170M, Matrix.BT470BG):
        affine = codes_to_jfif(Color(2, 2, matrix, full_range=True), 8)
        assert affine.factor == pytest.approx(np.eye(3), abs=1e-12)
        assert affine.offset == pytest.approx(np.zeros(3), abs=1e-9)


def test_planar_rgb_is_green_blue_red() -> None:
    color = Color(1, 13, Matrix.IDENTITY, full_range=True)
    assert applied(codes_to_rgb(color, 8, rgb=True), 255, 0, 0) == pytest.approx([0, 1, 0])
    assert applied(codes_to_rgb(color, 8, rgb=True), 0, 255, 0) == pytest.approx([0, 0, 1])
    limited = Color(1, 13, Matrix.IDENTITY, full_range=False)
    assert applied(codes_to_rgb(limited, 10, rgb=True), 64, 64, 940) == pytest.approx([1, 0, 0])
    # JFIF's numbers for pure red.
    assert applied(codes_to_jfif(color, 8, rgb=True), 0, 0, 255) == pytest.approx(
        [76.245, 84.972, 255.5], abs=0.01
    )


def test_unspecified_matrix_is_bt601_as_for_the_ffmpeg_command() -> None:
    unspecified = codes_to_rgb(Color(2, 2, Matrix.UNSPECIFIED, full_range=False), 8)
    assert np.array_equal(
        unspecified.factor, codes_to_rgb(Color(2, 2, Matrix.SMPTE170M, full_range=False), 8).factor
    )


@pytest.mark.parametrize(
    ("matrix", "name"), [(0, "IDENTITY"), (10, "BT2020_CL"), (14, "ICTCP"), (99, "reserved")]
)
def test_a_matrix_that_is_none_is_refused_by_name(matrix: int, name: str) -> None:
    for derive in (codes_to_rgb, codes_to_jfif):
        with pytest.raises(UnsupportedError, match=rf"{matrix} \({name}\)"):
            derive(Color(9, 16, matrix, full_range=False), 10)


def test_reduction_to_8_bits_keeps_the_range() -> None:
    limited = codes_to_8bit(Color(1, 1, 1, full_range=False), 10)
    assert applied(limited, 64, 512, 960) == pytest.approx([16, 128, 240])
    full = codes_to_8bit(Color(1, 1, 1, full_range=True), 10)
    assert applied(full, 1023, 512, 0) == pytest.approx([255, 128, 128 - 512 * 255 / 1023])


def test_results_are_shared_and_cannot_be_written() -> None:
    affine = codes_to_rgb(Color(1, 1, 1, full_range=False), 8)
    with pytest.raises(ValueError, match="read-only"):
        affine.factor[0, 0] = 0


def test_importing_color_loads_no_native_code() -> None:
    code = "import sys, ffbind.color; sys.exit('ffbind._native' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
