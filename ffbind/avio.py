"""Custom AVIOContexts: libavformat reads from memory or from a `Source`, and from nothing else.

`MemoryInput` is read by C callbacks alone: no Python and no GIL while FFmpeg reads. `SourceInput` calls the source; what the source
raises travels through FFmpeg and comes out again as it was. Both keep what they read from alive until they are closed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from .color import Color
from .errors import ClosedError, NotVideoError, SourceError
from .native import ffi, lib
from .sources import Source, as_view

__all__ = ["Input", "MemoryInput", "Packet", "SourceInput", "Stream", "av_error_text"]

_BUFFER_BYTES = 64 * 1024


def av_error_text(code: int) -> str:
    """Put libav's words to an AVERROR code."""
    buffer = ffi.new("char[]", 128)
    lib.av_strerror(code, buffer, len(buffer))
    return bytes(ffi.string(buffer)).decode()


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream as libavformat sees it. `kind` is 'video', 'audio' or 'other'; `codec` is FFmpeg's name.

    `id`: the container's name of it (track number, PID); `color` None where the container does not say.
    """

    index: int
    id: int
    kind: str
    codec: str
    width: int
    height: int
    time_base: tuple[int, int]
    pixel_aspect: tuple[int, int]
    color: Color | None


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as libavformat reads it; `position` is its byte offset or -1; times in the stream's time base, None: not known."""

    stream: int
    position: int
    pts: int | None
    dts: int | None
    duration: int
    data: bytes


class Input:
    """An AVIOContext, and the demuxer that libavformat finds for what it reads. Calls from several threads take turns.

    Raises the source's own exception when it failed, NotVideoError when libavformat does not know the bytes.
    """

    def __init__(self, native: Any) -> None:
        if native == ffi.NULL:
            raise MemoryError
        self._native = native
        self._lock = threading.Lock()

    def _failure(self) -> BaseException | None:
        """Return what the source raised, if it did: it stays, and so does the error in C."""
        return None

    def _open(self) -> Any:
        if self._native is None:
            raise ClosedError("this input was closed; open it again")
        return self._native

    def _check(self, code: int, what: str) -> None:
        failure = self._failure()
        if failure is not None:
            raise failure
        if lib.ffb_input_failure(self._native) < 0:
            raise SourceError("the source could not be read, and its own error is lost; open it again")
        if code < 0:
            raise NotVideoError(f"{what}: {av_error_text(code)}")

    @property
    def size(self) -> int:
        """Length in bytes, as libavformat is told it (AVSEEK_SIZE)."""
        with self._lock:
            return int(lib.avio_size(lib.ffb_input_io(self._open())))

    def read_at(self, position: int, length: int) -> bytes:
        """Seek and read through the AVIOContext; fewer bytes only at the end. The demuxer goes on from where it was.

        SourceError for a position outside [0, size].
        """
        with self._lock:
            io = lib.ffb_input_io(self._open())
            before = lib.avio_seek(io, 0, os.SEEK_CUR)
            if lib.avio_seek(io, position, os.SEEK_SET) < 0:
                self._check(0, "")
                raise SourceError(f"cannot read at {position}: that is outside the {lib.avio_size(io)} bytes")
            length = max(0, min(length, lib.avio_size(io) - position))
            buffer = ffi.new("unsigned char[]", length)
            done = 0
            while done < length:
                count = lib.avio_read(io, buffer + done, length - done)
                self._check(count, f"cannot read at {position}")
                done += count
            lib.avio_seek(io, before, os.SEEK_SET)
            return bytes(ffi.buffer(buffer, done))

    def format_name(self) -> str:
        """Let libavformat identify the bytes; FFmpeg's name of the format, such as 'mov,mp4,m4a,3gp,3g2,mj2'."""
        with self._lock:
            native = self._open()
            self._check(lib.ffb_input_demux(native), "not a media file that FFmpeg knows")
            return bytes(ffi.string(lib.ffb_input_format_name(native))).decode()

    def streams(self) -> list[Stream]:
        """List the streams that the headers of the file announce."""
        self.format_name()
        with self._lock:
            context = lib.ffb_input_format(self._open())
            found = []
            for i in range(context.nb_streams):
                stream = context.streams[i]
                codecpar = stream.codecpar
                kinds = {lib.AVMEDIA_TYPE_VIDEO: "video", lib.AVMEDIA_TYPE_AUDIO: "audio"}
                found.append(
                    Stream(
                        index=i,
                        id=stream.id,
                        kind=kinds.get(codecpar.codec_type, "other"),
                        codec=bytes(ffi.string(lib.avcodec_get_name(codecpar.codec_id))).decode(),
                        width=codecpar.width,
                        height=codecpar.height,
                        time_base=(stream.time_base.num, stream.time_base.den),
                        pixel_aspect=_aspect(stream.sample_aspect_ratio),
                        color=_color(codecpar),
                    )
                )
            return found

    def extradata(self, stream: int) -> bytes:
        """Give what the container has for the decoder of a stream, by its index: hvcC, for HEVC in Matroska."""
        with self._lock:
            codecpar = lib.ffb_input_format(self._open()).streams[stream].codecpar
            return (
                bytes(ffi.buffer(codecpar.extradata, codecpar.extradata_size)) if codecpar.extradata else b""
            )

    def packets(self) -> Iterator[Packet]:
        """Read all packets in file order, from where the last reading stopped."""
        self.format_name()
        packet = ffi.gc(lib.av_packet_alloc(), _free_packet)
        if packet == ffi.NULL:
            raise MemoryError
        while True:
            with self._lock:
                code = lib.av_read_frame(lib.ffb_input_format(self._open()), packet)
                self._check(0 if code == lib.AVERROR_EOF else code, "cannot read on")
                if code == lib.AVERROR_EOF:
                    return
                item = Packet(
                    stream=packet.stream_index,
                    position=packet.pos,
                    pts=_known(packet.pts),
                    dts=_known(packet.dts),
                    duration=packet.duration,
                    data=bytes(ffi.buffer(packet.data, packet.size)),
                )
                lib.av_packet_unref(packet)
            yield item

    def close(self) -> None:
        """Free the demuxer and the AVIOContext; closing twice is fine."""
        with self._lock:
            native, self._native = self._native, None
            if native is not None:
                ffi.release(native)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _known(time: int) -> int | None:
    return None if time == lib.AV_NOPTS_VALUE else time


def _aspect(ratio: Any) -> tuple[int, int]:
    return (ratio.num, ratio.den) if ratio.num > 0 and ratio.den > 0 else (1, 1)


def _color(codecpar: Any) -> Color | None:
    color = Color(
        codecpar.color_primaries,
        codecpar.color_trc,
        codecpar.color_space,
        full_range=codecpar.color_range == lib.AVCOL_RANGE_JPEG,
    )
    return None if color == Color(2, 2, 2, full_range=False) else color


def _free_packet(packet: Any) -> None:
    lib.av_packet_free(ffi.new("AVPacket **", packet))


class MemoryInput(Input):
    """An input over bytes in memory, which are used in place."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        buffer = ffi.from_buffer("uint8_t[]", data)
        native = lib.ffb_input_memory(buffer, len(buffer), _BUFFER_BYTES)

        # The clean-up holds the buffer, so the bytes outlive the context in whatever order references are dropped.
        def close(native: Any, _buffer: Any = buffer) -> None:
            lib.ffb_input_close(native)

        super().__init__(native if native == ffi.NULL else ffi.gc(native, close))


class _SourceState:
    """What the read callback works on; reached from C through a cffi handle."""

    __slots__ = ("failure", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.failure: BaseException | None = None


class SourceInput(Input):
    """An input over a `Source`: short reads go on, over-long or empty ones are errors, exceptions come out as they were."""

    def __init__(self, source: Source) -> None:
        self._state = _SourceState(source)
        handle = ffi.new_handle(self._state)
        native = lib.ffb_input_source(handle, source.size, _BUFFER_BYTES)

        def close(native: Any, _handle: Any = handle, _state: _SourceState = self._state) -> None:
            lib.ffb_input_close(native)

        super().__init__(native if native == ffi.NULL else ffi.gc(native, close))

    def _failure(self) -> BaseException | None:
        return self._state.failure


def _keep_failure(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Keep what the callback below raised, from its very first instruction on, for the caller on the far side of FFmpeg."""
    if trace is not None:
        ffi.from_handle(trace.tb_frame.f_locals["handle"]).failure = error


@ffi.def_extern(error=lib.AVERROR_EXTERNAL, onerror=_keep_failure)  # type: ignore[untyped-decorator]
def ffb_source_read(handle: Any, position: int, buffer: Any, size: int) -> int:
    """Read for C: up to `size` bytes at `position` into `buffer`; how many there were.

    For whatever is raised here, C sees an AVERROR that is not the end.
    """
    state: _SourceState = ffi.from_handle(handle)
    view = as_view(state.source.read_at(position, size), position)
    if len(view) > size:
        raise SourceError(f"read_at returned {len(view)} bytes where {size} were asked at offset {position}")
    if not len(view):
        raise SourceError(f"read_at returned nothing at offset {position}, before the end of the source")
    ffi.memmove(buffer, view, len(view))
    return len(view)
