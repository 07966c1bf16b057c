"""Raw streams, Matroska and transport streams: every frame, in every order, against a linear decode of the same file."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from clips import ELEMENTARY

import ffbind
from ffbind.errors import (
    CorruptError,
    FFbindError,
    LimitError,
    NotVideoError,
    UndecodableError,
    UnsupportedError,
)
from ffbind.framing import FramingKind
from ffbind.limits import Limits
from ffbind.sources import BytesSource

MATROSKA = ("open_gop.mkv", "slices.mkv", "with_sound.mkv", "cut.mkv", "live.mkv", "fine_times.mkv")
TRANSPORT = (
    "open_gop.ts",
    "open_gop.m2ts",
    "radl.ts",
    "in_band.ts",
    "ten_bit.ts",
    "with_sound.ts",
    "one_frame.ts",
    "cut.ts",
    "wrap.ts",
    "two_programs.ts",
)
RAW = (
    "open_gop.hevc",
    "radl.hevc",
    "two_layers.hevc",
    "poc_wrap.hevc",
    "slices.hevc",
    "in_band.hevc",
    "one_frame.hevc",
    "cut.hevc",
)
REWRITTEN = ("short_codes.hevc", "long_codes.hevc", "zeros.hevc", "no_delimiters.hevc")
ALL = MATROSKA + TRANSPORT + RAW + REWRITTEN + ELEMENTARY

Hashes = Callable[..., list[str]]
Hash = Callable[[ffbind.Frame], str]


def nal_units(data: bytes) -> list[bytes]:
    """NAL units of a byte stream, by the definition (H.265 B.2): between start codes, without zeros at the end."""
    return [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:]]


@pytest.fixture(scope="session")
def stream(
    request: pytest.FixtureRequest, clip: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Function that gives the path of a name in ALL: a clip, a real file, or a clip with start codes written otherwise."""
    folder = tmp_path_factory.mktemp("streams")

    def get(name: str) -> Path:
        if "/" in name:
            return Path(request.getfixturevalue("media") / name)
        if name not in REWRITTEN:
            return clip(name)
        path = folder / name
        if not path.exists():
            units = nal_units(clip("in_band.hevc").read_bytes())
            if name == "no_delimiters.hevc":
                units = [unit for unit in units if unit[0] >> 1 != 35]
            chance = random.Random(name)

            def code() -> bytes:
                zeros = {"short_codes.hevc": 2, "zeros.hevc": chance.randrange(2, 40)}.get(name, 3)
                return bytes(zeros) + b"\1"

            path.write_bytes(
                b"".join(code() + unit for unit in units) + bytes(7 if name == "zeros.hevc" else 0)
            )
        return path

    return get


@pytest.mark.parametrize("name", ALL)
def test_every_frame_in_every_order(
    name: str, stream: Callable[[str], Path], linear_hashes: Hashes, picture_hash: Hash, tmp_path: Path
) -> None:
    """Forwards, backwards, shuffled, by iteration on several threads, by time and by offset; with a saved index too."""
    path = stream(name)
    wanted = linear_hashes(path)
    places = list(range(len(wanted)))
    for threads in (1, 3):
        with ffbind.open(path, threads=threads) as video:
            assert len(video) == len(wanted)
            assert [picture_hash(frame) for frame in video] == wanted
    with ffbind.open(path) as video:
        video.index.save(tmp_path / "index")
        index = video.index
    for order in (places, places[::-1], random.Random(name).sample(places, len(places))):
        with ffbind.open(path, index=tmp_path / "index", kept_bytes=0) as video:
            assert video.index == index
            assert {i: picture_hash(video[i]) for i in order} == dict(enumerate(wanted))
    with ffbind.open(path, kept_bytes=0) as video:
        for i in random.Random(name).sample(places, min(len(places), 20)):
            for time in (index.times[i], index.times[i] + 0.9 * index.durations[i]):
                assert video.frame_at(float(time)).index == i
            row = index.row_of_display(i)
            offset, irap = index.samples["offset"][row], index.samples["offset"][index.samples["irap"][row]]
            frame = video.frame_at_offset(int(offset), int(irap))
            assert (frame.offset, picture_hash(frame)) == (offset, wanted[i])
    assert ffbind.VideoIndex.from_json(index.to_json()) == index


@pytest.mark.parametrize("name", ["fuzz_mvd_overflow.h265", "fuzz_bit_depth_change.h265"])
def test_broken_streams_give_the_linear_picture_or_an_error(
    name: str, media: Path, linear_hashes: Hashes, picture_hash: Hash
) -> None:
    path = media / "gen2brain-h265" / name
    wanted = linear_hashes(path)
    with ffbind.open(path) as video:
        assert len(video) == len(wanted)
        shown = [_or_none(video, place, picture_hash) for place in range(len(video))]
    assert all(got in (None, true) for got, true in zip(shown, wanted, strict=True))
    assert shown[0] == wanted[0]


def _or_none(video: ffbind.Video, place: int, picture_hash: Hash) -> str | None:
    try:
        return picture_hash(video[place])
    except FFbindError:
        return None


@pytest.mark.parametrize(
    "name", ["open_gop.mkv", "open_gop.ts", "wrap.ts", "with_sound.ts", "with_sound.mkv", "cut.ts"]
)
def test_times_are_those_of_the_file(name: str, clip: Callable[[str], Path]) -> None:
    """As ffprobe has them: in Matroska as they are, in a transport stream from the first frame shown on."""
    path = clip(name)
    command = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-show_entries",
        "frame=pts_time",
        "-of",
        "csv=p=0",
        path,
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    wanted = np.array([float(line.split(",")[0]) for line in text.split()])
    if path.suffix == ".ts":
        wanted -= wanted[0]
    with ffbind.open(path) as video:
        assert np.abs(video.index.times - wanted).max() < 1e-5
        assert video.index.has_composition_times


def test_times_of_a_raw_stream_come_from_its_rate(clip: Callable[[str], Path]) -> None:
    """The VUI tells the rate; without one it is 25 a second."""
    with ffbind.open(clip("open_gop.hevc")) as video:
        assert video.frame_rate == 25
        assert video.index.times[:3].tolist() == [0, 0.04, 0.08]
    data = clip("half_rate.hevc").read_bytes()
    with ffbind.open(data) as video:
        assert (video.frame_rate, video.index.timescale) == (12.5, 25)


def test_an_index_says_how_samples_are_framed(clip: Callable[[str], Path]) -> None:
    kinds = {
        name: ffbind.open(clip(name)).index.framing
        for name in ("open_gop.mkv", "open_gop.ts", "open_gop.m2ts", "open_gop.hevc")
    }
    assert [framing.kind for framing in kinds.values()] == [
        FramingKind.LENGTH_PREFIXED,
        FramingKind.TRANSPORT_STREAM,
        FramingKind.TRANSPORT_STREAM,
        FramingKind.ANNEX_B,
    ]
    assert [framing.packet_size for framing in kinds.values()] == [0, 188, 192, 0]


def test_opening_reads_the_file_once_and_a_saved_index_spares_it(clip: Callable[[str], Path]) -> None:
    class Counted(BytesSource):
        read = 0

        def read_at(self, offset: int, length: int) -> memoryview:
            data = super().read_at(offset, length)
            self.read += len(data)
            return data

    for name in ("ten_bit.mkv", "ten_bit.ts", "ten_bit.hevc"):
        source = Counted(clip(name).read_bytes())
        index = ffbind.open(source).index
        head = 64 * 1024  # the reader of MP4 has a look first
        assert source.size <= source.read <= source.size + head
        source.read = 0
        ffbind.open(source, index=index)
        assert source.read == 0


def test_memory_does_not_grow_with_the_file(clip: Callable[[str], Path]) -> None:
    """What the scan holds of a stream of 40 MB is some blocks, not the stream."""
    import tracemalloc

    class Repeated(BytesSource):
        """A stream again and again, without being held."""

        times = 20

        @property
        def size(self) -> int:
            return super().size * self.times

        def read_at(self, offset: int, length: int) -> memoryview:
            once = super().size
            parts = bytearray()
            while len(parts) < length and offset < self.size:
                start = offset % once
                part = super().read_at(start, min(length - len(parts), once - start))
                parts += part
                offset += len(part)
            return memoryview(parts)

    source = Repeated(clip("ten_bit.hevc").read_bytes())
    tracemalloc.start()
    try:
        frames = len(ffbind.open(source))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert frames == 75 * Repeated.times
    assert source.size > 40_000_000
    assert peak < 30_000_000


# Which track


def test_the_first_video_is_taken_or_the_one_that_is_named(
    clip: Callable[[str], Path], linear_hashes: Hashes, picture_hash: Hash
) -> None:
    path = clip("two_programs.ts")
    with ffbind.open(path) as video:
        first = video.index.track_id
    with ffbind.open(path, track=first) as video:
        assert picture_hash(video[40]) == linear_hashes(clip("open_gop.ts"))[40]
    with ffbind.open(path, track=first + 1) as video:
        assert video.index.track_id == first + 1
        assert picture_hash(video[40]) == linear_hashes(clip("radl.ts"))[40]
    message = rf"no video track 7; its video tracks are: {first} \(hevc\), {first + 1} \(hevc\)"
    with pytest.raises(NotVideoError, match=message):
        ffbind.open(path, track=7)
    with pytest.raises(NotVideoError, match=r"no video track 3; its video tracks are: 1 \(hevc\)"):
        ffbind.open(clip("open_gop.mkv"), track=3)
    assert len(ffbind.open(clip("open_gop.mkv"), track=1)) == 75


# Limits


@pytest.mark.parametrize("name", ["open_gop.mkv", "open_gop.ts", "open_gop.hevc"])
def test_limits_hold_while_scanning(name: str, clip: Callable[[str], Path]) -> None:
    path = clip(name)
    assert len(ffbind.open(path, limits=Limits(samples=75))) == 75
    with pytest.raises(LimitError, match="75 samples, more than the 74"):
        ffbind.open(path, limits=Limits(samples=74))
    largest = int(ffbind.open(path).index.samples["size"].max())
    with pytest.raises(LimitError, match="limit of 1000"):
        ffbind.open(path, limits=Limits(sample_bytes=1000))
    assert len(ffbind.open(path, limits=Limits(sample_bytes=largest + (1 << 20)))) == 75
    with pytest.raises(LimitError, match="larger than the limit"):
        ffbind.open(path, limits=Limits(pixels=208 * 120 - 1))


def test_parameter_sets_come_once_and_change(
    clip: Callable[[str], Path], linear_hashes: Hashes, picture_hash: Hash
) -> None:
    """Three streams one after the other, sets in the first picture of each only; the third has those of the first again.

    Each IRAP picture is reached with the sets that are in force there: no other group begins at one in the middle of a sequence.
    """
    names = ("open_gop.hevc", "offset_chroma.hevc", "open_gop.hevc")
    streams = []
    for name in names:
        units = nal_units(clip(name).read_bytes())
        first = next(place for place, unit in enumerate(units) if unit[0] >> 1 < 32)
        kept = units[:first] + [unit for unit in units[first:] if unit[0] >> 1 not in (32, 33, 34)]
        streams.append(b"".join(b"\0\0\0\1" + unit for unit in kept))
    data = b"".join(streams)
    wanted = [hash_ for name in names for hash_ in linear_hashes(clip(name))]
    with ffbind.open(data, threads=3) as video:
        assert len(video.index.entries) == 2
        assert [picture_hash(frame) for frame in video] == wanted
    places = random.Random(5).sample(range(len(wanted)), 60)
    for place in places:
        with ffbind.open(data, index=video.index) as fresh:
            assert picture_hash(fresh[place]) == wanted[place]
    with pytest.raises(LimitError, match="2 different groups of parameter sets, more than the 1"):
        ffbind.open(data, limits=Limits(sample_entries=1))


def test_a_stream_without_pictures() -> None:
    """Start codes with nothing behind them that could be read: a named error."""
    for data in (b"\0\0\1\x40\1" * 3000, b"\0\0\1\x26\1\xff" * 3000):
        with pytest.raises(FFbindError):
            ffbind.open(data)


# Damage in transport streams


def packets_of(data: bytes, pid: int, start: int, end: int) -> list[int]:
    """Places of a stream's packets in [start, end) of a transport stream."""
    return [at for at in range(start, end, 188) if (data[at + 1] & 0x1F) << 8 | data[at + 2] == pid]


@pytest.fixture(scope="session")
def recording(clip: Callable[[str], Path]) -> tuple[bytes, ffbind.VideoIndex]:
    path = clip("with_sound.ts")
    with ffbind.open(path) as video:
        return path.read_bytes(), video.index


def check_damage(
    data: bytes,
    whole: ffbind.VideoIndex,
    wanted: list[str],
    picture_hash: Hash,
    row: int,
    message: str,
) -> None:
    """The picture of `row` is a CorruptError, others are exact or depend on it; from the next IRAP picture on all are exact."""
    with ffbind.open(data) as video:
        index = video.index
        assert len(index.samples) == len(whole.samples)
        with pytest.raises(CorruptError, match=message):
            video.frame_at_offset(int(index.samples["offset"][row]))
        shown = [_or_none(video, place, picture_hash) for place in range(len(video))]
    assert all(got in (None, true) for got, true in zip(shown, wanted, strict=True))
    starts = np.flatnonzero(whole.samples["irap"] == np.arange(len(whole.samples)))
    after = starts[starts > row][0] if (starts > row).any() else len(whole.samples)
    leading = (whole.samples["kind"] == 8) | (whole.samples["kind"] == 9)
    for place in range(len(shown)):
        of = whole.row_of_display(place)
        far = of >= after and not (leading[of] and whole.samples["irap"][of] == after)
        if far or of < whole.samples["irap"][row]:
            assert shown[place] == wanted[place], place


def _damages(data: bytes, whole: ffbind.VideoIndex) -> Iterator[tuple[str, int, bytes, str]]:
    pid = whole.framing.pid
    offsets, sizes = whole.samples["offset"], whole.samples["size"]
    # A picture of many packets in the second GOP, not an IRAP picture.
    row = 14 + int(np.argmax(sizes[14:20]))
    start, end = int(offsets[row]), int(offsets[row] + sizes[row])
    own = packets_of(data, pid, start, end)
    assert len(own) >= 4
    middle, last = own[len(own) // 2], own[-1]

    def without(at: int) -> bytes:
        return data[:at] + data[at + 188 :]

    def changed(at: int, byte: int, mask: int) -> bytes:
        copy = bytearray(data)
        copy[at + byte] ^= mask
        return bytes(copy)

    yield "packet lost", row, without(middle), "packets of the transport stream are missing"
    yield "last packet lost", row, without(last), "packets of the transport stream are missing"
    yield "first packet lost", row - 1, without(start), "packets of the transport stream are missing"
    yield (
        "two swapped",
        row,
        data[: own[1]]
        + data[own[2] : own[2] + 188]
        + data[own[1] + 188 : own[2]]
        + data[own[1] : own[1] + 188]
        + data[own[2] + 188 :],
        "missing",
    )
    yield "other PID", row, changed(middle, 2, 1), "packets of the transport stream are missing"
    yield "scrambled", row, changed(middle, 3, 0x80), "scrambled"
    yield "marked as damaged", row, changed(middle, 1, 0x80), "header of a packet"
    yield (
        "adaptation field too long",
        row,
        changed(middle, 3, 0x20),
        "header of a packet|missing|start code|not hold",
    )
    yield "no sync byte", row, changed(middle, 0, 0xFF), "no transport stream packets"
    yield "bytes lost", row, data[: middle + 40] + data[middle + 140 :], "no transport stream packets|missing"
    yield (
        "bytes put in",
        row,
        data[:middle] + b"\x47" * 77 + data[middle:],
        "no transport stream packets|missing",
    )


def test_damaged_packets(
    recording: tuple[bytes, ffbind.VideoIndex],
    clip: Callable[[str], Path],
    linear_hashes: Hashes,
    picture_hash: Hash,
) -> None:
    """Each kind of damage is an error of its picture, and never a picture that is not the true one."""
    data, whole = recording
    wanted = linear_hashes(clip("with_sound.ts"))
    for what, row, damaged, message in _damages(data, whole):
        if what == "first packet lost":
            _check_lost_start(damaged, wanted, picture_hash, whole, row)
            continue
        try:
            check_damage(damaged, whole, wanted, picture_hash, row, message)
        except BaseException as error:
            error.add_note(what)
            raise


def _check_lost_start(
    data: bytes, wanted: list[str], picture_hash: Hash, whole: ffbind.VideoIndex, row: int
) -> None:
    """Without its beginning a picture cannot be told from the one before, which is damaged with it."""
    with ffbind.open(data) as video:
        assert len(video.index.samples) == len(whole.samples) - 1
        with pytest.raises(CorruptError, match="missing"):
            video.frame_at_offset(int(video.index.samples["offset"][row]))
        shown = {_or_none(video, place, picture_hash) for place in range(len(video))}
    assert shown - {None} <= set(wanted)


def test_a_packet_sent_twice_changes_nothing(
    recording: tuple[bytes, ffbind.VideoIndex],
    clip: Callable[[str], Path],
    linear_hashes: Hashes,
    picture_hash: Hash,
) -> None:
    """ISO/IEC 13818-1 2.4.3.3 allows a packet to be repeated once."""
    data, whole = recording
    for row in (0, 20, 21):
        for at in packets_of(data, whole.framing.pid, int(whole.samples["offset"][row]), len(data))[:3]:
            twice = data[: at + 188] + data[at:]
            with ffbind.open(twice) as video:
                assert [picture_hash(frame) for frame in video] == linear_hashes(clip("with_sound.ts"))


def test_a_recording_cut_short(
    recording: tuple[bytes, ffbind.VideoIndex],
    clip: Callable[[str], Path],
    linear_hashes: Hashes,
    picture_hash: Hash,
) -> None:
    """In the middle of a packet: the picture in it is an error that says so, those before are exact."""
    data, whole = recording
    row = 30
    offset, size = int(whole.samples["offset"][row]), int(whole.samples["size"][row])
    at = packets_of(data, whole.framing.pid, offset, offset + size)[-1]
    for end in (at + 100, at + 2):
        with ffbind.open(data[:end]) as video:
            assert len(video.index.samples) == row + 1
            with pytest.raises(CorruptError, match="cut short"):
                video.frame_at_offset(offset)
            wanted = set(linear_hashes(clip("with_sound.ts")))
            shown = [_or_none(video, place, picture_hash) for place in range(len(video))]
            assert sum(hash_ in wanted for hash_ in shown) >= row - 1
            assert set(shown) - wanted <= {None}


def test_garbage_in_front_of_a_recording(
    recording: tuple[bytes, ffbind.VideoIndex],
    clip: Callable[[str], Path],
    linear_hashes: Hashes,
    picture_hash: Hash,
) -> None:
    data, _ = recording
    with ffbind.open(b"\x47\1\2\3" * 33 + data) as video:
        assert [picture_hash(frame) for frame in video] == linear_hashes(clip("with_sound.ts"))
        assert video.index.framing.phase == 132


def test_recordings_one_after_the_other(
    recording: tuple[bytes, ffbind.VideoIndex],
    clip: Callable[[str], Path],
    linear_hashes: Hashes,
    picture_hash: Hash,
) -> None:
    """The clock is set back where the second begins: times go on. Counters start anew, so that the last picture may lack packets."""
    data, whole = recording
    wanted = linear_hashes(clip("with_sound.ts"))
    with ffbind.open(data + data) as video:
        assert len(video) == 2 * len(wanted)
        shown = [_or_none(video, place, picture_hash) for place in range(len(video))]
        assert (np.diff(video.index.times) > 0).all()
        assert np.abs(np.diff(video.index.times) - 0.04).max() < 0.001
    assert shown[len(wanted) :] == wanted
    wrong = [place for place in range(len(wanted)) if shown[place] != wanted[place]]
    assert [whole.row_of_display(place) for place in wrong] == [len(wanted) - 1]
    assert shown[wrong[0]] is None


# Access units that do not begin with a PES packet


def test_several_pictures_in_one_pes_packet(
    clip: Callable[[str], Path], linear_hashes: Hashes, picture_hash: Hash
) -> None:
    """Pictures that start in the middle of a packet, or fill one to the end: each has a range of its own."""
    raw = clip("open_gop.hevc")
    for step in (7_000, 1_111, 184 * 5):
        data = packed(raw.read_bytes(), step)
        with ffbind.open(data) as video:
            assert [picture_hash(frame) for frame in video] == linear_hashes(raw)
            offsets = video.index.samples["offset"]
            assert (offsets[1:] > offsets[:-1]).all()
            assert (offsets % 188 != 0).sum() > 60
            for place in random.Random(step).sample(range(75), 75):
                assert picture_hash(video[place]) == linear_hashes(raw)[place]


def packed(stream: bytes, step: int, pid: int = 256) -> bytes:
    """A transport stream with a PES packet for each `step` bytes of the stream, wherever pictures begin."""
    counters = {0: 0, 4096: 0, pid: 0}
    out = bytearray()

    def packet(pid: int, payload: bytes, *, start: bool) -> None:
        stuffing = 184 - len(payload)
        field = (
            b""
            if not stuffing
            else bytes([stuffing - 1]) + (b"\0" + b"\xff" * (stuffing - 2))[: stuffing - 1]
        )
        out.extend(
            (
                0x47,
                (0x40 if start else 0) | pid >> 8,
                pid & 0xFF,
                (0x30 if stuffing else 0x10) | counters[pid],
            )
        )
        out.extend(field + payload)
        counters[pid] = counters[pid] + 1 & 15

    def section(pid: int, table: int, body: bytes) -> None:
        head = bytes([table, 0xB0 | (len(body) + 9) >> 8, (len(body) + 9) & 0xFF, 0, 1, 0xC1, 0, 0])
        whole = head + body
        crc = 0xFFFFFFFF
        for byte in whole:
            crc ^= byte << 24
            for _ in range(8):
                crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
        packet(pid, (b"\0" + whole + crc.to_bytes(4, "big")).ljust(184, b"\xff"), start=True)

    section(0, 0, (1).to_bytes(2, "big") + (0xE000 | 4096).to_bytes(2, "big"))
    section(
        4096,
        2,
        (0xE000 | pid).to_bytes(2, "big")
        + b"\xf0\0"
        + b"\x24"
        + (0xE000 | pid).to_bytes(2, "big")
        + b"\xf0\0",
    )
    for at in range(0, len(stream), step):
        part = stream[at : at + step]
        pes = b"\0\0\1\xe0" + (len(part) + 3).to_bytes(2, "big") + b"\x80\0\0" + part
        for begin in range(0, len(pes), 184):
            packet(pid, pes[begin : begin + 184], start=begin == 0)
    return bytes(out)


def test_a_stream_without_parameter_sets(clip: Callable[[str], Path]) -> None:
    """None of its pictures can be read, which is said when opening."""
    units = [
        unit for unit in nal_units(clip("in_band.hevc").read_bytes()) if unit[0] >> 1 not in (32, 33, 34)
    ]
    with pytest.raises(
        CorruptError, match=r"no picture in it can be read: .* its parameter sets are missing"
    ):
        ffbind.open(packed(b"".join(b"\0\0\0\1" + unit for unit in units), 5000))


def test_a_pes_packet_shorter_than_it_says(clip: Callable[[str], Path]) -> None:
    """Sixteen packets lost are not seen by the counter, which has four bits; the length of the PES packet shows it."""
    data = packed(clip("open_gop.hevc").read_bytes(), 60_000)
    at = packets_of(data, 256, 0, len(data))[40]
    with ffbind.open(data) as video:
        whole = video.index
    with ffbind.open(data[:at] + data[at + 16 * 188 :]) as video:
        index = video.index
        row = int(np.searchsorted(whole.samples["offset"], at, side="right")) - 1
        errors = 0
        for place in range(len(index.samples)):
            try:
                video.frame_at_offset(int(index.samples["offset"][place]))
            except (CorruptError, UndecodableError):
                errors += 1
        assert errors
        assert row < len(index.samples)


# Matroska that is not as it should be


def test_laced_blocks_are_refused(clip: Callable[[str], Path]) -> None:
    data = bytearray(clip("open_gop.mkv").read_bytes())
    with ffbind.open(bytes(data)) as video:
        offset = int(video.index.samples["offset"][3])
    data[offset - 1] |= 0x04  # flags of the block: fixed-size lacing; the number of frames is 0 + 1
    with pytest.raises(
        UnsupportedError, match=r"holds several frames \(lacing\), which is not read; put it into MP4"
    ):
        ffbind.open(bytes(data))


def test_stripped_headers_are_refused(clip: Callable[[str], Path]) -> None:
    """ContentCompression with algorithm 3: each frame lacks its first bytes in the file."""
    data = clip("open_gop.mkv").read_bytes()
    begin = data.index(b"\x73\xc5")  # TrackUID, FlagLacing and Language: nothing that matters here
    end = data.index(b"\x86", data.index(b"\x22\xb5\x9c", begin))  # CodecID
    algorithm = b"\x42\x54\x81\x03" + b"\x42\x55\x81\x00"
    compression = b"\x50\x34" + bytes([0x80 | len(algorithm)]) + algorithm
    encoding = b"\x62\x40" + bytes([0x80 | len(compression)]) + compression
    encodings = b"\x6d\x80" + bytes([0x80 | len(encoding)]) + encoding
    room = end - begin - len(encodings)
    assert room >= 2
    void = b"\xec" + bytes([0x80 | (room - 2)]) + bytes(room - 2)
    with pytest.raises(UnsupportedError, match="do not lie in the file as they are"):
        ffbind.open(data[:begin] + encodings + void + data[end:])


def test_a_track_without_decoder_configuration(clip: Callable[[str], Path]) -> None:
    """CodecPrivate voided: its element is renamed, with a length that takes in the byte which the shorter ID leaves."""
    data = clip("open_gop.mkv").read_bytes()
    at = data.index(b"\x63\xa2")
    assert data[at + 2] & 0xC0 == 0x40  # a length of two bytes
    size = int.from_bytes(data[at + 2 : at + 4], "big") & 0x3FFF
    void = b"\xec" + (0x4000 | size + 1).to_bytes(2, "big") + bytes(size + 1)
    with pytest.raises(UnsupportedError, match=r"no decoder configuration \(hvcC\)"):
        ffbind.open(data[:at] + void + data[at + 4 + size :])


@pytest.mark.parametrize("name", ["open_gop.mkv", "open_gop.ts", "open_gop.hevc"])
def test_cut_and_changed_files_never_show_a_wrong_picture(
    name: str, clip: Callable[[str], Path], linear_hashes: Hashes, picture_hash: Hash
) -> None:
    """Cut anywhere: every frame is one of the true ones or an error, and no other exception comes out."""
    data = clip(name).read_bytes()
    wanted = set(linear_hashes(clip(name)))
    chance = random.Random(name)
    for _ in range(12):
        end = chance.randrange(len(data))
        try:
            video = ffbind.open(data[:end])
        except FFbindError:
            continue
        shown = [_or_none(video, place, picture_hash) for place in range(len(video))]
        # The end of a raw stream, or of PES packets without a length, is not marked: the last picture may be a part of itself.
        last = video.index.samples["display"][-1]
        assert {shown[place] for place in range(len(shown)) if place != last} <= wanted | {None}


@pytest.mark.parametrize("name", ["open_gop.ts", "with_sound.ts", "radl.ts"])
@pytest.mark.parametrize("rounds", [12, pytest.param(300, marks=pytest.mark.long)])
def test_losses_never_show_a_wrong_picture(
    name: str, rounds: int, clip: Callable[[str], Path], linear_hashes: Hashes, picture_hash: Hash
) -> None:
    """Packets lost, repeated and swapped at random, so that the counter shows it: a frame is one of the true ones or an error."""
    data = clip(name).read_bytes()
    wanted = set(linear_hashes(clip(name)))
    with ffbind.open(data) as video:
        pid = video.index.framing.pid
    chance = random.Random(name)
    shown = 0
    for _ in range(rounds):
        packets = [data[at : at + 188] for at in range(0, len(data), 188)]
        own = [at // 188 for at in packets_of(data, pid, 0, len(data))]
        at = chance.randrange(len(own) - 8)  # what comes behind the loss shows it
        match chance.randrange(3):
            case 0:
                for lost in own[at : at + chance.choice((1, 2, 3, 7))]:
                    packets[lost] = b""
            case 1:
                packets[own[at]] *= 2
            case 2:
                other = own[min(at + 1 + chance.randrange(15), len(own) - 1)]
                packets[own[at]], packets[other] = packets[other], packets[own[at]]
        with ffbind.open(b"".join(packets)) as video:
            got = [_or_none(video, place, picture_hash) for place in chance.sample(range(len(video)), 12)]
        assert set(got) <= wanted | {None}
        shown += sum(hash_ is not None for hash_ in got)
    assert shown > 4 * rounds


@pytest.mark.parametrize(
    "name", ["open_gop.mkv", "live.mkv", "with_sound.ts", "open_gop.m2ts", "in_band.hevc"]
)
@pytest.mark.parametrize("rounds", [40, pytest.param(2000, marks=pytest.mark.long)])
def test_changed_files_give_named_errors(name: str, rounds: int, clip: Callable[[str], Path]) -> None:
    """Bits, bytes and pieces changed at random, at the beginning above all: nothing but our own errors comes out."""
    whole = clip(name).read_bytes()
    chance = random.Random(name)
    opened = 0
    for _ in range(rounds):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 3, 30))):
            place = chance.randrange(2000 if chance.random() < 0.3 else len(data))
            match chance.randrange(4):
                case 0:
                    data[place] ^= 1 << chance.randrange(8)
                case 1:
                    del data[place : place + chance.randrange(400)]
                case 2:
                    data[place:place] = chance.randbytes(chance.randrange(300))
                case 3:
                    data[place : place + 8] = b"\0\0\0\1" + chance.randbytes(4)
        try:
            video = ffbind.open(bytes(data))
        except FFbindError:
            continue
        opened += 1
        assert ffbind.VideoIndex.from_json(video.index.to_json()) == video.index
        for place in chance.sample(range(len(video)), min(len(video), 3)):
            with suppress(FFbindError):
                video[place].to_numpy()
    assert opened > rounds // 10
