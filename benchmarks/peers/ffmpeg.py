"""Worker for the `ffmpeg` command: a process for each request."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from benchmarks.peers.worker import Picture, Reader, serve

__all__ = ["FFmpeg"]


class FFmpeg(Reader):
    """The command with accurate seeking (`-ss` before `-i`), raw pictures through a pipe; `-f null` where they are only decoded."""

    forms = ("planes", "rgb")
    _path = ""

    def versions(self) -> dict[str, str]:
        text = subprocess.run(["ffmpeg", "-version"], check=True, capture_output=True, text=True).stdout
        found = re.match(r"ffmpeg version (\S+)", text)
        return {"ffmpeg": found[1] if found else text.splitlines()[0]}

    def open(self, path: str, threads: int, form: str) -> None:
        self._path, self._threads, self._form = path, threads, form
        self._width, self._height, rate = self.probe(path)
        self._rate = Fraction(rate)

    def probe(self, path: str) -> tuple[int, int, str]:
        """Give width, height and frame rate of a file."""
        command = (
            "ffprobe -v error -select_streams v:0 -of json -show_entries stream=width,height,avg_frame_rate"
        )
        facts = json.loads(subprocess.run([*command.split(), path], check=True, capture_output=True).stdout)[
            "streams"
        ][0]
        return int(facts["width"]), int(facts["height"]), str(facts["avg_frame_rate"])

    def close(self) -> None:
        self._path = ""

    def frame(self, index: int) -> Picture:
        # Half a frame early: the first frame at or after that time is meant, however times are rounded.
        seek = ["-ss", f"{float((index - Fraction(1, 2)) / self._rate):.6f}"] if index else []
        pictures = list(self._pictures(seek, ["-frames:v", "1"]))
        if not pictures:
            raise LookupError(f"ffmpeg gives no frame {index}")
        return pictures[0]

    def batch(self, indices: Sequence[int]) -> list[Picture]:
        wanted = sorted(set(indices))
        choice = "+".join(f"eq(n,{index})" for index in wanted)
        found = dict(
            zip(
                wanted,
                self._pictures([], ["-vf", f"select='{choice}'", "-fps_mode", "passthrough"]),
                strict=True,
            )
        )
        return [found[index] for index in indices]

    def everything(self) -> Iterator[Picture]:
        return self._pictures([], ["-fps_mode", "passthrough"])

    def run_through(self) -> int:
        if self._form == "rgb":
            return super().run_through()
        process = subprocess.run(
            [*self._command([], ["-fps_mode", "passthrough", "-progress", "-"]), "-f", "null", "/dev/null"],
            check=True,
            capture_output=True,
            text=True,
        )
        return int(re.findall(r"^frame=(\d+)$", process.stdout, re.MULTILINE)[-1])

    def _command(self, before: Sequence[str], after: Sequence[str]) -> list[str]:
        threads = ["-threads", str(self._threads)]
        return [
            "ffmpeg",
            "-v",
            "error",
            "-nostdin",
            *threads,
            *before,
            "-i",
            self._path,
            *after,
            "-map",
            "0:v:0",
        ]

    def _pictures(self, before: Sequence[str], after: Sequence[str]) -> Iterator[Picture]:
        rgb = self._form == "rgb"
        size = self._width * self._height * 3 if rgb else self._width * self._height * 3 // 2
        command = [
            *self._command(before, after),
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24" if rgb else "yuv420p",
            "-",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            while len(data := process.stdout.read(size)) == size:
                yield self._picture(np.frombuffer(data, np.uint8), rgb)
        if process.returncode:
            raise OSError(f"ffmpeg ended with status {process.returncode}")

    def _picture(self, data: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], rgb: bool) -> Picture:
        width, height = self._width, self._height
        if rgb:
            return (data.reshape(height, width, 3),)
        luma, blue, red = np.split(data, [width * height, width * height * 5 // 4])
        half = (height // 2, width // 2)
        return luma.reshape(height, width), blue.reshape(half), red.reshape(half)


if __name__ == "__main__":
    serve(FFmpeg())
