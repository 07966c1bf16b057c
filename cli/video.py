"""Open the video that a command names; whatever is wrong with it, the sentence names the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import ffbind

from .console import Mistake

if TYPE_CHECKING:
    from ffbind.video import Video

__all__ = ["open_video"]


def open_video(path: Path) -> Video:
    """Open a video; raises Mistake."""
    try:
        return ffbind.open(path)
    except ffbind.SourceError:
        raise  # it names the path by itself
    except ffbind.FFbindError as error:
        named = str(path) in str(error)
        raise Mistake(str(error) if named else f"{path}: {error}", 1) from error
