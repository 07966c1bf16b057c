"""From decoded planes to arrays and JPEG-ready planes: range, matrix, depth, size and turning, all in C.

A picture is converted and turned in one pass; an upright result is exactly the turned result.
Chroma is replicated, never interpolated: where in a pixel a chroma sample sits (siting) does not matter here.

What a picture does not say is taken as the `ffmpeg` command takes it: an unspecified matrix is BT.601, at
every size. The transfer function is left as it is: HLG (18) and PQ (16) video is shown with its own values,
with the right matrix, so it looks flat on a display that expects BT.709.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ffbind.color import Affine, Color, Matrix, codes_to_8bit, codes_to_jfif, codes_to_rgb
from ffbind.errors import ArgumentError, FFbindError, UnsupportedError
from ffbind.native import ffi, lib

__all__ = [
    "ARRAY_FORMATS",
    "FORMATS",
    "MAX_SIDE",
    "ArrayFormat",
    "JpegPlanes",
    "Picture",
    "PixelFormat",
    "Size",
    "Subsampling",
    "to_jpeg_planes",
    "to_numpy",
    "to_numpy_into",
    "upright_size",
]

MAX_SIDE = 16384
"""Largest width or height that a picture may be scaled to."""

Size = tuple[int | None, int | None]
"""(width, height) as shown; one of them may be None, to keep the shape of the picture."""


# ---- What comes in -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How samples of an AVPixelFormat lie in planes; chroma is luma's size >> log2_chroma, rounded up."""

    bit_depth: int
    log2_chroma_x: int
    log2_chroma_y: int
    kind: Literal["yuv", "gray", "rgb"]

    @property
    def planes(self) -> int:
        """Number of planes: 1 for gray, 3 for Y' Cb Cr and G B R."""
        return 1 if self.kind == "gray" else 3

    def plane_size(self, plane: int, width: int, height: int) -> tuple[int, int]:
        """Give (width, height) in samples of one plane of a picture; odd sizes round up."""
        if plane == 0:
            return width, height
        return -(-width >> self.log2_chroma_x), -(-height >> self.log2_chroma_y)


def _formats() -> dict[str, PixelFormat]:
    table = {"gray": PixelFormat(8, 0, 0, "gray"), "gbrp": PixelFormat(8, 0, 0, "rgb")}
    for depth in (10, 12):
        table[f"gray{depth}le"] = PixelFormat(depth, 0, 0, "gray")
        table[f"gbrp{depth}le"] = PixelFormat(depth, 0, 0, "rgb")
    for layout, x, y in (("420", 1, 1), ("422", 1, 0), ("444", 0, 0)):
        table[f"yuv{layout}p"] = table[f"yuvj{layout}p"] = PixelFormat(8, x, y, "yuv")
        for depth in (10, 12):
            table[f"yuv{layout}p{depth}le"] = PixelFormat(depth, x, y, "yuv")
    return table


FORMATS: Mapping[str, PixelFormat] = MappingProxyType(_formats())
"""Every format that FFmpeg's HEVC decoder gives, by FFmpeg's name."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture, as the converters need it.

    `planes` are as decoded: cropped, not turned, (H, W) uint8, or uint16 with the value in the low bits. To
    show it upright, mirror it left to right first where `mirrored`, then turn it clockwise by `rotation` (0,
    90, 180, 270).
    """

    planes: tuple[NDArray[Any], ...]
    pixel_format: str
    bit_depth: int
    color: Color
    rotation: int
    mirrored: bool


def upright_size(picture: Picture) -> tuple[int, int]:
    """Give (width, height) as shown, after turning."""
    height, width = picture.planes[0].shape
    return (height, width) if picture.rotation in (90, 270) else (width, height)


def _checked_format(picture: Picture) -> PixelFormat:
    """Give the layout of a picture whose planes are what they are said to be: C relies on it."""
    layout = FORMATS.get(picture.pixel_format)
    if layout is None:
        raise UnsupportedError(
            f"Pixel format {picture.pixel_format!r} is not one that HEVC pictures are converted from "
            f"({', '.join(FORMATS)}); use the planes as decoded."
        )
    if picture.bit_depth != layout.bit_depth or len(picture.planes) != layout.planes:
        raise ArgumentError(
            f"A {picture.pixel_format} picture has {layout.planes} plane(s) of {layout.bit_depth} bits, "
            f"not {len(picture.planes)} of {picture.bit_depth}; give the planes that the format names."
        )
    if picture.rotation not in (0, 90, 180, 270):
        raise ArgumentError(f"A picture turns by 0, 90, 180 or 270 degrees, not by {picture.rotation}.")
    dtype = np.dtype(np.uint8 if layout.bit_depth == 8 else np.uint16)
    shape = picture.planes[0].shape
    for number, plane in enumerate(picture.planes):
        wanted = layout.plane_size(number, shape[1], shape[0])[::-1] if len(shape) == 2 else (0, 0)
        if plane.dtype != dtype or plane.shape != wanted or min(wanted) < 1 or not plane.flags.aligned:
            raise ArgumentError(
                f"Plane {number} of a {picture.pixel_format} picture must be {dtype} of shape {wanted}, "
                f"not {plane.dtype} of shape {plane.shape}."
            )
        rows, columns = plane.shape
        if (columns > 1 and plane.strides[1] != dtype.itemsize) or (
            rows > 1 and plane.strides[0] < columns * dtype.itemsize
        ):
            raise ArgumentError(
                f"Plane {number} has strides {plane.strides}; samples of a row must follow each other and "
                "rows must come from top to bottom: pass a contiguous copy."
            )
    return layout


def _color(picture: Picture) -> Color:
    """Give the colour with what the format's name says: the yuvj formats are full range."""
    if picture.pixel_format.startswith("yuvj") and not picture.color.full_range:
        return replace(picture.color, full_range=True)
    return picture.color


# ---- Into C ------------------------------------------------------------------------------------------------


def _address(array: NDArray[Any]) -> int:
    """Address of the first element; the caller keeps the array alive while C uses it."""
    return int(array.__array_interface__["data"][0])


def _reach(array: NDArray[Any]) -> tuple[int, int]:
    """Bytes from one row to the next, and bytes from the first element to the end of the last row."""
    rows = array.shape[0]
    row_bytes = array[0].size * array.itemsize
    stride = array.strides[0] if rows > 1 else row_bytes
    return stride, (rows - 1) * stride + row_bytes


def _native_planes(planes: Sequence[NDArray[Any]], layout: PixelFormat, depth: int) -> Any:
    """Describe planes to C (struct ffb_planes); they must outlive it."""
    native = ffi.new("ffb_planes *")
    native.count = len(planes)
    native.height, native.width = planes[0].shape
    native.depth, native.log2_x, native.log2_y = depth, layout.log2_chroma_x, layout.log2_chroma_y
    for number, plane in enumerate(planes):
        native.data[number] = ffi.cast("void *", _address(plane))
        native.stride[number], native.size[number] = _reach(plane)
    return native


def _check(result: int, what: str) -> None:
    """Raise for a negative AVERROR; arguments were checked before, which leaves memory and libswscale."""
    if result < 0:
        text = ffi.new("char[128]")
        lib.av_strerror(result, text, len(text))
        raise FFbindError(
            f"{what} failed: {ffi.string(text).decode(errors='replace')}; try a smaller picture."
        )


@lru_cache(maxsize=64)
def _fixed(affine: Affine, bit_depth: int, scale: float = 1.0) -> Any:
    """Write `scale * affine` in the fixed point of convert.h, so that it gives 0..255 rounded to nearest."""
    native = ffi.new("ffb_fixed_matrix *")
    factor, offset = scale * affine.factor, scale * affine.offset
    native.copy = (
        bit_depth == 8 and np.allclose(factor, np.eye(3), atol=1e-9) and np.allclose(offset, 0, atol=1e-9)
    )
    lifted = 32 * factor / 2.0 ** (13 - bit_depth)
    for row in range(3):
        fractions = 0
        for column in range(3):
            whole, fraction = divmod(round(lifted[row, column] * 65536), 65536)
            native.whole[row][column], native.fraction[row][column] = whole % 65536, fraction
            fractions += fraction != 0
        # 16 is the half that rounds; each product with a fraction is rounded down, by a half on average.
        native.offset[row] = round(32 * offset[row] + 16 + fractions / 2) % 65536
    return native


@lru_cache(maxsize=64)
def _floating(affine: Affine) -> Any:
    """Write an affine map to 0..1 as that of convert.h to 0..65535."""
    native = ffi.new("ffb_float_matrix *")
    for row in range(3):
        native.offset[row] = 65535 * affine.offset[row]
        for column in range(3):
            native.factor[row][column] = 65535 * affine.factor[row, column]
    return native


def _convert_planes(
    picture: Picture, layout: PixelFormat, matrix: Any, outs: Sequence[NDArray[np.uint8]]
) -> None:
    """Convert to 8 bits, plane by plane and upright, into `outs`: (H, W) views, one for each plane."""
    source = _native_planes(picture.planes, layout, layout.bit_depth)
    if picture.rotation in (90, 270):
        layout = replace(layout, log2_chroma_x=layout.log2_chroma_y, log2_chroma_y=layout.log2_chroma_x)
    target = _native_planes(outs, layout, 8)
    _check(
        lib.ffb_convert_planes(source, matrix, picture.rotation, picture.mirrored, target),
        "Converting the picture",
    )


# ---- Size --------------------------------------------------------------------------------------------------


def _wanted_size(picture: Picture, size: Size | None) -> tuple[int, int]:
    """Give (width, height) as shown after scaling, with a None side filled in."""
    shown = upright_size(picture)
    if size is None:
        return shown
    if not isinstance(size, tuple | list) or len(size) != 2 or all(side is None for side in size):
        raise ArgumentError(
            f"size is (width, height), one of which may be None to keep the shape, not {size!r}."
        )
    for side in size:
        if side is not None and not (
            isinstance(side, int | np.integer) and not isinstance(side, bool) and 1 <= side <= MAX_SIDE
        ):
            raise ArgumentError(f"Width and height are whole numbers from 1 to {MAX_SIDE}, not {side!r}.")
    width, height = size
    if width is None:
        assert height is not None
        width = max(1, (2 * shown[0] * height + shown[1]) // (2 * shown[1]))
    elif height is None:
        height = max(1, (2 * shown[1] * width + shown[0]) // (2 * shown[0]))
    if max(width, height) > MAX_SIDE:
        raise ArgumentError(
            f"Keeping the shape of {shown[0]}x{shown[1]}, size {size!r} becomes {width}x{height}, "
            f"more than {MAX_SIDE} on a side; ask for less."
        )
    return int(width), int(height)


def _scale(picture: Picture, layout: PixelFormat, size: Size | None) -> Picture:
    """Give the picture at the wanted size (as shown), in its own format: libswscale resizes each plane."""
    shown = _wanted_size(picture, size)
    if shown == upright_size(picture):
        return picture
    width, height = shown[::-1] if picture.rotation in (90, 270) else shown
    planes = []
    for number, plane in enumerate(picture.planes):
        columns, rows = layout.plane_size(number, width, height)
        # libswscale writes whole vectors: rows are padded to 64 bytes and followed by 64 more (scale.h).
        stride = -(-columns * plane.itemsize // 64) * 64
        room = np.empty(stride * rows + 64, np.uint8)
        source_stride, source_size = _reach(plane)
        result = lib.ffb_scale_plane(
            ffi.cast("uint8_t *", _address(plane)),
            source_stride,
            source_size,
            plane.shape[1],
            plane.shape[0],
            layout.bit_depth,
            ffi.cast("uint8_t *", _address(room)),
            stride,
            room.nbytes,
            columns,
            rows,
        )
        _check(result, f"Scaling from {plane.shape[1]}x{plane.shape[0]} to {columns}x{rows}")
        planes.append(room[: stride * rows].view(plane.dtype).reshape(rows, -1)[:, :columns])
    return replace(picture, planes=tuple(planes))


# ---- JPEG --------------------------------------------------------------------------------------------------


class Subsampling(IntEnum):
    """Chroma layouts of a JPEG file, by TurboJPEG's numbers (enum TJSAMP)."""

    YUV444 = 0
    YUV422 = 1
    YUV420 = 2
    GRAY = 3
    YUV440 = 4


_SUBSAMPLING = {
    (0, 0): Subsampling.YUV444,
    (1, 0): Subsampling.YUV422,
    (1, 1): Subsampling.YUV420,
    (0, 1): Subsampling.YUV440,
}


@dataclass(frozen=True, slots=True, eq=False)
class JpegPlanes:
    """A picture as libjpeg-turbo's YUV encoder takes it: upright, full-range BT.601, 8 bits.

    `buffer` is (n,) uint8: planes one after the other, rows padded to 4 bytes, luma of an odd width or height
    replicated to the next whole chroma sample (the layout of tjBufSizeYUV2 with a padding of 4).
    """

    buffer: NDArray[np.uint8]
    width: int
    height: int
    subsampling: Subsampling


def to_jpeg_planes(picture: Picture, size: Size | None = None) -> JpegPlanes:
    """Convert to what a JPEG file holds, without RGB on the way.

    The chroma layout stays (4:2:2 turned by 90 degrees is 4:4:0); gray stays gray; planar RGB becomes 4:4:4.
    HLG and PQ keep their transfer function. Full-range BT.601 of 8 bits passes through unchanged.

    Errors: UnsupportedError names a pixel format or matrix that cannot be converted; ArgumentError for an
    impossible size.
    """
    layout = _checked_format(picture)
    picture = _scale(picture, layout, size)
    width, height = upright_size(picture)
    log2 = (layout.log2_chroma_x, layout.log2_chroma_y)
    if picture.rotation in (90, 270):
        log2 = log2[::-1]
    color = _color(picture)
    if layout.kind == "gray":
        color = Color(2, 2, Matrix.SMPTE170M, color.full_range)  # there is no chroma for a matrix to act on
    matrix = _fixed(codes_to_jfif(color, layout.bit_depth, rgb=layout.kind == "rgb"), layout.bit_depth)

    # Per plane: (rows, stride) in the packed buffer and (rows, columns) that the picture fills.
    spans = []
    for number in range(layout.planes):
        x, y = log2 if number else (0, 0)
        filled = (-(-height >> y), -(-width >> x))
        whole = filled if number else (-(-height >> log2[1]) << log2[1], -(-width >> log2[0]) << log2[0])
        spans.append((whole[0], -(-whole[1] // 4) * 4, *filled))
    buffer = np.empty(sum(rows * stride for rows, stride, _, _ in spans), np.uint8)
    padded, start = [], 0
    for rows, stride, _, _ in spans:
        padded.append(buffer[start : start + rows * stride].reshape(rows, stride))
        start += rows * stride

    outs = [plane[:rows, :columns] for plane, (_, _, rows, columns) in zip(padded, spans, strict=True)]
    _convert_planes(picture, layout, matrix, outs)
    for plane, (all_rows, stride, rows, columns) in zip(padded, spans, strict=True):
        if columns < stride:
            plane[:rows, columns:] = plane[:rows, columns - 1 : columns]
        if rows < all_rows:
            plane[rows:] = plane[rows - 1]
    subsampling = Subsampling.GRAY if layout.kind == "gray" else _SUBSAMPLING[log2]
    return JpegPlanes(buffer, width, height, subsampling)


# ---- Arrays ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ArrayFormat:
    """A format of `to_numpy`: sample type, and samples a pixel (0: planes below each other)."""

    name: str
    dtype: np.dtype[Any]
    channels: int

    def shape(self, width: int, height: int) -> tuple[int, ...]:
        """Shape of the array of one picture of this size."""
        if self.channels == 0:
            return (height + height % 2) * 3 // 2, width + width % 2
        return (height, width) if self.channels == 1 else (height, width, self.channels)


ARRAY_FORMATS: Mapping[str, ArrayFormat] = MappingProxyType(
    {
        name: ArrayFormat(name, np.dtype(dtype), channels)
        for name, dtype, channels in (
            ("rgb24", np.uint8, 3),
            ("bgr24", np.uint8, 3),
            ("gray8", np.uint8, 1),
            ("yuv420p", np.uint8, 0),
            ("rgb48", np.uint16, 3),
            ("gray16", np.uint16, 1),
        )
    }
)
"""The formats of `to_numpy`, by name."""


def _array_format(name: str) -> ArrayFormat:
    try:
        return ARRAY_FORMATS[name]
    except KeyError:
        raise ArgumentError(
            f"There is no array format {name!r}; choose one of {', '.join(ARRAY_FORMATS)}."
        ) from None


def to_numpy(picture: Picture, format: str = "rgb24", size: Size | None = None) -> NDArray[Any]:  # noqa: A002
    """Convert to an upright array that the caller owns: C-contiguous and writable.

    - "rgb24": (H, W, 3) uint8, R' G' B' from 0 to 255, in the video's own primaries and transfer function.
    - "bgr24": the same in OpenCV's order.
    - "gray8": (H, W) uint8, luma over the full range 0 to 255; of planar RGB the luma of BT.601.
    - "yuv420p": (H * 3 / 2, W) uint8, samples in the video's own range and matrix, rounded to 8 bits, laid
      out as OpenCV's I420: Y (H rows), then Cb and Cr, H / 2 rows of W / 2 each. An odd H or W is first made
      even by repeating the last row or column. 4:2:2 and 4:4:4 are averaged, gray gets chroma 128, planar RGB
      becomes full-range BT.601.
    - "rgb48": (H, W, 3) uint16, as rgb24 with white at 65535, whatever the bit depth of the video.
    - "gray16": (H, W) uint16, as gray8 with white at 65535.

    `size` is (width, height) as shown, either of them None to keep the shape: area average where the picture
    gets smaller, bicubic where larger.

    Errors: ArgumentError for an unknown format or an impossible size; UnsupportedError names a pixel format
    or matrix that cannot be converted.
    """
    target = _array_format(format)
    layout = _checked_format(picture)
    scaled = _scale(picture, layout, size)
    out = np.empty(target.shape(*upright_size(scaled)), target.dtype)
    _fill(scaled, layout, target, out)
    return out


def to_numpy_into(
    picture: Picture,
    out: NDArray[Any],
    format: str = "rgb24",  # noqa: A002
    size: Size | None = None,
) -> None:
    """Write what `to_numpy` gives into `out`, such as one row of a batch.

    `out` must be C-contiguous, writable, and of the shape and dtype that `ARRAY_FORMATS[format]` says; else
    ArgumentError.
    """
    target = _array_format(format)
    layout = _checked_format(picture)
    shape = target.shape(*_wanted_size(picture, size))
    if out.shape != shape or out.dtype != target.dtype or not out.flags.carray:
        raise ArgumentError(
            f"{format} of this picture needs a writable C-contiguous {target.dtype} array of shape {shape}, "
            f"not {out.dtype} of shape {out.shape}."
        )
    _fill(_scale(picture, layout, size), layout, target, out)


def _fill(picture: Picture, layout: PixelFormat, target: ArrayFormat, out: NDArray[Any]) -> None:
    """Convert a picture of the wanted size into a C-contiguous array of the target's shape."""
    if target.channels == 0:
        _fill_yuv420p(picture, layout, out)
        return
    source = _native_planes(picture.planes, layout, layout.bit_depth)
    affine = _display(_color(picture), layout, gray=target.channels == 1, swapped=target.name == "bgr24")
    stride, size = _reach(out)
    if target.dtype == np.uint8:
        result = lib.ffb_convert_packed8(
            source,
            _fixed(affine, layout.bit_depth, 255.0),
            target.channels,
            picture.rotation,
            picture.mirrored,
            ffi.cast("uint8_t *", _address(out)),
            stride,
            size,
        )
    else:
        result = lib.ffb_convert_packed16(
            source,
            _floating(affine),
            target.channels,
            picture.rotation,
            picture.mirrored,
            ffi.cast("uint16_t *", _address(out)),
            stride,
            size,
        )
    _check(result, "Converting the picture")


@lru_cache(maxsize=64)
def _display(color: Color, layout: PixelFormat, *, gray: bool, swapped: bool) -> Affine:
    """Codes to the channels wanted, white at 1."""
    is_rgb = layout.kind == "rgb"
    if gray or layout.kind == "gray":
        # Luma alone, whatever the matrix: plane 0 over the full range, or the luma that a JPEG of planar RGB
        # has.
        jfif = codes_to_jfif(Color(2, 2, Matrix.SMPTE170M, color.full_range), layout.bit_depth, rgb=is_rgb)
        return Affine(jfif.factor[[0, 0, 0]] / 255, jfif.offset[[0, 0, 0]] / 255)
    display = codes_to_rgb(color, layout.bit_depth, rgb=is_rgb)
    if swapped:
        return Affine(display.factor[::-1].copy(), display.offset[::-1].copy())
    return display


def _fill_yuv420p(picture: Picture, layout: PixelFormat, out: NDArray[np.uint8]) -> None:
    width, height = upright_size(picture)
    even_width, even_height = width + width % 2, height + height % 2
    luma = out[:even_height]
    chroma = out[even_height:].reshape(2, even_height // 2, even_width // 2)
    color = _color(picture)
    is_rgb = layout.kind == "rgb"
    affine = (
        codes_to_jfif(color, layout.bit_depth, rgb=True) if is_rgb else codes_to_8bit(color, layout.bit_depth)
    )
    matrix = _fixed(affine, layout.bit_depth)
    shapes = [plane.shape[::-1] if picture.rotation in (90, 270) else plane.shape for plane in picture.planes]
    direct = layout.log2_chroma_x == layout.log2_chroma_y == 1
    planes: list[NDArray[np.uint8]] = [luma[:height, :width]]
    planes += [chroma[i] if direct else np.empty(shapes[i + 1], np.uint8) for i in range(layout.planes - 1)]
    _convert_planes(picture, layout, matrix, planes)
    luma[:height, width:] = luma[:height, width - 1 : width]
    luma[height:] = luma[height - 1]
    if layout.planes == 1:
        chroma[:] = 128
    elif not direct:
        for to, plane in zip(chroma, planes[1:], strict=True):
            to[:] = _averaged(plane, *to.shape)


def _averaged(plane: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Average blocks of 1 or 2 samples a side to the given shape, rounded; an odd edge is repeated."""
    high = 1 if plane.shape[0] == rows else 2
    wide = 1 if plane.shape[1] == columns else 2
    whole = np.pad(
        plane, ((0, rows * high - plane.shape[0]), (0, columns * wide - plane.shape[1])), mode="edge"
    )
    count = high * wide
    total = whole.reshape(rows, high, columns, wide).sum(axis=(1, 3), dtype=np.uint16)
    averaged: NDArray[np.uint8] = ((total + count // 2) // count).astype(np.uint8)
    return averaged
