"""Promise 1: every frame, reached in every way, is bit for bit the picture of a linear decode, or a named error.

The linear decode is the `ffmpeg` command's (`-f framemd5`): saved beside the real files, run here for generated ones.
"""

from __future__ import annotations

import csv
import os
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from clips import ELEMENTARY, REAL
from linear import linear_decode, picture_hash, read_framemd5

import ffbind

GENERATED = (
    "plain.mp4",
    "closed.mp4",
    "no_b.mp4",
    "one_frame.mp4",
    "hev1.mp4",
    "plain.mov",
    "with_sound.mp4",
    "fragmented.mp4",
    "fragment_each_frame.mp4",
    "dash.mp4",
    "cut_start.mp4",
    "cut_both.mp4",
    "open_gop.mp4",
    "radl.mp4",
    "two_layers.mp4",
    "slices.mp4",
    "intra_refresh.mp4",
    "poc_wrap.mp4",
    "in_band.mp4",
    "weighted.mp4",
    "lossless_ten_bit.mp4",
    "yuv422.mp4",
    "yuv444_full.mp4",
    "gray.mp4",
    "rgb.mp4",
    "cropped.mp4",
    "turned.mp4",
)
# Streams made to break decoders: a linear decode by FFmpeg shows something, with errors concealed or not.
BROKEN = ("gen2brain-h265/fuzz_mvd_overflow.h265", "gen2brain-h265/fuzz_bit_depth_change.h265")


@dataclass(frozen=True)
class Case:
    """A file and what a linear decode of it shows: hashes in presentation order, with and without edit lists."""

    path: Path
    shown: list[str]
    all: list[str]


def saved_oracle(path: Path, *suffixes: str) -> list[str]:
    """Read the first of these oracles that lies beside a real file."""
    for suffix in suffixes:
        oracle = path.with_name(f"{path.name}{suffix}.framemd5")
        if oracle.exists():
            return read_framemd5(oracle.read_text())
    raise FileNotFoundError(path)


@pytest.fixture(scope="session")
def cases(
    request: pytest.FixtureRequest, clip: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Case]:
    """Function that gives the case of a name: a generated clip, a real file, or an elementary stream put into MP4."""
    made: dict[str, Case] = {}

    def make(name: str) -> Case:
        if "/" not in name:
            path = clip(name)
            return Case(path, linear_decode(path), linear_decode(path, edits=False))
        path = request.getfixturevalue("media") / name
        if path.suffix == ".h265":
            wrapped = tmp_path_factory.mktemp("wrapped") / (path.name + ".mp4")
            command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(path), "-c", "copy", str(wrapped)]
            subprocess.run(command, check=True)
            # Made without composition times, and with an edit list that goes by decode times: it hides pictures.
            return Case(wrapped, linear_decode(wrapped), saved_oracle(path, ""))
        if name == "mp4parser/h265-sample.mp4":
            # Without composition times the command puts one picture out early and drops two: all of them are in .noedit.
            hashes = saved_oracle(path, ".noedit")
            return Case(path, hashes, hashes)
        shown = saved_oracle(path, ".noautorotate", "")
        return Case(path, shown, saved_oracle(path, ".noedit", ".noautorotate", ""))

    def get(name: str) -> Case:
        if name not in made:
            made[name] = make(name)
        return made[name]

    return get


ALL = GENERATED + REAL + ELEMENTARY


def shown_hashes(video: ffbind.Video, order: list[int]) -> dict[int, str]:
    return {i: picture_hash(video[i]) for i in order}


@pytest.mark.parametrize("name", ALL)
def test_by_index_in_every_order(name: str, cases: Callable[[str], Case]) -> None:
    """Forwards, backwards, shuffled, and by iteration: the pictures of the linear decode, in its order."""
    case = cases(name)
    places = list(range(len(case.shown)))
    sample = places if len(places) <= 100 else places[:20] + places[120:140] + places[-20:]
    shuffled = random.Random(name).sample(places, min(len(places), 40))
    for threads in (1, 3):
        with ffbind.open(case.path, threads=threads) as video:
            assert len(video) == len(case.shown)
            assert [picture_hash(frame) for frame in video] == case.shown
            assert video.stats.decoders_opened <= threads + 1
    for order in (sample, sample[::-1], shuffled):
        with ffbind.open(case.path) as video:
            assert shown_hashes(video, order) == {i: case.shown[i] for i in order}
            assert video.stats.decoders_opened <= 16


@pytest.mark.parametrize("name", ALL)
def test_by_time(name: str, cases: Callable[[str], Case]) -> None:
    """At its start and just before its end, each frame is the one on screen."""
    case = cases(name)
    with ffbind.open(case.path) as video:
        times = video.index.times if video.index.has_composition_times else video.scan().times
        durations = video.index.durations
        for i in random.Random(name).sample(range(len(video)), min(len(video), 25)):
            for time in (times[i], times[i] + 0.9 * durations[i]):
                frame = video.frame_at(float(time))
                assert frame.index == i
                assert picture_hash(frame) == case.shown[i]


def rows_in_output_order(video: ffbind.Video) -> list[int]:
    """All rows by order count, as a decoder puts them out, without RASL pictures that no decoder shows."""
    index = video.scan()
    order = list(np.argsort(index.samples["pts"], kind="stable"))
    rows = []
    for row in order:
        try:
            video.frame_at_offset(int(index.samples["offset"][row]))
        except ffbind.UndecodableError:
            continue
        rows.append(int(row))
    return rows


@pytest.mark.parametrize("name", ALL)
def test_by_offset_from_irap_and_from_earlier(name: str, cases: Callable[[str], Case]) -> None:
    """Every sample, hidden ones too, from its own IRAP and from earlier ones (all pairs in the full tier)."""
    case = cases(name)
    with ffbind.open(case.path) as video:
        rows = rows_in_output_order(video)
        assert len(rows) == len(case.all)
        wanted = dict(zip(rows, case.all, strict=True))
        samples = video.index.samples
        iraps = [int(row) for row in np.flatnonzero((samples["kind"] >= 16) & (samples["kind"] <= 23))]
        chance = random.Random(name)
        pairs = [(row, irap) for row in rows for irap in iraps if irap <= row]
        # Shuffled: in order, decoders would always come from before an IRAP, and never start at it.
        pairs = chance.sample(pairs, len(pairs) if os.environ.get("ALL_PAIRS") else min(len(pairs), 60))
    with ffbind.open(case.path) as video:
        for row, irap in pairs:
            frame = video.frame_at_offset(int(samples["offset"][row]), int(samples["offset"][irap]))
            assert picture_hash(frame) == wanted[row]
            assert frame.offset == samples["offset"][row]
            assert frame.kind == samples["kind"][row]


@pytest.mark.parametrize("name", BROKEN)
def test_broken_streams_give_the_linear_picture_or_an_error(name: str, cases: Callable[[str], Case]) -> None:
    """Where a stream was made to break decoders, a frame is exact or there is an error."""
    case = cases(name)
    with ffbind.open(case.path) as video:
        for i in range(len(video)):
            try:
                frame = video[i]
            except ffbind.FFbindError:
                continue
            assert picture_hash(frame) in case.all


def test_every_hevc_file_of_the_media_folder_is_tested(media: Path) -> None:
    """The lists above hold each file that the manifest calls HEVC and that has an oracle."""
    with (media / "MANIFEST.tsv").open() as file:
        rows = csv.DictReader(file, delimiter="\t")
        names = {row["path"] for row in rows if (media / (row["path"] + ".framemd5")).exists()}
    assert names == {*REAL, *ELEMENTARY, *BROKEN}


def test_picture_hashes_in_the_stream_agree(clip: Callable[[str], Path]) -> None:
    """A clip that carries an MD5 of each picture decodes with that check on; one flipped byte of a hash is an error."""
    path = clip("open_gop.mp4")
    data = bytearray(path.read_bytes())
    with ffbind.open(bytes(data)) as video:
        row = video.index.row_of_display(5)
        offset, size = (int(video.index.samples[column][row]) for column in ("offset", "size"))
        assert picture_hash(video[5]) == linear_decode(path)[5]
    # The suffix SEI (NAL type 40) at the end of the sample: payload type 132, size, method 0, three MD5s.
    assert b"\x50\x01\x84" in data[offset : offset + size]
    data[offset + size - 3] ^= 0xFF
    with ffbind.open(bytes(data)) as video, pytest.raises(ffbind.CorruptError):
        video[5]
