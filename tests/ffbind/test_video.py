"""The face of the library over real clips: every way to a frame, every way to open, life and death of a video."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import multiprocessing
import operator
import os
import pickle
import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ffbind

Clip = Callable[[str], Path]
Hash = Callable[[ffbind.Frame], str]
Linear = Callable[..., list[str]]


@pytest.fixture
def plain(clip: Clip) -> Path:
    return clip("plain.mp4")


def wrong_type(value: Any) -> Any:
    """Hide a type that the checker would refuse."""
    return value


class Memory:
    """A source of somebody's own: no class of the library, only its four members."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    @property
    def identity(self) -> str:
        return "a"

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | bytearray | memoryview]:
        return [self.read_at(offset, length) for offset, length in ranges]


# ---- What the video says of itself ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "plain.mp4",
        "cut_both.mp4",
        "lossless_ten_bit.mp4",
        "yuv444_full.mp4",
        "gray.mp4",
        "rgb.mp4",
        "cropped.mp4",
        "turned.mp4",
    ],
)
def test_properties_are_those_of_ffprobe(name: str, clip: Clip, linear_hashes: Linear) -> None:
    command = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-show_streams",
        "-of",
        "json",
        str(clip(name)),
    ]
    stream = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"][0]
    with ffbind.open(clip(name)) as video:
        # The angle of the display matrix is counter-clockwise.
        angle = sum(int(data.get("rotation", 0)) for data in stream.get("side_data_list", []))
        turned = name == "turned.mp4"
        assert (angle != 0) == turned
        assert video.codec == stream["codec_name"] == "hevc"
        assert video.pixel_format == stream["pix_fmt"]
        assert (
            (video.height, video.width)
            if turned
            else (video.width, video.height)
            == (
                stream["width"],
                stream["height"],
            )
        )
        assert video.rotation == -angle % 360
        assert video.bit_depth == (10 if "10" in stream["pix_fmt"] else 8)
        assert video.color.full_range == (stream.get("color_range") == "pc")
        assert video.duration == pytest.approx(float(stream["duration"]), abs=0.041)
        assert video.frame_rate == pytest.approx(25.0)
        assert len(video) == len(linear_hashes(clip(name)))
        assert str(len(video)) in repr(video)
        frame = video[0]
        assert (frame.width, frame.height, frame.pixel_format) == (
            video.width,
            video.height,
            video.pixel_format,
        )
        assert frame.to_numpy().shape == (video.height, video.width, 3)


def test_frames_say_where_they_come_from(plain: Path) -> None:
    with ffbind.open(plain) as video:
        index = video.index
        for i, frame in enumerate(video):
            row = index.row_of_display(i)
            assert frame.index == i
            assert frame.offset == index.samples["offset"][row]
            assert frame.pts == index.samples["pts"][row]
            assert frame.time == pytest.approx(i / 25)
            assert frame.duration == pytest.approx(1 / 25)
        assert video[0].kind.is_idr
        assert {video[i].kind for i in range(len(video))} > {ffbind.Kind.CRA, ffbind.Kind.TRAIL_R}


# ---- By index ---------------------------------------------------------------------------------------------


def test_indices_negative_ones_and_slices(plain: Path, linear_hashes: Linear, picture_hash: Hash) -> None:
    shown = linear_hashes(plain)
    with ffbind.open(plain) as video:
        assert len(video) == len(shown) == 50
        assert picture_hash(video[-1]) == shown[-1]
        assert video[-1].index == 49
        assert picture_hash(video[-50]) == shown[0]
        assert picture_hash(video[np.int64(7)]) == shown[7]
        part = video[10:40:3]
        assert [picture_hash(frame) for frame in part] == shown[10:40:3]
        assert [frame.index for frame in part] == list(range(10, 40, 3))
        assert [picture_hash(frame) for frame in part[::-1][1:4]] == shown[10:40:3][::-1][1:4]
        assert picture_hash(part[-2]) == shown[10:40:3][-2]
        assert picture_hash(video[::-1][0]) == shown[-1]
        assert len(video[60:]) == 0
        assert list(video[60:]) == []


def test_a_slice_decodes_nothing_by_itself(plain: Path) -> None:
    with ffbind.open(plain) as video:
        part = video[5:45]
        assert len(part) == 40
        assert len(part[3:7]) == 4
        assert video.stats == type(video.stats)()
        assert part[0].index == 5
        assert 0 < video.stats.pictures < 40


@pytest.mark.parametrize("place", [50, -51, 10**30, -(10**30)])
def test_an_index_outside_is_an_index_error_and_ours(place: int, plain: Path) -> None:
    with ffbind.open(plain) as video:
        for frames in (video, video[:]):
            with pytest.raises(IndexError) as caught:
                frames[place]
            assert isinstance(caught.value, ffbind.FFbindError)
        with pytest.raises(ffbind.FrameIndexError):
            list(video.frames([0, place]))


@pytest.mark.parametrize("place", [1.0, "1", None])
def test_an_index_that_is_no_integer_is_a_type_error(place: object, plain: Path) -> None:
    with ffbind.open(plain) as video:
        for ask in (video.__getitem__, video[:].__getitem__, lambda place: list(video.frames([place]))):
            with pytest.raises(TypeError):
                ask(wrong_type(place))


def test_frames_in_the_callers_order_with_repeats(
    plain: Path, linear_hashes: Linear, picture_hash: Hash
) -> None:
    shown = linear_hashes(plain)
    asked = [7, 3, 3, -1, 49, 7, 0]
    with ffbind.open(plain) as video:
        frames = list(video.frames(asked))
        assert [picture_hash(frame) for frame in frames] == [shown[i] for i in asked]
        assert [frame.index for frame in frames] == [7, 3, 3, 49, 49, 7, 0]
        assert list(video.frames([])) == []
        assert [frame.index for frame in video.frames(iter([4, 2]))] == [4, 2]
        with pytest.raises(ffbind.FrameIndexError):
            list(video.frames([7, 3, 3, 900]))


# ---- By time ----------------------------------------------------------------------------------------------


def test_frame_at_start_middle_end_and_outside(plain: Path) -> None:
    with ffbind.open(plain) as video:
        assert video.frame_at(0).index == 0
        assert video.frame_at(0.0399).index == 0
        assert video.frame_at(0.04).index == 1
        assert video.frame_at(1.23).index == 30
        assert video.frame_at(video.duration - 1e-4).index == 49
        for outside in (-0.01, video.duration, 1e9, float("nan"), float("inf")):
            with pytest.raises(ffbind.FrameTimeError) as caught:
                video.frame_at(outside)
            assert isinstance(caught.value, ValueError)


def test_frames_at_times_with_tolerance(plain: Path) -> None:
    with ffbind.open(plain) as video:
        assert [frame.index for frame in video.frames_at([1.0, 0.05, 1.0])] == [25, 1, 25]
        assert [frame.index for frame in video.frames_at([0.4, 0.405], tolerance=0.01)] == [10, 10]
        with pytest.raises(ffbind.FrameTimeError, match=r"0\.405"):
            list(video.frames_at([0.4, 0.405], tolerance=0.001))
        with pytest.raises(ffbind.FrameTimeError):
            list(video.frames_at([0.4, 2.5]))


# ---- By byte offset ---------------------------------------------------------------------------------------


def test_by_offsets_in_the_callers_order(plain: Path, linear_hashes: Linear, picture_hash: Hash) -> None:
    shown = linear_hashes(plain)
    with ffbind.open(plain) as video:
        samples = video.index.samples
        rows = [*random.Random(0).sample(range(len(samples)), 20), 5, 5]
        frames = list(video.frames_at_offsets(int(samples["offset"][row]) for row in rows))
        assert [picture_hash(frame) for frame in frames] == [shown[samples["display"][row]] for row in rows]
        irap = int(samples["offset"][0])
        assert (
            picture_hash(video.frame_at_offset(int(samples["offset"][30]), irap))
            == shown[samples["display"][30]]
        )


@pytest.mark.parametrize("name", ["cut_start.mp4", "cut_both.mp4"])
def test_samples_hidden_by_the_edit_list_are_reached_by_offset(
    name: str, clip: Clip, linear_hashes: Linear, picture_hash: Hash
) -> None:
    with ffbind.open(clip(name)) as video:
        samples = video.index.samples
        hidden = np.flatnonzero(samples["display"] < 0)
        assert len(hidden) > 0
        everything = linear_hashes(clip(name), edits=False)
        for row in hidden:
            try:
                frame = video.frame_at_offset(int(samples["offset"][row]))
            except ffbind.UndecodableError:
                continue
            assert frame.index == -1
            assert np.isnan(frame.time)
            assert np.isnan(frame.duration)
            assert picture_hash(frame) in everything
        assert video[0].index == 0
        assert picture_hash(video[0]) == linear_hashes(clip(name))[0]


def test_wrong_offsets_are_told_apart(plain: Path) -> None:
    with ffbind.open(plain) as video:
        samples = video.scan().samples
        offsets = [int(offset) for offset in samples["offset"]]
        iraps = [int(row) for row in np.flatnonzero((samples["kind"] >= 16) & (samples["kind"] <= 23))]
        assert len(iraps) >= 3
        for wrong in (offsets[3] + 1, 0, -1, 2**63, 2**64, 2**80):
            with pytest.raises(ffbind.OffsetError) as caught:
                video.frame_at_offset(wrong)
            assert type(caught.value) is ffbind.OffsetError
            with pytest.raises(ffbind.OffsetError, match="irap_offset"):
                video.frame_at_offset(offsets[3], wrong)
        with pytest.raises(ffbind.NotIrapError):
            video.frame_at_offset(offsets[3], offsets[2])
        with pytest.raises(ffbind.BeforeIrapError):
            video.frame_at_offset(offsets[iraps[1] - 1], offsets[iraps[1]])
        with pytest.raises(ffbind.OffsetError):
            list(video.frames_at_offsets([offsets[0], offsets[1] + 1]))


def test_rasl_pictures_come_from_the_irap_before(
    clip: Clip, linear_hashes: Linear, picture_hash: Hash
) -> None:
    """A RASL picture with its own CRA as `irap_offset`: that says where to start at the latest, so it is exact all the same."""
    path = clip("plain.mp4")
    shown = linear_hashes(path)
    with ffbind.open(path) as video:
        samples = video.scan().samples
        rasl = [int(row) for row in np.flatnonzero((samples["kind"] == 8) | (samples["kind"] == 9))]
        assert len(rasl) >= 3
    for row in rasl:
        with ffbind.open(path) as video:
            irap = int(samples["irap"][row])
            assert samples["kind"][irap] == ffbind.Kind.CRA
            frame = video.frame_at_offset(int(samples["offset"][row]), int(samples["offset"][irap]))
            assert picture_hash(frame) == shown[samples["display"][row]]
            assert frame.kind.is_rasl


def test_rasl_pictures_of_the_first_cra_are_undecodable(
    clip: Clip, linear_hashes: Linear, picture_hash: Hash
) -> None:
    """A video cut at a CRA: its RASL pictures are a named error, everything else is there."""
    path = clip("cut_start.mp4")
    everything = linear_hashes(path, edits=False)
    with ffbind.open(path) as video:
        samples = video.scan().samples
        assert samples["kind"][0] == ffbind.Kind.CRA
        second = int(np.flatnonzero(samples["kind"] == ffbind.Kind.CRA)[1])
        lost = [row for row in range(second) if ffbind.Kind(int(samples["kind"][row])).is_rasl]
        assert lost
        for _ in range(2):
            for row in range(len(samples)):
                offset = int(samples["offset"][row])
                if row in lost:
                    with pytest.raises(ffbind.UndecodableError, match="RASL"):
                        video.frame_at_offset(offset)
                else:
                    assert picture_hash(video.frame_at_offset(offset)) in everything


def test_a_remembered_failure_is_a_new_error_each_time(clip: Clip) -> None:
    """Raising adds to an error's traceback: on one that is kept, it would grow for ever."""
    with ffbind.open(clip("cut_start.mp4")) as video:
        samples = video.scan().samples
        offset = int(samples["offset"][np.flatnonzero(samples["kind"] == ffbind.Kind.RASL_N)[0]])
        errors = []
        for _ in range(5):
            with pytest.raises(ffbind.UndecodableError) as caught:
                video.frame_at_offset(offset)
            errors.append(caught.value)
        restarts = video.stats.restarts
        assert len({id(error) for error in errors}) == 5
        lengths = []
        for error in errors:
            trace, length = error.__traceback__, 0
            while trace is not None:
                trace, length = trace.tb_next, length + 1
            lengths.append(length)
        assert lengths[1:] == lengths[1:2] * 4
        with pytest.raises(ffbind.UndecodableError):
            video.frame_at_offset(offset)
        assert video.stats.restarts == restarts


# ---- Batches ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["plain.mp4", "turned.mp4", "lossless_ten_bit.mp4", "gray.mp4", "cropped.mp4"]
)
@pytest.mark.parametrize("size", [None, (64, None)])
def test_a_batch_is_its_frames(name: str, size: tuple[int | None, int | None] | None, clip: Clip) -> None:
    asked = [7, 3, 20, -1]
    with ffbind.open(clip(name)) as video:
        for format_name in ("rgb24", "bgr24", "gray8", "yuv420p", "rgb48", "gray16"):
            batch = video.to_numpy(asked, format_name, size)
            assert batch.shape[0] == 4
            assert batch.flags.owndata
            assert batch.flags.writeable
            assert batch.flags.c_contiguous
            for row, place in zip(batch, asked, strict=True):
                np.testing.assert_array_equal(row, video[place].to_numpy(format_name, size))
            batch[:] = 0
        assert video[7].to_numpy().any()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", ["plain.mp4", "closed.mp4", "open_gop.mp4"])
def test_a_batch_decodes_what_was_planned(name: str, threads: int, clip: Clip) -> None:
    """And no more than two pictures for each GOP that another thread takes: its IRAP, and that of leading pictures."""
    path = clip(name)
    with ffbind.open(path) as video:
        count = len(video)
        gops = len(set(video.index.samples["irap"].tolist()))
    for seed in range(8):
        asked = random.Random(seed).sample(range(count), count // 4)
        with ffbind.open(path, threads=threads) as video:
            planned = video.plan(asked, exact=True).samples
            assert sum(1 for _ in video.frames(asked)) == len(asked)
            assert video.stats.pictures <= planned + (2 * gops if threads > 1 else 0)


def test_an_empty_batch_has_the_shape_of_its_frames(plain: Path) -> None:
    with ffbind.open(plain) as video:
        assert video.to_numpy([]).shape == (0, 108, 192, 3)
        assert video.to_numpy([], "gray8", (96, 54)).shape == (0, 54, 96)
        assert video.to_numpy([]).dtype == np.uint8


@pytest.mark.parametrize("name", ["plain.mp4", "closed.mp4", "open_gop.mp4", "in_band.mp4", "fragmented.mp4"])
def test_threads_change_nothing(name: str, clip: Clip, linear_hashes: Linear, picture_hash: Hash) -> None:
    shown = linear_hashes(clip(name))
    asked = random.Random(name).sample(range(len(shown)), 30)
    for threads in (1, 2, 4):
        with ffbind.open(clip(name), threads=threads) as video:
            assert [picture_hash(frame) for frame in video.frames(asked)] == [shown[i] for i in asked]
            assert video.stats.decoders_opened <= 8
            first = video.stats
            assert [picture_hash(frame) for frame in video.frames(asked)] == [shown[i] for i in asked]
            assert video.stats.pictures == first.pictures
            assert video.stats.pictures_reused == first.pictures_reused + 30


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads_is_refused(threads: int, plain: Path) -> None:
    with pytest.raises(ffbind.ArgumentError):
        ffbind.open(plain, threads=threads)


# ---- What it costs ----------------------------------------------------------------------------------------


def test_a_plan_covers_the_bytes_from_the_irap_to_the_frame(plain: Path) -> None:
    with ffbind.open(plain) as video:
        samples = video.scan().samples
        spans = [(int(samples["offset"][row]), int(samples["size"][row])) for row in range(len(samples))]
        for place in range(len(video)):
            plan = video.plan([place])
            row = video.index.row_of_display(place)
            start = int(samples["irap"][row])
            if ffbind.Kind(int(samples["kind"][row])).is_rasl:
                start = int(samples["irap"][start - 1])
            covered = {byte for offset, length in plan.ranges for byte in range(offset, offset + length)}
            assert covered == {
                byte for offset, size in spans[start : row + 1] for byte in range(offset, offset + size)
            }
            assert plan.samples == row + 1 - start
            assert plan.pictures == 1
            assert plan.bytes == len(covered)
        whole = video.plan(range(50))
        assert (whole.samples, whole.pictures) == (50, 50)
        assert whole.bytes == sum(size for _, size in spans)
        assert video.plan([]).ranges == ()
        with pytest.raises(ffbind.FrameIndexError):
            video.plan([50])


@pytest.mark.parametrize("name", ["plain.mp4", "open_gop.mp4", "two_layers.mp4", "no_b.mp4"])
def test_an_exact_plan_is_what_decoding_takes(name: str, clip: Clip) -> None:
    path = clip(name)
    with ffbind.open(path) as video:
        for places in ([3], [17], [40], [40, 17, 3], range(len(video))):
            plan = video.plan(places, exact=True)
            assert video.stats.decoders_opened == 0
            with ffbind.open(path, threads=1) as other:
                other.to_numpy(places)
                assert other.stats.samples_sent == plan.samples
        video.scan()
        needed = [video.plan([place], exact=True).samples for place in range(50)]
        most = [video.plan([place]).samples for place in range(50)]
        assert all(less <= more for less, more in zip(needed, most, strict=True))
        assert sum(needed) < sum(most) or name == "no_b.mp4"


def test_going_forward_opens_one_decoder_and_starts_once(plain: Path) -> None:
    with ffbind.open(plain) as video:
        for place in range(len(video)):
            video[place]
        stats = video.stats
        assert (stats.decoders_opened, stats.restarts, stats.fallbacks) == (1, 1, 0)
        assert stats.pictures == stats.samples_sent == 50
        assert 50 <= stats.samples_read < 100  # leading pictures are looked at from two IRAPs
        assert stats.source_bytes >= int(video.index.samples["size"].sum())
        assert stats.pictures_reused < 50
        pictures, reused = stats.pictures, stats.pictures_reused
        first, again = video[17], video[17]
        assert first.index == again.index == 17
        assert video.stats.pictures == pictures
        assert video.stats.pictures_reused == reused + 2
        stats.pictures = -1
        assert video.stats.pictures == pictures


def test_opening_reads_no_picture(plain: Path) -> None:
    with ffbind.open(plain) as video:
        assert (video.width, video.height, video.bit_depth) == (192, 108, 8)
        assert video.stats.source_reads == 0
        assert video.stats.decoders_opened == 0


# ---- Ways to open -----------------------------------------------------------------------------------------


def test_every_kind_of_source_gives_the_same_frames(
    plain: Path, linear_hashes: Linear, picture_hash: Hash
) -> None:
    data = plain.read_bytes()
    shown = linear_hashes(plain)
    with plain.open("rb") as file:
        sources: list[Any] = [
            str(plain),
            plain,
            data,
            bytearray(data),
            memoryview(data),
            io.BytesIO(data),
            file,
            Memory(data),
        ]
        for source in sources:
            with ffbind.open(source) as video:
                assert picture_hash(video[29]) == shown[29]
        assert not file.closed


@pytest.mark.parametrize("source", [None, 5, object()])
def test_what_holds_no_bytes_is_a_type_error(source: Any) -> None:
    with pytest.raises(TypeError):
        ffbind.open(source)


def test_with_an_index_of_its_own_or_of_another_file(
    plain: Path, clip: Clip, tmp_path: Path, linear_hashes: Linear, picture_hash: Hash
) -> None:
    saved = tmp_path / "plain.index"
    with ffbind.open(plain) as video:
        index = video.scan()
    index.save(saved)
    for given in (index, saved, str(saved), ffbind.VideoIndex.from_json(index.to_json())):
        with ffbind.open(plain, index=given) as video:
            assert video.index == index
            assert picture_hash(video[20]) == linear_hashes(plain)[20]
    with pytest.raises(ffbind.IndexMismatchError):
        ffbind.open(clip("closed.mp4"), index=index)
    with pytest.raises(ffbind.SourceError):
        ffbind.open(plain, index=tmp_path / "missing")


def test_an_index_that_lies_never_gives_another_picture(
    plain: Path, linear_hashes: Linear, picture_hash: Hash
) -> None:
    """An index is a hint: wrong kinds and IRAPs cost time or give an error, never a wrong picture."""
    shown = linear_hashes(plain)
    with ffbind.open(plain) as video:
        index = video.scan()
    for seed in range(6):
        chance = np.random.default_rng(seed)
        lie = index.with_kinds(chance.permutation(index.samples["kind"]), index.samples["temporal_id"])
        with ffbind.open(plain, index=lie) as video:
            for place in chance.permutation(len(video))[:12]:
                try:
                    frame = video[int(place)]
                except ffbind.FFbindError:
                    continue
                assert picture_hash(frame) == shown[place]


def test_a_track_by_its_id(clip: Clip) -> None:
    with ffbind.open(clip("two_tracks.mp4")) as video:
        assert (video.index.track_id, len(video)) == (2, 50)
    with ffbind.open(clip("two_tracks.mp4"), track=1) as video:
        assert (video.index.track_id, len(video)) == (1, 1)
        assert video[0].index == 0
    with pytest.raises(ffbind.FFbindError):
        ffbind.open(clip("two_tracks.mp4"), track=3)


def test_the_order_of_showing_comes_from_the_stream_where_times_are_missing(
    clip: Clip, linear_hashes: Linear, picture_hash: Hash
) -> None:
    """`ctts` renamed: no composition times. Frames come in the order of the picture order counts all the same."""
    path = clip("no_edit_list.mp4")
    shown = linear_hashes(path)
    data = path.read_bytes()
    assert data.count(b"ctts") == 1
    with ffbind.open(data.replace(b"ctts", b"free")) as video:
        assert [picture_hash(video[i]) for i in (0, 1, 2, 3, 30, 49)] == [
            shown[i] for i in (0, 1, 2, 3, 30, 49)
        ]
        assert [picture_hash(frame) for frame in video] == shown


# ---- Life and death ---------------------------------------------------------------------------------------

USES: list[Callable[[ffbind.Video], object]] = [
    lambda video: video[0],
    lambda video: list(video),
    lambda video: list(video[2:4]),
    lambda video: video.frame_at(0.5),
    lambda video: list(video.frames_at([0.5])),
    lambda video: list(video.frames([1])),
    lambda video: video.frame_at_offset(48),
    lambda video: list(video.frames_at_offsets([48])),
    lambda video: video.to_numpy([1]),
    lambda video: video.to_numpy([]),
    lambda video: video.scan(),
    lambda video: video.width,
    lambda video: video.pixel_format,
    lambda video: video.__enter__(),
]


def test_use_after_close_is_a_clear_error(plain: Path) -> None:
    with ffbind.open(plain) as video:
        part = video[3:9]
        going = iter(video.frames([3, 4]))
        kept = next(going)
    video.close()
    for use in [*USES, lambda _: part[0]]:
        with pytest.raises(ffbind.ClosedError, match="closed"):
            use(video)
    assert len(video) == 50
    assert video.stats.decoders_opened == 1
    assert kept.to_numpy().any()


def test_frames_outlive_their_video(plain: Path, linear_hashes: Linear, picture_hash: Hash) -> None:
    video = ffbind.open(plain)
    frames = list(video)
    planes = [frame.planes for frame in frames]
    video.close()
    del video
    gc.collect()
    assert [picture_hash(frame) for frame in frames] == linear_hashes(plain)
    assert frames[10].to_jpeg()[:2] == b"\xff\xd8"
    brightness = [int(plane[0].sum()) for plane in planes]
    del frames
    gc.collect()
    assert [int(plane[0].sum()) for plane in planes] == brightness


def test_planes_videos_and_frames_die_in_any_order(plain: Path, linear_hashes: Linear) -> None:
    shown = linear_hashes(plain)
    for order in (
        "video frame planes",
        "frame video planes",
        "planes frame video",
        "planes video frame",
        "frame planes video",
    ):
        alive: dict[str, Any] = {"video": ffbind.open(plain)}
        alive["frame"] = alive["video"][13]
        alive["planes"] = alive["frame"].planes
        for name in order.split():
            if "planes" in alive:
                digest = hashlib.md5(b"".join(plane.tobytes() for plane in alive["planes"]))
                assert digest.hexdigest() == shown[13]
            del alive[name]
            gc.collect()


def test_planes_are_read_only_and_stay_with_us(plain: Path) -> None:
    with ffbind.open(plain) as video:
        plane = video[5].planes[0]
        with pytest.raises(ValueError, match="read-only"):
            plane[0, 0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            plane.flags.writeable = True
        with pytest.raises(BufferError, match="copy"):
            np.from_dlpack(plane)
        own = plane.copy()
        own[:] = 0
        assert video[5].planes[0].any()


def test_a_pickled_video_decodes_in_another_process(
    plain: Path, linear_hashes: Linear, picture_hash: Hash
) -> None:
    with ffbind.open(plain, threads=1) as video:
        scanned = video.scan()
        again = pickle.loads(pickle.dumps(video))
        with again:
            assert again.index == scanned
            assert picture_hash(again[21]) == linear_hashes(plain)[21]
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            array = pool.apply(operator.methodcaller("to_numpy", [21, 3]), (video,))
        np.testing.assert_array_equal(array, video.to_numpy([21, 3]))
    with ffbind.open(plain.read_bytes()) as video, pytest.raises(TypeError, match="path"):
        pickle.dumps(video)


FORKED = """
    import os, sys, threading
    import ffbind

    video = ffbind.open(sys.argv[1])
    decoder = ffbind.Decoder(video.index.entries[0].parameter_sets)
    video[3]
    frame = video[20]
    # A thread of the parent holds the locks while the process forks, and in the child nobody will release them.
    video._turn.lock.acquire()
    decoder._turn.lock.acquire()
    child = threading.Thread(target=lambda: None)
    started = threading.Event()
    result = []

    def fork():
        pid = os.fork()
        if pid:
            result.append(os.waitpid(pid, 0)[1])
            return
        fine = 0
        for use in (lambda: video[3], lambda: list(video), lambda: video.width, lambda: video.stats,
                    lambda: video.frame_at_offset(48), lambda: decoder.decode(b""), lambda: decoder.flush()):
            try:
                use()
            except ffbind.ForkedError as error:
                fine += "fork" in str(error)
        video.close()
        decoder.close()
        with ffbind.open(sys.argv[1]) as own:
            fine += (own[20].to_numpy() == frame.to_numpy()).all()
        os._exit(0) if fine == 8 else os._exit(fine + 1)

    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
    video._turn.lock.release()
    decoder._turn.lock.release()
    assert result == [0], result
    video[4]
    # A child that ends as Python does: everything is torn down.
    if os.fork() == 0:
        sys.exit(0)
    assert os.wait()[1] == 0
"""


def test_after_fork_there_is_a_clear_error_and_no_hang(plain: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORKED), str(plain)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_four_threads_share_a_video(clip: Clip, linear_hashes: Linear, picture_hash: Hash) -> None:
    path = clip("open_gop.mp4")
    shown = linear_hashes(path)
    wrong: list[object] = []
    with ffbind.open(path) as video:

        def work(seed: int) -> None:
            chance = random.Random(seed)
            try:
                for _ in range(25):
                    place = chance.randrange(len(shown))
                    if picture_hash(video[place]) != shown[place]:
                        wrong.append(place)
                asked = chance.sample(range(len(shown)), 10)
                if [picture_hash(frame) for frame in video.frames(asked)] != [
                    shown[place] for place in asked
                ]:
                    wrong.append(asked)
            except BaseException as error:
                wrong.append(error)

        workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert wrong == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_descriptors_do_not_pile_up(plain: Path, tmp_path: Path) -> None:
    other = tmp_path / "no.mp4"
    other.write_bytes(b"no video at all" * 10)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for round_ in range(200):
        video = ffbind.open(plain)
        if round_ % 10 == 0:
            video[1]
        if round_ % 2:
            video.close()
        del video
        with pytest.raises(ffbind.NotVideoError):
            ffbind.open(other)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


CREEP = """
    import resource, sys
    import ffbind

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)

    with ffbind.open(sys.argv[1], threads=1) as video:
        for frame in video:
            frame.to_jpeg()
        before = peak()
        for round_ in range(5):
            for frame in video:
                pass
            video.to_numpy(range(0, 50, 7))
        print(peak() - before, video.stats.pictures_reused)
"""


def test_memory_does_not_creep(plain: Path) -> None:
    """300 frames and more of a clip whose pictures all fit into the cache: what was needed once is enough."""
    command = [sys.executable, "-c", textwrap.dedent(CREEP), str(plain)]
    grown, reused = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(grown) < 8 << 20
    assert int(reused) >= 250


# ---- Dolby Vision -----------------------------------------------------------------------------------------


def with_dolby_vision(data: bytes, profile: int) -> bytes:
    """Put a dvcC box into the sample entry of a file whose moov comes last, so that no chunk offset changes."""
    box = b"\0\0\0\x20dvcC" + bytes([1, 0, profile << 1, 0x2D]) + bytes(20)
    at = data.index(b"hvcC") - 4
    out = bytearray(data[:at] + box + data[at:])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hvc1"):
        place = out.rindex(name, 0, at) - 4
        size = int.from_bytes(out[place : place + 4], "big") + len(box)
        out[place : place + 4] = size.to_bytes(4, "big")
    return bytes(out)


def test_dolby_vision_profile_5_is_refused_for_rgb_and_jpeg(
    plain: Path, linear_hashes: Linear, picture_hash: Hash
) -> None:
    data = plain.read_bytes()
    assert data.index(b"moov") > data.index(b"mdat")
    with ffbind.open(with_dolby_vision(data, 5)) as video:
        assert video.index.entries[0].dolby_vision_profile == 5
        frame = video[11]
        assert picture_hash(frame) == linear_hashes(plain)[11]
        uses: list[Callable[[], object]] = [
            frame.to_jpeg,
            frame.to_numpy,
            lambda: frame.to_numpy("gray8"),
            lambda: video.to_numpy([11, 12]),
            lambda: frame.to_numpy_into(np.empty((108, 192, 3), np.uint8)),
            frame.shown_at(3, 0.0, 0.0).to_jpeg,
        ]
        for use in uses:
            with pytest.raises(ffbind.UnsupportedError, match="Dolby Vision profile 5"):
                use()
    with ffbind.open(with_dolby_vision(data, 8)) as video:
        assert video[11].to_jpeg()[:2] == b"\xff\xd8"


def test_few_frames_asked_for_at_once_are_kept_and_many_pass_through(clip: Clip) -> None:
    with ffbind.open(clip("far_first.mp4")) as video:
        assert len(video) > 128
        for _ in video.frames(range(20)):
            pass
        before = video.stats
        for place in range(20):
            video[place]
        assert video.stats.pictures_reused == before.pictures_reused + 20
        assert video.stats.pictures == before.pictures
        for _ in video:
            pass
        before = video.stats
        assert before.pictures >= len(video)
        video[len(video) - 30]
        assert video.stats.pictures_reused == before.pictures_reused
        assert video.stats.pictures > before.pictures
