"""Makes the seed corpora in tests/fuzz/corpus from generated clips: `PYTHONPATH=tests python -m fuzz.seeds`.

Inputs that fuzzing found something with stand beside the seeds as found-*, and stay.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from clips import make_clip
from fuzz.box_mutator import all_lists, parse

from ffbind.index import VideoIndex
from ffbind.isobmff import read_index
from ffbind.sources import BytesSource

CORPUS = Path(__file__).resolve().parent / "corpus"
BOXES = ("plain.mp4", "cut_both.mp4", "fragmented_omit_tfhd.mp4", "dash.mp4", "with_sound.mp4")
STREAMS = ("open_gop.mp4", "radl.mp4", "two_layers.mp4", "in_band.mp4", "poc_wrap.mp4", "slices.mp4")
SETS = (*STREAMS, "rgb.mp4", "gray.mp4", "cropped.mp4", "yuv444_full.mp4", "lossless_ten_bit.mp4")
_READ = (32, 33, 34)  # NAL unit types of VPS, SPS and PPS
MESSAGES = (
    {"type": "SetVideo", "path": "folder/video.mp4"},
    {"type": "RequestFrames", "irap_offset": 48, "frames": [{"offset": 4096, "index": 7}]},
)


def headers_of(data: bytes) -> bytes:
    """The file as small as it can be with the same tables: without media data and free text, in hvcC only what is read."""
    nodes, _ = parse(data)
    for siblings in all_lists(nodes):
        siblings[:] = [box for box in siblings if box.type not in (b"udta", b"free")]
        for box in siblings:
            if box.type == b"hvcC":
                box.fields = without_sei(box.fields)
            elif box.type == b"mdat":
                box.fields = b""
    return b"".join(node.to_bytes() for node in nodes)


def without_sei(hvcc: bytes) -> bytes:
    """The record with its VPS, SPS and PPS: an encoder's settings in an SEI message are long and not read."""
    kept, count, position = b"", 0, 23
    for _ in range(hvcc[22]):
        start = position
        kind, units = hvcc[position] & 63, int.from_bytes(hvcc[position + 1 : position + 3], "big")
        position += 3
        for _ in range(units):
            position += 2 + int.from_bytes(hvcc[position : position + 2], "big")
        if kind in _READ:
            kept += hvcc[start:position]
            count += 1
    return hvcc[:22] + bytes([count]) + kept


def samples_of(data: bytes, index: VideoIndex) -> Iterator[bytes]:
    """Inputs of fuzz_headers.c: the length of lengths, then parameter sets and the first bytes of each NAL unit."""
    for row in index.samples[:8:3]:
        entry = index.entries[row["entry"]]
        sample = data[row["offset"] : row["offset"] + row["size"]]
        units = [unit for unit in entry.parameter_sets if unit[0] >> 1 in _READ]
        while sample:
            length = int.from_bytes(sample[: entry.nal_length_size], "big")
            units.append(sample[entry.nal_length_size :][:length][:40])
            sample = sample[entry.nal_length_size + length :]
        yield b"\x01" + b"".join(bytes([len(unit)]) + unit for unit in units)


def write(target: str, name: str, data: bytes) -> None:
    """Put one input into a target's corpus."""
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def main() -> None:
    """Write all seeds."""
    for name in BOXES:
        write("boxes", Path(name).stem, headers_of(make_clip(name).read_bytes()))
    for name in SETS:
        data = make_clip(name).read_bytes()
        index = read_index(BytesSource(data))
        sps = next(unit for unit in index.entries[0].parameter_sets if unit[0] >> 1 == 33)
        write("sps", Path(name).stem, sps)
        if name in STREAMS:
            for number, sample in enumerate(samples_of(data, index)):
                write("headers", f"{Path(name).stem}-{number}", sample)
    data = make_clip("open_gop.mp4").read_bytes()
    start = data.index(b"hvcC") + 4
    write(
        "hvcc",
        "open_gop",
        without_sei(data[start : start - 8 + int.from_bytes(data[start - 8 : start - 4], "big")]),
    )
    index = read_index(BytesSource(make_clip("one_frame.mp4").read_bytes()))
    sets = tuple(unit for unit in index.entries[0].parameter_sets if unit[0] >> 1 in _READ)
    index = replace(index, entries=(replace(index.entries[0], parameter_sets=sets),))
    write("index", "one_frame", index.to_json().encode())
    compact = index.to_bytes()
    tables = 16 + int.from_bytes(compact[12:16], "little")
    write("index", "one_frame_compact", compact)
    write("index", "one_frame_undeflated", compact[:tables] + zlib.decompress(compact[tables:-4]))
    for message in MESSAGES:
        write("message", message["type"], json.dumps(message).encode())


if __name__ == "__main__":
    main()
