"""Matroska and WebM: libavformat reads the file once, and every range that it names is checked against the bytes in the file.

Source: RFC 9559 (blocks: 10).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ffbind.avio import Packet, SourceInput, Stream
from ffbind.errors import UnsupportedError
from ffbind.framing import LENGTH_PREFIXED
from ffbind.index import VideoIndex
from ffbind.isobmff.entries import parse_hvcc
from ffbind.limits import Limits
from ffbind.sources import Source

from .table import Table, Times

__all__ = ["read_matroska"]

_LACING = 0x06
_LONGEST_HEAD = 8 + 3  # of a block: track number, time code, flags
_HVCC_VERSION = 1
_REMUX = "put it into MP4 without re-encoding: ffmpeg -i IN -c copy OUT.mp4"


def read_matroska(
    source: Source, demuxer: SourceInput, stream: Stream, track_id: int, limits: Limits
) -> VideoIndex:
    """Scan the blocks of one track. `source` is what `demuxer` reads from; what was read lately should be at hand there.

    Times are those of the blocks, from the beginning of the segment on. UnsupportedError where the bytes of a frame do not lie in
    the file as they are (lacing, compression).
    """
    extradata = demuxer.extradata(stream.index)
    if extradata[:1] != bytes((_HVCC_VERSION,)):
        raise UnsupportedError(
            f"the Matroska track has no decoder configuration (hvcC) in its CodecPrivate; {_REMUX}"
        )
    nal_length_size, parameter_sets = parse_hvcc(extradata)
    table = Table(limits, nal_length_size, parameter_sets)
    ticks, timescale = stream.time_base
    if not 0 < timescale < 2**32:
        raise UnsupportedError(f"the Matroska file counts time in units of {ticks}/{timescale} s; {_REMUX}")
    times: list[int | None] = []
    duration = 0
    for packet in demuxer.packets():
        if packet.stream != stream.index:
            continue
        table.add(_payload_offset(source, packet), len(packet.data), packet.data)
        times.append(None if packet.pts is None else packet.pts * ticks)
        duration = packet.duration * ticks
    composition = _without_gaps(times)
    steps = np.diff(np.sort(composition))
    last = duration or (int(np.median(steps)) if len(steps) else 1)
    return table.index(
        source,
        LENGTH_PREFIXED,
        Times(composition, timescale, max(last, 1), origin=0),
        fourcc="hev1" if not parameter_sets else "hvc1",
        track_id=track_id,
        color=stream.color,
        pixel_aspect=stream.pixel_aspect,
    )


def _payload_offset(source: Source, packet: Packet) -> int:
    """Where in the file the bytes of a frame start: behind the head of its block, where nothing was done to them."""
    if packet.position >= 0:
        block = bytes(source.read_at(packet.position, _LONGEST_HEAD + len(packet.data)))
        # The track number is a variable-size integer: its length is told by the leading zeros of the first byte.
        number = 9 - block[0].bit_length() if block and block[0] else 9
        head = number + 3
        if len(block) >= head:
            if block[head - 1] & _LACING:
                raise UnsupportedError(
                    f"the Matroska block at byte {packet.position} holds several frames (lacing), which is not read; {_REMUX}"
                )
            if block[head : head + len(packet.data)] == packet.data:
                return packet.position + head
    raise UnsupportedError(
        "the frames of the Matroska track do not lie in the file as they are (compression, or headers stripped); "
        + _REMUX
    )


def _without_gaps(times: list[int | None]) -> NDArray[np.int64]:
    """Composition times; a block without one counts as at that of the one before."""
    filled: list[int] = []
    for time in times:
        filled.append(time if time is not None else filled[-1] if filled else 0)
    return np.array(filled, np.int64)
