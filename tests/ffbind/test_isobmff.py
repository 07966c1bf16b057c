"""The ISO-BMFF reader against libavformat, hand-made boxes and damage."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffbind.color import Color
from ffbind.errors import (
    CorruptError,
    EncryptedError,
    FFbindError,
    LimitError,
    NotVideoError,
    UnsupportedError,
)
from ffbind.hevc import Kind
from ffbind.index import VideoIndex
from ffbind.isobmff import bytes_of_use, read_index
from ffbind.isobmff.layout import read_layout
from ffbind.limits import Limits
from ffbind.native import lib
from ffbind.sources import BytesSource, FileSource, as_source

Clip = Callable[[str], Path]

# Real HEVC files; those in the second list do not tell the order of their frames by composition times.
REAL = [
    "androidx-media/dolbyVision-hdr.MOV",
    "androidx-media/fragmented_captions_h265.mp4",
    "androidx-media/h265_bframes.mp4",
    "androidx-media/hev1_08_05.mp4",
    "androidx-media/sample_edit_list.mp4",
    "androidx-media/water_180_mvhevc_5frames.mov",
    "mediabunny/video-h265.mp4",
    "mp4parse-rust/hevc_white_frame.mp4",
    "mp4parser/foreman-hevc-384.mp4",
    "torchcodec/bt2020_10bit.mp4",
    "torchcodec/h265_10bits.mp4",
    "torchcodec/h265_video.mp4",
    "torchcodec/nasa_13013_hdr.mp4",
    "torchcodec/testsrc2_444_12bit_hevc.mp4",
    "torchcodec/testsrc2_444_8bit_hevc.mp4",
]
REAL_WITHOUT_ORDER = ["hevcjs/hevcjs_dash_720p_frag.mp4", "mp4parser/h265-sample.mp4"]

GENERATED = [
    "plain.mp4",
    "closed.mp4",
    "no_b.mp4",
    "one_frame.mp4",
    "hev1.mp4",
    "faststart.mp4",
    "plain.mov",
    "with_sound.mp4",
    "timescale_1000.mp4",
    "timescale_30000.mp4",
    "negative_offsets.mp4",
    "no_edit_list.mp4",
    "fragmented.mp4",
    "fragmented_moof_base.mp4",
    "fragment_each_frame.mp4",
    "fragmented_negative.mp4",
    "fragmented_after_moov.mp4",
    "fragmented_with_sound.mp4",
    "fragmented_separate.mp4",
    "fragmented_omit_tfhd.mp4",
    "dash.mp4",
    "cut_start.mp4",
    "cut_both.mp4",
    "cut_closed.mp4",
    "cut_with_sound.mp4",
    "delayed.mp4",
]


# The oracle: libavformat and libavcodec through the ffprobe command


def ffprobe(path: Path, *options: str) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "json", *options, str(path)]
    answer: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return answer


def packets(path: Path) -> list[tuple[int, int, int, int]]:
    """(pos, size, dts, pts) of all packets, before edits."""
    found = ffprobe(path, "-ignore_editlist", "1", "-show_packets")["packets"]
    return [(int(p["pos"]), int(p["size"]), p["dts"], p["pts"]) for p in found]


def frames(path: Path) -> list[tuple[int, int]]:
    """(pos of its packet, pts) of all frames that are shown, in the order they are shown."""
    found = ffprobe(path, "-show_frames", "-show_entries", "frame=pts,pkt_pos")["frames"]
    return [(int(frame["pkt_pos"]), frame["pts"]) for frame in found]


def read(data: Path | bytes, **options: Any) -> VideoIndex:
    return read_index(as_source(data), **options)


def shown(index: VideoIndex) -> list[tuple[int, int]]:
    return list(zip(index.samples["offset"][index.order].tolist(), index.starts.tolist(), strict=True))


def assert_same_packets(index: VideoIndex, path: Path) -> None:
    """Places and sizes are equal; times up to a constant, by which libavformat moves negative offsets."""
    expected = np.array(packets(path), dtype=np.int64)
    samples = index.samples
    assert samples["offset"].tolist() == expected[:, 0].tolist()
    assert samples["size"].tolist() == expected[:, 1].tolist()
    assert len(set((samples["dts"] - expected[:, 2]).tolist())) == 1
    assert len(set((samples["pts"] - expected[:, 3]).tolist())) == 1


@pytest.mark.parametrize("name", REAL + REAL_WITHOUT_ORDER)
def test_real_file_has_the_packets_that_libavformat_finds(media: Path, name: str) -> None:
    assert_same_packets(read(media / name), media / name)


@pytest.mark.parametrize("name", REAL)
def test_real_file_shows_the_frames_that_ffmpeg_shows(media: Path, name: str) -> None:
    index = read(media / name)
    assert shown(index) == frames(media / name)
    oracle = (media / f"{name}.framemd5").read_text().splitlines()
    assert len(index) == sum(1 for line in oracle if not line.startswith("#"))


@pytest.mark.parametrize("name", REAL_WITHOUT_ORDER)
def test_real_file_whose_times_do_not_tell_the_order_says_so(media: Path, name: str) -> None:
    index = read(media / name)
    assert not index.has_composition_times
    assert sorted(index.samples["offset"].tolist()) == sorted(pos for pos, _ in frames(media / name))
    assert len(index) == len(index.samples)


def test_frames_hidden_by_the_edit_list_keep_their_rows(media: Path) -> None:
    index = read(media / "androidx-media/sample_edit_list.mp4")
    assert (len(index.samples), len(index)) == (86, 77)
    assert np.count_nonzero(index.samples["display"] == -1) == 9
    assert index.samples["display"][index.order].tolist() == list(range(77))
    assert (index.rotation, index.mirrored, index.timescale) == (90, False, 600)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("mp4parse-rust/chunk_out_of_range.mp4", UnsupportedError, r"H.264 \(avc1\)"),
        ("mp4parse-rust/no_timescale.mp4", UnsupportedError, r"H.264 \(avc1\)"),
        ("androidx-media/sample.mp4", UnsupportedError, r"H.264 \(avc1\)"),
        ("androidx-media/sample_mdat_too_long.mp4", UnsupportedError, r"H.264 \(avc1\)"),
        ("androidx-media/sample_audio_only.mp4", NotVideoError, "no video track"),
        ("androidx-media/sample_fragmented_clearkey.mp4", EncryptedError, "encrypted"),
        ("mp4ff/init_truncated.mp4", CorruptError, "moov"),
        ("gen2brain-h265/ctu64_wpp.h265", NotVideoError, "not an MP4"),
        ("MANIFEST.tsv", NotVideoError, "not an MP4"),
    ],
)
def test_real_file_that_cannot_be_shown_says_why(
    media: Path, name: str, error: type[FFbindError], words: str
) -> None:
    with pytest.raises(error, match=words):
        read(media / name)


def test_sample_entry_facts_of_real_files(media: Path) -> None:
    (phone,) = read(media / "androidx-media/dolbyVision-hdr.MOV").entries
    assert (phone.fourcc, phone.nal_length_size, phone.width, phone.height) == ("hvc1", 4, 1280, 720)
    assert phone.color == Color(9, 18, 9, full_range=False)
    assert phone.dolby_vision_profile == 8
    assert [unit[0] >> 1 for unit in phone.parameter_sets] == [32, 33, 34, 39]
    (in_band,) = read(media / "androidx-media/hev1_08_05.mp4").entries
    assert (in_band.fourcc, in_band.parameter_sets) == ("hev1", ())
    # The second layer's parameter sets (lhvC) must not reach a decoder of the base layer.
    (stereo,) = read(media / "androidx-media/water_180_mvhevc_5frames.mov").entries
    assert [unit[0] >> 1 for unit in stereo.parameter_sets] == [32, 33, 34, 39]


@pytest.mark.parametrize("name", GENERATED)
def test_generated_clip_agrees_with_libavformat(clip: Clip, name: str) -> None:
    path = clip(name)
    index = read(path)
    assert_same_packets(index, path)
    assert shown(index) == frames(path)


@pytest.mark.parametrize("name", ["plain.mp4", "plain.mov", "negative_offsets.mp4", "cut_both.mp4"])
def test_ordinary_clip_starts_at_zero(clip: Clip, name: str) -> None:
    assert read(clip(name)).times[0] == 0.0


def test_provisional_irap_comes_from_stss_or_sample_flags(clip: Clip) -> None:
    plain, fragmented = read(clip("plain.mp4")), read(clip("fragmented.mp4"))
    keys = [number for number, flags in enumerate(_packet_flags(clip("plain.mp4"))) if "K" in flags]
    assert np.unique(plain.samples["irap"]).tolist() == keys
    assert plain.samples["irap"].tolist() == fragmented.samples["irap"].tolist()
    assert (plain.samples["kind"] == Kind.UNKNOWN).all()


def _packet_flags(path: Path) -> list[str]:
    return [packet["flags"] for packet in ffprobe(path, "-show_entries", "packet=flags")["packets"]]


# Hand-made boxes


def box(box_type: bytes, *parts: bytes) -> bytes:
    payload = b"".join(parts)
    return struct.pack(">I4s", len(payload) + 8, box_type) + payload


def full_box(box_type: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(box_type, struct.pack(">I", version << 24 | flags), *parts)


def numbers(values: Iterable[int], code: str = "I") -> bytes:
    listed = list(values)
    return struct.pack(f">{len(listed)}{code}", *listed)


def boxes_of(data: bytes) -> list[tuple[bytes, bytes]]:
    found, position = [], 0
    while position < len(data):
        size, box_type = struct.unpack_from(">I4s", data, position)
        found.append((box_type, data[position + 8 : position + size]))
        position += size
    return found


def payload_of(data: bytes, *path: bytes) -> bytes:
    for box_type, payload in boxes_of(data):
        if box_type == path[0]:
            return payload_of(payload, *path[1:]) if len(path) > 1 else payload
    raise KeyError(path)


def changed(data: bytes, path: Sequence[bytes], change: Callable[[bytes], bytes]) -> bytes:
    """Give `data` with the first box at `path` replaced by what `change` makes of its payload: whole boxes."""
    result, done = b"", False
    for box_type, payload in boxes_of(data):
        if box_type != path[0] or done:
            result += box(box_type, payload)
        elif len(path) == 1:
            result += change(payload)
            done = True
        else:
            result += box(box_type, changed(payload, path[1:], change))
            done = True
    assert done, path
    return result


TRAK = (b"moov", b"trak")
STBL = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def elst(edits: Sequence[tuple[int, int]], version: int = 0) -> bytes:
    code = ">Ii" if version == 0 else ">Qq"
    return full_box(
        b"elst",
        version,
        0,
        numbers([len(edits)]),
        *(struct.pack(code, *edit) + b"\0\1\0\0" for edit in edits),
    )


@pytest.fixture(scope="session")
def plain(clip: Clip) -> bytes:
    """A clip of 50 samples with moov behind mdat, so that boxes of moov may change their size."""
    return clip("plain.mp4").read_bytes()


# (duration in ms, media time in 1/12800 s); a frame lasts 512, the first is composed at 1024, a GOP lasts 6144.
EDITS: list[list[tuple[int, int]]] = [
    [(2000, 1024)],
    [(500, 1024)],
    [(2000, 0)],
    [(0, 1024)],
    [(1, 1024)],
    [(9999, 1024)],
    [(1000, 5000)],
    [(1000, 7168)],
    [(300, 12000), (300, 2000)],
    [(200, 0), (700, 17408)],
    [(500, 1024), (500, 1024)],
    [(640, -1), (1000, 1024)],
    [(640, -1), (333, 8888)],
    [(640, -1), (200, -1), (333, 1024)],
    [(400, 1024), (300, -1), (400, 6144)],
    [(700, -1)],
    [(1000, 26000)],
    [(1000, 99999)],
    [(1000, 3000), (500, 9000), (250, 15000)],
]


@pytest.mark.parametrize("edits", EDITS, ids=str)
@pytest.mark.parametrize("name", ["closed.mp4", "no_b.mp4", "negative_offsets.mp4"])
def test_edit_list_shows_what_ffmpeg_shows(
    clip: Clip, tmp_path: Path, name: str, edits: list[tuple[int, int]]
) -> None:
    data = changed(clip(name).read_bytes(), (*TRAK, b"edts", b"elst"), lambda _: elst(edits))
    path = tmp_path / "edited.mp4"
    path.write_bytes(data)
    ours, theirs = shown(read(data)), frames(path)
    assert [start for _, start in ours] == sorted(start for _, start in ours)
    # At a jump ffmpeg goes on with one decoder, which gives frames out of order, or loses those whose reference
    # pictures the jump took away. What it does show has to be ours; without a jump nothing may be missing.
    if len([edit for edit in edits if edit[1] >= 0]) == 1 and edits[-1][1] >= 0:
        assert ours == theirs
    else:
        assert set(theirs) <= set(ours)
        assert len(ours) - len(theirs) <= (0 if name == "closed.mp4" else 2)


@pytest.mark.parametrize("edits", EDITS, ids=str)
def test_edit_list_of_64_bits_says_the_same(plain: bytes, edits: list[tuple[int, int]]) -> None:
    short, long = (
        read(changed(plain, (*TRAK, b"edts", b"elst"), lambda _, v=version: elst(edits, v)))
        for version in (0, 1)
    )
    assert np.array_equal(short.presentation, long.presentation)


def test_frame_that_two_edits_show_comes_twice(plain: bytes) -> None:
    index = read(changed(plain, (*TRAK, b"edts", b"elst"), lambda _: elst([(200, 1024), (200, 1024)])))
    first, second = index.order[:5].tolist(), index.order[5:].tolist()
    assert first == second
    assert index.samples["display"][first].tolist() == [0, 1, 2, 3, 4]


MATRICES = [
    (1, 0, 0, 1),
    (0, 1, -1, 0),
    (-1, 0, 0, -1),
    (0, -1, 1, 0),
    (-1, 0, 0, 1),
    (1, 0, 0, -1),
    (0, 1, 1, 0),
    (0, -1, -1, 0),
    (0, 0, 0, 0),
    (2, 0, 0, 1),
]


def with_matrix(data: bytes, where: bytes, matrix: tuple[float, float, float, float]) -> bytes:
    a, b, c, d = (round(value * 65536) for value in matrix)
    packed = numbers([a, b, 0, c, d, 0, 0, 0, 1 << 30], "i")
    path, place = ((*TRAK, b"tkhd"), 40) if where == b"tkhd" else ((b"moov", b"mvhd"), 36)
    return changed(data, path, lambda old: box(where, old[:place], packed, old[place + 36 :]))


@pytest.mark.parametrize("where", [b"tkhd", b"mvhd"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_orientation_is_that_of_ffmpegs_autorotate(
    clip: Clip, tmp_path: Path, matrix: tuple[int, int, int, int], where: bytes
) -> None:
    data = with_matrix(clip("one_frame.mp4").read_bytes(), where, matrix)
    path = tmp_path / "turned.mp4"
    path.write_bytes(data)

    def picture(*options: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
        command = ["ffmpeg", "-v", "error", *options, "-i", path, "-pix_fmt", "gray", "-f", "rawvideo", "-"]
        return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, dtype=np.uint8)

    index = read(data)
    as_decoded = picture("-noautorotate").reshape(108, 192)
    upright = as_decoded[:, ::-1] if index.mirrored else as_decoded
    upright = np.rot90(upright, -index.rotation // 90)
    assert picture().tobytes() == upright.tobytes()


def test_picture_turned_by_no_quarter_is_unsupported(plain: bytes) -> None:
    with pytest.raises(UnsupportedError, match="45 degrees"):
        read(with_matrix(plain, b"tkhd", (0.7071, 0.7071, -0.7071, 0.7071)))


def test_stz2_ctts1_and_64_bit_headers_say_the_same(plain: bytes) -> None:
    expected = read(plain)

    def stz2(stsz: bytes) -> bytes:
        return full_box(b"stz2", 0, 0, numbers([16, 50]), numbers(expected.samples["size"].tolist(), "H"))

    def ctts1(ctts: bytes) -> bytes:
        return box(b"ctts", b"\1", ctts[1:])

    def mdhd1(mdhd: bytes) -> bytes:
        _, created, modified, timescale, duration = struct.unpack(">5I", mdhd[:20])
        return full_box(
            b"mdhd", 1, 0, struct.pack(">QQIQ", created, modified, timescale, duration), mdhd[20:]
        )

    def tkhd1(tkhd: bytes) -> bytes:
        flags, created, modified, track, zero, duration = struct.unpack(">6I", tkhd[:24])
        return full_box(
            b"tkhd", 1, flags, struct.pack(">QQIIQ", created, modified, track, zero, duration), tkhd[24:]
        )

    data = changed(plain, (*STBL, b"stsz"), stz2)
    data = changed(data, (*STBL, b"ctts"), ctts1)
    data = changed(data, (*TRAK, b"mdia", b"mdhd"), mdhd1)
    data = changed(data, (*TRAK, b"tkhd"), tkhd1)
    index = read(data)
    assert np.array_equal(index.samples, expected.samples)
    assert np.array_equal(index.presentation, expected.presentation)
    assert (index.timescale, index.track_id) == (expected.timescale, expected.track_id)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_stz2_sizes_of_each_width(plain: bytes, bits: int) -> None:
    sizes = [(7 * number + 3) % (16 if bits == 4 else 256) for number in range(50)]
    packed = (
        bytes(sizes[place] << 4 | sizes[place + 1] for place in range(0, 50, 2))
        if bits == 4
        else numbers(sizes, "B" if bits == 8 else "H")
    )
    data = changed(plain, (*STBL, b"stsz"), lambda _: full_box(b"stz2", 0, 0, numbers([bits, 50]), packed))
    assert read(data).samples["size"].tolist() == sizes


def test_chunks_beyond_4_gib(plain: bytes, tmp_path: Path) -> None:
    """co64 and a 64-bit mdat size, in a file with a hole of 5 GiB that takes no room on disk."""
    hole = 5 << 30
    boxes = boxes_of(plain)
    media_data = dict(boxes)[b"mdat"]
    start = plain.index(media_data)
    ftyp = box(b"ftyp", dict(boxes)[b"ftyp"])
    moved = len(ftyp) + 16 + hole - start
    moov = changed(
        box(b"moov", dict(boxes)[b"moov"]),
        (*STBL, b"stco"),
        lambda stco: box(
            b"co64", stco[:8], numbers((o + moved for (o,) in struct.iter_unpack(">I", stco[8:])), "Q")
        ),
    )
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:
        file.write(ftyp + struct.pack(">I4sQ", 1, b"mdat", 16 + hole + len(media_data)))
        file.seek(hole, 1)
        file.write(media_data + moov)
    index = read(path)
    assert index.samples["offset"].min() > 2**32
    assert (index.samples["offset"] - read(plain).samples["offset"]).tolist() == [moved] * 50
    assert_same_packets(index, path)


class CountingSource(BytesSource):
    """Counts what is read, as a store would bill it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[tuple[int, int]] = []

    def read_at(self, offset: int, length: int) -> memoryview:
        self.reads.append((offset, length))
        return super().read_at(offset, length)


def test_few_bytes_are_read_in_few_reads(clip: Clip, media: Path) -> None:
    source = CountingSource(clip("faststart.mp4").read_bytes())
    read_index(source)
    assert len(source.reads) == 1
    source = CountingSource((media / "mediabunny/video-h265.mp4").read_bytes())
    read_index(source)
    assert len(source.reads) == 2
    assert sum(length for _, length in source.reads) < 100_000


def test_other_boxes_at_the_top_level_do_not_matter(plain: bytes) -> None:
    boxes = boxes_of(plain)
    free = box(b"free", bytes(100)) + box(b"wide") + box(b"uuid", bytes(16), b"anything")
    expected = read(plain).samples.copy()
    moov, media_data = box(b"moov", dict(boxes)[b"moov"]), dict(boxes)[b"mdat"]
    # moov first, and mdat with size 0: it goes on to the end of the file.
    front = box(b"ftyp", dict(boxes)[b"ftyp"]) + free + moov
    index = read(front + struct.pack(">I4s", 0, b"mdat") + media_data)
    assert index.samples["size"].tolist() == expected["size"].tolist()
    assert index.samples["offset"].tolist() == expected["offset"].tolist()


def told(data: bytes, known: int) -> int:
    """Give what `bytes_of_use` ends with when it is given no more than it asks for, from `known` bytes on."""
    while (wanted := bytes_of_use(data[:known])) > known and known < len(data):
        known = wanted
    return wanted


def test_how_much_of_the_start_is_of_use(clip: Clip) -> None:
    """Table and key frame where the table is in front, the key frame where it is not; whatever little is known at first."""
    for name in ("faststart.mp4", "plain.mp4", "fragmented.mp4"):
        data = clip(name).read_bytes() + bytes(1 << 20)
        first = int(read(clip(name).read_bytes()).samples["offset"][0])
        assert {told(data, known) for known in (0, 15, 16, 100, 4096, len(data))} == {told(data, len(data))}
        assert first + (128 << 10) < told(data, 16) <= first + (256 << 10)
    front = box(b"ftyp", b"isom") + box(b"free", bytes(300_000))
    assert bytes_of_use(front[:100]) == len(front) + 16, "the header behind it"
    table = struct.pack(">I4sQ", 1, b"moov", 5_000_000)
    assert told(front + table + bytes(5_000_000), 16) == len(front) + 5_000_000 + (256 << 10)
    for nothing in (b"", b"\x1aE\xdf\xa3" + bytes(5000), box(b"ftyp", b"isom"), bytes(100)):
        assert bytes_of_use(nothing) == 64 << 10
    many = box(b"ftyp", b"isom") + box(b"free") * 100_000
    assert 64 << 10 < told(many, 16) <= len(many) // 2, "not every one of them is looked at"
    endless = box(b"ftyp", b"isom") + struct.pack(">I4s", 0, b"skip") + bytes(8)
    assert bytes_of_use(endless) == 12 + (256 << 10)


def test_mdat_longer_than_the_file_loses_only_what_is_missing(clip: Clip) -> None:
    whole = clip("faststart.mp4").read_bytes()
    expected = read(whole)
    index = read(whole[:-10_000])
    assert np.array_equal(index.samples, expected.samples)
    fits = [index.fits(row) for row in range(50)]
    assert fits == ((index.samples["offset"] + index.samples["size"]) <= len(whole) - 10_000).tolist()
    assert 0 < sum(fits) < 50


def test_fragment_cut_by_the_end_of_the_file_loses_only_itself(clip: Clip) -> None:
    data = clip("fragmented.mp4").read_bytes()
    last_moof = data.rindex(b"moof")
    index = read(data[: last_moof + 20])
    expected = read(data)
    assert 0 < len(index.samples) < 50
    assert index.samples["offset"].tolist() == expected.samples["offset"][: len(index.samples)].tolist()


# Choosing a track


def test_track_with_most_samples_is_chosen_unless_one_is_named(clip: Clip) -> None:
    path = clip("two_tracks.mp4")
    assert (read(path).track_id, len(read(path))) == (2, 50)
    assert (read(path, track=1).track_id, len(read(path, track=1))) == (1, 1)
    with pytest.raises(NotVideoError, match=r"no video track 7.*are 1, 2"):
        read(path, track=7)


def test_of_tracks_with_one_id_the_first_complete_one_counts(clip: Clip) -> None:
    """For the index and for the layout: a second trak of that id in front, without mdia, changes nothing."""
    data = clip("two_tracks.mp4").read_bytes()

    def with_another(moov: bytes) -> bytes:
        boxes = boxes_of(moov)
        tkhd = next(payload_of(box(*found), b"trak", b"tkhd") for found in boxes if found[0] == b"trak")
        extra = box(b"trak", box(b"tkhd", tkhd))
        return box(b"moov", box(*boxes[0]), extra, *(box(*found) for found in boxes[1:]))

    doubled = changed(data, [b"moov"], with_another)
    index = read(doubled, track=1)
    assert (index.track_id, len(index)) == (1, 1)
    layout = read_layout(BytesSource(doubled), index.track_id)
    assert [fact.track_id for fact in layout.tracks] == [1, 1, 2]
    assert layout.sync.tolist() == [0]
    second = data.rindex(b"tkhd") + 4 + 12
    same = data[:second] + b"\0\0\0\1" + data[second + 4 :]
    assert len(read(same)) == len(read_layout(BytesSource(same), 1).sync) == 1


def test_enabled_track_comes_before_disabled_one(clip: Clip) -> None:
    data = clip("two_tracks.mp4").read_bytes()
    second = data.rindex(b"tkhd") + 4
    disabled = data[:second] + b"\0\0\0\2" + data[second + 4 :]
    assert read(disabled).track_id == 1
    with pytest.raises(NotVideoError, match="are 1, 2"):
        read(disabled, track=0)


# Sample entries


def with_entries(data: bytes, entries: Sequence[bytes], of_samples: Sequence[tuple[int, int]]) -> bytes:
    """Give a clip other sample entries; `of_samples` are (samples, entry) runs, each one chunk."""
    offsets, sizes = read(data).samples["offset"].tolist(), read(data).samples["size"].tolist()
    assert [offset + size for offset, size in zip(offsets, sizes, strict=True)][:-1] == offsets[1:]
    starts, first = [], 0
    for count, _ in of_samples:
        starts.append(offsets[first])
        first += count
    runs = b"".join(numbers([chunk, *run]) for chunk, run in enumerate(of_samples, start=1))
    data = changed(
        data, (*STBL, b"stsc"), lambda _: full_box(b"stsc", 0, 0, numbers([len(of_samples)]), runs)
    )
    data = changed(
        data, (*STBL, b"stco"), lambda _: full_box(b"stco", 0, 0, numbers([len(starts)]), numbers(starts))
    )
    return changed(
        data, (*STBL, b"stsd"), lambda _: full_box(b"stsd", 0, 0, numbers([len(entries)]), *entries)
    )


@pytest.fixture(scope="session")
def entry(plain: bytes) -> bytes:
    """The sample entry of the plain clip."""
    return payload_of(plain, *STBL, b"stsd")[8:]


def as_format(entry: bytes, fourcc: bytes) -> bytes:
    return entry[:4] + fourcc + entry[8:]


def test_several_sample_entries(plain: bytes, entry: bytes) -> None:
    index = read(with_entries(plain, [entry, as_format(entry, b"hev1")], [(20, 1), (10, 2), (20, 1)]))
    assert [found.fourcc for found in index.entries] == ["hvc1", "hev1"]
    assert index.samples["entry"].tolist() == [0] * 20 + [1] * 10 + [0] * 20
    assert index.samples["offset"].tolist() == read(plain).samples["offset"].tolist()


def test_entry_of_another_codec_matters_only_where_it_is_used(plain: bytes, entry: bytes) -> None:
    avc = as_format(entry, b"avc1")
    index = read(with_entries(plain, [avc, entry], [(50, 2)]))
    assert [found.fourcc for found in index.entries] == ["hvc1"]
    assert set(index.samples["entry"].tolist()) == {0}
    with pytest.raises(UnsupportedError, match=r"H.264 \(avc1\)"):
        read(with_entries(plain, [avc, entry], [(30, 2), (20, 1)]))
    with pytest.raises(CorruptError, match="sample entry 3"):
        read(with_entries(plain, [entry], [(50, 3)]))


def test_encrypted_track_is_refused(plain: bytes, entry: bytes) -> None:
    encrypted = box(b"encv", entry[8:], box(b"sinf", box(b"frma", b"hvc1")))
    with pytest.raises(EncryptedError, match="encv, hvc1 inside"):
        read(with_entries(plain, [encrypted], [(50, 1)]))


def with_entry_box(data: bytes, entry: bytes, old: bytes, *new: bytes) -> bytes:
    """Replace one box inside the sample entry, or append where `old` is empty."""
    fixed, children = entry[8:86], boxes_of(entry[86:])
    kept = b"".join(box(kind, payload) for kind, payload in children if kind != old)
    return with_entries(data, [box(b"hvc1", fixed, kept, *new)], [(50, 1)])


def test_colour_aspect_and_dolby_vision_of_the_entry(plain: bytes, entry: bytes) -> None:
    def only(*new: bytes) -> Any:
        return read(with_entry_box(plain, entry, b"pasp", *new)).entries[0]

    assert only().color is None
    assert only().pixel_aspect == (1, 1)
    assert only(box(b"colr", b"nclx", numbers([9, 16, 9], "H"), b"\x80")).color == Color(9, 16, 9, True)
    assert only(box(b"colr", b"nclc", numbers([1, 1, 1], "H"))).color == Color(1, 1, 1, False)
    icc = box(b"colr", b"prof", bytes(100))
    assert only(icc).color is None
    assert only(icc, box(b"colr", b"nclx", numbers([1, 13, 6], "H"), b"\0")).color == Color(1, 13, 6, False)
    assert only(box(b"pasp", numbers([4, 3]))).pixel_aspect == (4, 3)
    assert only(box(b"pasp", numbers([4, 0]))).pixel_aspect == (1, 1)
    assert only(box(b"dvvC", bytes([1, 0, 5 << 1, 0]), bytes(20))).dolby_vision_profile == 5


@pytest.mark.parametrize(("length_size", "right"), [(1, True), (2, True), (3, False), (4, True)])
def test_nal_length_sizes(plain: bytes, entry: bytes, length_size: int, right: bool) -> None:
    hvcc = payload_of(entry[86:], b"hvcC")
    changed_hvcc = box(b"hvcC", hvcc[:21], bytes([hvcc[21] & 0xFC | length_size - 1]), hvcc[22:])
    data = with_entry_box(plain, entry, b"hvcC", changed_hvcc)
    if right:
        assert read(data).entries[0].nal_length_size == length_size
    else:
        with pytest.raises(CorruptError, match="3 bytes"):
            read(data)


def test_entry_without_or_with_broken_hvcc(plain: bytes, entry: bytes) -> None:
    with pytest.raises(CorruptError, match="no hvcC"):
        read(with_entry_box(plain, entry, b"hvcC"))
    with pytest.raises(CorruptError, match="hvcC ends"):
        read(with_entry_box(plain, entry, b"hvcC", box(b"hvcC", payload_of(entry[86:], b"hvcC")[:-1])))


@pytest.mark.parametrize(
    ("reference", "refused"),
    [
        (full_box(b"url ", 0, 1), False),
        (full_box(b"url ", 0, 0), False),
        (full_box(b"url ", 0, 0, b"file:///etc/passwd\0"), True),
        (full_box(b"alis", 0, 0, bytes(10), b"elsewhere.mov"), True),
    ],
)
def test_samples_in_another_file_are_refused(plain: bytes, reference: bytes, refused: bool) -> None:
    path = (*TRAK, b"mdia", b"minf", b"dinf", b"dref")
    data = changed(plain, path, lambda _: full_box(b"dref", 0, 0, numbers([1]), reference))
    if refused:
        with pytest.raises(UnsupportedError, match="dref"):
            read(data)
    else:
        assert len(read(data)) == 50


# Random access points


def test_missing_stss_says_nothing_about_random_access(plain: bytes) -> None:
    index = read(changed(plain, (*STBL, b"stss"), lambda _: b""))
    assert index.samples["irap"].tolist() == [0] + [-1] * 49


def test_groups_mark_random_access_points_that_stss_leaves_out(plain: bytes) -> None:
    def with_group(grouping: bytes, descriptions: bytes, runs: Sequence[int]) -> list[int]:
        sgpd = full_box(b"sgpd", 1, 0, grouping, numbers([1, len(descriptions)]), descriptions)
        sbgp = full_box(b"sbgp", 0, 0, grouping, numbers([len(runs) // 2]), numbers(runs))
        data = changed(
            plain, (*STBL, b"stss"), lambda _: full_box(b"stss", 0, 0, numbers([1, 1])) + sgpd + sbgp
        )
        return np.unique(read(data).samples["irap"]).tolist()

    assert with_group(b"rap ", b"\x80", [20, 0, 1, 1]) == [0, 20]
    # Groups of NAL types CRA (21) and TRAIL_R (1): only the first is an IRAP.
    assert with_group(b"sync", bytes([21, 1]), [20, 0, 1, 1, 9, 0, 1, 2]) == [0, 20]


def test_samples_before_the_first_marked_one_belong_to_none(plain: bytes) -> None:
    data = changed(plain, (*STBL, b"stss"), lambda _: full_box(b"stss", 0, 0, numbers([2, 11, 31])))
    assert read(data).samples["irap"].tolist() == [-1] * 10 + [10] * 20 + [30] * 20


# Times


def test_stts_that_goes_back_is_played_as_in_libavformat(plain: bytes, tmp_path: Path) -> None:
    runs = [10, 512, 1, 2**32 - 700, 20, 512, 1, 2**32 - 5, 18, 600]
    data = changed(plain, (*STBL, b"stts"), lambda _: full_box(b"stts", 0, 0, numbers([5]), numbers(runs)))
    path = tmp_path / "back.mp4"
    path.write_bytes(data)
    assert_same_packets(read(data), path)


def test_stts_that_ends_early_lasts_on(plain: bytes, tmp_path: Path) -> None:
    data = changed(
        plain, (*STBL, b"stts"), lambda _: full_box(b"stts", 0, 0, numbers([2]), numbers([5, 512, 5, 256]))
    )
    index = read(data)
    assert index.samples["duration"].tolist() == [512] * 5 + [256] * 45
    if lib.avformat_version() < NOT_AS_BEFORE:
        path = tmp_path / "early.mp4"
        path.write_bytes(data)
        assert_same_packets(index, path)


def test_without_ctts_there_are_no_composition_times(plain: bytes) -> None:
    index = read(changed(plain, (*STBL, b"ctts"), lambda _: b""))
    assert not index.has_composition_times
    assert index.samples["pts"].tolist() == index.samples["dts"].tolist()


# From FFmpeg 8 on, libavformat takes some impossible tables in another way; ours stay as FFmpeg 5.1 takes them.
NOT_AS_BEFORE = 62 << 16

CTTS = {
    "shorter than the track": [20, 1024],
    "negative": [1, 1024, 1, 3072, 1, 0, 1, 512, 1, 2**32 - 700, 45, 1024],
    "negative in the last two runs only": [30, 1024, 10, 2**32 - 700, 10, 2**32 - 900],
    "absurd": [10, 1024, 10, 2**29, 10, 1024, 20, 1024],
    "longer than the track": [20, 1024, 4_000_000_000, 5, 100, 512, 100, 0],
    "with empty runs": [10, 1024, 0, 7, 40, 512, 0, 2**32 - 9000],
}


@pytest.mark.parametrize("runs", CTTS.values(), ids=CTTS)
def test_ctts_is_read_as_libavformat_reads_it(plain: bytes, tmp_path: Path, runs: list[int]) -> None:
    table = full_box(b"ctts", 0, 0, numbers([len(runs) // 2]), numbers(runs))
    data = changed(plain, (*STBL, b"ctts"), lambda _: table)
    index = read(data)
    if runs == CTTS["absurd"]:
        assert not index.has_composition_times
        if lib.avformat_version() >= NOT_AS_BEFORE:
            return
    path = tmp_path / "composed.mp4"
    path.write_bytes(data)
    expected = np.array(packets(path), dtype=np.int64)
    moved = index.samples["pts"] - expected[:, 3]
    # Samples behind a table that ends early have no composition offset.
    assert set(moved.tolist()) == {0}


def with_edits_in_place(data: bytes, edits: Sequence[tuple[int, int]]) -> bytes:
    """Give a clip whose moov stands in front an edit list in the room of its udta, so that nothing moves."""
    edts = box(b"edts", elst(edits))

    def edited(moov: bytes) -> bytes:
        room = len(payload_of(moov, b"udta")) - len(edts)
        moov = changed(moov, (b"trak",), lambda trak: box(b"trak", trak, edts))
        return box(b"moov", changed(moov, (b"udta",), lambda _: box(b"free", bytes(room))))

    return changed(data, (b"moov",), edited)


@pytest.mark.parametrize("edits", [*EDITS[:4], *EDITS[8:14]], ids=str)
@pytest.mark.parametrize("name", ["fragmented_moof_base.mp4", "fragmented_negative.mp4"])
def test_edit_list_only_moves_what_is_in_fragments(
    clip: Clip, tmp_path: Path, name: str, edits: list[tuple[int, int]]
) -> None:
    data = with_edits_in_place(clip(name).read_bytes(), edits)
    path = tmp_path / "edited.mp4"
    path.write_bytes(data)
    index = read(data)
    assert len(index) == 50
    assert shown(index) == frames(path)


@pytest.mark.parametrize("edits", [*EDITS[:4], [(300, 3000)], [(640, -1), (1000, 1024)]], ids=str)
def test_edit_list_cuts_what_is_in_moov_though_fragments_follow(
    clip: Clip, tmp_path: Path, edits: list[tuple[int, int]]
) -> None:
    data = with_edits_in_place(clip("fragmented_after_moov.mp4").read_bytes(), edits)
    path = tmp_path / "edited.mp4"
    path.write_bytes(data)
    assert shown(read(data)) == frames(path)


# Fragments


def fragment_boxes(data: bytes) -> bytes:
    """Give a fragmented clip up to its first moof: ftyp and moov with mvex."""
    return data[: data.index(b"moof") - 4]


def moof(sequence: int, *trafs: bytes) -> bytes:
    return box(b"moof", full_box(b"mfhd", 0, 0, numbers([sequence])), *trafs)


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("first_flags", [False, True])
@pytest.mark.parametrize("fields", range(16))
def test_trun_with_each_set_of_fields(clip: Clip, fields: int, first_flags: bool, version: int) -> None:
    head = fragment_boxes(clip("fragmented.mp4").read_bytes())
    durations, sizes, flags, offsets = (
        [512, 500, 20],
        [900, 10, 70],
        [0x2000000, 0x1010000, 0x1010000],
        [1024, -512, 0],
    )
    present = [bool(fields >> bit & 1) for bit in range(4)]
    rows = b""
    for row in zip(durations, sizes, flags, offsets, strict=True):
        rows += b"".join(
            struct.pack(">i" if place == 3 else ">I", value)
            for place, value in enumerate(row)
            if present[place]
        )
    flag_bits = 0x1 | fields << 8 | (0x4 if first_flags else 0)
    tfhd = full_box(b"tfhd", 0, 0x20038, numbers([1, 333, 44, 0x1010000]))
    tfdt = full_box(b"tfdt", version, 0, numbers([70000], "Q" if version else "I"))
    extra = numbers([0x2000000]) if first_flags else b""
    trun = full_box(b"trun", version, flag_bits, numbers([3, 5000]), extra, rows)
    index = read(head + moof(1, box(b"traf", tfhd, tfdt, trun)) + box(b"mdat", bytes(9000)))
    expected_durations = durations if present[0] else [333] * 3
    expected_sizes = sizes if present[1] else [44] * 3
    expected_offsets = offsets if present[3] else [0] * 3
    samples = index.samples
    assert samples["duration"].tolist() == expected_durations
    assert samples["size"].tolist() == expected_sizes
    assert samples["dts"].tolist() == [70000 + sum(expected_durations[:place]) for place in range(3)]
    assert (samples["pts"] - samples["dts"]).tolist() == expected_offsets
    assert samples["offset"].tolist() == [
        len(head) + 5000 + sum(expected_sizes[:place]) for place in range(3)
    ]
    assert samples["irap"].tolist() == ([0] * 3 if first_flags or present[2] else [0, -1, -1])
    assert index.has_composition_times == present[3]


def test_runs_follow_each_other_in_place_and_time(clip: Clip) -> None:
    head = fragment_boxes(clip("fragmented.mp4").read_bytes())

    def trun(sizes: Sequence[int], data_offset: int | None = None) -> bytes:
        start = b"" if data_offset is None else numbers([data_offset], "i")
        flags = 0x200 | (0 if data_offset is None else 1)
        return full_box(b"trun", 0, flags, numbers([len(sizes)]), start, numbers(sizes))

    base = full_box(b"tfhd", 0, 0x9, numbers([1]), numbers([3000], "Q"), numbers([10]))
    other_track = full_box(b"tfhd", 0, 0x1, numbers([9]), numbers([3000], "Q"))
    from_moof = full_box(b"tfhd", 0, 0x20008, numbers([1, 10]))
    from_previous = full_box(b"tfhd", 0, 0x8, numbers([1, 10]))
    first = moof(
        1,
        box(
            b"traf", base, full_box(b"tfdt", 0, 0, numbers([100])), trun([5, 6], 20), trun([7]), trun([8], 50)
        ),
        box(b"traf", other_track, trun([1000], 0)),
        box(b"traf", from_previous, trun([9])),
    )
    # Without tfdt the second fragment goes on where the first one ends.
    second = moof(2, box(b"traf", from_moof, trun([3], 64)))
    index = read(head + first + second + box(b"mdat", bytes(5000)))
    assert index.samples["offset"].tolist() == [3020, 3025, 3031, 3050, 3058, len(head) + len(first) + 64]
    assert index.samples["dts"].tolist() == [100, 110, 120, 130, 140, 150]


def test_groups_of_a_fragment_mark_random_access_points(clip: Clip) -> None:
    head = fragment_boxes(clip("fragmented.mp4").read_bytes())
    tfhd = full_box(b"tfhd", 0, 0x20038, numbers([1, 10, 20, 0x1010000]))
    trun = full_box(b"trun", 0, 1, numbers([6, 200]))
    # Groups described in the fragment itself count from 0x10001.
    sgpd = full_box(b"sgpd", 1, 0, b"sync", numbers([1, 1]), bytes([21]))
    sync = full_box(b"sbgp", 0, 0, b"sync", numbers([2, 2, 0, 1, 0x10001]))
    rap = full_box(b"sbgp", 0, 0, b"rap ", numbers([3, 4, 0, 1, 1, 1, 0]))
    index = read(head + moof(1, box(b"traf", tfhd, trun, sgpd, sync, rap)) + box(b"mdat", bytes(500)))
    assert index.samples["irap"].tolist() == [-1, -1, 2, 2, 4, 4]


def test_fragment_that_overlaps_the_one_before_is_hidden_where_it_does(clip: Clip, tmp_path: Path) -> None:
    data = clip("fragmented_moof_base.mp4").read_bytes()
    second = data.index(b"tfdt", data.index(b"tfdt") + 1)
    start = int.from_bytes(data[second + 8 : second + 16], "big")
    moved = data[: second + 8] + (start - 1200).to_bytes(8, "big") + data[second + 16 :]
    path = tmp_path / "overlap.mp4"
    path.write_bytes(moved)
    index = read(path)
    assert 0 < np.count_nonzero(index.samples["display"] == -1) < 5
    assert sorted(shown(index)) == sorted(frames(path))


# Damage


def test_no_moov_says_what_is_missing(plain: bytes) -> None:
    boxes = dict(boxes_of(plain))
    ftyp, media_data = box(b"ftyp", boxes[b"ftyp"]), box(b"mdat", boxes[b"mdat"])
    with pytest.raises(CorruptError, match="never finished"):
        read(ftyp + media_data)
    with pytest.raises(CorruptError, match="initialization segment"):
        read(box(b"styp", b"msdh\0\0\0\0") + moof(1) + media_data)
    with pytest.raises(NotVideoError, match="still image"):
        read(box(b"ftyp", b"heic\0\0\0\0mif1") + box(b"meta", bytes(20)) + media_data)
    with pytest.raises(CorruptError, match="no samples"):
        read(changed(plain, (*STBL, b"stsz"), lambda _: full_box(b"stsz", 0, 0, numbers([0, 0]))))


@pytest.mark.parametrize(
    "data", [b"\0", b"ftyp", bytes(100), b"\x89PNG\r\n\x1a\n" + bytes(50), b"RIFF1234AVI "]
)
def test_bytes_that_are_no_such_file(data: bytes) -> None:
    with pytest.raises(NotVideoError, match="not an MP4 or MOV"):
        read(data)


@pytest.mark.parametrize(
    ("table", "new", "words"),
    [
        (b"stsz", full_box(b"stsz", 0, 0, numbers([0, 51]), bytes(200)), "promises 51 entries"),
        (b"stsz", full_box(b"stsz", 0, 0, numbers([100, 4_900_000])), "more than the file holds"),
        (b"stsz", full_box(b"stsz", 0, 0, numbers([0, 200]), bytes(800)), "give a place to"),
        (b"stts", full_box(b"stts", 0, 0, numbers([2**32 - 1])), "promises 4294967295 entries"),
        (b"stts", full_box(b"stts", 0, 0, numbers([0])), "without times"),
        (b"stsc", full_box(b"stsc", 0, 0, numbers([0])), "stsc does not fit"),
        (b"stsc", full_box(b"stsc", 0, 0, numbers([1, 2, 50, 1])), "stsc does not fit"),
        (b"stsc", full_box(b"stsc", 0, 0, numbers([1, 1, 0, 1])), "no samples"),
        (b"stsc", full_box(b"stsc", 0, 0, numbers([1, 1, 50, 0])), "sample entry 0"),
        (b"stsc", full_box(b"stsc", 0, 0, numbers([2, 1, 1, 1, 9, 1, 1])), "stsc does not fit"),
        (b"stco", full_box(b"stco", 0, 0, numbers([0])), "stsc does not fit"),
        (b"stco", full_box(b"co64", 0, 0, numbers([1]), numbers([2**63], "Q")), "beyond the end of any file"),
        (b"stco", b"", "neither stco nor co64"),
        (b"stsc", b"", "no stsc"),
        (b"stts", b"", "no stts"),
        (b"stsd", b"", "no stsd"),
    ],
)
def test_tables_that_cannot_be_true(plain: bytes, table: bytes, new: bytes, words: str) -> None:
    with pytest.raises(CorruptError, match=words):
        read(changed(plain, (*STBL, table), lambda _: new))


def test_time_base_of_zero_is_an_error(plain: bytes) -> None:
    with pytest.raises(CorruptError, match="time base"):
        read(
            changed(plain, (*TRAK, b"mdia", b"mdhd"), lambda old: box(b"mdhd", old[:12], bytes(4), old[16:]))
        )


def test_compressed_moov_is_unsupported(plain: bytes) -> None:
    with pytest.raises(UnsupportedError, match="cmov"):
        read(changed(plain, (b"moov",), lambda _: box(b"moov", box(b"cmov", bytes(40)))))


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(header_bytes=1000), "bytes of moov"),
        (Limits(samples=49), "50 samples"),
        (Limits(boxes=2), "boxes at the top level"),
        (Limits(edits=0), "edits"),
        (Limits(edit_work=49), "edit list"),
        (Limits(tracks=0), "tracks"),
        (Limits(sample_entries=0), "sample entries"),
    ],
)
def test_limits_of_a_plain_file(plain: bytes, limits: Limits, words: str) -> None:
    with pytest.raises(LimitError, match=words) as caught:
        read(plain, limits=limits)
    assert caught.value.code == "unsupported_codec"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(header_bytes=3300), "bytes of moof"),
        (Limits(samples=49), "50 samples"),
        (Limits(fragment_boxes=5), "boxes in fragments"),
    ],
)
def test_limits_of_a_fragmented_file(clip: Clip, limits: Limits, words: str) -> None:
    with pytest.raises(LimitError, match=words):
        read(clip("fragment_each_frame.mp4"), limits=limits)


def test_file_of_an_hour_is_indexed_whole(plain: bytes) -> None:
    """108 000 samples: all tables are expanded, none is cut."""
    count = 108_000
    rng = np.random.default_rng(7)
    sizes = rng.integers(1, 60_000, count)
    chunks = 1_000_000 + np.cumsum(sizes) - sizes
    per_chunk = 4
    data = changed(
        plain,
        (*STBL, b"stsz"),
        lambda _: full_box(b"stsz", 0, 0, numbers([0, count]), sizes.astype(">u4").tobytes()),
    )
    starts = chunks[::per_chunk]
    data = changed(
        data,
        (*STBL, b"stco"),
        lambda _: full_box(b"co64", 0, 0, numbers([len(starts)]), starts.astype(">u8").tobytes()),
    )
    data = changed(data, (*STBL, b"stsc"), lambda _: full_box(b"stsc", 0, 0, numbers([1, 1, per_chunk, 1])))
    data = changed(data, (*STBL, b"stts"), lambda _: full_box(b"stts", 0, 0, numbers([1, count, 512])))
    offsets = np.tile([1024, 2048, 0, 0], count // 4)
    runs = np.stack([np.ones(count, dtype=np.int64), offsets], axis=1).astype(">u4").tobytes()
    data = changed(data, (*STBL, b"ctts"), lambda _: full_box(b"ctts", 0, 0, numbers([count]), runs))
    data = changed(data, (*TRAK, b"edts", b"elst"), lambda _: elst([(count * 40, 1024)]))
    index = read(data)
    assert index.samples["offset"].tolist() == chunks.tolist()
    assert index.samples["dts"].tolist() == list(range(0, count * 512, 512))
    assert (index.samples["pts"] - index.samples["dts"]).tolist() == offsets.tolist()
    assert index.row_of_offset(int(chunks[77_777])) == 77_777


# Any damage: an index or an error of ours, nothing else


MUTATED = ["plain.mp4", "cut_both.mp4", "with_sound.mp4", "fragmented.mp4", "fragmented_omit_tfhd.mp4"]


def header_spans(data: bytes) -> list[tuple[int, int]]:
    spans, position = [], 0
    for box_type, payload in boxes_of(data):
        if box_type in (b"moov", b"moof"):
            spans.append((position, position + 8 + len(payload)))
        position += 8 + len(payload)
    return spans


MUTATION = st.tuples(
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1", b""]),
    st.binary(min_size=1, max_size=8),
)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(MUTATED),
    mutations=st.lists(MUTATION, min_size=1, max_size=8),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_any_damage_gives_an_index_or_an_error_of_ours(
    clip: Clip, name: str, mutations: list[tuple[float, bytes, bytes]], kept: float
) -> None:
    data = bytearray(clip(name).read_bytes())
    places = [place for start, end in header_spans(bytes(data)) for place in range(start, end)]
    for where, word, random in mutations:
        place = places[int(where * len(places))]
        new = word or random
        data[place : place + len(new)] = new
    try:
        index = read(bytes(data[: int(kept * len(data))]))
    except FFbindError:
        return
    # What is read is consistent in itself, so no later step can step outside.
    assert VideoIndex.from_json(index.to_json()) == index
    assert len(index.samples) <= len(data)


def test_source_of_a_file_gives_its_size_and_identity(clip: Clip) -> None:
    source = FileSource(clip("plain.mp4"))
    index = read_index(source)
    assert (index.size, index.identity) == (source.size, source.identity)
    source.close()
