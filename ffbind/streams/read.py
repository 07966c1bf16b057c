"""Which scan a file takes: libavformat says what it is, through our AVIOContext."""

from __future__ import annotations

from ffbind.avio import SourceInput, Stream
from ffbind.errors import NotVideoError, UnsupportedError
from ffbind.index import VideoIndex
from ffbind.limits import Limits
from ffbind.probe import explain_foreign
from ffbind.sources import Source

from .annex_b import read_annex_b
from .matroska import read_matroska
from .transport_stream import read_transport_stream
from .window import Window

__all__ = ["read_index"]

_RAW, _TRANSPORT, _MATROSKA = "hevc", "mpegts", "matroska,webm"  # libavformat's names


def read_index(
    source: Source, known: NotVideoError, track: int | None = None, *, limits: Limits | None = None
) -> VideoIndex:
    """Scan a file that is no MP4 or MOV, as `known` says: a raw H.265 stream, Matroska or a transport stream.

    `track`: a track number of Matroska, a PID of a transport stream, 0 of a raw stream; without it the first HEVC track is taken
    (`VideoIndex.track_id` says which). All of the file is read, once.

    Raises NotVideoError (also where there is no such track), UnsupportedError for other codecs and containers, LimitError, and
    CorruptError where nothing in it can be read.
    """
    limits = limits or Limits()
    window = Window(source)
    with SourceInput(window) as demuxer:
        try:
            name = demuxer.format_name()
            videos = [stream for stream in demuxer.streams() if stream.kind == "video"]
        except NotVideoError:
            raise known from None
        hevc = [stream for stream in videos if stream.codec == "hevc"]
        if name not in (_RAW, _TRANSPORT, _MATROSKA) or (not hevc and track is None):
            raise explain_foreign(name, videos, known)
        stream = hevc[0] if track is None else _named(videos, track)
        if name == _MATROSKA:
            return read_matroska(window, demuxer, stream, limits)
    if name == _TRANSPORT:
        return read_transport_stream(window, stream.id, limits)
    return read_annex_b(window, limits)


def _named(videos: list[Stream], track: int) -> Stream:
    for stream in videos:
        if stream.id == track and stream.codec == "hevc":
            return stream
        if stream.id == track:
            raise UnsupportedError(f"track {track} is {stream.codec} video; only HEVC (H.265) is shown")
    there = ", ".join(f"{stream.id} ({stream.codec})" for stream in videos) or "none"
    raise NotVideoError(f"the file has no video track {track}; its video tracks are: {there}")
