"""Versions: of this package, and of the FFmpeg and libjpeg-turbo that this process has loaded."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["ffmpeg_version", "libjpeg_turbo_version", "package_version"]


def package_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("bucket-streamer")
    except PackageNotFoundError:  # a source tree that was never installed
        return "(not installed)"


def ffmpeg_version() -> str:
    """Version and licence of FFmpeg, with that of libavcodec, which is what behaviour depends on."""
    # Imported here, so that --help does not load FFmpeg.
    from ffbind._native import ffi, lib

    number = lib.avcodec_version()
    text = ffi.string(lib.av_version_info()).decode()
    licence = ffi.string(lib.avutil_license()).decode()
    return f"{text}, libavcodec {number >> 16}.{number >> 8 & 0xFF}.{number & 0xFF}, {licence}"


def libjpeg_turbo_version() -> str:
    """Version of libjpeg-turbo.

    The library has no function for that, but its table of messages says
    "libjpeg-turbo version 2.1.5 (build ...)", so the file that was loaded is searched for it.
    """
    from ffbind.jpeg import load_encoder

    load_encoder()
    for path in _loaded("turbojpeg"):
        if match := re.search(rb"libjpeg-turbo version ([0-9][0-9.a-z]*)", path.read_bytes()):
            return match[1].decode()
    return "version not known"


def _loaded(name: str) -> list[Path]:
    """Paths of the shared libraries of that name in this process; none where the system does not tell."""
    maps = Path("/proc/self/maps")
    if sys.platform != "linux" or not maps.exists():
        return []
    paths = re.findall(rf"(/\S*lib{name}\S*)$", maps.read_text(), flags=re.MULTILINE)
    return [Path(path) for path in dict.fromkeys(paths)]
