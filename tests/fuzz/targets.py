"""What fuzzing calls: each target takes any bytes, lets only errors of ours come out, and checks that answers hold together."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from ffbind.bitstream import ParameterSets
from ffbind.errors import FFbindError
from ffbind.index import VideoIndex
from ffbind.isobmff import read_index
from ffbind.isobmff.entries import parse_hvcc
from ffbind.isobmff.layout import read_layout
from ffbind.limits import Limits
from ffbind.sources import BytesSource
from streamer.messages import MessageError, decode_client_message

__all__ = ["TARGETS", "boxes", "hvcc", "index", "message"]

# A hundredth of the defaults and less, so that memory and time beyond them are noticed within seconds and megabytes.
LIMITS = Limits(
    header_bytes=1 << 20,
    samples=20_000,
    boxes=2_000,
    fragment_boxes=2_000,
    tracks=16,
    sample_entries=16,
    edits=100,
    edit_work=100_000,
)
# What is wrong with a file is said in a few sentences, however large the numbers and names in it are.
LONGEST_ERROR = 1_000


def _check_error(error: Exception) -> None:
    text = str(error)
    assert 0 < len(text) <= LONGEST_ERROR, f"{len(text)} characters"
    assert text.isprintable(), ascii(text)


def hvcc(data: bytes) -> None:
    """Read an hvcC record, and the parameter sets in it."""
    try:
        length_size, units = parse_hvcc(data)
        assert length_size in (1, 2, 4)
        assert sum(2 + len(unit) for unit in units) < len(data)
        facts = ParameterSets(units).facts()
    except FFbindError as error:
        _check_error(error)
        return
    assert 0 < facts.width <= facts.coded_width
    assert 0 < facts.height <= facts.coded_height
    assert facts.pixel_format


def boxes(data: bytes) -> None:
    """Read a file's index and its layout, and the index again in each form that it is saved in."""
    source = BytesSource(data)
    try:
        made = read_index(source, limits=LIMITS)
        layout = read_layout(source, made.track_id, LIMITS)
    except FFbindError as error:
        _check_error(error)
        return
    assert 0 < len(made.samples) <= LIMITS.samples
    assert VideoIndex.from_json(made.to_json()) == made
    assert VideoIndex.from_bytes(made.to_bytes()) == made
    assert bool(np.all(np.diff(made.times) >= 0))
    assert len(made.times) == len(made.durations) == len(made)
    assert all(0 <= row < len(made.samples) for row in layout.sync.tolist())


def index(data: bytes) -> None:
    """Read an index from elsewhere: as JSON, and in its compact form, with tables that are deflated already or not yet."""
    header_end = 16 + int.from_bytes(data[12:16], "little")
    undeflated = data[:header_end] + zlib.compress(data[header_end:], 1)
    for read in (
        lambda: VideoIndex.from_json(data),
        lambda: VideoIndex.from_bytes(data, limits=LIMITS),
        # No fuzzer gets past checksums.
        lambda: VideoIndex.from_bytes(_with_checksum(data), limits=LIMITS),
        lambda: VideoIndex.from_bytes(_with_checksum(undeflated), limits=LIMITS),
    ):
        try:
            found = read()
        except FFbindError as error:
            _check_error(error)
            continue
        assert VideoIndex.from_json(found.to_json()) == found
        assert VideoIndex.from_bytes(found.to_bytes()) == found
        assert len(found.times) == len(found)


def _with_checksum(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4, "little")


def message(data: bytes) -> None:
    """Read a message of a client."""
    try:
        decode_client_message(data)
    except MessageError as error:
        _check_error(error)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "boxes": boxes,
    "hvcc": hvcc,
    "index": index,
    "message": message,
}
