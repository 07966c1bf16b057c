"""PNG files are read back by an independent decoder (the ffmpeg command) to the same pixels."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from streamer_cli.png import encode_png


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg command is not installed")
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 48), (1, 700), (257, 2)])
def test_pixels_survive(shape: tuple[int, int], tmp_path: Path) -> None:
    pixels = np.random.default_rng(7).integers(0, 256, (*shape, 3), dtype=np.uint8)
    path = tmp_path / "x.png"
    path.write_bytes(encode_png(pixels))
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        check=True,
        capture_output=True,
    )
    assert raw.stderr == b""
    assert raw.stdout == pixels.tobytes()


@pytest.mark.parametrize("array", [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.uint16)])
def test_other_pixels_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        encode_png(array)
