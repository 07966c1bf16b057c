"""Many frames and many opens: memory and descriptors stay flat (promise 9). The quick tier does a hundredth of it."""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

import ffbind
from ffbind.avio import MemoryInput, SourceInput
from ffbind.sources import FileSource

MIB = 1 << 20


def resident_bytes() -> int:
    """Memory of this process that is in use now, after all that can be collected is."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def grows(work: Callable[[], None], rounds: int) -> tuple[int, int]:
    """Bytes and descriptors that `rounds` of the work leave behind, after a fifth of them, or 20, for warming up.

    The lesser of two goes: what leaks does so in both, what an allocator happens to take new does not.
    """
    for _ in range(max(rounds // 5, 20)):
        work()
    found = []
    for _ in range(2):
        memory, open_files = resident_bytes(), descriptors()
        for _ in range(rounds):
            work()
        found.append((resident_bytes() - memory, descriptors() - open_files))
    return min(memory for memory, _ in found), max(files for _, files in found)


@pytest.mark.parametrize("frames", [200, pytest.param(20_000, marks=pytest.mark.long)])
def test_frames(clip: Callable[[str], Path], frames: int) -> None:
    chance = random.Random(frames)
    with ffbind.open(clip("plain.mp4"), kept_bytes=1 * MIB) as video:
        offsets = [int(offset) for offset in video.index.samples["offset"]]

        def ten_frames() -> None:
            for _ in range(4):
                video[chance.randrange(len(video))].to_numpy()
            for frame in video.frames(chance.sample(range(len(video)), 3)):
                frame.to_jpeg()
            for _ in range(3):
                video.frame_at_offset(chance.choice(offsets)).planes[0].sum()

        memory, files = grows(ten_frames, frames // 10)
    assert memory < 8 * MIB
    assert files == 0


@pytest.mark.parametrize("opens", [50, pytest.param(1_000, marks=pytest.mark.long)])
def test_opens(clip: Callable[[str], Path], opens: int) -> None:
    path = clip("plain.mp4")
    data = path.read_bytes()
    broken = data[: len(data) // 2]

    def open_in_every_way() -> None:
        with ffbind.open(path) as video:
            video[3].to_jpeg()
        ffbind.open(data)[0].to_numpy()  # never closed: the collector does it
        with pytest.raises(ffbind.FFbindError):
            ffbind.open(broken)
        with pytest.raises(ffbind.FFbindError):
            ffbind.open(path.with_name("missing.mp4"))
        with MemoryInput(data) as source, SourceInput(FileSource(path)) as other:
            assert len(list(source.packets())) == len(list(other.packets()))

    memory, files = grows(open_in_every_way, opens)
    assert memory < 8 * MIB
    assert files == 0
