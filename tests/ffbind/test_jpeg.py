"""JPEG files read back by the ffmpeg command: layout, values, colours, headers."""

from __future__ import annotations

import shutil
import struct
import subprocess
import threading
from typing import Any

import numpy as np
import pytest

from ffbind.color import Color
from ffbind.errors import ArgumentError, UnsupportedError
from ffbind.jpeg import load_encoder, to_jpeg
from ffbind.pixels import FORMATS, Picture, Subsampling, to_jpeg_planes, to_numpy

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="the ffmpeg command is not installed"
)

# K_R and K_B of H.273 table 4.
WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
CHROMA = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}


def scene(width: int, height: int) -> np.ndarray:
    """Smooth colours, (H, W, 3) in 0..1: nothing that a coarse chroma plane or a DCT at quality 100 would lose."""
    y, x = np.mgrid[0:height, 0:width]
    x, y = x / max(width - 1, 1), y / max(height - 1, 1)
    return np.stack([0.6 + 0.25 * x, 0.2 + 0.25 * y, 0.35 - 0.2 * x * y], axis=-1)


def encode_scene(
    rgb: np.ndarray, pixel_format: str, color: Color, rotation: int = 0, mirrored: bool = False
) -> Picture:
    """Give the picture that a camera would write of this scene, by the formulas of H.273 (equations 20 to 43)."""
    depth = next((d for d in (10, 12) if pixel_format.endswith(f"{d}le")), 8)
    full = color.full_range or pixel_format.startswith("yuvj")
    unit, top = 2.0 ** (depth - 8), 2.0**depth - 1
    dtype = np.uint8 if depth == 8 else np.uint16

    def level(plane: np.ndarray) -> np.ndarray:
        return np.round(plane * top if full else (219 * plane + 16) * unit).astype(dtype)

    def difference(plane: np.ndarray) -> np.ndarray:
        value = plane * top + 128 * unit if full else (224 * plane + 128) * unit
        return np.clip(np.round(value), 0, top).astype(dtype)

    red, green, blue = (rgb[..., i] for i in range(3))
    if pixel_format.startswith("gbrp"):
        planes = [level(green), level(blue), level(red)]
    else:
        kr, kb = WEIGHTS[color.matrix]
        luma = kr * red + (1 - kr - kb) * green + kb * blue
        planes = [level(luma)]
        if not pixel_format.startswith("gray"):
            x, y = next(size for name, size in CHROMA.items() if name in pixel_format)
            for plane in ((blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))):
                padded = np.pad(plane, ((0, -plane.shape[0] % y), (0, -plane.shape[1] % x)), mode="edge")
                blocks = padded.reshape(padded.shape[0] // y, y, padded.shape[1] // x, x)
                planes.append(difference(blocks.mean(axis=(1, 3))))
    return Picture(tuple(planes), pixel_format, depth, color, rotation, mirrored)


def upright(array: np.ndarray, rotation: int, mirrored: bool) -> np.ndarray:
    return np.rot90(array[:, ::-1] if mirrored else array, -rotation // 90)


def start_of_frame(data: bytes) -> tuple[int, int, list[tuple[int, int]]]:
    """Width, height and the (horizontal, vertical) sampling factors in the baseline frame header (T.81 B.2.2)."""
    assert data[:2] == b"\xff\xd8"
    assert data[-2:] == b"\xff\xd9"
    position = 2
    while True:
        marker, length = struct.unpack(">HH", data[position : position + 4])
        if marker == 0xFFC0:
            precision, height, width, count = struct.unpack(">BHHB", data[position + 4 : position + 10])
            assert precision == 8
            factors = [data[position + 11 + 3 * i] for i in range(count)]
            return width, height, [(factor >> 4, factor & 15) for factor in factors]
        assert marker not in (0xFFC1, 0xFFC2, 0xFFDA), "not a baseline JPEG"
        position += 2 + length


def decode(data: bytes, *arguments: str) -> bytes:
    """Decode by the ffmpeg command, whose JPEG decoder shares no code with libjpeg-turbo."""
    command = ["ffmpeg", "-v", "error", "-f", "mjpeg", "-i", "-", *arguments, "-f", "rawvideo", "-"]
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout


def decode_rgb(data: bytes) -> np.ndarray:
    chain = "scale=flags=neighbor+accurate_rnd+full_chroma_int+full_chroma_inp,format=rgb24"
    width, height, _ = start_of_frame(data)
    return np.frombuffer(decode(data, "-vf", chain), np.uint8).reshape(height, width, 3).astype(int)


@needs_ffmpeg
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_colours_come_back(pixel_format: str, matrix: int, full_range: bool) -> None:
    rgb = scene(64, 48)
    picture = encode_scene(rgb, pixel_format, Color(2, 2, matrix, full_range))
    decoded = decode_rgb(to_jpeg(picture, quality=100))
    if pixel_format.startswith("gray"):
        kr, kb = WEIGHTS[matrix]
        rgb = np.repeat((rgb @ [kr, 1 - kr - kb, kb])[..., None], 3, axis=-1)
    difference = np.abs(decoded - 255 * rgb)
    # Two roundings to 8 bits on the way and a DCT; replicated chroma is up to half a chroma sample off.
    assert difference.max() <= 7
    assert difference.mean() <= 1
    # What our own RGB says of the same planes is nearer: the same samples, replicated the same way.
    own = np.abs(decoded - to_numpy(picture).astype(int))
    assert own.max() <= 4
    assert own.mean() <= 0.7


@needs_ffmpeg
def test_a_swapped_matrix_is_seen() -> None:
    rgb = scene(64, 48)
    written = encode_scene(rgb, "yuv444p", Color(2, 2, 1, full_range=False))
    for wrong in (
        Color(2, 2, 6, full_range=False),
        Color(2, 2, 9, full_range=False),
        Color(2, 2, 1, full_range=True),
    ):
        taken_as = Picture(written.planes, "yuv444p", 8, wrong, 0, mirrored=False)
        difference = np.abs(decode_rgb(to_jpeg(taken_as, quality=100)) - 255 * rgb)
        assert difference.mean() > 1.6
        assert difference.max() > 7


@needs_ffmpeg
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (7, 1), (17, 13), (64, 48), (50, 31)])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "yuv444p12le", "gray", "gbrp"])
def test_the_planes_are_where_a_decoder_finds_them(
    pixel_format: str, rotation: int, size: tuple[int, int]
) -> None:
    picture = encode_scene(
        scene(*size), pixel_format, Color(2, 2, 1, full_range=False), rotation, rotation == 90
    )
    data = to_jpeg(picture, quality=100)
    planes = to_jpeg_planes(picture)
    width, height, factors = start_of_frame(data)
    assert (width, height) == (size[::-1] if rotation in (90, 270) else size)
    raw = np.frombuffer(decode(data), np.uint8)
    start = begin = 0
    # Read without any conversion: the decoder's own planes, each cropped to its size.
    for h, v in factors:
        x, y = factors[0][0] // h, factors[0][1] // v
        columns, rows = -(-width // x), -(-height // y)
        stride = -(-(-(-width // factors[0][0]) * h) // 4) * 4
        stored_rows = -(-height // factors[0][1]) * v
        theirs = raw[begin : begin + columns * rows].reshape(rows, columns).astype(int)
        ours = planes.buffer[start : start + stride * stored_rows].reshape(stored_rows, stride)[
            :rows, :columns
        ]
        assert np.abs(theirs - ours).max() <= 3
        begin += columns * rows
        start += stride * stored_rows
    assert begin == raw.size


@pytest.mark.parametrize(
    ("pixel_format", "rotation", "factors"),
    [
        ("yuv420p", 0, [(2, 2), (1, 1), (1, 1)]),
        ("yuv420p10le", 90, [(2, 2), (1, 1), (1, 1)]),
        ("yuv422p", 0, [(2, 1), (1, 1), (1, 1)]),
        ("yuv422p", 90, [(1, 2), (1, 1), (1, 1)]),
        ("yuv422p12le", 270, [(1, 2), (1, 1), (1, 1)]),
        ("yuv422p", 180, [(2, 1), (1, 1), (1, 1)]),
        ("yuv444p", 0, [(1, 1), (1, 1), (1, 1)]),
        ("gbrp12le", 90, [(1, 1), (1, 1), (1, 1)]),
        ("gray10le", 90, [(1, 1)]),
    ],
)
def test_frame_header(pixel_format: str, rotation: int, factors: list[tuple[int, int]]) -> None:
    picture = encode_scene(scene(34, 22), pixel_format, Color(2, 2, 1, full_range=False), rotation)
    data = to_jpeg(picture)
    shown = (22, 34) if rotation in (90, 270) else (34, 22)
    assert start_of_frame(data) == (*shown, factors)
    assert data[6:11] == b"JFIF\0"


@needs_ffmpeg
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le"])
def test_shown_upright(pixel_format: str, rotation: int, mirrored: bool) -> None:
    rgb = scene(64, 48)
    picture = encode_scene(rgb, pixel_format, Color(1, 1, 1, full_range=False), rotation, mirrored)
    difference = np.abs(decode_rgb(to_jpeg(picture, quality=100)) - 255 * upright(rgb, rotation, mirrored))
    assert difference.max() <= 7


@needs_ffmpeg
@pytest.mark.parametrize(("matrix", "codes"), [(1, (63, 102, 240)), (6, (81, 90, 240)), (9, (74, 97, 240))])
@pytest.mark.parametrize("depth", [8, 10])
def test_saturated_red_is_red(matrix: int, codes: tuple[int, int, int], depth: int) -> None:
    dtype, name = (np.uint8, "yuv420p") if depth == 8 else (np.uint16, "yuv420p10le")
    shapes = ((32, 32), (16, 16), (16, 16))
    planes = tuple(
        np.full(shape, code << (depth - 8), dtype) for shape, code in zip(shapes, codes, strict=True)
    )
    data = to_jpeg(Picture(planes, name, depth, Color(1, 1, matrix, full_range=False), 0, mirrored=False))
    assert np.abs(decode_rgb(data) - [255, 0, 0]).max() <= 3


@needs_ffmpeg
def test_size_scales_before_encoding() -> None:
    rgb = scene(128, 96)
    picture = encode_scene(rgb, "yuv420p", Color(1, 1, 1, full_range=False), 90)
    data = to_jpeg(picture, quality=100, size=(24, None))
    assert start_of_frame(data)[:2] == (24, 32)
    small = upright(rgb, 90, mirrored=False).reshape(32, 4, 24, 4, 3).mean(axis=(1, 3))
    assert np.abs(decode_rgb(data) - 255 * small).max() <= 7
    assert np.abs(decode_rgb(data) - 255 * small).mean() <= 1.6


def test_quality_decides_the_size() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
    picture = Picture((noise,), "gray", 8, Color(2, 2, 2, full_range=True), 0, mirrored=False)
    lengths = [len(to_jpeg(picture, quality=quality)) for quality in (1, 50, 80, 95, 100)]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) == len(lengths)
    assert to_jpeg(picture) == to_jpeg(picture, quality=80) == to_jpeg(picture, quality=np.int64(80))


@pytest.mark.parametrize("quality", [0, 101, -1, 80.0, "80", None, True])
def test_impossible_quality(quality: Any) -> None:
    picture = encode_scene(scene(8, 8), "yuv420p", Color(1, 1, 1, full_range=False))
    with pytest.raises(ArgumentError, match="from 1 to 100"):
        to_jpeg(picture, quality=quality)


def test_what_cannot_be_converted_is_refused() -> None:
    good = encode_scene(scene(8, 8), "yuv420p", Color(1, 1, 1, full_range=False))
    with pytest.raises(UnsupportedError, match="'yuva420p'"):
        to_jpeg(Picture(good.planes, "yuva420p", 8, good.color, 0, mirrored=False))
    with pytest.raises(UnsupportedError, match="ICTCP"):
        to_jpeg(Picture(good.planes, "yuv420p", 8, Color(9, 16, 14, full_range=False), 0, mirrored=False))


def test_the_packed_buffer_has_the_size_that_turbojpeg_reads() -> None:
    # PyTurboJPEG does not look at the size of the array it is given, so ours must be right at every size and layout.
    size_of = load_encoder()._TurboJPEG__buffer_size_YUV2
    for pixel_format in ("yuv420p", "yuv422p", "yuv444p", "gray"):
        for width in range(1, 12):
            for height in range(1, 12):
                for rotation in (0, 90):
                    color = Color(1, 1, 1, full_range=False)
                    packed = to_jpeg_planes(encode_scene(scene(width, height), pixel_format, color, rotation))
                    wanted = size_of(packed.width, 4, packed.height, int(packed.subsampling))
                    assert packed.buffer.size == wanted, (pixel_format, width, height, rotation)
                    if rotation and pixel_format == "yuv422p":
                        assert packed.subsampling == Subsampling.YUV440


def test_threads_share_the_encoder() -> None:
    pictures = [
        encode_scene(scene(60 + i, 40), "yuv420p", Color(1, 1, 1, full_range=False)) for i in range(4)
    ]
    wanted = [to_jpeg(picture) for picture in pictures]
    results: list[list[bytes]] = [[] for _ in pictures]

    def work(number: int) -> None:
        for _ in range(20):
            results[number].append(to_jpeg(pictures[number]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(pictures))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [set(result) for result in results] == [{data} for data in wanted]
