"""Memory of decoded pictures, shared by all decoders of the process: see csrc/buffers.h."""

from __future__ import annotations

import os
from functools import cache

from .native import ffi, lib

__all__ = ["PictureBuffers", "shared_buffers"]

_UNUSED_BYTES = 64 << 20
"""Unused buffers that the process keeps at most: about what the decoder of one 1080p video works with."""


class PictureBuffers:
    """The buffers that decoders put their pictures into.

    `unused_bytes`: so much of what nobody uses any more is kept for the next picture, be it of another video.
    """

    def __init__(self, unused_bytes: int) -> None:
        native = lib.ffb_buffers_new(unused_bytes)
        if native == ffi.NULL:
            raise MemoryError("no memory for the buffers of decoded pictures")
        self.native = ffi.gc(native, lib.ffb_buffers_close)

    @property
    def bytes(self) -> int:
        """Bytes of all buffers: those of pictures, wherever they are held, and the unused."""
        size: int = lib.ffb_buffers_bytes(self.native)
        return size


@cache
def shared_buffers() -> PictureBuffers:
    """Give the buffers of this process: whoever opens one video after the other finds memory that the last one worked with."""
    return PictureBuffers(_UNUSED_BYTES)


# A child has a copy whose lock some thread of the parent may hold for ever.
os.register_at_fork(after_in_child=shared_buffers.cache_clear)
