"""Limits of a video: each holds at N and refuses at N + 1, before memory is taken or a decoder is opened.

Limits of tables (`header_bytes`, `samples`, ...): tests/ffbind/test_isobmff.py. `pixels` of a decoder: test_decoder.py. What
one connection may ask for, and how many there may be: tests/streamer/test_server.py and test_connection.py.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffbind

Clip = Callable[[str], Path]


@pytest.fixture
def plain(clip: Clip) -> Path:
    return clip("plain.mp4")


@pytest.fixture
def endless(clip: Clip) -> bytes:
    """A clip of one GOP: 75 samples, of which only the first is an IRAP."""
    return clip("poc_wrap.mp4").read_bytes()


def sizes(source: Path | bytes) -> list[int]:
    with ffbind.open(source) as video:
        return [int(size) for size in video.index.samples["size"]]


def last(video: ffbind.Video) -> int:
    return int(video.index.samples["offset"][-1])


def test_samples_of_a_gop(endless: bytes) -> None:
    count = len(sizes(endless))
    with ffbind.open(endless, limits=ffbind.Limits(gop_samples=count)) as video:
        assert video.frame_at_offset(last(video)).to_jpeg()
    with ffbind.open(endless, limits=ffbind.Limits(gop_samples=count - 1)) as video:
        for _ in range(2):
            with pytest.raises(
                ffbind.LimitError, match=f"decoding {count} samples .* limit of {count - 1}"
            ) as caught:
                video.frame_at_offset(last(video))
            assert caught.value.code == "gop_too_long"
        assert video.stats.decoders_opened == 0
        # The limit is on the work: nearer frames can be shown, and from there on the rest.
        assert video.frame_at_offset(int(video.index.samples["offset"][1])).to_jpeg()
        assert video.frame_at_offset(last(video)).to_jpeg()


def test_bytes_of_a_gop(endless: bytes) -> None:
    total = sum(sizes(endless))
    with ffbind.open(endless, limits=ffbind.Limits(gop_bytes=total)) as video:
        assert video.frame_at_offset(last(video)).to_jpeg()
    with (
        ffbind.open(endless, limits=ffbind.Limits(gop_bytes=total - 1)) as video,
        pytest.raises(ffbind.LimitError, match=f"decoding {total} bytes .* limit of {total - 1}") as caught,
    ):
        video.frame_at_offset(last(video))
    assert caught.value.code == "gop_too_long"


def test_all_frames_in_order_of_a_gop_beyond_the_limit(endless: bytes) -> None:
    """Going on costs what is left, so a video without an end is shown whole."""
    with ffbind.open(endless, threads=1) as video:
        expected = [frame.to_jpeg() for frame in video]
    with ffbind.open(endless, threads=1, limits=ffbind.Limits(gop_samples=20)) as video:
        assert [frame.to_jpeg() for frame in video] == expected


def test_bytes_of_a_sample(plain: Path) -> None:
    largest = max(sizes(plain))
    with ffbind.open(plain, limits=ffbind.Limits(sample_bytes=largest)) as video:
        assert len(list(video)) == 50
    with ffbind.open(plain, limits=ffbind.Limits(sample_bytes=largest - 1)) as video:
        row = int(np.argmax(video.index.samples["size"]))
        with pytest.raises(
            ffbind.LimitError, match=f"has {largest} bytes, more than the limit of {largest - 1}"
        ) as caught:
            video.frame_at_offset(int(video.index.samples["offset"][row]))
        assert caught.value.code == "gop_too_long"


def test_pixels_are_looked_at_when_opening(plain: Path) -> None:
    """Coded pictures of the clip are 192x112, of which 108 rows are shown."""
    with ffbind.open(plain, limits=ffbind.Limits(pixels=192 * 112)) as video:
        assert video[0].to_jpeg()
    with pytest.raises(ffbind.LimitError, match=r"plain\.mp4: pictures of 192x112") as caught:
        ffbind.open(plain, limits=ffbind.Limits(pixels=192 * 112 - 1))
    assert caught.value.code == "picture_too_large"


def test_pixels_of_parameter_sets_in_samples(clip: Clip) -> None:
    """Where the container does not tell the size, the first sample does, before a decoder is opened."""
    data = bytearray(clip("in_band.mp4").read_bytes())
    data[data.index(b"hvcC") + 4 + 22] = 0  # numOfArrays (ISO/IEC 14496-15 8.3.3.1.2)
    assert ffbind.open(data)[0].to_jpeg()
    with ffbind.open(data, limits=ffbind.Limits(pixels=1000)) as video:
        with pytest.raises(ffbind.LimitError, match="limit of 1000 pixels"):
            video.frame_at_offset(int(video.index.samples["offset"][0]))
        assert video.stats.decoders_opened == 0


def test_looking_for_an_irap_that_nobody_names_has_an_end(endless: bytes) -> None:
    """Without stss, samples are read backwards; each once, and no more than a frame may cost."""
    unnamed = endless.replace(b"stss", b"free")
    with ffbind.open(unnamed) as video:
        assert int(video.index.samples["irap"][-1]) == -1
        assert video.frame_at_offset(last(video)).to_jpeg()
        assert video.stats.source_bytes < 2 * len(unnamed)
    with ffbind.open(unnamed, limits=ffbind.Limits(gop_samples=30)) as video:
        with pytest.raises(ffbind.LimitError, match="more than the limit of 30") as caught:
            video.frame_at_offset(last(video))
        assert caught.value.code == "gop_too_long"
        assert video.stats.decoders_opened == 0


def test_limits_travel_with_a_pickled_video(plain: Path) -> None:
    with (
        ffbind.open(plain, limits=ffbind.Limits(gop_samples=1)) as video,
        pickle.loads(pickle.dumps(video)) as other,
        pytest.raises(ffbind.LimitError),
    ):
        other.frame_at_offset(last(other))


def test_damage_is_passed_once(endless: bytes) -> None:
    """A copy whose tail is zeros: finding out that the last frame is lost takes each sample once."""
    with ffbind.open(endless) as video:
        samples = video.index.samples
    start, end = int(samples["offset"][1]), int(samples["offset"][-1] + samples["size"][-1])
    data = endless[:start] + b"\xff" * (end - start) + endless[end:]
    with ffbind.open(data) as video:
        with pytest.raises(ffbind.CorruptError):
            video.frame_at_offset(last(video))
        assert video.stats.restarts == 0  # headers alone tell
        assert video.stats.source_bytes < 2 * len(data)
