"""Reports: an installation with and without what it needs; videos against the decoder, `ffprobe` and the media's manifest."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ffbind
from ffbind.cores import usable_cores
from ffbind.hevc import Kind
from ffbind.report import Level, VideoReport, describe_system, describe_video, libjpeg_turbo_version

ROOT = Path(__file__).resolve().parents[2]


def report_of(source: Path | bytes) -> VideoReport:
    with ffbind.open(source) as video:
        return describe_video(video)


# The installation


def test_this_installation_is_whole() -> None:
    report = describe_system()
    assert not [finding for finding in report.findings if finding.level is Level.ERROR]
    assert report.ffmpeg is not None
    assert [name for name, _ in report.ffmpeg.libraries] == [
        "libavformat",
        "libavcodec",
        "libavutil",
        "libswscale",
    ]
    assert f"libavcodec {dict(report.ffmpeg.libraries)['libavcodec']}" in str(report.ffmpeg)
    assert "GPL" in report.ffmpeg.licence
    assert re.fullmatch(r"\d+\.\d+[.\d]*|not known", report.libjpeg_turbo or "")
    assert report.libjpeg_turbo == libjpeg_turbo_version()
    assert report.cpu.cores == usable_cores()
    assert not set(report.cpu.features) & set(report.cpu.missing)
    assert [package.name for package in report.packages] == ["cffi", "numpy", "PyTurboJPEG"]


def test_versions_are_those_that_the_ffmpeg_command_says() -> None:
    report = describe_system()
    if report.command is None:
        pytest.skip("the ffmpeg command is not installed")
    said = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout
    assert report.command.version == said.split()[2]
    assert report.ffmpeg is not None
    linked = dict(re.findall(r"^(lib\w+) .*/ *(\d+\. *\d+\.\d+)", said, flags=re.MULTILINE))
    if report.ffmpeg.version == report.command.version:  # the command may belong to another FFmpeg
        for name, number in report.ffmpeg.libraries:
            assert linked[name].replace(" ", "") == number


def test_a_missing_package_is_an_error_with_the_command_that_gets_it() -> None:
    (finding,) = [
        finding
        for finding in describe_system(["numpy", "no-such-package"]).findings
        if finding.level is Level.ERROR
    ]
    assert finding.what == "Python packages are missing: no-such-package"
    assert finding.advice.endswith("-m pip install no-such-package")


def test_without_the_ffmpeg_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    report = describe_system()
    assert report.command is None
    assert [finding.level for finding in report.findings if "ffmpeg command" in finding.what] == [Level.NOTE]


def test_an_ffmpeg_command_without_x265(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "ffmpeg"
    script.write_text("#!/bin/sh\necho ffmpeg version 6.0-small Copyright\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    report = describe_system()
    assert report.command is not None
    assert (report.command.version, report.command.has_x265) == ("6.0-small", False)
    assert any("has no libx265" in finding.what for finding in report.findings)


def _described_with_libavcodec(number: str, folder: Path) -> dict[str, list[list[str]]]:
    """Describe the system in a process where another library answers for libavcodec's version."""
    source, library = folder / "other.c", folder / "other.so"
    source.write_text(f"unsigned avcodec_version(void) {{ return {number}; }}\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    code = (
        "import json; from ffbind.report import describe_system; report = describe_system(); "
        "print(json.dumps({'ffmpeg': [[str(report.ffmpeg)]], 'found': [[f.level, f.what, f.advice] for f in report.findings]}))"
    )
    environment = os.environ | {"LD_PRELOAD": str(library)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    described: dict[str, list[list[str]]] = json.loads(done.stdout)
    return described


needs_preload = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs LD_PRELOAD and a C compiler"
)


@needs_preload
def test_an_ffmpeg_that_is_refused_is_an_error_and_the_rest_is_described(tmp_path: Path) -> None:
    described = _described_with_libavcodec("58 << 16 | 134 << 8 | 100", tmp_path)
    assert described["ffmpeg"] == [["None"]]
    (found,) = [found for found in described["found"] if found[0] == "error"]
    assert "libavcodec 58.134.100" in found[1]
    assert all(word in found[2] for word in ("Debian", "apt-get", "Fedora", "dnf", "macOS", "brew"))


@needs_preload
def test_ffmpeg_7_1_0_is_named(tmp_path: Path) -> None:
    described = _described_with_libavcodec("61 << 16 | 19 << 8 | 100", tmp_path)
    assert "libavcodec 61.19.100" in described["ffmpeg"][0][0]
    assert [found[0] for found in described["found"] if "7.1.0" in found[1]] == ["note"]
    assert not [found for found in described["found"] if found[0] == "error"]


# Videos: facts


def test_kinds_and_layout_are_those_of_the_manifest(media: Path) -> None:
    """For every real file that opens; the manifest was made with other tools."""
    checked = 0
    with (media / "MANIFEST.tsv").open() as manifest:
        for row in csv.DictReader(manifest, delimiter="\t", quoting=csv.QUOTE_NONE):
            layout, units = row["container facts"], row["HEVC NAL facts"]
            if "pics=" not in units or layout == "not-isobmff":
                continue
            report = report_of(media / row["path"])
            wanted = {
                name: int(count)
                for name, count in re.findall(r"(\w+)=(\d+)", units)
                if name in Kind.__members__
            }
            assert dict(report.pictures.kinds) == wanted, row["path"]
            assert sum(wanted.values()) == int(re.search(r"pics=(\d+)", units)[1])  # type: ignore[index]
            assert report.sync.iraps == sum(count for name, count in wanted.items() if Kind[name].is_irap)
            assert report.container.moov_last == ("moov-last" in layout), row["path"]
            assert report.container.fragments == int((re.search(r"moof=(\d+)", layout) or "00")[1])
            named = re.search(r"trk1:vide.*? stss=(\d+)", layout)
            assert ("stss" in report.sync.tables) == (named is not None)
            if named is not None:
                assert report.sync.named == int(named[1])
            turned = re.search(r"trk1:vide[^|]*rot=(\d+)", layout)
            assert report.picture.rotation == (int(turned[1]) if turned else 0)
            assert not [finding for finding in report.findings if finding.level is Level.ERROR], row["path"]
            checked += 1
    assert checked >= 17


@pytest.mark.parametrize(
    "name",
    ["open_gop.mp4", "turned.mp4", "lossless_ten_bit.mp4", "yuv444_full.mp4", "cropped.mp4", "rgb.mp4"],
)
def test_picture_is_what_ffprobe_says(clip: Callable[[str], Path], name: str) -> None:
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
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (stream,) = json.loads(done.stdout)["streams"]
    report = report_of(clip(name))
    picture = report.picture
    size = (
        (picture.height, picture.width) if picture.rotation in (90, 270) else (picture.width, picture.height)
    )
    assert size == (stream["width"], stream["height"])
    assert picture.pixel_format == stream["pix_fmt"]
    assert picture.profile == {"Rext": "Format Range Extensions"}.get(stream["profile"], stream["profile"])
    assert report.container.frames == int(stream["nb_frames"])
    numerator, denominator = map(int, stream["avg_frame_rate"].split("/"))
    assert report.container.frame_rate == pytest.approx(numerator / denominator, rel=1e-3)
    assert report.container.constant_frame_rate
    assert not [finding for finding in report.findings if finding.level is Level.ERROR]


def test_open_and_closed_gops(clip: Callable[[str], Path]) -> None:
    opened, closed = report_of(clip("plain.mp4")).gops, report_of(clip("closed.mp4")).gops
    assert opened is not None
    assert closed is not None
    assert (closed.count, closed.open, closed.longest.samples, closed.median.samples) == (5, 0, 12, 12)
    assert closed.longest.seconds == pytest.approx(12 / 25)
    assert opened.open > 0
    with ffbind.open(clip("plain.mp4")) as video:
        samples = video.scan().samples
        rasl = {int(row["irap"]) for row in samples if Kind(int(row["kind"])).is_rasl}
        sizes = [
            int(samples["size"][samples["irap"] == irap].sum()) for irap in set(samples["irap"].tolist())
        ]
    assert opened.open == len(rasl)
    assert opened.longest.bytes == max(sizes)


def test_layers_and_parameter_sets(clip: Callable[[str], Path]) -> None:
    layers = report_of(clip("two_layers.mp4")).pictures.temporal_layers
    assert len(layers) > 1
    assert sum(layers) == report_of(clip("two_layers.mp4")).container.samples
    in_band = report_of(clip("in_band.mp4"))
    assert in_band.container.sample_entries == ("hev1",)
    assert in_band.pictures.in_band == in_band.sync.iraps > 1
    assert in_band.pictures.sets_in_entry
    plain = report_of(clip("plain.mp4")).pictures
    assert (plain.in_band, plain.reordered) == (0, True)
    assert report_of(clip("no_b.mp4")).pictures.reordered is False


def test_sets_in_samples_alone(media: Path) -> None:
    pictures = report_of(media / "androidx-media" / "hev1_08_05.mp4").pictures
    assert (pictures.sets_in_entry, pictures.in_band) == (False, 1)


def test_edits(clip: Callable[[str], Path]) -> None:
    cut, delayed = report_of(clip("cut_both.mp4")).container, report_of(clip("delayed.mp4")).container
    assert cut.hidden == cut.samples - cut.frames > 0
    assert [edit.start is None for edit in cut.edits] == [False]
    assert [edit.start is None for edit in delayed.edits] == [True, False]
    assert delayed.edits[0].duration == pytest.approx(delayed.first_frame) == pytest.approx(0.5)
    assert [track.handler for track in delayed.tracks] == ["vide", "soun"]


@pytest.mark.parametrize(
    ("name", "fragments", "tables"),
    [
        ("plain.mp4", 0, ("stss",)),
        ("dash.mp4", 5, ("trun flags",)),
        ("fragmented_after_moov.mp4", 4, ("stss", "trun flags")),
    ],
)
def test_layout(clip: Callable[[str], Path], name: str, fragments: int, tables: tuple[str, ...]) -> None:
    report = report_of(clip(name))
    data = clip(name).read_bytes()
    assert report.container.fragments == data.count(b"moof") == fragments
    assert report.container.has_segment_index == (b"sidx" in data)
    assert report.container.moov_offset == data.index(b"moov") - 4
    assert report.container.moov_last == (data.index(b"mdat") < data.index(b"moov"))
    assert set(report.sync.tables) <= {*tables, "sgpd rap"}
    assert set(tables) <= set(report.sync.tables)
    assert (report.sync.false, report.sync.missing) == (0, 0)


@pytest.mark.parametrize(
    "name", ["plain.mp4", "open_gop.mp4", "radl.mp4", "cut_start.mp4", "no_edit_list.mp4", "dash.mp4"]
)
def test_a_random_frame_costs_what_its_plan_says(clip: Callable[[str], Path], name: str) -> None:
    with ffbind.open(clip(name)) as video:
        access = describe_video(video).access
        plans = [video.plan([place]) for place in range(len(video))]
    assert access is not None
    assert access.samples == pytest.approx(sum(plan.samples for plan in plans) / len(plans))
    assert access.bytes == pytest.approx(sum(plan.bytes for plan in plans) / len(plans))
    assert access.worst_samples == max(plan.samples for plan in plans)
    assert access.worst_bytes == max(plan.bytes for plan in plans)


def test_progress_is_told_to_the_end(clip: Callable[[str], Path]) -> None:
    told: list[tuple[int, int]] = []
    with ffbind.open(clip("large.mp4")) as video:
        describe_video(video, lambda done, samples: told.append((done, samples)))
    assert told == [(256, 300), (300, 300)]


def test_a_damaged_table_of_the_sound_does_not_matter(clip: Callable[[str], Path]) -> None:
    data = clip("with_sound.mp4").read_bytes()
    start = data.index(b"mp4a") - 4
    damaged = report_of(data[:start] + b"\x7f" + data[start + 1 :])
    sound = report_of(data)
    assert [track.entries for track in sound.container.tracks] == [("hvc1",), ("mp4a",)]
    assert [track.entries for track in damaged.container.tracks] == [("hvc1",), ()]
    assert damaged.pictures == sound.pictures


# Videos: what is wrong with them


def _errors(data: bytes) -> int:
    """How many samples the decoder gives no picture of."""
    count = 0
    with ffbind.open(data) as video:
        for offset in video.index.samples["offset"].tolist():
            try:
                video.frame_at_offset(offset)
            except ffbind.FFbindError:
                count += 1
    return count


def _with_sync(data: bytes, numbers: list[int]) -> bytes:
    """Put other sample numbers into stss."""
    start = data.index(b"stss") + 12
    table = b"".join(number.to_bytes(4, "big") for number in numbers)
    return data[:start] + table + data[start + len(table) :]


def test_sync_tables_that_are_wrong(clip: Callable[[str], Path]) -> None:
    data = clip("closed.mp4").read_bytes()  # IRAPs are samples 1, 13, 25, 37 and 49
    assert report_of(_with_sync(data, [1, 13, 25, 37, 49])) == report_of(data)
    report = report_of(_with_sync(data, [1, 13, 26, 38, 49]))
    sync = report.sync
    assert (sync.iraps, sync.named, sync.false, sync.missing) == (5, 5, 2, 2)
    assert [(mistake.row, Kind[mistake.kind].is_irap) for mistake in sync.first_false] == [
        (25, False),
        (37, False),
    ]
    assert [(mistake.row, mistake.kind) for mistake in sync.first_missing] == [
        (24, "IDR_N_LP"),
        (36, "IDR_N_LP"),
    ]
    with ffbind.open(data) as video:
        offsets = video.index.samples["offset"].tolist()
    assert [mistake.offset for mistake in (*sync.first_false, *sync.first_missing)] == [
        offsets[row] for row in (25, 37, 24, 36)
    ]
    assert [finding.level for finding in report.findings if "random access" in finding.what] == [
        Level.WARNING
    ] * 2


def test_without_a_table_every_sample_is_formally_one(clip: Callable[[str], Path]) -> None:
    data = clip("closed.mp4").read_bytes().replace(b"stss", b"skip")
    sync = report_of(data).sync
    assert (sync.tables, sync.iraps, sync.named, sync.false, sync.missing) == ((), 5, 50, 45, 0)
    assert len(sync.first_false) == 5


def test_a_file_that_was_cut_short(clip: Callable[[str], Path]) -> None:
    data = clip("faststart.mp4").read_bytes()
    data = data[: len(data) * 2 // 3]
    report = report_of(data)
    assert report.container.outside > 0
    assert report.pictures.unreadable == report.container.outside
    assert [finding.level for finding in report.findings if "cut short" in finding.what] == [Level.ERROR]
    assert _errors(data) == report.container.outside + report.pictures.broken


def test_leading_pictures_behind_a_cut(clip: Callable[[str], Path]) -> None:
    data = clip("cut_start.mp4").read_bytes()
    report = report_of(data)
    assert report.pictures.undecodable == _errors(data) > 0
    assert [finding.level for finding in report.findings if "leading pictures" in finding.what] == [
        Level.WARNING
    ]


@pytest.mark.parametrize("row", [0, 12, 14])
def test_damaged_samples(clip: Callable[[str], Path], row: int) -> None:
    """A sample without a readable header; whatever the decoder refuses for it is counted."""
    data = bytearray(clip("closed.mp4").read_bytes())
    with ffbind.open(bytes(data)) as video:
        sample = video.index.samples[row]
    start = int(sample["offset"])
    data[start : start + int(sample["size"])] = b"\xff" * int(sample["size"])
    report = report_of(bytes(data))
    assert report.pictures.unreadable == 1
    assert report.pictures.unreadable + report.pictures.broken == _errors(bytes(data))
    assert any(
        finding.level is Level.ERROR and "cannot be read" in finding.what for finding in report.findings
    )


def test_an_order_of_showing_that_only_the_stream_knows(media: Path) -> None:
    report = report_of(media / "mp4parser" / "h265-sample.mp4")
    assert not report.container.has_composition_times
    assert report.pictures.reordered
    assert [finding.level for finding in report.findings if "in which order" in finding.what] == [
        Level.WARNING
    ]


def test_hdr_and_the_place_of_the_index_are_notes(media: Path, clip: Callable[[str], Path]) -> None:
    hdr = report_of(media / "torchcodec" / "bt2020_10bit.mp4")
    assert {finding.level for finding in hdr.findings} == {Level.NOTE}
    assert any("HDR" in finding.what for finding in hdr.findings)
    assert report_of(clip("faststart.mp4")).findings == ()


@pytest.mark.parametrize(("name", "level"), [("one_gop.mp4", [Level.WARNING]), ("poc_wrap.mp4", [])])
def test_a_long_way_to_a_frame(clip: Callable[[str], Path], name: str, level: list[Level]) -> None:
    """Both are one GOP, of 350 samples and of 75."""
    report = report_of(clip(name))
    assert report.gops is not None
    assert report.access is not None
    assert report.gops.count == 1
    assert report.access.worst_samples == report.container.samples
    assert [finding.level for finding in report.findings if "random frame takes" in finding.what] == level
