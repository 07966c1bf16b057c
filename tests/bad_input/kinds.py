"""The table of bad input: what is wrong with a file, how to make one, and what must be said about it.

Files are made from clips that `ffmpeg` makes, by editing bytes. In messages, FILE stands for the path and every number for any
number; docs/errors.md shows this table (`python tests/bad_input/kinds.py` prints it).
"""

# ruff: noqa: E501 - messages stand here in one piece, so that a search finds them

from __future__ import annotations

import os
import random
import re
import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

__all__ = ["KINDS", "Kind", "markdown", "normal"]

Clip: TypeAlias = Callable[[str], Path]
Make: TypeAlias = Callable[[Path, Clip], None]
Edit: TypeAlias = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Kind:
    """One kind of bad input. `error` is a class of ffbind.errors, `code` its word; empty where all is well after all."""

    name: str
    why: str
    make: Make
    error: str
    code: str
    message: str
    frame: int | None = None
    """None: it cannot be opened. Otherwise it can, and this frame (negative: from the end) cannot be shown."""
    wire: str | None = None
    """The code on the wire where it is not `code`: there, no libavformat looks, paths have codes of their own, and frames are asked
    for by offset. Empty where that is no error at all."""
    index: Make | None = None
    """Makes a saved index, which is given along (INDEX in the message); for the library alone."""
    meanwhile: Callable[[Path], None] | None = None
    """What happens to the file after it was opened."""
    commands: bool = True
    """Whether it can be given to a command of the terminal."""

    @property
    def on_the_wire(self) -> bool:
        """Whether a server can meet it, and then has an error for it."""
        return self.index is None and self.wire != ""


# ---- boxes ----------------------------------------------------------------------------------------------------

TRAK = (b"moov", b"trak")
MDIA = (*TRAK, b"mdia")
STBL = (*MDIA, b"minf", b"stbl")


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of these parts."""
    payload = b"".join(parts)
    return struct.pack(">I4s", len(payload) + 8, kind) + payload


def full(kind: bytes, *parts: bytes) -> bytes:
    """A box with version and flags 0."""
    return box(kind, bytes(4), *parts)


def numbers(*values: int, code: str = "I") -> bytes:
    """Numbers as tables hold them."""
    return struct.pack(f">{len(values)}{code}", *values)


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Types and payloads of the boxes in a payload."""
    found, position = [], 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        found.append((kind, data[position + 8 : position + size]))
        position += size
    return found


def payload(data: bytes, *path: bytes) -> bytes:
    """The payload of the first box at a path."""
    for name in path:
        data = dict(reversed(boxes(data)))[name]
    return data


def replaced(data: bytes, path: Sequence[bytes], change: Edit) -> bytes:
    """The same with the first box at `path` replaced by what `change` makes of its payload: whole boxes."""
    parts = []
    name, *inner = path
    for kind, content in boxes(data):
        if kind != name:
            parts.append(box(kind, content))
        else:
            parts.append(box(kind, replaced(content, inner, change)) if inner else change(content))
            name = b""
    assert name == b"", path
    return b"".join(parts)


def at(path: Sequence[bytes], change: Edit) -> Edit:
    """An edit of the box at a path, which is behind the samples, so that those do not move."""
    return lambda data: replaced(data, path, change)


def becomes(path: Sequence[bytes], new: bytes) -> Edit:
    """An edit that puts another box there."""
    return at(path, lambda _: new)


def entry(change: Edit) -> Edit:
    """An edit of the sample entry."""
    return at((*STBL, b"stsd"), lambda stsd: full(b"stsd", numbers(1), change(stsd[8:])))


def in_entry(name: bytes, change: Edit) -> Edit:
    """An edit of a box in the sample entry, whose own fields take 78 bytes."""
    return entry(lambda old: box(old[4:8], old[8:86], replaced(old[86:], [name], change)))


def called(fourcc: bytes) -> Edit:
    """An edit that gives the sample entry another format."""
    return entry(lambda old: old[:4] + fourcc + old[8:])


def edited(*edits: Edit, clip_name: str = "plain.mp4") -> Make:
    """Make a clip with these edits, one after the other."""

    def make(path: Path, clip: Clip) -> None:
        data = clip(clip_name).read_bytes()
        for edit in edits:
            data = edit(data)
        path.write_bytes(data)

    return make


def holding(data: bytes) -> Make:
    """Make a file of these bytes."""
    return lambda path, _: path.write_bytes(data) and None


def sparse(size: int, *edits: Edit) -> Make:
    """Make an edited clip, and the file so large, which takes no room on disk."""

    def make(path: Path, clip: Clip) -> None:
        edited(*edits)(path, clip)
        os.truncate(path, size)

    return make


# ---- tables of samples ------------------------------------------------------------------------------------------


def sizes(stsz: bytes) -> list[int]:
    """Sizes of the samples."""
    return [size for (size,) in struct.iter_unpack(">I", stsz[12:])]


def with_sizes(change: Callable[[list[int]], list[int]]) -> Edit:
    """An edit of the sample sizes."""

    def edit(stsz: bytes) -> bytes:
        new = change(sizes(stsz))
        return full(b"stsz", numbers(0, len(new), *new))

    return at((*STBL, b"stsz"), edit)


def all_of_size(size: int, count: int) -> Edit:
    """An edit to so many samples of one size, which takes no table."""
    return becomes((*STBL, b"stsz"), full(b"stsz", numbers(size, count)))


def in_one_chunk(count: int) -> Edit:
    """An edit that lays so many samples out one behind the other."""
    return becomes((*STBL, b"stsc"), full(b"stsc", numbers(1, 1, count, 1)))


def one_chunk_at(data: bytes) -> bytes:
    """An edit that leaves the first chunk alone."""
    return at((*STBL, b"stco"), lambda stco: full(b"stco", numbers(1), stco[8:12]))(data)


def all_at_one_place(data: bytes) -> bytes:
    """Give each sample a chunk of its own, and all chunks the first one's place."""
    first = payload(data, *STBL, b"stco")[8:12]
    data = becomes((*STBL, b"stco"), full(b"stco", numbers(50), first * 50))(data)
    return becomes((*STBL, b"stsc"), full(b"stsc", numbers(1, 1, 1, 1)))(data)


def without(*path: bytes) -> Edit:
    """An edit that takes a box out."""
    return becomes(path, b"")


def long_gop(data: bytes) -> bytes:
    """150 000 samples of one byte; only the first is marked as a random access point."""
    for edit in (
        with_sizes(lambda old: [old[0]] + [1] * 149_999),
        in_one_chunk(150_000),
        one_chunk_at,
        becomes((*STBL, b"stts"), full(b"stts", numbers(1, 150_000, 512))),
        becomes((*STBL, b"stss"), full(b"stss", numbers(1, 1))),
        becomes((*STBL, b"ctts"), full(b"ctts", numbers(1, 150_000, 0))),
        without(*TRAK, b"edts"),
        lambda data: data + box(b"free", bytes(150_000)),
    ):
        data = edit(data)
    return data


def damage_everywhere(data: bytes) -> bytes:
    """1000 samples: the first is whole, all others are one whose headers are whole and whose picture data is gone."""
    first, second = sizes(payload(data, *STBL, b"stsz"))[:2]
    start = int.from_bytes(payload(data, *STBL, b"stco")[8:12], "big")
    damaged = data[start + first : start + first + 14] + bytes(second - 14)
    moov = data.rindex(b"moov") - 4
    tables = data[moov:]
    for edit in (
        becomes((*STBL, b"stsz"), full(b"stsz", numbers(0, 1000, first, *[second] * 999))),
        becomes((*STBL, b"stco"), full(b"stco", numbers(1000, start, *[moov + 8] * 999))),
        becomes((*STBL, b"stsc"), full(b"stsc", numbers(1, 1, 1, 1))),
        becomes((*STBL, b"stts"), full(b"stts", numbers(1, 1000, 512))),
        becomes((*STBL, b"ctts"), full(b"ctts", numbers(1, 1000, 0))),
        becomes((*STBL, b"stss"), full(b"stss", numbers(1, 1))),
        without(*TRAK, b"edts"),
    ):
        tables = edit(tables)
    return data[:moov] + box(b"mdat", damaged) + tables


def shown_again_and_again(data: bytes) -> bytes:
    """5000 samples, and 5000 edits that show all of them."""
    for edit in (
        all_of_size(1, 5000),
        in_one_chunk(5000),
        one_chunk_at,
        becomes((*STBL, b"stts"), full(b"stts", numbers(1, 5000, 512))),
        becomes((*STBL, b"ctts"), full(b"ctts", numbers(1, 5000, 0))),
        with_edits(*[5000 * 512, 0, 0x10000] * 5000),
    ):
        data = edit(data)
    return data


def short_at_the_end(*, of: int) -> Edit:
    """An edit that cuts bytes off the end."""
    return lambda data: data[:-of]


def cut_in_moov(data: bytes) -> bytes:
    """Cut the file in the middle of its moov, which stands last."""
    return data[: data.rindex(b"moov") + 200]


def last_frame_damaged(data: bytes) -> bytes:
    """Fill the slice data of the last sample with zeros."""
    start = data.rindex(b"mdat") - 4
    end = start + int.from_bytes(data[start : start + 4], "big")
    length = sizes(payload(data, *STBL, b"stsz"))[-1]
    return data[: end - length + 12] + bytes(length - 12) + data[end:]


# ---- parameter sets -----------------------------------------------------------------------------------------------


def _unit(bits: str) -> bytes:
    """A NAL unit of these bits, with stop bit and emulation prevention (H.265 7.3.1.1, 7.3.2.11)."""
    bits = bits.rstrip("0")
    bits += "0" * (-len(bits) % 8)
    out = bytearray()
    zeros = 0
    for byte in int(bits, 2).to_bytes(len(bits) // 8, "big"):
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def _code(value: int) -> str:
    """Exp-Golomb code (9.2)."""
    return "0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}"


def sps_of_size(unit: bytes, width: int, height: int) -> bytes:
    """Rewrite the picture size of an SPS of one sub-layer: it follows 15 bytes, sps_id and chroma_format_idc (7.3.2.2.1)."""
    bits = "".join(f"{byte:08b}" for byte in unit.replace(b"\0\0\3", b"\0\0"))
    places = [15 * 8]
    for _ in range(4):
        zeros = bits.index("1", places[-1]) - places[-1]
        places.append(places[-1] + 2 * zeros + 1)
    return _unit(bits[: places[2]] + _code(width) + _code(height) + bits[places[4] :])


def with_sps(change: Callable[[bytes], bytes]) -> Edit:
    """An edit of the SPS in hvcC (ISO/IEC 14496-15 8.3.3.1.2)."""

    def edit(hvcc: bytes) -> bytes:
        out, position = hvcc[:23], 23
        for _ in range(hvcc[22]):
            out += hvcc[position : position + 3]
            count = int.from_bytes(hvcc[position + 1 : position + 3], "big")
            position += 3
            for _ in range(count):
                length = int.from_bytes(hvcc[position : position + 2], "big")
                unit = hvcc[position + 2 : position + 2 + length]
                position += 2 + length
                unit = change(unit) if unit[0] >> 1 == 33 else unit
                out += len(unit).to_bytes(2, "big") + unit
        return box(b"hvcC", out)

    return in_entry(b"hvcC", edit)


def garbage(data: bytes) -> bytes:
    """Noise of the same length, behind the first byte, which is the version."""
    return data[:1] + random.Random(5).randbytes(len(data) - 1)


# ---- situations ---------------------------------------------------------------------------------------------------


def unreadable(path: Path, clip: Clip) -> None:
    """A good video without any permission."""
    edited()(path, clip)
    path.chmod(0)


def rewritten(path: Path) -> None:
    """Another video's bytes in the same file."""
    path.write_bytes(path.read_bytes()[::-1])


def cut_short(path: Path) -> None:
    """The file loses its second half."""
    os.truncate(path, path.stat().st_size // 2)


def renamed_over(path: Path) -> None:
    """Another file takes the name; the old one is still there for who has it open."""
    other = path.with_suffix(".new")
    other.write_bytes(b"another file" * 1000)
    other.replace(path)


def index_of_another(path: Path, clip: Clip) -> None:
    """The saved index of another clip."""
    from ffbind.isobmff import read_index
    from ffbind.sources import FileSource

    read_index(FileSource(clip("closed.mp4"))).save(path)


def moov_says(size: int) -> Edit:
    """An edit of the size that moov says it has."""

    def edit(data: bytes) -> bytes:
        place = data.rindex(b"moov") - 4
        return data[:place] + struct.pack(">I4sQ", 1, b"moov", size) + data[place + 8 :]

    return edit


def second_box_says(size: int) -> Edit:
    """Put a box behind ftyp that says another size than it has."""

    def edit(data: bytes) -> bytes:
        end = int.from_bytes(data[:4], "big")
        return data[:end] + struct.pack(">I4s", size, b"free") + data[end:]

    return edit


def nested(data: bytes) -> bytes:
    """10 000 boxes, each inside the one before, in the place of moov."""
    inner = b""
    for _ in range(10_000):
        inner = box(b"moov", inner)
    return data[: data.rindex(b"moov") - 4] + inner


def two_entries(first: bytes) -> Edit:
    """Put a sample entry of another codec before the good one; the first half of the samples uses it."""

    def edit(data: bytes) -> bytes:
        good = payload(data, *STBL, b"stsd")[8:]
        data = becomes((*STBL, b"stsd"), full(b"stsd", numbers(2), good[:4] + first + good[8:], good))(data)
        start = int.from_bytes(payload(data, *STBL, b"stco")[8:12], "big")
        second = start + sum(sizes(payload(data, *STBL, b"stsz"))[:25])
        data = becomes((*STBL, b"stco"), full(b"stco", numbers(2, start, second)))(data)
        return becomes((*STBL, b"stsc"), full(b"stsc", numbers(2, 1, 25, 1, 2, 25, 2)))(data)

    return edit


def with_edits(*edits: int) -> Edit:
    """Give the track this edit list: numbers of three fields each (8.6.6)."""
    return becomes((*TRAK, b"edts"), box(b"edts", full(b"elst", numbers(len(edits) // 3, *edits))))


def encrypted(old: bytes) -> bytes:
    """The sample entry of a track that is encrypted (8.12)."""
    return box(b"encv", old[8:], box(b"sinf", box(b"frma", b"hvc1")))


def dolby_vision_5(old: bytes) -> bytes:
    """The sample entry with a Dolby Vision configuration of profile 5."""
    return box(old[4:8], old[8:], box(b"dvcC", bytes([1, 0, 5 << 1, 0]), bytes(20)))


def turned_by_45(tkhd: bytes) -> bytes:
    """The track header with a matrix that turns by 45 degrees."""
    a = round(0.7071 * 65536)
    matrix = numbers(a, a, 0, -a, a, 0, 0, 0, 1 << 30, code="i")
    return box(b"tkhd", tkhd[:40], matrix, tkhd[76:])


def from_ffmpeg(command: str) -> Make:
    """Make a file with the `ffmpeg` command."""

    def make(path: Path, clip: Clip) -> None:
        words = re.sub(r"\{([^}]+)\}", lambda match: str(clip(match[1])), command).split()
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *words, str(path)], check=True)

    return make


def elsewhere(data: bytes) -> bytes:
    """Have dref name another file (8.7.2)."""
    other = full(b"dref", numbers(1), full(b"url ", b"file:///etc/passwd\0"))
    return becomes((*MDIA, b"minf", b"dinf", b"dref"), other)(data)


def many_tracks(data: bytes) -> bytes:
    """Add tracks until there are 300."""
    return at((b"moov",), lambda moov: box(b"moov", moov, box(b"trak") * 299))(data)


KINDS: tuple[Kind, ...] = (
    # Not a video.
    Kind(
        "text",
        "words are no video",
        holding(b"To be or not to be, that is the question.\n" * 50),
        "NotVideoError",
        "not_video",
        "FILE: not an MP4 or MOV file: its 2100 bytes do not start with a box of ISO/IEC 14496-12; give an MP4 or MOV file",
    ),
    Kind(
        "picture",
        "a PNG file shows one still picture",
        from_ffmpeg("-f lavfi -i testsrc2=size=64x64:rate=1 -frames:v 1 -f image2 -c:v png"),
        "NotVideoError",
        "not_video",
        "FILE: a still picture (png), not a video; give a video with HEVC in MP4, MOV, Matroska, MPEG-TS or a raw stream",
    ),
    Kind(
        "noise",
        "random bytes begin with no box and no other container",
        holding(random.Random(1).randbytes(100_000)),
        "NotVideoError",
        "not_video",
        "FILE: not an MP4 or MOV file: its 100000 bytes do not start with a box of ISO/IEC 14496-12; give an MP4 or MOV file",
    ),
    Kind(
        "zeros",
        "what a download that never wrote anything leaves behind",
        holding(bytes(100_000)),
        "NotVideoError",
        "not_video",
        "FILE: not an MP4 or MOV file: its 100000 bytes do not start with a box of ISO/IEC 14496-12; give an MP4 or MOV file",
    ),
    Kind(
        "empty",
        "a file without a byte",
        holding(b""),
        "NotVideoError",
        "not_video",
        "FILE: the file is empty; copy or record it again",
    ),
    Kind(
        "folder",
        "a folder has no bytes",
        lambda path, _: path.mkdir(),
        "NotVideoError",
        "not_video",
        "FILE: a folder, not a video file; name a file inside it",
    ),
    Kind(
        "FIFO",
        "a FIFO cannot be read at an offset, and waiting for a writer would hang",
        lambda path, _: os.mkfifo(path),
        "NotVideoError",
        "not_video",
        "FILE: not a regular file; copy it to one first (random access is needed)",
    ),
    Kind(
        "no permission",
        "the process may not read the file",
        unreadable,
        "SourceError",
        "storage_unavailable",
        "FILE: Permission denied; make the file readable",
        wire="forbidden",
    ),
    Kind(
        "missing",
        "nothing has this name",
        lambda path, _: None,
        "SourceError",
        "storage_unavailable",
        "FILE: No such file; check the path",
        wire="not_found",
    ),
    Kind(
        "still image",
        "HEIC holds HEVC, but a picture and no video",
        edited(lambda data: data.replace(b"ftypisom", b"ftypheic", 1), without(b"moov")),
        "NotVideoError",
        "not_video",
        "FILE: a still image (brand heic), not a video; give an MP4 or MOV file",
    ),
    # Another codec or container.
    Kind(
        "sound only",
        "the file has no video track",
        from_ffmpeg("-f lavfi -i sine=duration=0.2 -c:a aac -f mp4"),
        "NotVideoError",
        "not_video",
        "FILE: the file has no video track, only sound or other data; give a file with video",
    ),
    Kind(
        "H.264",
        "another codec",
        edited(called(b"avc1")),
        "UnsupportedError",
        "unsupported_codec",
        "FILE: the video is H.264 (avc1); ffbind shows HEVC (H.265) only, convert it first",
    ),
    Kind(
        "AV1",
        "another codec",
        edited(called(b"av01")),
        "UnsupportedError",
        "unsupported_codec",
        "FILE: the video is AV1 (av01); ffbind shows HEVC (H.265) only, convert it first",
    ),
    Kind(
        "VP9",
        "another codec",
        edited(called(b"vp09")),
        "UnsupportedError",
        "unsupported_codec",
        "FILE: the video is VP9 (vp09); ffbind shows HEVC (H.265) only, convert it first",
    ),
    Kind(
        "unknown codec",
        "a format that nobody knows is still named",
        edited(called(b"zzzz")),
        "UnsupportedError",
        "unsupported_codec",
        "FILE: the video is in the format zzzz; ffbind shows HEVC (H.265) only, convert it first",
    ),
    Kind(
        "AVI",
        "HEVC in a container that is not read",
        from_ffmpeg("-i {plain.mp4} -c copy -f avi"),
        "UnsupportedError",
        "unsupported_codec",
        "FILE: HEVC video in avi, but only MP4, MOV, Matroska, MPEG-TS and raw streams are read; put it into MP4 without re-encoding: ffmpeg -i IN -c copy OUT.mp4",
        wire="not_video",
    ),
    Kind(
        "MPEG-4 in Matroska",
        "another codec in a container that is read",
        from_ffmpeg("-f lavfi -i testsrc2=size=64x64:duration=0.2 -c:v mpeg4 -f matroska"),
        "UnsupportedError",
        "unsupported_codec",
        "FILE: mpeg4 video in matroska,webm, but only HEVC (H.265) is shown; encode it again: ffmpeg -i IN -c:v libx265 -tag:v hvc1 OUT.mp4",
    ),
    Kind(
        "MPEG-2 in MPEG-TS",
        "another codec in a container that is read",
        from_ffmpeg("-f lavfi -i testsrc2=size=64x64:duration=0.2 -c:v mpeg2video -f mpegts"),
        "UnsupportedError",
        "unsupported_codec",
        "FILE: mpeg2video video in mpegts, but only HEVC (H.265) is shown; encode it again: ffmpeg -i IN -c:v libx265 -tag:v hvc1 OUT.mp4",
    ),
    Kind(
        "encrypted",
        "nobody has the keys",
        edited(entry(encrypted)),
        "EncryptedError",
        "encrypted",
        "FILE: the video track is encrypted (encv, hvc1 inside); decrypt it first, ffbind has no keys",
    ),
    Kind(
        "codec changes",
        "the first half of the samples is H.264",
        edited(two_entries(b"avc1")),
        "UnsupportedError",
        "unsupported_codec",
        "FILE: the video is H.264 (avc1); ffbind shows HEVC (H.265) only, convert it first",
    ),
    Kind(
        "samples elsewhere",
        "dref names another file; it is never opened",
        edited(elsewhere),
        "UnsupportedError",
        "unsupported_codec",
        "FILE: the samples are in another file that this one names (dref); join them with ffmpeg -c copy",
    ),
    Kind(
        "Dolby Vision profile 5",
        "its colours cannot be converted as those of other video, so there is no JPEG",
        edited(entry(dolby_vision_5)),
        "UnsupportedError",
        "unsupported_codec",
        "the video is Dolby Vision profile 5: its colours are IPT-PQ-c2 and wrong without the metadata that reshapes them; take the decoded values from Frame.planes, or use a version of the video in another profile",
        frame=0,
    ),
    Kind(
        "turned by 45 degrees",
        "only quarter turns are exact",
        edited(at((*TRAK, b"tkhd"), turned_by_45)),
        "UnsupportedError",
        "unsupported_codec",
        "FILE: the picture is turned by 45 degrees; ffbind turns by quarters only, convert the video first",
    ),
    Kind(
        "compressed moov",
        "a moov of QuickTime's cmov is not read",
        edited(becomes((b"moov",), box(b"moov", box(b"cmov", bytes(100))))),
        "UnsupportedError",
        "unsupported_codec",
        "FILE: the moov box is compressed (cmov); convert the file with `ffmpeg -c copy` first",
    ),
    # Cut or damaged.
    Kind(
        "cut in moov",
        "a copy that stopped in the file's tables",
        edited(cut_in_moov),
        "CorruptError",
        "corrupt_sample",
        "FILE: the file is damaged: box moov at byte 33447 says 3882 bytes, the file ends after 204; copy or record it again",
    ),
    Kind(
        "cut in mdat",
        "a copy that stopped in the samples: what is there can be shown, the last frame not",
        edited(short_at_the_end(of=2000), clip_name="faststart.mp4"),
        "CorruptError",
        "corrupt_sample",
        "the sample at offset 36678 ends at 37329, behind the end of the file (35329 bytes): the file was cut short; copy it again",
        frame=-1,
    ),
    Kind(
        "no moov",
        "a recording that never ended: nothing says where the samples are",
        edited(without(b"moov")),
        "CorruptError",
        "corrupt_sample",
        "FILE: the file is damaged: it has no moov box, so its recording or copy was never finished; copy or record it again",
    ),
    Kind(
        "no mdat",
        "tables whose samples are not there",
        edited(without(b"mdat"), clip_name="faststart.mp4"),
        "CorruptError",
        "corrupt_sample",
        "the sample at offset 3926 ends at 6418, behind the end of the file (3918 bytes): the file was cut short; copy it again",
        frame=0,
    ),
    Kind(
        "fragments without moov",
        "segments without their initialization segment",
        edited(without(b"moov"), clip_name="fragmented.mp4"),
        "CorruptError",
        "corrupt_sample",
        "FILE: the file is damaged: it has fragments (moof) but no moov box; put the initialization segment in front of them",
    ),
    Kind(
        "no samples",
        "a video track with empty tables",
        edited(with_sizes(lambda old: [])),
        "CorruptError",
        "corrupt_sample",
        "FILE: the file is damaged: its video track has no samples; give the whole file, not only its initialization segment",
    ),
    Kind(
        "no frames shown",
        "an edit list that shows nothing",
        edited(with_edits(1000, 0xFFFFFFFF, 0x10000)),
        "FrameIndexError",
        "bad_offset",
        "frame 0 of a video whose edit list shows no frame: ask by byte offset instead",
        frame=0,
        wire="",
    ),
    Kind(
        "cut table",
        "stsz says 4 samples more than it has room for",
        edited(at((*STBL, b"stsz"), lambda stsz: box(b"stsz", stsz[:8], numbers(54), stsz[12:]))),
        "CorruptError",
        "corrupt_sample",
        "FILE: the file is damaged: box stsz promises 54 entries and has room for 50; copy or record it again",
    ),
    Kind(
        "no table of places",
        "neither stco nor co64 says where the samples are",
        edited(without(*STBL, b"stco")),
        "CorruptError",
        "corrupt_sample",
        "FILE: the file is damaged: the video track has samples and neither stco nor co64 to say where they are; copy or record it again",
    ),
    Kind(
        "samples behind the end",
        "all offsets are 2 GiB too high",
        edited(
            at(
                (*STBL, b"stco"),
                lambda stco: full(
                    b"stco",
                    stco[4:8],
                    *(numbers(o + (1 << 31)) for (o,) in struct.iter_unpack(">I", stco[8:])),
                ),
            )
        ),
        "CorruptError",
        "corrupt_sample",
        "the sample at offset 2147483692 ends at 2147486184, behind the end of the file (37329 bytes): the file was cut short; copy it again",
        frame=0,
    ),
    Kind(
        "samples at one place",
        "all samples begin at the same byte, so all but the first are cut",
        edited(all_at_one_place),
        "CorruptError",
        "corrupt_sample",
        "sample at offset 44: the sample is damaged: the lengths of its NAL units do not add up",
        frame=1,
        wire="",
    ),
    Kind(
        "sample without bytes",
        "a sample of size 0 holds no picture",
        edited(with_sizes(lambda old: [*old[:-1], 0])),
        "UndecodableError",
        "undecodable",
        "sample at offset 32796: the sample holds no picture (of the base layer)",
        frame=-1,
        wire="bad_offset",
    ),
    Kind(
        "damaged sample",
        "the picture data of the last sample is gone",
        edited(last_frame_damaged),
        "CorruptError",
        "corrupt_sample",
        "sample at offset 32796: the picture data is damaged: libavcodec found an error in it",
        frame=-1,
    ),
    Kind(
        "no time base",
        "a track of 0 ticks a second has no times",
        edited(at((*MDIA, b"mdhd"), lambda mdhd: box(b"mdhd", mdhd[:12], numbers(0), mdhd[16:]))),
        "CorruptError",
        "corrupt_sample",
        "FILE: the file is damaged: the time base of its video track is 0, so nothing in it has a time; copy or record it again",
    ),
    Kind(
        "no hvcC",
        "nothing says how long the lengths of NAL units are",
        edited(in_entry(b"hvcC", lambda _: b"")),
        "CorruptError",
        "corrupt_sample",
        "FILE: the file is damaged: sample entry hvc1 has no hvcC box, so the length of its NAL units is not known; copy or record it again",
    ),
    Kind(
        "noise for hvcC",
        "the decoder's configuration is noise",
        edited(in_entry(b"hvcC", lambda hvcc: box(b"hvcC", garbage(hvcc)))),
        "CorruptError",
        "corrupt_sample",
        "FILE: the file is damaged: hvcC says NAL lengths of 3 bytes; only 1, 2 and 4 exist; copy or record it again",
    ),
    Kind(
        "no parameter sets",
        "neither hvcC nor the samples say what the pictures are like",
        edited(in_entry(b"hvcC", lambda hvcc: box(b"hvcC", hvcc[:22], b"\0"))),
        "CorruptError",
        "corrupt_sample",
        "sample at offset 44: the slice header cannot be read: the sample is damaged, or its parameter sets are missing",
        frame=0,
    ),
    Kind(
        "broken SPS",
        "the SPS of hvcC ends too early",
        edited(with_sps(lambda unit: unit[:12])),
        "CorruptError",
        "corrupt_sample",
        "sample at offset 44: the slice header cannot be read: the sample is damaged, or its parameter sets are missing",
        frame=0,
    ),
    Kind(
        "first box of 7 bytes",
        "a box is at least as long as its header",
        edited(lambda data: numbers(7) + data[4:]),
        "NotVideoError",
        "not_video",
        "FILE: not an MP4 or MOV file: its 37329 bytes do not start with a box of ISO/IEC 14496-12; give an MP4 or MOV file",
    ),
    Kind(
        "box of 7 bytes",
        "a box is at least as long as its header",
        edited(second_box_says(7)),
        "CorruptError",
        "corrupt_sample",
        "FILE: the file is damaged: box free at byte 28 says 7 bytes, less than its header; copy or record it again",
    ),
    Kind(
        "box of 1 byte",
        "size 1 says that a 64-bit size follows, which is 0 here",
        edited(
            second_box_says(1),
            lambda data: (
                data[: int.from_bytes(data[:4], "big") + 8]
                + bytes(8)
                + data[int.from_bytes(data[:4], "big") + 8 :]
            ),
        ),
        "CorruptError",
        "corrupt_sample",
        "FILE: the file is damaged: box free at byte 28 says 0 bytes, less than its header; copy or record it again",
    ),
    Kind(
        "box to the end",
        "size 0 says that the box goes on to the end of the file, and moov is in it",
        edited(second_box_says(0)),
        "CorruptError",
        "corrupt_sample",
        "FILE: the file is damaged: it has no moov box, so its recording or copy was never finished; copy or record it again",
    ),
    Kind(
        "sample behind a wrong IRAP",
        "RASL pictures of the first IRAP refer to pictures before it, which are not there",
        edited(without(*TRAK, b"edts"), clip_name="cut_start.mp4"),
        "UndecodableError",
        "undecodable",
        "sample at offset 3297: a RASL picture whose IRAP starts the stream or follows a break: the pictures that it refers to are not there, so no decoder can show it (H.265 8.3.3)",
        frame=0,
    ),
    # Absurd.
    Kind(
        "5000 edits of 5000 samples",
        "a small file that would show 25 million frames",
        edited(shown_again_and_again),
        "LimitError",
        "unsupported_codec",
        "FILE: the file has 10004995 samples to visit for its edit list, more than the 10000000 that are read; cut it into parts",
    ),
    Kind(
        "1000 damaged samples",
        "going around each of them to see what is behind would take a million steps",
        edited(damage_everywhere),
        "CorruptError",
        "corrupt_sample",
        "sample at offset 33455: the picture depends on damaged data: the sample at offset 33455 cannot be decoded",
        frame=-1,
    ),
    Kind(
        "moov of 1 TiB",
        "a box says far more than the file has",
        edited(moov_says(1 << 40)),
        "CorruptError",
        "corrupt_sample",
        "FILE: the file is damaged: box moov at byte 33447 says 1099511627776 bytes, the file ends after 3890; copy or record it again",
    ),
    Kind(
        "moov over the limit",
        "a moov of 600 MiB is refused before it is read",
        sparse(700 << 20, moov_says(600 << 20)),
        "LimitError",
        "unsupported_codec",
        "FILE: the file has 629145600 bytes of moov, more than the 268435456 that are read; cut it into parts",
    ),
    Kind(
        "4 billion samples",
        "stsz promises what no table holds",
        edited(at((*STBL, b"stsz"), lambda stsz: box(b"stsz", stsz[:8], numbers(0xFFFFFFFF), stsz[12:]))),
        "LimitError",
        "unsupported_codec",
        "FILE: the file has 4294967295 samples, more than the 5000000 that are read; cut it into parts",
    ),
    Kind(
        "too many samples",
        "a count that the size of the file allows",
        sparse(70 << 20, all_of_size(3, 20_000_001)),
        "LimitError",
        "unsupported_codec",
        "FILE: the file has 20000001 samples, more than the 5000000 that are read; cut it into parts",
    ),
    Kind(
        "10 000 boxes deep",
        "boxes within boxes do not exhaust the stack",
        edited(nested),
        "NotVideoError",
        "not_video",
        "FILE: the file has no video track, only sound or other data; give a file with video",
    ),
    Kind(
        "20 000 edits",
        "an edit list longer than any editor makes",
        edited(with_edits(*([1, 0, 0x10000] * 20_000))),
        "LimitError",
        "unsupported_codec",
        "FILE: the file has 20000 edits, more than the 10000 that are read; cut it into parts",
    ),
    Kind(
        "300 tracks",
        "more tracks than are looked at",
        edited(many_tracks),
        "LimitError",
        "unsupported_codec",
        "FILE: the file has 257 tracks, more than the 256 that are read; cut it into parts",
    ),
    Kind(
        "pictures of 16384x16384",
        "the SPS is believed, and refused before a byte of them is allocated",
        edited(with_sps(lambda unit: sps_of_size(unit, 16384, 16384))),
        "LimitError",
        "picture_too_large",
        "FILE: pictures of 16384x16384 are larger than the limit of 67108864 pixels; make them smaller first, or raise the limit `pixels`",
    ),
    Kind(
        "GOP of 150 000 samples",
        "one frame would cost decoding all of them",
        edited(long_gop),
        "LimitError",
        "gop_too_long",
        "sample at offset 152534: it takes decoding 150000 samples from an IRAP picture on, more than the limit of 100000; encode the video with key frames in shorter distances, or raise the limit `gop_samples`",
        frame=-1,
    ),
    Kind(
        "sample of 3 GiB",
        "it would be read whole",
        sparse(4 << 30, with_sizes(lambda old: [3 << 30]), in_one_chunk(1), one_chunk_at),
        "LimitError",
        "gop_too_long",
        "the sample at offset 44 has 3221225472 bytes, more than the limit of 268435456; if that is true and not damage, raise the limit `sample_bytes`",
        frame=0,
    ),
    # The index, and changes meanwhile.
    Kind(
        "index of another file",
        "a saved index belongs to the bytes that it was made from",
        edited(),
        "IndexMismatchError",
        "video_changed",
        "FILE: this index belongs to a file of 41776 bytes, the source has 37329: make the index again",
        index=index_of_another,
        commands=False,
    ),
    Kind(
        "malformed index",
        "a saved index that is none",
        edited(),
        "CorruptError",
        "corrupt_sample",
        "INDEX: not a saved VideoIndex of this version; make the index again",
        index=holding(b"FFBINDEX" + bytes(100)),
        commands=False,
    ),
    Kind(
        "missing index",
        "no file has the name that was given for the index",
        edited(),
        "SourceError",
        "storage_unavailable",
        "INDEX: The index could not be read: No such file or directory",
        index=lambda path, _: None,
        commands=False,
    ),
    Kind(
        "rewritten meanwhile",
        "the bytes are others than when it was opened",
        edited(),
        "SourceChangedError",
        "video_changed",
        "FILE: the file was changed while it was open; open it again",
        meanwhile=rewritten,
        commands=False,
        frame=0,
    ),
    Kind(
        "cut meanwhile",
        "the bytes are fewer than when it was opened",
        edited(),
        "SourceChangedError",
        "video_changed",
        "FILE: the file was changed while it was open; open it again",
        meanwhile=cut_short,
        commands=False,
        frame=0,
    ),
    Kind(
        "renamed over meanwhile",
        "the file that was opened is still there; on the wire, the name counts",
        edited(),
        "",
        "",
        "",
        meanwhile=renamed_over,
        commands=False,
        frame=0,
        wire="video_changed",
    ),
)


def normal(message: str) -> str:
    """The message with every number as N, since offsets and sizes differ from encoder to encoder."""
    return re.sub(r"(?<![\w.])\d+", "N", message)


def markdown() -> str:
    """The table for docs/errors.md."""
    lines = [
        "| input | why | error | code | on the wire | status | message |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        error = f"`{kind.error}`" if kind.error else "none"
        code = f"`{kind.code}`" if kind.code else ""
        wire = f"`{kind.code if kind.wire is None else kind.wire}`" if kind.on_the_wire else ""
        status = "1" if kind.commands else ""
        lines.append(f"| {kind.name} | {kind.why} | {error} | {code} | {wire} | {status} | {kind.message} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
