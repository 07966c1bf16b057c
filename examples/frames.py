"""Exact frames of a video in Python: by number, by time, by byte offset; as an array or as a JPEG.

python examples/frames.py drive.mp4
"""

import sys
from pathlib import Path

import ffbind

with ffbind.open(sys.argv[1]) as video:
    print(f"{len(video)} frames of {video.width}x{video.height}, {video.duration:.2f} s, {video.codec}")

    last = video[-1]  # presentation order, as a list
    pixels = last.to_numpy("rgb24")  # (height, width, 3), uint8
    print(
        f"frame {last.index}: sample at byte {last.offset}, {last.kind.name}, mean colour {pixels.mean(axis=(0, 1))}"
    )

    middle = video.frame_at(float(video.duration) / 2)  # what is on screen then
    Path("middle.jpg").write_bytes(middle.to_jpeg(quality=90))

    same = video.frame_at_offset(middle.offset)  # the address that an index of your own would hold
    assert (same.to_numpy() == middle.to_numpy()).all()

    print(f"thumbnails: {video.to_numpy([0, len(video) // 2, -1], size=(160, 90)).shape}")
