"""Video in anything but MP4 and MOV: indexes made by one scan of the file.

`read_index` takes raw H.265 streams (annex B), Matroska and MPEG transport streams. The file is recognised by its bytes. All of it is
read once, with bounded memory: keep the index (`VideoIndex.save`) and give it to `ffbind.open` to read it never again.
"""

from __future__ import annotations

from .read import read_index

__all__ = ["read_index"]
