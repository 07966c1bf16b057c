"""The compiled part, for those who need it: loaded once, and only with an FFmpeg that it is made for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .errors import NativeError

__all__ = ["FIRST_VERSION", "LAST_MAJOR", "check_version", "ffi", "keeps_following", "lib", "version_text"]

FIRST_VERSION = 59 << 16 | 37 << 8 | 100
"""avcodec_version() of FFmpeg 5.1, the first that is supported."""
LAST_MAJOR = 63
"""Major version of libavcodec in FFmpeg 9, the last that is supported."""

_KEEPS_FOLLOWING = 62 << 16
_RELEASE_OF_MAJOR = -54  # libavcodec 59 came with FFmpeg 5, 60 with 6, and so on


def version_text(number: int) -> str:
    """Give a version as the libraries encode it (AV_VERSION_INT) as text.

    >>> version_text(59 << 16 | 37 << 8 | 100)
    '59.37.100'
    """
    return f"{number >> 16}.{number >> 8 & 0xFF}.{number & 0xFF}"


def check_version(number: int) -> None:
    """Raise NativeError where this avcodec_version() is not one of FFmpeg 5.1 to 9."""
    if FIRST_VERSION <= number < (LAST_MAJOR + 1) << 16:
        return
    raise NativeError(
        f"the FFmpeg that is loaded has libavcodec {version_text(number)}, ffbind works with "
        f"{version_text(FIRST_VERSION)} (FFmpeg 5.1) to {LAST_MAJOR} (FFmpeg {LAST_MAJOR + _RELEASE_OF_MAJOR}); "
        "install one of these, and build ffbind again where its libraries have other names"
    )


def keeps_following() -> bool:
    """Tell whether the decoder wants pictures that only later ones refer to (Foll, H.265 8.3.2): from FFmpeg 8 on it does."""
    return bool(lib.avcodec_version() >= _KEEPS_FOLLOWING)


def _load() -> tuple[Any, Any]:
    try:
        from . import _native
    except ImportError as error:
        # In a clone Python finds this folder before the package that was installed.
        folder = Path(__file__).resolve().parent
        if (folder.parent / "build_ffi.py").is_file() and not list(folder.glob("_native.*.so")):
            raise NativeError(
                f"this is the ffbind of the source tree {folder.parent}, which has not been compiled: run Python in another folder to "
                "get the one that was installed, or compile this one with `pip install --editable .` or `./dev build`"
            ) from error
        raise NativeError(
            f"ffbind's compiled part cannot be loaded ({error}); it was built for another FFmpeg or Python, or not at all: "
            "install bucket-streamer again from source, with the headers of FFmpeg 5.1 to 9 at hand"
        ) from error
    check_version(_native.lib.avcodec_version())
    # What libav* complains of comes as our errors; on a terminal and in a notebook its own lines would only stand between.
    _native.lib.av_log_set_level(_native.lib.AV_LOG_FATAL)
    return _native.ffi, _native.lib


ffi, lib = _load()
