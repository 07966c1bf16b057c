"""Worker for ffbind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import ffbind
from benchmarks.peers.worker import Picture, Reader, serve
from ffbind.native import lib, version_text
from ffbind.sources import FileSource

__all__ = ["CountingSource", "Ours"]

KEPT_BYTES = 512 << 20


class CountingSource:
    """A file that counts the bytes read from it."""

    def __init__(self, path: str) -> None:
        self._file = FileSource(path)
        self.bytes = 0

    @property
    def size(self) -> int:
        return self._file.size

    @property
    def identity(self) -> str:
        return self._file.identity

    def read_at(self, offset: int, length: int) -> bytes:
        data = self._file.read_at(offset, length)
        self.bytes += len(data)
        return data

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | bytearray | memoryview]:
        return [self.read_at(offset, length) for offset, length in ranges]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Ours(Reader):
    """ffbind by its public API, with 512 MB for what is kept."""

    forms = ("planes", "rgb")
    _video: ffbind.Video | None = None
    _form = "planes"

    def versions(self) -> dict[str, str]:
        return {"ffbind": ffbind.__version__, "libavcodec": version_text(lib.avcodec_version())}

    def open(self, path: str, threads: int, form: str) -> None:
        self._video = ffbind.open(path, threads=threads, kept_bytes=KEPT_BYTES)
        self._form = form

    def close(self) -> None:
        if self._video is not None:
            self._video.close()
            self._video = None

    @property
    def video(self) -> ffbind.Video:
        """The open video."""
        if self._video is None:
            raise ValueError("nothing is open")
        return self._video

    def frame(self, index: int) -> Picture:
        return self._picture(self.video[index])

    def frame_at(self, index: int, address: tuple[int, int]) -> Picture:
        return self._picture(self.video.frame_at_offset(*address))

    def batch(self, indices: Sequence[int]) -> list[Picture]:
        if self._form == "rgb":
            return [(picture,) for picture in self.video.to_numpy(indices)]
        return [frame.planes for frame in self.video.frames(indices)]

    def everything(self) -> Iterator[Picture]:
        return map(self._picture, self.video)

    def counters(self) -> dict[str, float]:
        return asdict(self._video.stats) if self._video is not None else {}

    def count_first(self, path: str) -> dict[str, float]:
        source = CountingSource(path)
        with ffbind.open(source) as video:
            video[0]
        source.close()
        return {"bytes_with_tables": source.bytes, "file_bytes": source.size}

    def _picture(self, frame: ffbind.Frame) -> Picture:
        return (frame.to_numpy(),) if self._form == "rgb" else frame.planes


if __name__ == "__main__":
    serve(Ours())
