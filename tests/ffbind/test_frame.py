"""Frames of real clips: planes as decoded, facts, colour of bitstream and container, and other places of the same picture."""

from __future__ import annotations

import copy
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffbind
from ffbind.frame import with_fallback

Clip = Callable[[str], Path]
UNKNOWN = ffbind.Color(2, 2, 2, False)
BT709 = ffbind.Color(1, 1, 1, False)


@pytest.mark.parametrize(
    ("name", "shapes", "dtype", "depth"),
    [
        ("plain.mp4", [(108, 192), (54, 96), (54, 96)], np.uint8, 8),
        ("cropped.mp4", [(102, 186), (51, 93), (51, 93)], np.uint8, 8),
        ("lossless_ten_bit.mp4", [(120, 208), (60, 104), (60, 104)], np.uint16, 10),
        ("yuv422.mp4", [(120, 208), (120, 104), (120, 104)], np.uint16, 10),
        ("yuv444_full.mp4", [(120, 208)] * 3, np.uint8, 8),
        ("rgb.mp4", [(120, 208)] * 3, np.uint8, 8),
        ("gray.mp4", [(120, 208)], np.uint8, 8),
        ("turned.mp4", [(120, 208), (60, 104), (60, 104)], np.uint8, 8),
    ],
)
def test_planes_are_cropped_and_as_decoded(
    name: str, shapes: list[tuple[int, int]], dtype: type, depth: int, clip: Clip
) -> None:
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-noautorotate",
        "-i",
        str(clip(name)),
        "-frames:v",
        "1",
        "-f",
        "rawvideo",
        "-",
    ]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    with ffbind.open(clip(name)) as video:
        frame = video[0]
    assert [plane.shape for plane in frame.planes] == shapes
    assert {plane.dtype for plane in frame.planes} == {np.dtype(dtype)}
    assert frame.bit_depth == depth
    assert b"".join(plane.tobytes() for plane in frame.planes) == raw
    assert frame.nbytes >= len(raw)
    assert max(int(plane.max()) for plane in frame.planes) < 1 << depth


def test_a_turned_frame_is_upright_in_arrays_only(clip: Clip) -> None:
    with ffbind.open(clip("turned.mp4")) as turned, ffbind.open(clip("open_gop.mp4")) as plain:
        assert (turned[5].width, turned[5].height) == (120, 208)
        quarter_turns = turned.rotation // 90
        np.testing.assert_array_equal(turned[5].to_numpy(), np.rot90(plain[5].to_numpy(), -quarter_turns))
        np.testing.assert_array_equal(turned[5].planes[0], plain[5].planes[0])


def test_the_same_picture_at_another_place(clip: Clip) -> None:
    with ffbind.open(clip("turned.mp4")) as video:
        frame = video[5]
    other = frame.shown_at(9, 1.5, 0.25)
    assert (other.index, other.time, other.duration) == (9, 1.5, 0.25)
    assert (other.offset, other.pts, other.kind) == (frame.offset, frame.pts, frame.kind)
    assert (frame.index, frame.time) == (5, pytest.approx(0.2))
    np.testing.assert_array_equal(other.to_numpy(), frame.to_numpy())
    assert np.shares_memory(other.planes[0], frame.planes[0])


def test_a_frame_says_what_it_is(clip: Clip) -> None:
    with ffbind.open(clip("plain.mp4")) as video:
        frame = video[0]
    assert repr(frame) == f"Frame(index=0, offset={frame.offset}, time=0.000000, 192x108 yuv420p, IDR_N_LP)"
    decoder = ffbind.Decoder(video.index.entries[0].parameter_sets)
    sample = clip("plain.mp4").read_bytes()[frame.offset :][: int(video.index.samples["size"][0])]
    alone = decoder.decode(sample)
    assert alone is not None
    assert (alone.index, alone.offset) == (-1, -1)
    assert math.isnan(alone.duration)
    assert "nan" in repr(alone)


def test_arithmetic_on_planes_gives_arrays_of_ones_own(clip: Clip) -> None:
    with ffbind.open(clip("plain.mp4")) as video:
        plane = video[3].planes[0]
    brighter = plane.astype(np.uint16) + 1
    brighter[0, 0] = 7
    part = plane[10:20, ::2]
    assert not part.flags.writeable
    with pytest.raises(BufferError):
        part.__dlpack__()
    taken = copy.deepcopy(plane)
    taken[:] = 0
    assert plane.any()


@pytest.mark.parametrize(
    ("bitstream", "container", "result"),
    [
        (UNKNOWN, None, UNKNOWN),
        (UNKNOWN, BT709, BT709),
        (UNKNOWN, ffbind.Color(9, 16, 9, True), ffbind.Color(9, 16, 9, True)),
        (BT709, ffbind.Color(9, 16, 9, True), BT709),
        (ffbind.Color(2, 2, 2, True), BT709, ffbind.Color(1, 1, 1, True)),
        (ffbind.Color(9, 2, 2, False), ffbind.Color(1, 16, 9, True), ffbind.Color(9, 16, 9, False)),
    ],
)
def test_colour_is_the_bitstreams_and_else_the_containers(
    bitstream: ffbind.Color, container: ffbind.Color | None, result: ffbind.Color
) -> None:
    assert with_fallback(bitstream, container) == result
