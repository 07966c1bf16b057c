"""Pixel formats, ranges, matrices, turns and odd sizes against formulas of H.273 in float64 and ffmpeg."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ffbind
from ffbind.color import Color
from ffbind.errors import ArgumentError, UnsupportedError
from ffbind.pixels import (
    ARRAY_FORMATS,
    FORMATS,
    MAX_SIDE,
    Picture,
    Subsampling,
    to_jpeg_planes,
    to_numpy,
    to_numpy_into,
    upright_size,
)

# ---- The reference: float64, written from H.273 and T.871, sharing nothing with ffbind ---------------------

WEIGHTS = {
    1: (0.2126, 0.0722),
    2: (0.299, 0.114),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
SIZES = [(1, 1), (1, 7), (9, 1), (17, 13), (64, 48)]
TURNS = [(rotation, mirrored) for rotation in (0, 90, 180, 270) for mirrored in (False, True)]
LAYOUT = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}


def layout_of(pixel_format: str) -> tuple[str, int, tuple[int, int]]:
    """Kind, bit depth and chroma divisors, read from the name alone."""
    depth = next((d for d in (10, 12) if pixel_format.endswith(f"{d}le")), 8)
    if pixel_format.startswith("gray"):
        return "gray", depth, (1, 1)
    if pixel_format.startswith("gbrp"):
        return "rgb", depth, (1, 1)
    return "yuv", depth, next(size for name, size in LAYOUT.items() if name in pixel_format)


def make(
    pixel_format: str,
    width: int,
    height: int,
    color: Color,
    turn: tuple[int, bool] = (0, False),
    seed: int = 0,
) -> Picture:
    """Give a picture of random samples over all code values; rows are padded with junk, as by a decoder."""
    kind, depth, (x, y) = layout_of(pixel_format)
    random = np.random.default_rng([seed, width, height])
    planes = []
    for number in range(1 if kind == "gray" else 3):
        w, h = (width, height) if number == 0 else (-(-width // x), -(-height // y))
        stored = random.integers(0, 1 << depth, (h, w + 5), dtype=np.uint8 if depth == 8 else np.uint16)
        plane = stored[:, :w]
        plane.setflags(write=False)
        planes.append(plane)
    return Picture(tuple(planes), pixel_format, depth, color, turn[0], turn[1])


def normalized(picture: Picture) -> list[np.ndarray]:
    """Planes as 0..1 and -0.5..0.5, each at its own size (H.273 equations 20 to 37)."""
    kind, depth, _ = layout_of(picture.pixel_format)
    full = picture.color.full_range or picture.pixel_format.startswith("yuvj")
    unit, top = 2.0 ** (depth - 8), 2.0**depth - 1
    planes = []
    for number, plane in enumerate(picture.planes):
        value = plane.astype(np.float64)
        if number == 0 or kind == "rgb":
            planes.append(value / top if full else (value / unit - 16) / 219)
        else:
            planes.append((value - 128 * unit) / top if full else (value / unit - 128) / 224)
    return planes


def spread(plane: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Replicate a chroma plane to the size of luma."""
    rows = np.arange(like.shape[0]) * 2 // (2 if plane.shape[0] == like.shape[0] else 4)
    columns = np.arange(like.shape[1]) * 2 // (2 if plane.shape[1] == like.shape[1] else 4)
    if like.shape[0] == 1:
        rows = np.zeros(1, int)
    if like.shape[1] == 1:
        columns = np.zeros(1, int)
    return plane[rows][:, columns]


def rgb_of(luma: np.ndarray, cb: np.ndarray, cr: np.ndarray, matrix: int) -> np.ndarray:
    """R'G'B' of Y'CbCr, solved from the definitions of Y', Cb and Cr."""
    if matrix == 8:
        return np.stack([luma - cb + cr, luma + cb, luma - cb - cr], axis=-1)
    red_weight, blue_weight = WEIGHTS[matrix]
    red = luma + 2 * (1 - red_weight) * cr
    blue = luma + 2 * (1 - blue_weight) * cb
    green = (luma - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
    return np.stack([red, green, blue], axis=-1)


def ycc_of(rgb: np.ndarray, matrix: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    red_weight, blue_weight = WEIGHTS[matrix]
    red, green, blue = (rgb[..., i] for i in range(3))
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    return luma, (blue - luma) / (2 * (1 - blue_weight)), (red - luma) / (2 * (1 - red_weight))


def reference_rgb(picture: Picture) -> np.ndarray:
    """(H, W, 3), 0..1 clipped, as decoded (not turned)."""
    kind = layout_of(picture.pixel_format)[0]
    planes = normalized(picture)
    if kind == "gray":
        rgb = np.stack([planes[0]] * 3, axis=-1)
    elif kind == "rgb":
        rgb = np.stack([planes[2], planes[0], planes[1]], axis=-1)
    else:
        cb, cr = (spread(plane, planes[0]) for plane in planes[1:])
        rgb = rgb_of(planes[0], cb, cr, picture.color.matrix)
    return np.clip(rgb, 0, 1)


def reference_jpeg(picture: Picture) -> list[np.ndarray]:
    """Planes of JFIF samples, 0..255 clipped, as decoded (not turned)."""
    kind = layout_of(picture.pixel_format)[0]
    planes = normalized(picture)
    if kind == "gray":
        result = [planes[0] * 255]
    elif kind == "rgb":
        luma, cb, cr = ycc_of(np.stack([planes[2], planes[0], planes[1]], axis=-1))
        result = [luma * 255, cb * 255 + 128, cr * 255 + 128]
    else:
        wide = [spread(plane, planes[0]) for plane in planes[1:]]
        luma = ycc_of(rgb_of(planes[0], *wide, picture.color.matrix))[0]
        half = np.full(planes[1].shape, 0.5)
        _, cb, cr = ycc_of(rgb_of(half, planes[1], planes[2], picture.color.matrix))
        result = [luma * 255, cb * 255 + 128, cr * 255 + 128]
    return [np.clip(plane, 0, 255) for plane in result]


def upright(array: np.ndarray, picture: Picture) -> np.ndarray:
    mirrored = array[:, ::-1] if picture.mirrored else array
    return np.rot90(mirrored, -picture.rotation // 90)


def unpacked(picture: Picture) -> list[np.ndarray]:
    """Planes of `to_jpeg_planes`, padded sizes and all, by the rules of TurboJPEG's documentation."""
    packed = to_jpeg_planes(picture)
    assert (packed.width, packed.height) == upright_size(picture)
    x, y = {
        Subsampling.YUV420: (2, 2),
        Subsampling.YUV422: (2, 1),
        Subsampling.YUV440: (1, 2),
        Subsampling.YUV444: (1, 1),
        Subsampling.GRAY: (1, 1),
    }[packed.subsampling]
    planes, start = [], 0
    for number in range(1 if packed.subsampling == Subsampling.GRAY else 3):
        columns, rows = -(-packed.width // x) * x, -(-packed.height // y) * y
        if number:
            columns, rows = columns // x, rows // y
        stride = -(-columns // 4) * 4
        planes.append(packed.buffer[start : start + stride * rows].reshape(rows, stride)[:, :columns])
        start += stride * rows
    assert start == packed.buffer.size
    return planes


def colors(full_range: bool) -> list[Color]:
    return [Color(2, 2, matrix, full_range) for matrix in (*WEIGHTS, 8)]


def error(got: np.ndarray, wanted: np.ndarray) -> float:
    assert got.shape == wanted.shape
    return float(np.abs(got.astype(np.float64) - wanted).max())


# Half a code value is what rounding costs; the rest is for 13-bit fixed point.
CLOSE = 0.6


# ---- Exact values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_rgb_and_gray_against_the_formula(pixel_format: str, full_range: bool) -> None:
    for seed, color in enumerate(colors(full_range)):
        for width, height in SIZES:
            picture = make(pixel_format, width, height, color, seed=seed)
            rgb = reference_rgb(picture)
            what = (color, width, height)
            assert error(to_numpy(picture, "rgb24"), rgb * 255) < CLOSE, what
            assert error(to_numpy(picture, "bgr24"), rgb[..., ::-1] * 255) < CLOSE, what
            assert error(to_numpy(picture, "rgb48"), rgb * 65535) < CLOSE, what
            kind = layout_of(pixel_format)[0]
            if kind == "rgb":
                luma = np.clip(
                    ycc_of(np.stack([normalized(picture)[i] for i in (2, 0, 1)], axis=-1))[0], 0, 1
                )
            else:
                luma = np.clip(normalized(picture)[0], 0, 1)
            assert error(to_numpy(picture, "gray8"), luma * 255) < CLOSE, what
            assert error(to_numpy(picture, "gray16"), luma * 65535) < CLOSE, what


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_jpeg_planes_against_the_formula(pixel_format: str, full_range: bool) -> None:
    for seed, color in enumerate(colors(full_range)):
        for width, height in SIZES:
            for turn in TURNS:
                picture = make(pixel_format, width, height, color, turn, seed)
                for got, plane in zip(unpacked(picture), reference_jpeg(picture), strict=True):
                    wanted = upright(plane, picture)
                    rows, columns = wanted.shape
                    assert error(got[:rows, :columns], wanted) < CLOSE, (color, width, height, turn)
                    edges = np.pad(
                        got[:rows, :columns],
                        ((0, got.shape[0] - rows), (0, got.shape[1] - columns)),
                        mode="edge",
                    )
                    assert np.array_equal(got, edges), (color, width, height, turn)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuvj420p", "gray"])
@pytest.mark.parametrize("turn", TURNS)
def test_full_range_bt601_passes_through(pixel_format: str, turn: tuple[int, bool]) -> None:
    picture = make(pixel_format, 37, 22, Color(5, 6, 5, full_range=True), turn)
    for got, plane in zip(unpacked(picture), picture.planes, strict=True):
        wanted = upright(plane, picture)
        assert np.array_equal(got[: wanted.shape[0], : wanted.shape[1]], wanted)


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize("matrix", [*WEIGHTS, 8])
def test_no_overflow_at_the_corners_of_the_code_cube(pixel_format: str, matrix: int) -> None:
    kind, depth, (x, y) = layout_of(pixel_format)
    top = (1 << depth) - 1
    dtype = np.uint8 if depth == 8 else np.uint16
    for corner in np.ndindex(*(3,) * (1 if kind == "gray" else 3)):
        for full_range in (False, True):
            levels = [(0, 1 << (depth - 1), top)[i] for i in corner]
            planes = [np.full((4, 4) if i == 0 else (4 // y, 4 // x), v, dtype) for i, v in enumerate(levels)]
            picture = Picture(tuple(planes), pixel_format, depth, Color(2, 2, matrix, full_range), 0, False)
            assert error(to_numpy(picture), reference_rgb(picture) * 255) < CLOSE, levels
            assert error(to_numpy(picture, "rgb48"), reference_rgb(picture) * 65535) < CLOSE, levels
            for got, wanted in zip(unpacked(picture), reference_jpeg(picture), strict=True):
                assert error(got, wanted) < CLOSE, levels


def test_the_matrix_matters() -> None:
    # What makes a swapped matrix fail the tests above: results differ by far more than their tolerance.
    picture = make("yuv420p", 64, 48, Color(1, 1, 1, full_range=False))
    for other in (6, 9):
        swapped = replace(picture, color=Color(1, 1, other, full_range=False))
        assert np.abs(to_numpy(picture).astype(int) - to_numpy(swapped)).max() > 15
        assert np.abs(unpacked(picture)[0].astype(int) - unpacked(swapped)[0]).max() > 3
    wrong_range = replace(picture, color=Color(1, 1, 1, full_range=True))
    assert np.abs(to_numpy(picture).astype(int) - to_numpy(wrong_range)).max() > 10


@pytest.mark.parametrize(
    ("matrix", "codes"), [(1, (63, 102, 240)), (6, (81, 90, 240)), (2, (81, 90, 240)), (9, (74, 97, 240))]
)
@pytest.mark.parametrize("depth", [8, 10, 12])
def test_saturated_red_is_red(matrix: int, codes: tuple[int, int, int], depth: int) -> None:
    dtype, up = (np.uint8, 0) if depth == 8 else (np.uint16, depth - 8)
    planes = tuple(
        np.full(shape, code << up, dtype) for shape, code in zip(((4, 6), (2, 3), (2, 3)), codes, strict=True)
    )
    name = "yuv420p" if depth == 8 else f"yuv420p{depth}le"
    rgb = to_numpy(Picture(planes, name, depth, Color(1, 1, matrix, full_range=False), 0, False)).astype(int)
    assert np.abs(rgb - [255, 0, 0]).max() <= 2


# ---- Turning -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("format_name", [name for name in ARRAY_FORMATS if name != "yuv420p"])
def test_turned_arrays_are_the_array_turned(format_name: str, turn: tuple[int, bool]) -> None:
    for pixel_format in ("yuv420p", "yuv422p10le", "gray12le", "gbrp"):
        for size in [*SIZES, (8, 8), (65, 130), (129, 63)]:
            picture = make(pixel_format, *size, Color(1, 1, 1, full_range=False), turn)
            flat = replace(picture, rotation=0, mirrored=False)
            got = to_numpy(picture, format_name)
            assert np.array_equal(got, upright(to_numpy(flat, format_name), picture)), (pixel_format, size)
            assert got.shape[:2][::-1] == upright_size(picture)


@pytest.mark.parametrize("turn", TURNS)
def test_jpeg_planes_of_large_turned_pictures(turn: tuple[int, bool]) -> None:
    picture = make("yuv420p", 200, 138, Color(1, 1, 1, full_range=False), turn)
    flat = unpacked(replace(picture, rotation=0, mirrored=False))
    for got, plane in zip(unpacked(picture), flat, strict=True):
        assert np.array_equal(got, upright(plane, picture))


def test_a_quarter_turn_exchanges_422_and_440() -> None:
    color = Color(1, 1, 1, full_range=False)
    assert to_jpeg_planes(make("yuv422p", 6, 4, color)).subsampling == Subsampling.YUV422
    assert to_jpeg_planes(make("yuv422p", 6, 4, color, (90, False))).subsampling == Subsampling.YUV440
    assert to_jpeg_planes(make("yuv422p", 6, 4, color, (180, True))).subsampling == Subsampling.YUV422
    assert to_jpeg_planes(make("gbrp", 6, 4, color, (90, False))).subsampling == Subsampling.YUV444
    assert to_jpeg_planes(make("gray", 6, 4, color, (90, False))).subsampling == Subsampling.GRAY


def test_clockwise_means_clockwise() -> None:
    luma = np.array([[0, 100], [150, 255]], np.uint8)
    picture = Picture((luma,), "gray", 8, Color(2, 2, 2, full_range=True), 90, False)
    assert to_numpy(picture, "gray8").tolist() == [[150, 0], [255, 100]]
    mirrored_first = replace(picture, mirrored=True)
    assert to_numpy(mirrored_first, "gray8").tolist() == [[255, 100], [150, 0]]


# ---- Arrays ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_name", ARRAY_FORMATS)
@pytest.mark.parametrize("turn", [(0, False), (90, True)])
def test_arrays_are_owned_writable_and_of_the_promised_shape(
    format_name: str, turn: tuple[int, bool]
) -> None:
    picture = make("yuv420p", 17, 13, Color(1, 1, 1, full_range=False), turn)
    array = to_numpy(picture, format_name)
    target = ARRAY_FORMATS[format_name]
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.flags.owndata
    assert array.dtype == target.dtype
    assert array.shape == target.shape(*upright_size(picture))
    assert not any(np.shares_memory(array, plane) for plane in picture.planes)


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize("turn", [(0, False), (180, False), (270, True)])
def test_yuv420p_is_i420_in_the_videos_own_range(pixel_format: str, turn: tuple[int, bool]) -> None:
    kind, depth, _ = layout_of(pixel_format)
    for full_range in (False, True):
        for width, height in SIZES:
            picture = make(pixel_format, width, height, Color(1, 1, 1, full_range), turn)
            got = to_numpy(picture, "yuv420p")
            full = full_range or pixel_format.startswith("yuvj")
            scale = 255 / ((1 << depth) - 1) if full else 0.5 ** (depth - 8)
            if kind == "rgb":
                planes = reference_jpeg(picture)
            else:
                middle = 1 << (depth - 1)
                planes = [picture.planes[0] * scale]
                planes += [(plane - float(middle)) * scale + 128 for plane in picture.planes[1:]]
            shown = [upright(np.clip(plane, 0, 255), picture) for plane in planes]
            rows, columns = shown[0].shape
            even = np.pad(shown[0], ((0, rows % 2), (0, columns % 2)), mode="edge")
            assert got.shape == (even.shape[0] * 3 // 2, even.shape[1])
            assert error(got[: even.shape[0]], even) < CLOSE
            chroma = got[even.shape[0] :].reshape(2, even.shape[0] // 2, even.shape[1] // 2)
            if kind == "gray":
                assert (chroma == 128).all()
                continue
            for plane, wanted in zip(chroma, shown[1:], strict=True):
                high = 1 if wanted.shape[0] == plane.shape[0] else 2
                wide = 1 if wanted.shape[1] == plane.shape[1] else 2
                whole = np.pad(
                    wanted,
                    (
                        (0, plane.shape[0] * high - wanted.shape[0]),
                        (0, plane.shape[1] * wide - wanted.shape[1]),
                    ),
                    mode="edge",
                )
                mean = whole.reshape(plane.shape[0], high, plane.shape[1], wide).mean(axis=(1, 3))
                # Two roundings where chroma is averaged: to 8 bits, then to the mean.
                assert error(plane, mean) < (CLOSE if high == wide == 1 else 2 * CLOSE)


@pytest.mark.parametrize("format_name", ARRAY_FORMATS)
@pytest.mark.parametrize("turn", [(0, False), (90, False)])
def test_into_a_row_of_a_batch(format_name: str, turn: tuple[int, bool]) -> None:
    picture = make("yuv422p10le", 17, 13, Color(1, 1, 1, full_range=False), turn)
    for size in (None, (10, 6)):
        wanted = to_numpy(picture, format_name, size)
        batch = np.full((3, *wanted.shape), 77, wanted.dtype)
        to_numpy_into(picture, batch[1], format_name, size)
        assert np.array_equal(batch[1], wanted)
        assert (batch[[0, 2]] == 77).all()


def test_into_refuses_an_array_that_does_not_fit() -> None:
    picture = make("yuv420p", 16, 12, Color(1, 1, 1, full_range=False))
    frozen = np.zeros((12, 16, 3), np.uint8)
    frozen.setflags(write=False)
    for out in (
        np.zeros((16, 12, 3), np.uint8),
        np.zeros((12, 16, 3), np.uint16),
        np.zeros((12, 16), np.uint8),
        np.zeros((12, 32, 3), np.uint8)[:, ::2],
        np.zeros((3, 12, 16), np.uint8).transpose(1, 2, 0),
        frozen,
    ):
        with pytest.raises(ArgumentError, match=r"writable C-contiguous uint8 array of shape \(12, 16, 3\)"):
            to_numpy_into(picture, out)


def test_deep_video_keeps_its_depth_in_16_bits() -> None:
    luma = np.arange(1024, dtype=np.uint16).reshape(1, -1)
    picture = Picture((luma,), "gray10le", 10, Color(2, 2, 2, full_range=True), 0, False)
    deep = to_numpy(picture, "gray16")[0]
    assert len(np.unique(deep)) == 1024
    assert error(deep, np.arange(1024) * 65535 / 1023) < CLOSE


# ---- Size --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize("size", [(16, 12), (5, 3), (100, 77), (1, 1), (3, 90)])
def test_an_even_colour_stays_at_every_size(pixel_format: str, size: tuple[int, int]) -> None:
    kind, depth, (x, y) = layout_of(pixel_format)
    levels = [130, 100, 160][: 1 if kind == "gray" else 3]
    dtype = np.uint8 if depth == 8 else np.uint16
    planes = tuple(
        np.full((30, 41) if i == 0 else (-(-30 // y), -(-41 // x)), v << (depth - 8), dtype)
        for i, v in enumerate(levels)
    )
    picture = Picture(planes, pixel_format, depth, Color(1, 1, 1, full_range=False), 90, False)
    scaled = to_numpy(picture, "rgb24", size).astype(int)
    assert scaled.shape == (size[1], size[0], 3)
    assert np.abs(scaled - to_numpy(picture, "rgb24")[0, 0]).max() <= 1


@pytest.mark.parametrize("pixel_format", ["gray", "gray10le", "gray12le", "gbrp", "gbrp12le", "yuv444p"])
def test_smaller_is_the_average_of_the_area(pixel_format: str) -> None:
    picture = make(pixel_format, 128, 96, Color(1, 1, 1, full_range=True))
    kind, depth, _ = layout_of(pixel_format)
    planes = [plane.astype(float).reshape(24, 4, 32, 4).mean(axis=(1, 3)) for plane in picture.planes]
    if kind == "yuv":
        luma = planes[0]
        got = to_numpy(picture, "gray8", (32, 24))
        assert error(got, luma * 255 / ((1 << depth) - 1)) < 1.6
        return
    wanted = np.stack([planes[0]] * 3 if kind == "gray" else [planes[2], planes[0], planes[1]], axis=-1)
    assert error(to_numpy(picture, "rgb24", (32, 24)), wanted * 255 / ((1 << depth) - 1)) < 1.6


def test_larger_follows_a_ramp() -> None:
    ramp = np.tile(np.arange(0, 250, 5, dtype=np.uint8), (20, 1))
    picture = Picture((ramp,), "gray", 8, Color(2, 2, 2, full_range=True), 0, False)
    large = to_numpy(picture, "gray8", (200, 40)).astype(float)
    positions = (np.arange(200) + 0.5) / 4 - 0.5
    inner = slice(8, -8)
    assert np.abs(large[5, inner] - 5 * positions[inner]).max() <= 1


@pytest.mark.parametrize(
    ("turn", "size", "shown"),
    [
        ((0, False), (32, None), (32, 18)),
        ((0, False), (None, 18), (32, 18)),
        ((0, False), (np.int64(10), 20), (10, 20)),
        ((90, False), (18, None), (18, 32)),
        ((270, True), (None, 32), (18, 32)),
        ((0, False), (1, None), (1, 1)),
        ((0, False), None, (64, 36)),
    ],
)
def test_size_is_as_shown_and_keeps_the_shape(
    turn: tuple[int, bool], size: Any, shown: tuple[int, int]
) -> None:
    picture = make("yuv420p", 64, 36, Color(1, 1, 1, full_range=False), turn)
    assert to_numpy(picture, "gray8", size).shape == shown[::-1]
    packed = to_jpeg_planes(picture, size)
    assert (packed.width, packed.height) == shown


def test_scaled_turned_is_turned_scaled() -> None:
    picture = make("yuv420p10le", 64, 36, Color(9, 18, 9, full_range=False), (90, True))
    flat = replace(picture, rotation=0, mirrored=False)
    assert np.array_equal(
        to_numpy(picture, "rgb24", (9, 31)), upright(to_numpy(flat, "rgb24", (31, 9)), picture)
    )


@pytest.mark.parametrize(
    "size",
    [
        (0, 5),
        (5, 0),
        (-1, None),
        (MAX_SIDE + 1, 1),
        (1.5, 2),
        (True, 2),
        (None, None),
        (1, 2, 3),
        ("9", 9),
        640,
    ],
)
def test_impossible_sizes_are_refused(size: Any) -> None:
    picture = make("yuv420p", 16, 12, Color(1, 1, 1, full_range=False))
    for convert in (to_jpeg_planes, lambda p, size: to_numpy(p, "rgb24", size)):
        with pytest.raises(ArgumentError, match=r"size is|Width and height"):
            convert(picture, size)


def test_a_kept_shape_that_becomes_too_large_is_refused() -> None:
    picture = make("gray", 1, 400, Color(1, 1, 1, full_range=False))
    with pytest.raises(ArgumentError, match="100x40000, more than 16384"):
        to_numpy(picture, "gray8", (100, None))


def test_a_long_thin_picture_shrinks_to_one_pixel() -> None:
    for shape in ((2, 16384), (16384, 2), (1, 5), (8000, 4000)):
        picture = Picture(
            (np.full(shape, 90, np.uint8),), "gray", 8, Color(2, 2, 2, full_range=True), 0, False
        )
        assert to_numpy(picture, "gray8", (1, 1)).tolist() == [[90]]
        assert (to_numpy(picture, "gray8", (70, 3)) == 90).all()


# ---- What is refused ---------------------------------------------------------------------------------------


def test_unknown_array_format_lists_the_known_ones() -> None:
    picture = make("yuv420p", 16, 12, Color(1, 1, 1, full_range=False))
    with pytest.raises(ArgumentError, match="rgb24, bgr24, gray8, yuv420p, rgb48, gray16") as caught:
        to_numpy(picture, "rgba")
    assert isinstance(caught.value, ValueError)
    with pytest.raises(ArgumentError, match="'nv12'"):
        to_numpy_into(picture, np.zeros((12, 16, 3), np.uint8), "nv12")


@pytest.mark.parametrize(
    "name", ["yuva420p", "nv12", "yuv420p10be", "gbrap", "p010le", "yuv411p", "pal8", ""]
)
def test_unusual_pixel_formats_are_refused_by_name(name: str) -> None:
    picture = replace(make("yuv420p", 16, 12, Color(1, 1, 1, full_range=False)), pixel_format=name)
    for convert in (to_jpeg_planes, to_numpy):
        with pytest.raises(UnsupportedError, match=f"'{name}'"):
            convert(picture)


@pytest.mark.parametrize("matrix", [0, 3, 10, 11, 12, 13, 14, 15, 255])
def test_matrices_that_are_not_3x3_are_refused_except_for_their_luma(matrix: int) -> None:
    picture = make("yuv420p", 16, 12, Color(1, 1, matrix, full_range=False))
    for convert in (to_jpeg_planes, to_numpy):
        with pytest.raises(UnsupportedError, match=f"Matrix coefficients {matrix} "):
            convert(picture)
    assert to_numpy(picture, "gray8").shape == (12, 16)
    assert to_numpy(picture, "yuv420p").shape == (18, 16)
    gray = make("gray", 16, 12, Color(1, 1, matrix, full_range=False))
    assert to_jpeg_planes(gray).subsampling == Subsampling.GRAY


def test_planes_that_are_not_what_they_are_said_to_be() -> None:
    good = make("yuv420p", 16, 12, Color(1, 1, 1, full_range=False))
    luma, cb, cr = good.planes
    bad = [
        replace(good, planes=(luma, cb)),
        replace(good, bit_depth=10),
        replace(good, rotation=45),
        replace(good, planes=(luma, cb[:, :-1], cr)),
        replace(good, planes=(luma, cb, cr[:-1])),
        replace(good, planes=(luma.astype(np.uint16), cb, cr)),
        replace(good, planes=(luma[:0], cb[:0], cr[:0])),
        replace(good, planes=(luma[::-1], cb, cr)),
        replace(good, planes=(luma, cb, np.repeat(cr, 2, axis=1)[:, ::2])),
        replace(good, planes=(np.asfortranarray(luma), cb, cr)),
        replace(good, planes=(luma.reshape(-1), cb, cr)),
        replace(good, planes=(np.broadcast_to(luma[:1], luma.shape), cb, cr)),
    ]
    for picture in bad:
        for convert in (to_jpeg_planes, to_numpy):
            with pytest.raises(ArgumentError):
                convert(picture)


def test_values_beyond_the_bit_depth_do_no_harm() -> None:
    planes = tuple(np.full((6, 6), 65535, np.uint16) for _ in range(3))
    picture = Picture(planes, "yuv444p10le", 10, Color(9, 16, 9, full_range=False), 0, False)
    for name in ARRAY_FORMATS:
        assert to_numpy(picture, name).size
    assert to_jpeg_planes(picture).buffer.size


# ---- Another converter -------------------------------------------------------------------------------------

MATRIX_NAMES = {1: "bt709", 6: "bt601", 9: "bt2020"}
# libswscale knows gray and RGB as full range and without a matrix only.
COMPARED = [
    (name, full_range, matrix)
    for name in FORMATS
    for full_range in (False, True)
    for matrix in MATRIX_NAMES
    if not name.startswith("yuvj") and (name.startswith("yuv") or (full_range and matrix == 1))
]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg command is not installed")
@pytest.mark.parametrize(("pixel_format", "full_range", "matrix"), COMPARED)
def test_rgb_against_the_ffmpeg_command(pixel_format: str, full_range: bool, matrix: int) -> None:
    depth = layout_of(pixel_format)[1]
    width, height = 64, 48
    random = np.random.default_rng(7)
    picture = make(pixel_format, width, height, Color(2, 2, matrix, full_range))
    # Codes inside the colours that exist: libswscale and a float formula clip at different steps.
    low, high = (0.3, 0.7)
    planes = tuple(
        random.integers(int(low * (1 << depth)), int(high * (1 << depth)), plane.shape, dtype=plane.dtype)
        for plane in picture.planes
    )
    picture = replace(picture, planes=planes)
    chain = (
        f"scale=in_color_matrix={MATRIX_NAMES[matrix]}"
        f":in_range={'pc' if full_range else 'tv'}:out_range=pc"
        ":flags=neighbor+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact,format=rgb24"
    )
    if layout_of(pixel_format)[0] == "rgb":
        # No matrix and no range to name: asked for, FFmpeg 7 goes through Y' Cb Cr and back.
        chain = "format=rgb24"
    command = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", pixel_format, "-s", f"{width}x{height}"]
    command += ["-i", "-", "-vf", chain, "-f", "rawvideo", "-"]
    raw = b"".join(np.ascontiguousarray(plane).tobytes() for plane in planes)
    done = subprocess.run(command, input=raw, check=True, capture_output=True)
    theirs = np.frombuffer(done.stdout, np.uint8).reshape(height, width, 3).astype(int)
    difference = np.abs(to_numpy(picture).astype(int) - theirs)
    # Both round; libswscale shifts deep full-range samples down (4:1, 16:1)
    # instead of dividing by 1023 / 255 or 4095 / 255, as H.273 says.
    assert difference.max() <= 2
    assert difference.mean() <= (0.6 if full_range and depth > 8 else 0.1)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg command is not installed")
@pytest.mark.parametrize(
    "name",
    [
        "mediabunny/video-h265.mp4",  # yuvj420p, BT.470BG
        "androidx-media/sample_edit_list.mp4",  # 10 bits, BT.2020, HLG, turned by 90 degrees
        "androidx-media/hev1_08_05.mp4",  # 10 bits, BT.2020, PQ
        "androidx-media/water_180_mvhevc_5frames.mov",  # BT.709
        "androidx-media/fragmented_captions_h265.mp4",  # BT.601
        "torchcodec/h265_10bits.mp4",  # says nothing of its colour
        "torchcodec/testsrc2_444_12bit_hevc.mp4",  # 321x241
    ],
)
def test_real_video_upright_against_the_ffmpeg_command(media: Path, name: str) -> None:
    with ffbind.open(media / name) as video:
        ours = video[0].to_numpy()
    chain = (
        "scale=out_range=pc:flags=neighbor+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact,format=rgb24"
    )
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(media / name),
        "-frames:v",
        "1",
        "-vf",
        chain,
        "-f",
        "rawvideo",
        "-",
    ]
    done = subprocess.run(command, check=True, capture_output=True)
    theirs = np.frombuffer(done.stdout, np.uint8).reshape(ours.shape).astype(int)
    difference = np.abs(ours.astype(int) - theirs)
    assert difference.max() <= 2
    assert difference.mean() <= 0.1
