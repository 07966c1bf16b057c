"""One decoded picture: planes as zero-copy views, and upright arrays and JPEG made from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from . import jpeg, pixels
from .color import Color
from .errors import UnsupportedError
from .hevc import Kind
from .native import ffi, lib

__all__ = ["Frame", "LateFrame", "NativePicture", "Place", "Plane"]

_UNSPECIFIED = 2  # ITU-T H.273
_DOLBY_VISION_IPT = 5  # Dolby Vision profile whose base layer is IPT-PQ-c2, not Y'CbCr


class Plane(np.ndarray[Any, np.dtype[Any]]):
    """A read-only view of a decoded plane, (H, W) uint8 or uint16; it keeps its picture alive.

    The memory is the decoder's own reference picture, so it is never handed to a library that would write to it: DLPack is
    refused. `Frame.to_numpy` gives arrays that are the caller's own.
    """

    def __dlpack__(self, **_: Any) -> NoReturn:
        raise BufferError(
            "a decoded plane is the decoder's own memory; pass plane.copy(), or use Frame.to_numpy()"
        )


@cache
def _name(text: bytes) -> str:
    return text.decode()


@lru_cache(64)
def _color(primaries: int, transfer: int, matrix: int, full_range: int) -> Color:
    return Color(primaries, transfer, matrix, bool(full_range))


class NativePicture:
    """Owns one AVFrame. The views that `planes` gives hold the AVFrame by themselves."""

    __slots__ = ("_about", "_frame", "bit_depth", "buffer_bytes", "color", "height", "pixel_format", "width")

    def __init__(self, native: Any) -> None:
        self._frame = ffi.gc(native, _free_frame)
        about = self._about = ffi.new("ffb_picture *")
        if lib.ffb_picture_describe(native, about) < 0:
            raise UnsupportedError(
                f"pictures of pixel format {native.format} are not made of planes of 8 to 16 bits; they cannot be shown"
            )
        self.width: int = about.width
        self.height: int = about.height
        self.bit_depth: int = about.bit_depth
        self.buffer_bytes: int = about.buffer_bytes
        self.pixel_format = _name(ffi.string(about.pixel_format))
        self.color = _color(about.primaries, about.transfer, about.matrix, about.full_range)

    def planes(self) -> tuple[Plane, ...]:
        """Make views of the planes, in FFmpeg's order."""
        about = self._about
        return tuple(np.asarray(_Memory(self._frame, about, i)).view(Plane) for i in range(about.planes))


class _Memory:
    """The samples of one plane, read-only, for numpy: an array of them keeps this, and so the AVFrame."""

    __slots__ = ("__array_interface__", "_frame")

    def __init__(self, frame: Any, about: Any, plane: int) -> None:
        self._frame = frame
        size = about.bytes_per_value
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1" if size == 1 else np.dtype(np.uint16).str,
            "shape": (about.plane_height[plane], about.plane_width[plane]),
            "strides": (about.stride[plane], size),
            "data": (int(ffi.cast("uintptr_t", about.data[plane])), True),
        }


def _free_frame(native: Any) -> None:
    lib.av_frame_free(ffi.new("AVFrame **", native))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame is in its video: `index`, `time` and `duration` as `Frame` has them."""

    index: int
    time: float
    duration: float


class Frame:
    """One exact picture of a video. Immutable; may be used from any thread and outlives its `Video`.

    - `index`: place in presentation order; -1 where the edit list hides the picture, or where there is no video around it. Of a long
      fragmented file that is far, `index`, `time` and `duration` of a frame by byte offset are found out when they are first asked for
    - `offset`: byte offset of its sample in the file, -1 where there is no file
    - `pts`: composition time in ticks of the track's time base, before edits
    - `time`, `duration`: when it is on screen, in seconds after edits; NaN where it is not shown
    - `kind`: NAL unit type of the picture
    - `width`, `height`: upright, as a player shows it, in samples (square pixels are not forced)
    - `pixel_format`: FFmpeg's name, as decoded
    - `color`: primaries, transfer, matrix, range, of the bitstream where it says so, else of the container
    """

    __slots__ = ("__dict__", "duration", "index", "kind", "offset", "pts", "time")

    def __init__(
        self,
        native: NativePicture,
        *,
        kind: Kind,
        index: int = -1,
        offset: int = -1,
        pts: int = 0,
        time: float = float("nan"),
        duration: float = float("nan"),
        container_color: Color | None = None,
        rotation: int = 0,
        mirrored: bool = False,
        dolby_vision_profile: int | None = None,
    ) -> None:
        self._native = native
        self._container_color = container_color
        self._rotation = rotation
        self._mirrored = mirrored
        self._dolby_vision_profile = dolby_vision_profile
        self.kind = kind
        self.index = index
        self.offset = offset
        self.pts = pts
        self.time = time
        self.duration = duration

    def shown_at(self, index: int, time: float, duration: float) -> Frame:
        """Give the same picture at another place in presentation order."""
        return Frame(
            self._native,
            kind=self.kind,
            index=index,
            offset=self.offset,
            pts=self.pts,
            time=time,
            duration=duration,
            container_color=self._container_color,
            rotation=self._rotation,
            mirrored=self._mirrored,
            dolby_vision_profile=self._dolby_vision_profile,
        )

    def __repr__(self) -> str:
        return (
            f"Frame(index={self.index}, offset={self.offset}, time={self.time:.6f}, {self.width}x{self.height} "
            f"{self.pixel_format}, {self.kind.name})"
        )

    @property
    def pixel_format(self) -> str:
        return self._native.pixel_format

    @property
    def bit_depth(self) -> int:
        """Bits of a value in `planes`."""
        return self._native.bit_depth

    @property
    def width(self) -> int:
        return self._native.height if self._rotation in (90, 270) else self._native.width

    @property
    def height(self) -> int:
        return self._native.width if self._rotation in (90, 270) else self._native.height

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the picture's buffers take."""
        return self._native.buffer_bytes

    @cached_property
    def color(self) -> Color:
        return with_fallback(self._native.color, self._container_color)

    @property
    def planes(self) -> tuple[Plane, ...]:
        """Read-only views (H, W), uint8 or uint16 with the value in the low bits: cropped, not rotated, in FFmpeg's order."""
        return self._native.planes()

    def _picture(self) -> pixels.Picture:
        if self._dolby_vision_profile == _DOLBY_VISION_IPT:
            raise UnsupportedError(
                "the video is Dolby Vision profile 5: its colours are IPT-PQ-c2 and wrong without the metadata that reshapes them; "
                "take the decoded values from Frame.planes, or use a version of the video in another profile"
            )
        return pixels.Picture(
            planes=self.planes,
            pixel_format=self.pixel_format,
            bit_depth=self.bit_depth,
            color=self.color,
            rotation=self._rotation,
            mirrored=self._mirrored,
        )

    def to_numpy(
        self,
        format: str = "rgb24",  # noqa: A002
        size: tuple[int | None, int | None] | None = None,
    ) -> NDArray[Any]:
        """Make an upright array that is the caller's own: (H, W, 3) uint8 for 'rgb24' and 'bgr24'.

        See `ffbind.pixels.ARRAY_FORMATS` for all formats and their shapes. `size` is (width, height) as shown; one of them may be
        None to keep the shape. HDR (PQ, HLG) is not tone mapped: values keep the video's transfer function and primaries, so they look
        flat where BT.709 is expected; 'rgb48' keeps all bits for a tone mapping of your own.

        UnsupportedError where the picture's format has no meaning in RGB, and for Dolby Vision profile 5.
        """
        return pixels.to_numpy(self._picture(), format, size)

    def to_numpy_into(
        self,
        out: NDArray[Any],
        format: str = "rgb24",  # noqa: A002
        size: tuple[int | None, int | None] | None = None,
    ) -> None:
        """Write what `to_numpy` gives into `out`, a row of a batch; ArgumentError where shape or dtype differ."""
        pixels.to_numpy_into(self._picture(), out, format, size)

    def to_jpeg(self, quality: int = 80, size: tuple[int | None, int | None] | None = None) -> bytes:
        """Encode the upright picture as JPEG (JFIF), straight from the planes.

        `quality` is libjpeg-turbo's, 1 to 100. Chroma keeps its subsampling, HDR its transfer function (no tone mapping).
        UnsupportedError as in `to_numpy`.
        """
        return jpeg.to_jpeg(self._picture(), quality, size)


class LateFrame(Frame):
    """A frame by byte offset of a video whose table was not read yet as a whole: that is done when its place is asked for.

    `index`, `time` and `duration` take that, and raise what reading it raises; ClosedError where the video was closed before. All else
    is as with any frame.
    """

    __slots__ = ("_place_of",)

    def __init__(self, native: NativePicture, place_of: Callable[[int], Place], **known: Any) -> None:
        """`place_of`: finds the place by byte offset; `known`: as `Frame` takes it."""
        super().__init__(native, **known)
        self._place_of = place_of
        del self.index, self.time, self.duration

    def __getattr__(self, name: str) -> Any:
        """Find out what was left open; asked only for attributes that are not there."""
        if name not in ("index", "time", "duration"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        place = self._place_of(self.offset)
        self.index, self.time, self.duration = place.index, place.time, place.duration
        return getattr(self, name)

    def __repr__(self) -> str:
        return f"Frame(offset={self.offset}, pts={self.pts}, {self.width}x{self.height} {self.pixel_format}, {self.kind.name})"


def with_fallback(color: Color, container: Color | None) -> Color:
    """Take the bitstream's colour, and the container's (colr box) where the bitstream does not say.

    Range goes with the matrix: a bitstream that names neither leaves both to the container.
    """
    if container is None:
        return color
    silent = color.primaries == color.transfer == color.matrix == _UNSPECIFIED and not color.full_range
    if silent:
        return container
    return replace(
        color,
        primaries=color.primaries if color.primaries != _UNSPECIFIED else container.primaries,
        transfer=color.transfer if color.transfer != _UNSPECIFIED else container.transfer,
        matrix=color.matrix if color.matrix != _UNSPECIFIED else container.matrix,
    )
