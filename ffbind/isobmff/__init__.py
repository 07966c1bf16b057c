"""Our own reader of ISO base media files (MP4, MOV, plain and fragmented): boxes to `VideoIndex`, in numpy.

movie      tracks, the choice of one, orientation    -> VideoIndex
edits      which samples are shown when
fragments  moof, traf, trun                          -> Columns
table      stbl                                      -> Columns
entries    stsd                                      -> SampleEntry
top_level  moov and every moof, wherever they are
lazy       a fragmented file of which only some moofs are read  -> LazyTable
hints      sidx and mfra                             -> places of fragments
chains     fragments that neither of them names      -> places of fragments
boxes      walking boxes, reading fields
"""

from __future__ import annotations

from .lazy import LazyTable, PartialIndex, open_table
from .movie import read_index
from .top_level import bytes_of_use

__all__ = ["LazyTable", "PartialIndex", "bytes_of_use", "open_table", "read_index"]
