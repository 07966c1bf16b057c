"""Our own reader of ISO base media files (MP4, MOV, plain and fragmented): boxes to `VideoIndex`, in numpy.

movie      tracks, the choice of one, orientation    -> VideoIndex
edits      which samples are shown when
fragments  moof, traf, trun                          -> Columns
table      stbl                                      -> Columns
entries    stsd                                      -> SampleEntry
boxes      walking boxes, reading fields, limits
"""

from __future__ import annotations

from .boxes import Limits
from .movie import read_index

__all__ = ["Limits", "read_index"]
