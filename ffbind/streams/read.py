"""Which scan a file takes: libavformat says what it is, through our AVIOContext."""

from __future__ import annotations

from itertools import islice

from ffbind.avio import SourceInput, Stream
from ffbind.errors import NotVideoError, UnsupportedError
from ffbind.fetching import FetchingSource
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


_FIRST_PACKETS = 64
"""Read before the streams of a transport stream are listed: the header shows no more than the first program."""


def read_index(
    source: Source, known: NotVideoError, track: int | None = None, *, limits: Limits | None = None
) -> VideoIndex:
    """Scan a file that is no MP4 or MOV, as `known` says: a raw H.265 stream, Matroska or a transport stream.

    `track`: the place of a track in Matroska, from 1 on; a PID of a transport stream; 0 of a raw stream. Without it the first HEVC
    track is taken (`VideoIndex.track_id` says which). All of the file is read, once.

    Raises NotVideoError (also where there is no such track), UnsupportedError for other codecs and containers, LimitError, and
    CorruptError where nothing in it can be read.
    """
    limits = limits or Limits()
    window = Window(source)
    with SourceInput(window) as demuxer:
        try:
            name = demuxer.format_name()
            if name == _TRANSPORT:
                for _ in islice(demuxer.packets(), _FIRST_PACKETS):
                    pass
            videos = {
                _track_id(name, stream): stream for stream in demuxer.streams() if stream.kind == "video"
            }
        except NotVideoError:
            raise known from None
        hevc = [number for number, stream in videos.items() if stream.codec == "hevc"]
        if name not in (_RAW, _TRANSPORT, _MATROSKA) or (not hevc and track is None):
            raise explain_foreign(name, tuple(videos.values()), known)
        number = hevc[0] if track is None else _checked(track, videos)
        if isinstance(source, FetchingSource):
            source.expect([(0, source.size)])
        if name == _MATROSKA:
            return read_matroska(window, demuxer, videos[number], number, limits)
    if name == _TRANSPORT:
        return read_transport_stream(window, number, limits)
    return read_annex_b(window, limits)


def _track_id(format_name: str, stream: Stream) -> int:
    # libavformat does not tell Matroska's track numbers; muxers count from 1.
    return stream.index + 1 if format_name == _MATROSKA else stream.id


def _checked(track: int, videos: dict[int, Stream]) -> int:
    if track not in videos:
        there = ", ".join(f"{number} ({stream.codec})" for number, stream in videos.items()) or "none"
        raise NotVideoError(f"the file has no video track {track}; its video tracks are: {there}")
    if videos[track].codec != "hevc":
        raise UnsupportedError(f"track {track} is {videos[track].codec} video; only HEVC (H.265) is shown")
    return track
