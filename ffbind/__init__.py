"""Exact HEVC frames by index, time or byte offset, over FFmpeg's libav*.

    import ffbind

    with ffbind.open("clip.mp4") as video:
        frame = video[120]
        pixels = frame.to_numpy()  # (H, W, 3) uint8
        jpeg = frame.to_jpeg()

Names that need FFmpeg's libraries are loaded when they are first used, so `ffbind.isobmff` and `ffbind.index` can be used in a process
that must not run a native parser.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .errors import (
    ArgumentError,
    BeforeIrapError,
    ClosedError,
    CorruptError,
    DecoderError,
    EncryptedError,
    FFbindError,
    ForkedError,
    FrameIndexError,
    FrameTimeError,
    IndexMismatchError,
    LimitError,
    NativeError,
    NeedsEarlierIrapError,
    NotIrapError,
    NotShownError,
    NotVideoError,
    OffsetError,
    SourceChangedError,
    SourceError,
    UndecodableError,
    UnsupportedError,
)
from .hevc import Kind
from .limits import Limits

if TYPE_CHECKING:
    from .color import Color
    from .decoder import Decoder
    from .fetching import FetchSettings
    from .frame import Frame
    from .index import VideoIndex
    from .plan import Plan
    from .sources import Source
    from .stats import Stats
    from .video import Frames, Video, open  # noqa: A004

__all__ = [
    "ArgumentError",
    "BeforeIrapError",
    "ClosedError",
    "Color",
    "CorruptError",
    "Decoder",
    "DecoderError",
    "EncryptedError",
    "FFbindError",
    "FetchSettings",
    "ForkedError",
    "Frame",
    "FrameIndexError",
    "FrameTimeError",
    "Frames",
    "IndexMismatchError",
    "Kind",
    "LimitError",
    "Limits",
    "NativeError",
    "NeedsEarlierIrapError",
    "NotIrapError",
    "NotShownError",
    "NotVideoError",
    "OffsetError",
    "Plan",
    "Source",
    "SourceChangedError",
    "SourceError",
    "Stats",
    "UndecodableError",
    "UnsupportedError",
    "Video",
    "VideoIndex",
    "open",
]

__version__ = "0.1.0"

_LAZY = {
    "Color": "color",
    "Decoder": "decoder",
    "FetchSettings": "fetching",
    "Frame": "frame",
    "Frames": "video",
    "Plan": "plan",
    "Source": "sources",
    "Stats": "stats",
    "Video": "video",
    "VideoIndex": "index",
    "open": "video",
}


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'ffbind' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
