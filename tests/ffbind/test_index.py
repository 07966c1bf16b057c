"""VideoIndex: look-ups, new indexes from old ones, saving and loading, and what malformed ones are told."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ffbind
from ffbind.color import Color
from ffbind.columns import PRESENTATION_DTYPE, SAMPLE_DTYPE, display_column
from ffbind.errors import (
    CorruptError,
    FrameIndexError,
    FrameTimeError,
    IndexMismatchError,
    LimitError,
    SourceError,
)
from ffbind.framing import Framing, FramingKind
from ffbind.hevc import Kind
from ffbind.index import SampleEntry, VideoIndex
from ffbind.isobmff import read_index
from ffbind.limits import Limits
from ffbind.sources import BytesSource, FileSource, as_source

Clip = Callable[[str], Path]

ENTRY = SampleEntry(
    fourcc="hvc1",
    nal_length_size=4,
    parameter_sets=(b"\x40\x01vps", b"\x42\x01sps", b"\x44\x01pps"),
    width=192,
    height=108,
    color=Color(1, 1, 1, full_range=False),
    pixel_aspect=(1, 1),
    dolby_vision_profile=None,
)


def make(
    offsets: list[int], sizes: list[int], order: list[int], starts: list[int], **changes: Any
) -> VideoIndex:
    """Make an index by hand: rows at these places, shown in this order at these times."""
    samples = np.zeros(len(offsets), dtype=SAMPLE_DTYPE)
    samples["offset"], samples["size"] = offsets, sizes
    samples["dts"] = np.arange(len(offsets)) * 10
    samples["pts"] = samples["dts"]
    samples["duration"] = 10
    samples["kind"] = Kind.UNKNOWN
    samples["irap"] = 0
    samples["display"] = -1
    for place, row in reversed(list(enumerate(order))):
        samples["display"][row] = place
    presentation = np.zeros(len(order), dtype=PRESENTATION_DTYPE)
    presentation["row"], presentation["start"] = order, starts
    index = VideoIndex(
        samples=samples,
        entries=(ENTRY,),
        presentation=presentation,
        timescale=100,
        rotation=0,
        mirrored=False,
        size=1000,
        identity="",
        track_id=1,
        has_composition_times=True,
    )
    return replace(index, **changes)


@pytest.fixture
def small() -> VideoIndex:
    """Five samples, the first hidden, the others shown as rows 2, 1, 4, 3 from 1 s on."""
    return make([100, 200, 300, 400, 500], [10] * 5, [2, 1, 4, 3], [100, 110, 130, 140])


@pytest.fixture(scope="session")
def real(clip: Clip) -> VideoIndex:
    return read_index(as_source(clip("cut_both.mp4")))


# Look-ups


def test_every_offset_finds_its_row(real: VideoIndex) -> None:
    offsets = real.samples["offset"].tolist()
    assert [real.row_of_offset(offset) for offset in offsets] == list(range(len(offsets)))
    assert {real.row_of_offset(offset + 1) for offset in offsets} == {None}
    assert [real.row_of_offset(offset) for offset in (-1, 0, 2**63, 2**64, 2**70)] == [None] * 5


def test_ambiguous_and_empty_samples_by_offset() -> None:
    index = make([300, 100, 100, 300, 500], [10, 0, 20, 30, 0], [0, 1, 2, 3, 4], [0, 10, 20, 30, 40])
    assert index.row_of_offset(300) == 0
    assert index.row_of_offset(100) == 2
    assert index.row_of_offset(500) is None


def test_offsets_out_of_decode_order() -> None:
    index = make([500, 100, 400, 200], [1] * 4, [0, 1, 2, 3], [0, 10, 20, 30])
    assert [index.row_of_offset(offset) for offset in (500, 100, 400, 200)] == [0, 1, 2, 3]


def test_rows_by_place_in_presentation(small: VideoIndex) -> None:
    assert len(small) == 4
    assert [small.row_of_display(place) for place in (0, 1, 2, 3, -1, -4)] == [2, 1, 4, 3, 3, 2]
    assert small.order.tolist() == [2, 1, 4, 3]
    for outside in (4, -5):
        with pytest.raises(FrameIndexError, match="of 4 frames: ask for one from 0 to 3"):
            small.row_of_display(outside)


def test_times_and_durations(small: VideoIndex) -> None:
    assert small.times.tolist() == [1.0, 1.1, 1.3, 1.4]
    np.testing.assert_allclose(small.durations, [0.1, 0.2, 0.1, 0.1])
    assert [small.span(place) for place in range(4)] == [(100, 110), (110, 130), (130, 140), (140, 150)]


def test_frame_on_screen_at_a_time(small: VideoIndex) -> None:
    at = {1.0: 2, 1.09: 2, 1.1: 1, 1.29: 1, 1.3: 4, 1.4: 3, 1.499: 3}
    assert {time: small.row_at_time(time) for time in at} == at
    assert small.display_at_time(1.2) == 1
    for outside in (0.999, 1.5, -1.0, 1e9, math.nan, math.inf, -math.inf):
        with pytest.raises(FrameTimeError):
            small.row_at_time(outside)


def test_each_frame_is_on_screen_at_its_own_time(clip: Clip) -> None:
    for name in ("plain.mp4", "timescale_30000.mp4", "fragmented.mp4"):
        index = read_index(as_source(clip(name)))
        assert [index.display_at_time(time) for time in index.times.tolist()] == list(range(len(index)))
        # Times that floating point gets slightly wrong still find their frame.
        first = float(index.times[0])
        assert [index.display_at_time(first + 0.04 * place) for place in range(50)] == list(range(50))
        below = np.nextafter(index.times, -1)
        assert [index.display_at_time(time) for time in below[1:].tolist()] == list(range(1, len(index)))


def test_index_that_shows_nothing() -> None:
    index = make([100, 200], [10, 10], [], [])
    assert (len(index), index.times.tolist(), index.durations.tolist()) == (0, [], [])
    with pytest.raises(FrameIndexError, match="shows no frame"):
        index.row_of_display(0)
    with pytest.raises(FrameTimeError, match="shows no frame"):
        index.row_at_time(0.0)


def test_sample_beyond_the_end_of_the_file(small: VideoIndex) -> None:
    cut = replace(small, size=405)
    assert [cut.fits(row) for row in range(5)] == [True, True, True, False, False]


def test_index_is_a_value(real: VideoIndex) -> None:
    other = VideoIndex.from_json(real.to_json())
    assert other == real
    assert hash(other) == hash(real)
    assert replace(real, rotation=90) != real
    assert real != 5
    with pytest.raises(ValueError, match="read-only"):
        real.samples["offset"][0] = 1
    with pytest.raises(AttributeError):
        real.timescale = 5  # type: ignore[misc]


# Belonging to other bytes


def test_check_compares_size_and_identity(clip: Clip) -> None:
    path = clip("plain.mp4")
    source = FileSource(path)
    index = read_index(source)
    index.check(source)
    # Bytes in memory have no identity, so only their size can be compared.
    index.check(BytesSource(path.read_bytes()))
    with pytest.raises(IndexMismatchError, match="bytes"):
        index.check(BytesSource(path.read_bytes() + b"x"))
    with pytest.raises(IndexMismatchError, match="version"):
        replace(index, identity="another").check(source)
    source.close()


# New indexes from old ones


def test_kinds_correct_what_the_file_marked(small: VideoIndex) -> None:
    kinds = [Kind.IDR_W_RADL, Kind.TRAIL_R, Kind.TRAIL_N, Kind.CRA, Kind.RASL_N]
    known = small.with_kinds(kinds, [0, 0, 1, 0, 2])
    assert known.samples["irap"].tolist() == [0, 0, 0, 3, 3]
    assert known.samples["temporal_id"].tolist() == [0, 0, 1, 0, 2]
    assert known.samples["kind"].tolist() == kinds
    assert known.order.tolist() == small.order.tolist()
    # The first index is a value: it stays as it was.
    assert small.samples["kind"].tolist() == [Kind.UNKNOWN] * 5


def test_kinds_known_for_some_rows_only() -> None:
    index = make([100, 200, 300, 400], [10] * 4, [0, 1, 2, 3], [0, 10, 20, 30])
    samples = index.samples.copy()
    samples["irap"] = [0, 0, 2, 2]
    marked = replace(index, samples=samples)
    unknown = Kind.UNKNOWN
    assert marked.with_kinds([unknown] * 4, [0] * 4).samples["irap"].tolist() == [0, 0, 2, 2]
    assert marked.with_kinds([unknown, Kind.CRA, unknown, 1], [0] * 4).samples["irap"].tolist() == [
        0,
        1,
        2,
        2,
    ]
    assert marked.with_kinds([1, unknown, 1, 1], [0] * 4).samples["irap"].tolist() == [-1] * 4


@pytest.mark.parametrize(
    ("kinds", "error"),
    [([1, 2], ValueError), ([1.5] * 5, ValueError), ([40] * 5, CorruptError), ([[1]] * 5, ValueError)],
)
def test_kinds_that_cannot_be(small: VideoIndex, kinds: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        small.with_kinds(kinds, [0] * 5)


def test_display_order_by_rank() -> None:
    index = make([1, 2, 3, 4, 5], [1] * 5, [1, 2, 3, 4], [0, 10, 20, 30], has_composition_times=False)
    ranked = index.with_display_order([0, 40, 10, 30, 20])
    assert ranked.order.tolist() == [2, 4, 3, 1]
    assert ranked.starts.tolist() == [0, 10, 20, 30]
    assert ranked.samples["display"].tolist() == [-1, 3, 0, 2, 1]
    assert ranked.samples["pts"].tolist() == [0, 40, 10, 30, 20]
    assert ranked.has_composition_times


def test_display_order_where_an_edit_shows_rows_again() -> None:
    index = make([1, 2, 3], [1] * 3, [0, 1, 2, 0, 1, 2], [0, 10, 20, 30, 40, 50])
    presentation = index.presentation.copy()
    presentation["edit"] = [0, 0, 0, 1, 1, 1]
    ranked = replace(index, presentation=presentation).with_display_order([2, 0, 1])
    assert ranked.order.tolist() == [1, 2, 0, 1, 2, 0]
    assert ranked.starts.tolist() == [0, 10, 20, 30, 40, 50]


@pytest.mark.parametrize("name", ["hevcjs/hevcjs_dash_720p_frag.mp4", "mp4parser/h265-sample.mp4"])
def test_display_order_mends_real_files(media: Path, name: str) -> None:
    """Frames in the order in which the decoder gives them, at the times that `ffmpeg` works out for them."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_frames", "-of", "json"]
    command += ["-show_entries", "frame=pkt_pos,best_effort_timestamp", str(media / name)]
    frames = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["frames"]
    index = read_index(as_source(media / name))
    rank = np.zeros(len(index.samples), dtype=np.int64)
    for place, frame in enumerate(frames):
        row = index.row_of_offset(int(frame["pkt_pos"]))
        assert row is not None
        rank[row] = place
    ranked = index.with_display_order(rank)
    assert ranked.samples["offset"][ranked.order].tolist() == [int(frame["pkt_pos"]) for frame in frames]
    if name.startswith("hevcjs"):
        assert ranked.starts.tolist() == [frame["best_effort_timestamp"] for frame in frames]
    else:
        assert ranked.starts.tolist() == list(range(299))


# Saving and loading


def test_saving_and_loading_gives_the_same_index(real: VideoIndex, tmp_path: Path) -> None:
    path = tmp_path / "video.index"
    real.save(path)
    real.save(path)
    assert VideoIndex.load(path) == real
    assert VideoIndex.from_json(real.to_json()) == real
    assert pickle.loads(pickle.dumps(real)) == real
    assert [entry.name for entry in tmp_path.iterdir()] == ["video.index"]


def test_columns_of_the_json_form(small: VideoIndex) -> None:
    document = json.loads(small.to_json())
    assert document["samples"]["offset"] == [100, 200, 300, 400, 500]
    assert document["presentation"]["row"] == [2, 1, 4, 3]
    assert document["entries"][0]["fourcc"] == "hvc1"


def test_entry_facts_survive(small: VideoIndex) -> None:
    bare = replace(ENTRY, color=None, dolby_vision_profile=5, nal_length_size=2, parameter_sets=())
    index = replace(small, entries=(ENTRY, bare), rotation=270, mirrored=True, identity="etag")
    assert VideoIndex.from_json(index.to_json()) == index


def test_file_errors_name_the_file(small: VideoIndex, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.index"):
        VideoIndex.load(tmp_path / "missing.index")
    with pytest.raises(SourceError, match="could not be saved"):
        small.save(tmp_path / "no_folder" / "x.index")


@pytest.mark.parametrize("data", [b"", b"x", b"FFBINDEX", bytes(200)])
def test_other_files_are_no_index(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)
    with pytest.raises(CorruptError, match="not a saved VideoIndex"):
        VideoIndex.load(path)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(where=st.floats(0, 1, exclude_max=True), new=st.binary(max_size=8), kept=st.floats(0, 2))
def test_damaged_file_is_an_index_in_range_or_corrupt(
    real: VideoIndex, tmp_path: Path, where: float, new: bytes, kept: float
) -> None:
    path = tmp_path / "damaged.index"
    real.save(path)
    data = bytearray(path.read_bytes())
    place = int(where * len(data))
    data[place : place + len(new)] = new
    path.write_bytes(data[: int(kept * len(data))] if kept < 1 else data)
    try:
        index = VideoIndex.load(path)
    except CorruptError:
        return
    for row in (index.order.tolist(), index.samples["irap"].tolist(), index.samples["display"].tolist()):
        assert all(-1 <= number < len(index.samples) for number in row)


def test_the_compact_form_is_small(real: VideoIndex) -> None:
    """An hour at 30 frames a second whose sizes and gaps repeat nowhere: the sizes are what is left, and they do not compress."""
    chance = np.random.default_rng(1)
    rows = 108_000
    samples = np.zeros(rows, dtype=SAMPLE_DTYPE)
    samples["size"] = 20_000 * chance.lognormal(0, 0.7, rows)
    gaps = np.where(
        chance.random(rows) < 0.03, chance.integers(300, 900, rows), 0
    )  # sound between the pictures
    samples["offset"] = 48 + np.cumsum(samples["size"].astype(np.int64) + gaps) - samples["size"]
    samples["dts"] = np.arange(rows) * 512
    samples["pts"] = samples["dts"] + np.tile([1024, 2560, 1024, 0, 512], rows // 5)
    samples["duration"] = 512
    samples["kind"] = Kind.UNKNOWN
    samples["irap"] = np.arange(rows) // 60 * 60
    presentation = np.zeros(rows, dtype=PRESENTATION_DTYPE)
    presentation["row"] = np.argsort(samples["pts"], kind="stable")
    presentation["start"] = samples["pts"][presentation["row"]] - 1024
    samples["display"][presentation["row"]] = np.arange(rows)
    index = replace(real, samples=samples, presentation=presentation)
    compact = index.to_bytes()
    assert VideoIndex.from_bytes(compact) == index
    assert len(compact) < 2.5 * rows


NUMBERS = st.one_of(st.integers(-(2**62), 2**62), st.integers(-300, 300))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), rows=st.integers(1, 12))
def test_whatever_is_in_range_comes_back(small: VideoIndex, data: st.DataObject, rows: int) -> None:
    """Tables that no prediction fits, at the ends of what their columns hold."""

    def draw(low: int, high: int, length: int = rows) -> list[int]:
        return data.draw(st.lists(st.integers(low, high), min_size=length, max_size=length))

    samples = np.zeros(rows, dtype=SAMPLE_DTYPE)
    samples["offset"], samples["size"] = draw(0, 2**62), draw(0, 2**32 - 1)
    samples["dts"], samples["pts"] = (
        data.draw(st.lists(NUMBERS, min_size=rows, max_size=rows)) for _ in range(2)
    )
    samples["duration"], samples["temporal_id"] = draw(0, 2**40), draw(0, 6)
    samples["kind"] = data.draw(
        st.lists(st.sampled_from([kind.value for kind in Kind]), min_size=rows, max_size=rows)
    )
    samples["irap"] = [data.draw(st.integers(-1, row)) for row in range(rows)]
    shown = data.draw(st.integers(0, 12))
    presentation = np.zeros(shown, dtype=PRESENTATION_DTYPE)
    presentation["row"], presentation["edit"] = draw(0, rows - 1, shown), draw(0, 2**32 - 1, shown)
    presentation["start"] = sorted(data.draw(st.lists(NUMBERS, min_size=shown, max_size=shown)))
    samples["display"] = display_column(presentation["row"], rows)
    index = replace(small, samples=samples, presentation=presentation)
    assert VideoIndex.from_bytes(index.to_bytes()) == index


def compact_parts(index: VideoIndex) -> tuple[dict[str, Any], bytes]:
    """Header and tables of the compact form, the latter not deflated any more."""
    compact = index.to_bytes()
    end = 16 + int.from_bytes(compact[12:16], "little")
    return json.loads(compact[16:end]), zlib.decompress(compact[end:-4])


def compact_of(header: dict[str, Any], tables: bytes, *, behind: bytes = b"") -> bytes:
    """The compact form with this header and these tables."""
    text = json.dumps(header).encode()
    return with_checksum(
        b"FFBINDEX\x02\x00\r\n" + len(text).to_bytes(4, "little") + text + zlib.compress(tables) + behind
    )


def with_checksum(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4, "little")


def test_the_compact_form_taken_apart_and_put_together(small: VideoIndex) -> None:
    assert VideoIndex.from_bytes(compact_of(*compact_parts(small))) == small


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"widths": None}, "12 columns"),
        ({"widths": [1] * 11}, "12 columns"),
        ({"widths": [9] * 12}, "width is 9"),
        ({"widths": [-1] * 12}, "width is -1"),
        ({"widths": [8] * 12}, "not as long as its header says"),
        ({"widths": [0] * 12}, "not as long as its header says"),
        ({"sample_count": 0}, "not as long as its header says"),
        ({"sample_count": 4}, "not as long as its header says"),
        ({"sample_count": 6}, "not as long as its header says"),
        ({"shown_count": 3}, "not as long as its header says"),
        ({"entries": []}, "a sample entry that is not there"),
    ],
)
def test_a_compact_header_that_does_not_fit(small: VideoIndex, changes: dict[str, Any], says: str) -> None:
    header, tables = compact_parts(small)
    with pytest.raises(CorruptError, match=f"index is malformed: .*{says}"):
        VideoIndex.from_bytes(compact_of(header | changes, tables))


@pytest.mark.parametrize("where", range(12))
def test_compact_columns_of_other_numbers_are_in_range_or_corrupt(small: VideoIndex, where: int) -> None:
    """Each column in turn eight bytes wide and full of the largest numbers there are."""
    header, tables = compact_parts(small)
    lengths = [5] * 9 + [4] * 3
    widths = header["widths"]
    start = sum(width * length for width, length in zip(widths[:where], lengths, strict=False))
    end = start + widths[where] * lengths[where]
    changed = tables[:start] + b"\xff" * (8 * lengths[where]) + tables[end:]
    header["widths"] = [*widths[:where], 8, *widths[where + 1 :]]
    with pytest.raises(CorruptError, match="index is malformed"):
        VideoIndex.from_bytes(compact_of(header, changed))


def test_what_stands_behind_the_tables_or_is_missing_is_corrupt(small: VideoIndex) -> None:
    parts = compact_parts(small)
    whole = compact_of(*parts)
    for data in (
        compact_of(*parts, behind=b"x"),
        *(with_checksum(whole[:-4][:end]) for end in (-1, -5, 40, 16)),
    ):
        with pytest.raises(CorruptError, match=r"index is malformed: (?!its checksum)"):
            VideoIndex.from_bytes(data)


def test_a_wrong_bit_anywhere_is_corrupt(small: VideoIndex) -> None:
    """In a parameter set too, where no range tells."""
    data = small.to_bytes()
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]
        with pytest.raises(CorruptError, match="not a saved VideoIndex" if place < 12 else "its checksum"):
            VideoIndex.from_bytes(changed)


def test_limits_hold_before_memory_is_taken(small: VideoIndex, tmp_path: Path) -> None:
    """A few bytes that say they are billions of samples."""
    header, tables = compact_parts(small)
    assert VideoIndex.from_bytes(compact_of(header, tables), limits=Limits(samples=5)) == small
    with pytest.raises(LimitError, match="5 samples, more than the 4"):
        VideoIndex.from_bytes(compact_of(header, tables), limits=Limits(samples=4))
    small.save(tmp_path / "saved.ffindex")
    with pytest.raises(LimitError, match=r"saved\.ffindex: the file has 5 samples"):
        ffbind.open(b"", index=tmp_path / "saved.ffindex", limits=Limits(samples=4))
    with pytest.raises(LimitError, match="2000000000 samples"):
        VideoIndex.from_bytes(compact_of(header | {"sample_count": 2 * 10**9, "widths": [0] * 12}, b""))
    with pytest.raises(LimitError, match="frames shown"):
        VideoIndex.from_bytes(compact_of(header | {"shown_count": 2 * 10**9, "widths": [0] * 12}, b""))
    bomb = compact_of(header, bytes(1 << 26))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptError, match="not as long as its header says"):
            VideoIndex.from_bytes(bomb)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


BAD_COLUMNS = [
    ("samples", "entry", 1),
    ("samples", "irap", 4),
    ("samples", "irap", -2),
    ("samples", "display", 9),
    ("samples", "display", 0),
    ("samples", "kind", 40),
    ("samples", "temporal_id", 7),
    ("samples", "offset", 2**63),
    ("samples", "offset", -1),
    ("samples", "size", 2**32),
    ("samples", "size", 1.5),
    ("samples", "size", None),
    ("samples", "size", True),
    ("samples", "duration", -1),
    ("samples", "pts", 2**63 - 1),
    ("samples", "dts", 10**30),
    ("presentation", "row", 5),
    ("presentation", "row", -1),
    ("presentation", "row", 0),
    ("presentation", "start", 2**62 + 1),
    ("presentation", "start", 999),
]


@pytest.mark.parametrize(("table", "column", "value"), BAD_COLUMNS)
def test_number_out_of_range_is_corrupt(small: VideoIndex, table: str, column: str, value: Any) -> None:
    document = json.loads(small.to_json())
    document[table][column][1] = value
    with pytest.raises(CorruptError, match="index is malformed"):
        VideoIndex.from_json(json.dumps(document))


BAD_FIELDS = [
    ("version", 2),
    ("timescale", 0),
    ("timescale", 2**32),
    ("rotation", 45),
    ("mirrored", 1),
    ("size", -1),
    ("size", "1000"),
    ("identity", None),
    ("track_id", 2**40),
    ("sample_count", 4),
    ("sample_count", 10**15),
    ("shown_count", -1),
    ("has_composition_times", "yes"),
    ("entries", None),
    ("entries", []),
    ("entries", [5]),
    ("samples", []),
    ("samples", {"offset": []}),
    ("presentation", None),
]


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS)
def test_field_out_of_range_is_corrupt(small: VideoIndex, name: str, value: Any) -> None:
    document = json.loads(small.to_json())
    document[name] = value
    with pytest.raises(CorruptError, match="index is malformed"):
        VideoIndex.from_json(json.dumps(document))


BAD_ENTRIES = [
    ("fourcc", 5),
    ("nal_length_size", 3),
    ("nal_length_size", 0),
    ("parameter_sets", "AAAA"),
    ("parameter_sets", ["not base64!"]),
    ("parameter_sets", [5]),
    ("width", 2**16),
    ("color", [1, 1, 1]),
    ("color", [1, 1, 1, 1]),
    ("color", [1, 1, -1, True]),
    ("pixel_aspect", [1]),
    ("pixel_aspect", [0, 1]),
    ("dolby_vision_profile", 128),
]


@pytest.mark.parametrize(("name", "value"), BAD_ENTRIES)
def test_sample_entry_out_of_range_is_corrupt(small: VideoIndex, name: str, value: Any) -> None:
    document = json.loads(small.to_json())
    document["entries"][0][name] = value
    with pytest.raises(CorruptError, match="index is malformed"):
        VideoIndex.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", "[" * 100_000, '"x"', b"\xff\xfe"])
def test_text_that_is_no_index(text: str | bytes) -> None:
    with pytest.raises(CorruptError, match="index is malformed"):
        VideoIndex.from_json(text)


def test_no_native_code_is_loaded() -> None:
    """The server reads boxes and indexes in a process that runs no native parser on a video's bytes."""
    code = (
        "import sys, ffbind.isobmff, ffbind.index\n"
        "assert not [name for name in sys.modules if name.startswith('ffbind._native')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_framing_is_saved_and_older_files_have_none(real: VideoIndex, tmp_path: Path) -> None:
    """Version 1, without it, means lengths in front of NAL units; only another framing makes a file of version 2."""
    assert json.loads(real.to_json())["version"] == 1
    assert "framing" not in json.loads(real.to_json())
    framed = replace(
        real,
        entries=tuple(replace(entry, nal_length_size=4) for entry in real.entries),
        framing=Framing(FramingKind.TRANSPORT_STREAM, 192, 4, 4113),
    )
    assert json.loads(framed.to_json())["version"] == 2
    framed.save(tmp_path / "index")
    for back in (
        VideoIndex.load(tmp_path / "index"),
        VideoIndex.from_json(framed.to_json()),
        pickle.loads(pickle.dumps(framed)),
    ):
        assert back == framed
        assert back.framing == framed.framing
    assert framed != real


@pytest.mark.parametrize(
    "framing",
    [
        None,
        "annex_b",
        {},
        {"kind": "annex_b"},
        {"kind": "annex_b", "packet_size": 188, "phase": 0, "pid": 0},
        {"kind": "transport_stream", "packet_size": 187, "phase": 0, "pid": 256},
        {"kind": "transport_stream", "packet_size": 188, "phase": 188, "pid": 256},
        {"kind": "transport_stream", "packet_size": 188, "phase": 0, "pid": 8191},
        {"kind": "other", "packet_size": 0, "phase": 0, "pid": 0},
    ],
)
def test_malformed_framing(real: VideoIndex, framing: object) -> None:
    document = json.loads(real.to_json()) | {"version": 2, "framing": framing}
    with pytest.raises(CorruptError, match="index is malformed"):
        VideoIndex.from_json(json.dumps(document))


def test_lengths_of_two_bytes_do_not_go_with_start_codes(real: VideoIndex) -> None:
    entries = (replace(real.entries[0], nal_length_size=2),)
    with pytest.raises(CorruptError, match="no lengths in the file"):
        replace(real, entries=entries, framing=Framing(FramingKind.ANNEX_B))
