"""`streamer decode`: the files it writes hold the frames that the library gives."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ffbind


@pytest.fixture
def plain(clip: Callable[[str], Path]) -> Path:
    return clip("plain.mp4")


def rgb_of_png(path: Path) -> bytes:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_slice_writes_one_jpeg_a_frame_and_prints_the_paths(
    plain: Path, tmp_path: Path, streamer: Callable[..., Any]
) -> None:
    run = streamer("decode", plain, "--frames", "0:30:10", "-o", tmp_path / "new" / "folder")
    names = ["plain-000000.jpg", "plain-000010.jpg", "plain-000020.jpg"]
    paths = [tmp_path / "new" / "folder" / name for name in names]
    assert run.status == 0
    assert run.out.splitlines() == [str(path) for path in paths]
    with ffbind.open(plain) as video:
        assert [path.read_bytes() for path in paths] == [
            video[number].to_jpeg(quality=80) for number in (0, 10, 20)
        ]


@pytest.mark.parametrize(
    "chosen", [("--frame", 7), ("--frame", -43), ("--time", 7 / 25), ("--time", 7.9 / 25)]
)
def test_selectors_reach_the_same_frame(
    plain: Path, tmp_path: Path, streamer: Callable[..., Any], chosen: tuple[str, float]
) -> None:
    target = tmp_path / "x.npy"
    run = streamer("decode", plain, *chosen, "-o", target)
    assert run.out == f"{target}\n"
    with ffbind.open(plain) as video:
        assert np.array_equal(np.load(target), video[7].to_numpy("rgb24"))


@pytest.mark.parametrize("name", ["open_gop.mkv", "open_gop.ts", "open_gop.hevc"])
def test_other_containers(
    clip: Callable[[str], Path], tmp_path: Path, streamer: Callable[..., Any], name: str
) -> None:
    run = streamer("decode", clip(name), "--frame", 33, "-o", tmp_path / "x.npy")
    assert (run.status, run.err) == (0, "")
    with ffbind.open(clip("open_gop.mp4")) as video:
        assert np.array_equal(np.load(tmp_path / "x.npy"), video[33].to_numpy("rgb24"))


def test_offset_with_and_without_irap_offset(
    plain: Path, tmp_path: Path, streamer: Callable[..., Any]
) -> None:
    with ffbind.open(plain) as video:
        samples = video.scan().samples
        row = 20
        irap = int(samples["offset"][samples["irap"][row]])
        expected = video.frame_at_offset(int(samples["offset"][row])).to_numpy("rgb24")
    for number, more in enumerate([(), ("--irap-offset", irap)]):
        target = tmp_path / f"{number}.npy"
        assert streamer("decode", plain, "--offset", samples["offset"][row], *more, "-o", target).status == 0
        assert np.array_equal(np.load(target), expected)


def test_png_holds_the_pixels(plain: Path, tmp_path: Path, streamer: Callable[..., Any]) -> None:
    streamer("decode", plain, "--frame", 3, "--format", "png", "-o", tmp_path)
    with ffbind.open(plain) as video:
        assert rgb_of_png(tmp_path / "plain-000003.png") == video[3].to_numpy("rgb24").tobytes()


def test_size_keeps_the_shape(plain: Path, tmp_path: Path, streamer: Callable[..., Any]) -> None:
    for number, (words, shape) in enumerate(
        [
            (("--width", 96), (54, 96, 3)),
            (("--height", 27), (27, 48, 3)),
            (("--width", 50, "--height", 60), (60, 50, 3)),
        ]
    ):
        target = tmp_path / f"{number}.npy"
        assert streamer("decode", plain, "--frame", 0, *words, "-o", target).status == 0
        assert np.load(target).shape == shape


def test_quality_is_used(plain: Path, tmp_path: Path, streamer: Callable[..., Any]) -> None:
    for quality in (20, 95):
        streamer("decode", plain, "--frame", 0, "--quality", quality, "-o", tmp_path / f"{quality}.jpg")
    assert (tmp_path / "20.jpg").stat().st_size < (tmp_path / "95.jpg").stat().st_size


def test_a_hidden_sample_is_named_by_its_offset(
    clip: Callable[[str], Path], tmp_path: Path, streamer: Callable[..., Any]
) -> None:
    cut = clip("cut_closed.mp4")
    with ffbind.open(cut) as video:
        samples = video.index.samples
        offset = int(samples["offset"][samples["display"] < 0][0])
    streamer("decode", cut, "--offset", offset, "-o", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"cut_closed-at{offset}.jpg"]


def test_a_bad_frame_does_not_keep_the_others(
    plain: Path, tmp_path: Path, streamer: Callable[..., Any]
) -> None:
    run = streamer("decode", plain, "--frame", 1, "--frame", 99, "--frame", 2, "-o", tmp_path)
    assert run.status == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain-000001.jpg", "plain-000002.jpg"]
    assert run.err.startswith("streamer: frame 99: ")
    assert run.err.count("\n") == 1
