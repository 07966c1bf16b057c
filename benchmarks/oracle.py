"""Which picture is this? The linear decode of a clip by the `ffmpeg` command, and how answers are compared with it."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.worker import GRID

__all__ = ["Oracle", "Tally"]

_TOLERANCE = 3.0
"""Mean difference of luma, of 255, up to which an RGB picture is taken for a picture: conversion there and back is off by up to 1, a
neighbour in a moving clip by 10 and more."""

# Luma of R, G, B (ITU-T H.273 matrix coefficients 1 and 6): not everybody heeds the matrix that the stream names.
_LUMA = np.array([[0.2126, 0.7152, 0.0722], [0.299, 0.587, 0.114]])


@dataclass(slots=True)
class Tally:
    """Answers counted: all of them, those with another picture than asked for, and those with an error."""

    answers: int = 0
    wrong: int = 0
    errors: int = 0

    def add(self, other: Tally) -> None:
        """Count another tally in."""
        self.answers += other.answers
        self.wrong += other.wrong
        self.errors += other.errors


class Oracle:
    """The pictures of a clip in presentation order: MD5 of each, and luma at the points by which RGB is recognised.

    - `folder`: where this is kept between runs
    - `frames`: how many frames are looked at, from the start; None for all
    """

    def __init__(self, clip: Path, folder: Path, frames: int | None = None) -> None:
        status = clip.stat()
        named = hashlib.sha256(f"{clip} {status.st_size} {status.st_mtime_ns} {frames}".encode()).hexdigest()[
            :16
        ]
        saved = folder / f"{clip.stem}-{named}.npz"
        if not saved.exists():
            folder.mkdir(parents=True, exist_ok=True)
            digests, luma = _decode(clip, frames)
            np.savez(saved, digests=digests, luma=luma)
        with np.load(saved) as kept:
            self._digests: list[str] = kept["digests"].tolist()
            self._luma: NDArray[np.uint8] = kept["luma"]

    def __len__(self) -> int:
        return len(self._digests)

    def judge(self, wanted: list[int], answers: list[dict[str, str]]) -> Tally:
        """Compare answers with the frames that were asked for; those that are missing count as errors."""
        tally = Tally(len(wanted), errors=max(len(wanted) - len(answers), 0))
        for index, answer in zip(wanted, answers, strict=False):
            if "error" in answer:
                tally.errors += 1
            elif not self._is(index, answer):
                tally.wrong += 1
        return tally

    def _is(self, index: int, answer: dict[str, str]) -> bool:
        if "md5" in answer:
            return answer["md5"] == self._digests[index]
        nearest, distance = self.nearest(answer)
        return distance <= _TOLERANCE and nearest == index

    def nearest(self, answer: dict[str, str]) -> tuple[int, float]:
        """Find the frame that an RGB answer is most like, and the mean difference of luma."""
        rgb = np.frombuffer(base64.b64decode(answer["rgb"]), np.uint8).reshape(-1, 3)
        luma = self._luma.reshape(len(self), -1).astype(np.float32)
        if rgb.shape[0] != luma.shape[1]:
            return -1, float("inf")
        found = (-1, float("inf"))
        for row in _LUMA:
            made = (16 + rgb @ row * (219 / 255)).astype(np.float32)
            distances = np.abs(luma - made).mean(axis=1)
            best = int(distances.argmin())
            found = min(found, (best, float(distances[best])), key=lambda each: each[1])
        return found


def _decode(clip: Path, frames: int | None) -> tuple[list[str], NDArray[np.uint8]]:
    probe = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-of",
        "csv=p=0",
        "-show_entries",
        "stream=width,height",
        str(clip),
    ]
    width, height = map(
        int, subprocess.run(probe, check=True, capture_output=True, text=True).stdout.strip().split(",")[:2]
    )
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-noautorotate",
        "-i",
        str(clip),
        "-map",
        "0:v:0",
        "-fps_mode",
        "passthrough",
    ]
    command += ["-frames:v", str(frames)] if frames is not None else []
    command += ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    digests, luma = [], []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while len(data := process.stdout.read(width * height * 3 // 2)) == width * height * 3 // 2:
            digests.append(hashlib.md5(data, usedforsecurity=False).hexdigest())
            luma.append(np.frombuffer(data, np.uint8, width * height).reshape(height, width)[GRID].copy())
    if process.returncode or not digests:
        raise RuntimeError(f"{clip} cannot be decoded by ffmpeg (status {process.returncode})")
    return digests, np.stack(luma)
