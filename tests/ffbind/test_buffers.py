"""Memory of decoded pictures: it serves the next picture, never two at once, and what is reckoned with is what is taken."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ffbind
from ffbind.buffers import PictureBuffers, shared_buffers
from ffbind.frame import NativePicture
from ffbind.limits import Limits
from ffbind.native_decoder import NativeDecoder

Clip = Callable[[str], Path]


def decode(path: Path, buffers: PictureBuffers, count: int, threads: int = 1) -> list[NativePicture]:
    """Decode the first samples of a file, in decode order."""
    data = path.read_bytes()
    with ffbind.open(path) as video:
        index = video.index
    entry = index.entries[0]
    decoder = NativeDecoder(Limits(), buffers, threads)
    decoder.start(entry.parameter_sets, entry.nal_length_size)
    pictures = []
    for row, sample in enumerate(index.samples[:count]):
        start, size = int(sample["offset"]), int(sample["size"])
        pictures.append(decoder.send(data[start : start + size], row))
    pictures += decoder.finish()
    decoder.close()
    return [picture for one in pictures if one is not None for picture in one[1:]]


def content(pictures: list[NativePicture]) -> list[bytes]:
    return [b"".join(plane.tobytes() for plane in picture.planes()) for picture in pictures]


def test_a_buffer_serves_again(clip: Clip) -> None:
    path = clip("hd.mp4")
    buffers = PictureBuffers(1 << 30)
    size = decode(path, buffers, 12)[0].buffer_bytes
    first = buffers.bytes
    assert first <= 13 * size
    decode(path, buffers, 36, 4)
    decode(path, buffers, 12)
    assert buffers.bytes <= 42 * size
    again = buffers.bytes
    decode(path, buffers, 36, 4)
    assert buffers.bytes == again


def test_a_picture_that_somebody_holds_is_left_alone(clip: Clip) -> None:
    path = clip("hd.mp4")
    buffers = PictureBuffers(1 << 30)
    held = decode(path, buffers, 12)[::2]
    before = content(held)
    more = [decode(path, buffers, 12) for _ in range(2)]
    assert content(held) == before
    assert all(content(pictures)[::2] == before for pictures in more)
    at = [picture.planes()[0].ctypes.data for picture in (*held, *more[0], *more[1])]
    assert len(set(at)) == len(at)


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_so_much_is_kept_and_no_more(clip: Clip, kept: int) -> None:
    path = clip("hd.mp4")
    size = decode(path, PictureBuffers(0), 1)[0].buffer_bytes
    buffers = PictureBuffers(kept * size)
    pictures = decode(path, buffers, 6)
    assert buffers.bytes >= len(pictures) * size
    del pictures
    assert buffers.bytes == kept * size


def test_another_size_of_pictures_takes_the_place(clip: Clip) -> None:
    """What was used last is kept, so that a video of another size does not find the memory taken for good."""
    large = decode(clip("hd.mp4"), PictureBuffers(0), 1)[0].buffer_bytes
    buffers = PictureBuffers(large)
    decode(clip("hd.mp4"), buffers, 6)
    assert buffers.bytes == large
    decode(clip("small.mp4"), buffers, 12)
    assert 0 < buffers.bytes < large


def test_pictures_outlive_their_buffers(clip: Clip) -> None:
    buffers = PictureBuffers(1 << 30)
    held = decode(clip("hd.mp4"), buffers, 6)
    before = content(held)
    del buffers
    assert content(held) == before


def test_many_threads_share(clip: Clip) -> None:
    """Each decodes with frame threads of its own and holds some of its pictures for a while."""
    path = clip("open_gop.mp4")
    buffers = PictureBuffers(1 << 20)
    right = content(decode(path, PictureBuffers(0), 30))

    def work(turn: int) -> bool:
        pictures = decode(path, buffers, 30, 1 + turn % 4)
        return content(pictures) == right

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(work, range(48)))
    assert 0 < buffers.bytes <= 1 << 20


def _decode_in_child(path: Path, held: list[NativePicture], expected: bytes) -> None:
    assert content(held)[0] == expected
    held.clear()  # the copies of this process
    with ffbind.open(path) as video:
        video[3]
    assert shared_buffers().bytes > 0


def test_a_forked_child_has_buffers_of_its_own(clip: Clip) -> None:
    path = clip("plain.mp4")
    held = decode(path, shared_buffers(), 6)
    before = content(held)
    size = shared_buffers().bytes
    child = multiprocessing.get_context("fork").Process(target=_decode_in_child, args=(path, held, before[0]))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert shared_buffers().bytes == size
    assert content(held) == before


MEASURED = """
    import sys
    import ffbind
    from ffbind.native_decoder import decoder_bytes

    def taken():
        with open("/proc/self/smaps_rollup") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("Rss:"))

    with ffbind.open(sys.argv[1], threads=2, kept_bytes=1 << 30) as video:
        video[35]
        before, pictures = taken(), video._decoding.samples.pictures.bytes
        for index in range(29, 0, -6):
            video[index]
        more = taken() - before - (video._decoding.samples.pictures.bytes - pictures)
        assert len(video._decoding.pool._engines) == 6
        print(more // 5, decoder_bytes(video._decoding.sequence(), video._decoding.pool._engines[0].threads))
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells what memory is taken")
def test_decoders_take_what_is_reckoned_with(clip: Clip) -> None:
    """Memory is shared out by `decoder_bytes`: less would break the promise of `kept_bytes`, much more would waste it."""
    command = [sys.executable, "-c", textwrap.dedent(MEASURED), str(clip("hd.mp4"))]
    more, reckoned = map(
        int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    )
    assert 0.7 * reckoned < more < 1.1 * reckoned
