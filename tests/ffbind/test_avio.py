"""Custom AVIO: bytes, order, lifetime, threads and errors, with libavformat on the far side."""

from __future__ import annotations

import gc
import itertools
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from clips import MP4, REAL

from ffbind._native import ffi, lib
from ffbind.avio import Input, MemoryInput, Packet, SourceInput, av_error_text
from ffbind.errors import ClosedError, NotVideoError, SourceError, UnsupportedError
from ffbind.isobmff import read_index
from ffbind.sources import BytesSource, FileSource

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def sound(clip: Callable[[str], Path]) -> bytes:
    """A small file with two tracks: many seeks, many packets."""
    return clip("with_sound.mp4").read_bytes()


@pytest.fixture(scope="session")
def sound_packets(sound: bytes) -> list[Packet]:
    with MemoryInput(sound) as opened:
        return list(opened.packets())


class CallableSource(BytesSource):
    """A source whose reads go through a function of the test: `answer(offset, length, data)`."""

    def __init__(self, data: bytes, answer: Callable[[int, int, memoryview], object]) -> None:
        super().__init__(data)
        self._answer = answer
        self.reads = 0

    def read_at(self, offset: int, length: int) -> memoryview:
        self.reads += 1
        return self._answer(offset, length, super().read_at(offset, length))  # type: ignore[return-value]


# ---------------------------------------------------------------------------------------------------------------------
# Bytes
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "source", "one byte a read"])
def opened(request: pytest.FixtureRequest) -> Iterator[tuple[Input, bytes]]:
    """An input over 200 000 random bytes, more than three of its buffers."""
    data = random.Random(3).randbytes(200_000)
    if request.param == "memory":
        made: Input = MemoryInput(data)
    elif request.param == "source":
        made = SourceInput(BytesSource(data))
    else:
        data = data[:5000]
        made = SourceInput(CallableSource(data, lambda offset, length, part: part[:1]))
    with made:
        yield made, data


def test_reads_the_bytes_wherever_it_seeks(opened: tuple[Input, bytes]) -> None:
    """Whole, in pieces across its buffers, across the end, at the end."""
    source, data = opened
    size = len(data)
    assert source.size == size
    assert source.read_at(0, size) == data
    assert source.read_at(0, size + 1000) == data
    assert source.read_at(size, 10) == b""
    assert source.read_at(size - 1, 10) == data[-1:]
    assert source.read_at(7, 0) == b""
    chance = random.Random(4)
    for _ in range(100):
        position = chance.randrange(size)
        length = chance.choice((1, 10, 1000, 65_536, 100_000))
        assert source.read_at(position, length) == data[position : position + length]


def test_seeks_beyond_the_bytes_are_refused(opened: tuple[Input, bytes]) -> None:
    """A position outside [0, size] is an error that says so, and the input goes on."""
    source, data = opened
    for position in (len(data) + 1, len(data) + 100, len(data) * 10, 2**62, -1, -(2**62)):
        with pytest.raises(
            SourceError, match=f"cannot read at {position}: that is outside the {len(data)} bytes"
        ):
            source.read_at(position, 1)
        assert source.read_at(1, 20) == data[1:21]


def test_every_kind_of_seek(opened: tuple[Input, bytes]) -> None:
    """SEEK_SET, SEEK_CUR, SEEK_END and AVSEEK_SIZE through libavformat's own functions."""
    source, data = opened
    io = lib.ffb_input_io(source._open())
    size = len(data)
    assert lib.avio_seek(io, 10, 0) == 10
    assert lib.avio_seek(io, size - 10, 0) == size - 10  # farther than one buffer: the callback is asked
    assert lib.avio_seek(io, -size // 2, 1) == size - 10 - size // 2
    assert lib.avio_seek(io, 5, 1) == size - 5 - size // 2
    here = lib.avio_seek(io, 0, 1)
    assert lib.avio_size(io) == size
    assert lib.avio_seek(io, 0, 1) == here
    assert lib.avio_seek(io, -size, 1) < 0
    assert lib.avio_seek(io, size + 1, 0) < 0
    assert lib.avio_seek(io, -1, 0) < 0
    assert lib.avio_seek(io, 0, 77) < 0
    assert source.read_at(0, size) == data


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537])
@pytest.mark.parametrize("kind", ["memory", "source"])
def test_sizes_around_the_buffer(size: int, kind: str) -> None:
    data = random.Random(size).randbytes(size)
    with MemoryInput(data) if kind == "memory" else SourceInput(BytesSource(data)) as source:
        assert source.size == size
        assert source.read_at(0, size + 1) == data
        assert source.read_at(size // 2, size) == data[size // 2 :]


def test_what_speaks_the_buffer_protocol_is_read_in_place(sound: bytes, sound_packets: list[Packet]) -> None:
    array = np.frombuffer(sound, np.uint8).copy()
    for data in (bytearray(sound), memoryview(sound), array, memoryview(array)[:]):
        with MemoryInput(data) as source:
            assert list(source.packets()) == sound_packets
    with MemoryInput(array) as source:
        array[5] ^= 0xFF
        assert source.read_at(5, 1)[0] == array[5]


# ---------------------------------------------------------------------------------------------------------------------
# Packets
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MP4 + REAL)
def test_packets_are_the_samples_of_our_own_table(
    name: str, clip: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    """Position, size, decode time and bytes of each packet, through both inputs, against `read_index` and the file."""
    path = clip(name) if "/" not in name else request.getfixturevalue("media") / name
    data = path.read_bytes()
    index = read_index(BytesSource(data))
    assert len(index.samples)
    expected = [
        (
            int(row["offset"]),
            int(row["dts"] - index.samples["dts"][0]),
            data[row["offset"] : row["offset"] + row["size"]],
        )
        for row in index.samples
    ]
    file = FileSource(path)
    for source in (MemoryInput(data), SourceInput(file)):
        with source:
            packets = list(source.packets())
            streams = source.streams()
        track = next(packet.stream for packet in packets if packet.position == expected[0][0])
        assert streams[track].kind == "video"
        assert streams[track].codec == "hevc"
        assert streams[track].time_base == (1, index.timescale)
        entry = index.entries[0]
        assert (streams[track].width, streams[track].height) == (entry.width, entry.height)
        packets = [packet for packet in packets if packet.stream == track]
        # libavformat shifts all times by the start of the edit list.
        assert [(p.position, p.dts - packets[0].dts, p.data) for p in packets] == expected
    file.close()


def test_reading_in_between_does_not_move_the_demuxer(
    sound: bytes, sound_packets: list[Packet], tmp_path: Path
) -> None:
    """Reads at random places between packets; also of a container that is read without seeking."""
    (tmp_path / "a.mp4").write_bytes(sound)
    command = ["ffmpeg", "-v", "error", "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "a.ts"]
    subprocess.run(command, check=True)
    for path in (tmp_path / "a.mp4", tmp_path / "a.ts"):
        data = path.read_bytes()
        with MemoryInput(data) as source:
            expected = list(source.packets())
        chance = random.Random(1)
        with SourceInput(BytesSource(data)) as source:
            assert source.read_at(1000, 10) == data[1000:1010]  # before the first look at the file, too
            found = []
            for packet in source.packets():
                found.append(packet)
                position = chance.randrange(len(data))
                assert source.read_at(position, 5000) == data[position : position + 5000]
        assert found == expected
    assert len(expected) >= len({packet.stream for packet in sound_packets}) * 40


# ---------------------------------------------------------------------------------------------------------------------
# Neither Python nor the GIL
# ---------------------------------------------------------------------------------------------------------------------


def _calls_while(work: Callable[[], object]) -> list[str]:
    """Names of the Python functions that are called while `work` runs."""
    seen: list[str] = []

    def watch(frame: object, event: str, argument: object) -> None:
        if event == "call":
            seen.append(frame.f_code.co_name)  # type: ignore[attr-defined]

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(before)
    return seen


def test_no_python_runs_while_memory_is_read(sound: bytes) -> None:
    """Over memory not one Python function is called from C; over a source its `read_at` is, so the watch sees such calls."""

    def demux(source: Input) -> None:
        native = source._open()
        assert lib.ffb_input_demux(native) == 0
        assert lib.avformat_find_stream_info(lib.ffb_input_format(native), ffi.NULL) == 0

    with MemoryInput(sound) as source:
        assert _calls_while(lambda: demux(source)) == ["<lambda>", "demux", "_open"]
    with SourceInput(BytesSource(sound)) as source:
        calls = _calls_while(lambda: demux(source))
    assert "ffb_source_read" in calls
    assert "read_at" in calls


def test_another_thread_runs_while_memory_is_read() -> None:
    """With thread switching put off for an hour, another thread gets on only where the reading one lets go of the GIL."""
    stamps: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            stamps.append(time.monotonic())
            time.sleep(0.0002)

    ticker = threading.Thread(target=tick)
    interval = sys.getswitchinterval()
    data = bytes(48 << 20)
    with MemoryInput(data) as source:
        io = lib.ffb_input_io(source._open())
        buffer = ffi.new("unsigned char[]", len(data))
        sys.setswitchinterval(3600)
        try:
            ticker.start()
            for _ in range(100):
                lib.avio_seek(io, 0, 0)
                start = time.monotonic()
                assert lib.avio_read(io, buffer, len(data)) == len(data)
                end = time.monotonic()
                if any(start < stamp < end for stamp in stamps):
                    return
        finally:
            sys.setswitchinterval(interval)
            done.set()
            ticker.join()
    pytest.fail("no other thread ran while the bytes were read")


# ---------------------------------------------------------------------------------------------------------------------
# Lifetime
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations(("data", "input", "packets"))))
@pytest.mark.parametrize("kind", ["memory", "source"])
def test_references_may_go_in_any_order(
    kind: str, order: tuple[str, ...], sound: bytes, sound_packets: list[Packet]
) -> None:
    """As long as one can still reach the bytes, they are there."""
    held: dict[str, object] = {"data": bytearray(sound)}
    held["input"] = (
        MemoryInput(held["data"]) if kind == "memory" else SourceInput(BytesSource(held["data"]))  # type: ignore[arg-type]
    )
    held["packets"] = held["input"].packets()  # type: ignore[attr-defined]
    read = 0
    for name in order:
        del held[name]
        gc.collect()
        garbage = [
            bytearray(b"\xee" * len(sound)) for _ in range(4)
        ]  # so that freed memory does not keep its bytes
        if "packets" in held:
            assert next(held["packets"]) == sound_packets[read]  # type: ignore[call-overload]
            read += 1
        if "input" in held:
            assert held["input"].read_at(100, 5000) == sound[100:5100]  # type: ignore[attr-defined]
        del garbage


def test_a_bytearray_cannot_be_resized_under_an_input(sound: bytes) -> None:
    """... until the input is closed or gone, whatever refers to it in circles."""
    data = bytearray(sound)
    source = MemoryInput(data)
    next(source.packets())
    with pytest.raises(BufferError):
        data.append(0)
    with pytest.raises(BufferError):
        data.clear()
    source.close()
    data.append(0)

    circle: list[object] = [MemoryInput(data)]
    circle.append(circle)
    with pytest.raises(BufferError):
        data.append(0)
    del circle
    gc.collect()
    data.append(0)


def test_an_input_whose_source_failed_is_collected(sound: bytes) -> None:
    """The exception, its traceback, the frames in it and the input refer to each other in a circle that can be collected."""

    class Data(bytearray):
        """A bytearray that tells when it is gone."""

        gone = False

        def __del__(self) -> None:
            Data.gone = True

    def fail(offset: int, length: int, part: memoryview) -> memoryview:
        raise OSError("no")

    data = Data(sound)
    source = SourceInput(CallableSource(data, fail))
    with pytest.raises(OSError, match="no"):
        source.format_name()
    del data, source
    gc.collect()
    assert Data.gone


@pytest.mark.parametrize("kind", ["memory", "source"])
def test_use_after_close(kind: str, sound: bytes) -> None:
    source: Input = MemoryInput(sound) if kind == "memory" else SourceInput(BytesSource(sound))
    packets = source.packets()
    next(packets)
    source.close()
    source.close()
    uses: list[Callable[[], object]] = [
        lambda: next(packets),
        lambda: source.size,
        lambda: source.read_at(0, 1),
        source.format_name,
        source.streams,
        lambda: next(source.packets()),
    ]
    for use in uses:
        with pytest.raises(ClosedError, match="closed; open it again"):
            use()
    assert list(packets) == []  # a generator that raised has ended


def test_close_from_another_thread(sound: bytes, sound_packets: list[Packet]) -> None:
    """The one who reads gets packets and then ClosedError, never memory that is gone."""
    chance = random.Random(5)
    for _ in range(60):
        source = MemoryInput(bytearray(sound))
        closer = threading.Timer(chance.random() * 0.002, source.close)
        found = []
        closer.start()
        try:
            for packet in source.packets():
                found.append(packet)
                assert source.size == len(sound)
        except ClosedError:
            pass
        closer.join()
        assert found == sound_packets[: len(found)]
        with pytest.raises(ClosedError):
            source.format_name()


# ---------------------------------------------------------------------------------------------------------------------
# What sources do wrong
# ---------------------------------------------------------------------------------------------------------------------


class OwnError(Exception):
    """An exception that ffbind knows nothing of."""


def _read_all(source: Input) -> list[Packet]:
    source.streams()
    return list(source.packets())


def _brief(offset: int, length: int, part: memoryview) -> memoryview:
    """Answer with at most 2500 bytes, so that reading a small file takes many reads."""
    return part[:2500]


@pytest.fixture(scope="session")
def reads(sound: bytes) -> int:
    """How often a source of brief answers is read for all packets."""
    source = CallableSource(sound, _brief)
    with SourceInput(source) as opened:
        _read_all(opened)
    return source.reads


@pytest.mark.parametrize(
    "error",
    [
        OSError(5, "Input/output error"),
        OwnError("mine"),
        KeyboardInterrupt(),
        SourceError("gone"),
        StopIteration(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_exceptions_come_out_as_they_went_in(
    error: BaseException, sound: bytes, sound_packets: list[Packet], reads: int
) -> None:
    """At the n-th read, for every n: the same object, at every further use, and never the end of the file."""
    assert reads > 20
    for n in range(reads):
        source = CallableSource(sound, _brief)

        def fail(
            offset: int, length: int, part: memoryview, n: int = n, source: CallableSource = source
        ) -> memoryview:
            if source.reads > n:
                raise error
            return part[:2500]

        source._answer = fail
        found: list[Packet] = []
        with SourceInput(source) as opened:
            caught: BaseException | None = None
            try:
                found.extend(opened.packets())
            except BaseException as raised:
                caught = raised
            if isinstance(error, StopIteration):  # PEP 479: out of a generator this one comes as a cause
                assert isinstance(caught, RuntimeError)
                caught = caught.__cause__
            assert caught is error
            assert found == sound_packets[: len(found)]
            assert len(found) < len(sound_packets)
            asked = source.reads
            with pytest.raises(type(error)) as again:
                opened.format_name()
            assert again.value is error
            assert source.reads == asked  # a source that failed is left alone


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Control-C raises, as it does in a terminal; what is started in the background may have been told to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_reading(sound: bytes, reads: int) -> None:
    """Control-C while the source is read ends the reading as KeyboardInterrupt, wherever in the callback it strikes."""
    for n in range(0, reads, 3):
        source = CallableSource(sound, _brief)

        def interrupt(
            offset: int, length: int, part: memoryview, n: int = n, source: CallableSource = source
        ) -> memoryview:
            if source.reads == n + 1:
                os.kill(os.getpid(), signal.SIGINT)
            return part[:2500]

        source._answer = interrupt
        with SourceInput(source) as opened:
            with pytest.raises(KeyboardInterrupt):
                _read_all(opened)
            assert source.reads == n + 1


def test_a_failure_in_c_is_never_the_end(sound: bytes) -> None:
    """Even where the exception got lost on its way."""

    def fail(offset: int, length: int, part: memoryview) -> memoryview:
        raise OwnError

    with SourceInput(CallableSource(sound, fail)) as opened:
        with pytest.raises(OwnError):
            opened.format_name()
        opened._state.failure = None
        for _ in range(2):
            with pytest.raises(SourceError, match="could not be read, and its own error is lost"):
                opened.format_name()


def test_short_reads_change_nothing(sound: bytes, sound_packets: list[Packet]) -> None:
    chance = random.Random(6)
    answers: list[Callable[[int, int, memoryview], object]] = [
        lambda offset, length, part: part[:1],
        lambda offset, length, part: part[: chance.randint(1, max(1, len(part)))],
        lambda offset, length, part: bytearray(part[:4000]),
        lambda offset, length, part: np.frombuffer(part[:100], np.uint8),
    ]
    for answer in answers:
        with SourceInput(CallableSource(sound, answer)) as source:
            assert _read_all(source) == sound_packets


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            lambda offset, length, part: bytes(length + 1),
            r"returned \d+ bytes where \d+ were asked at offset",
        ),
        (lambda offset, length, part: bytes(part) * 50, r"returned \d+ bytes where \d+ were asked at offset"),
        (lambda offset, length, part: b"", "returned nothing at offset"),
        (lambda offset, length, part: None, "returned NoneType, not bytes"),
        (lambda offset, length, part: "text", "returned str, not bytes"),
        (lambda offset, length, part: 5, "returned int, not bytes"),
        (lambda offset, length, part: part[::2], "returned memoryview, not bytes"),
    ],
    ids=["one byte too many", "fifty times", "nothing", "None", "str", "int", "not contiguous"],
)
def test_wrong_answers_are_source_errors(
    answer: Callable[[int, int, memoryview], object], message: str, sound: bytes, reads: int
) -> None:
    """At each read: an error that says what the source did; no byte beyond what was asked is taken."""
    for n in range(reads):
        source = CallableSource(sound, _brief)

        def wrong(
            offset: int, length: int, part: memoryview, n: int = n, source: CallableSource = source
        ) -> object:
            return answer(offset, length, part) if source.reads > n else part[:2500]

        source._answer = wrong
        with SourceInput(source) as opened, pytest.raises(SourceError, match=message):
            _read_all(opened)


def test_a_source_that_ends_early_has_not_ended(sound: bytes) -> None:
    """It says 100 000 bytes and has fewer: an error, not a short file."""

    class Longer(BytesSource):
        @property
        def size(self) -> int:
            return 100_000 + len(sound)

    with (
        SourceInput(Longer(sound)) as source,
        pytest.raises(SourceError, match="before the end of the source"),
    ):
        source.read_at(0, 100_000 + len(sound))


# ---------------------------------------------------------------------------------------------------------------------
# Threads
# ---------------------------------------------------------------------------------------------------------------------


def _in_threads(count: int, work: Callable[[int], None]) -> None:
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_inputs_of_many_threads_over_one_source(
    clip: Callable[[str], Path], sound_packets: list[Packet]
) -> None:
    shared = FileSource(clip("with_sound.mp4"))

    def work(number: int) -> None:
        for _ in range(4):
            with SourceInput(shared) as source:
                assert _read_all(source) == sound_packets

    _in_threads(8, work)
    shared.close()


@pytest.mark.parametrize("kind", ["memory", "source"])
def test_one_input_shared_by_threads(kind: str, sound: bytes, sound_packets: list[Packet]) -> None:
    """Reads and packets take turns: each read gives its bytes, each packet goes to one reader, none is lost."""
    source: Input = MemoryInput(sound) if kind == "memory" else SourceInput(BytesSource(sound))
    found: list[Packet] = []

    def work(number: int) -> None:
        chance = random.Random(number)
        for packet in source.packets():
            found.append(packet)
            position = chance.randrange(len(sound))
            assert source.read_at(position, 3000) == sound[position : position + 3000]

    with source:
        _in_threads(6, work)

    def key(packet: Packet) -> tuple[int, int]:
        return packet.stream, packet.dts

    assert sorted(found, key=key) == sorted(sound_packets, key=key)


# ---------------------------------------------------------------------------------------------------------------------
# Errors, and what is never opened
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 5000, b"not a video at all\n" * 300, random.Random(1).randbytes(100)]
)
def test_what_is_no_media_file_is_said_in_libavs_words(data: bytes) -> None:
    with MemoryInput(data) as source:
        for _ in range(2):
            with pytest.raises(NotVideoError, match=r"not a media file that FFmpeg knows: [A-Z].+"):
                source.format_name()


def test_words_for_error_codes() -> None:
    assert av_error_text(lib.AVERROR_INVALIDDATA) == "Invalid data found when processing input"
    assert av_error_text(lib.AVERROR_EOF) == "End of file"


def test_a_damaged_file_ends_in_an_error_or_packets(sound: bytes, sound_packets: list[Packet]) -> None:
    """Cut anywhere or with bytes changed: NotVideoError or packets, and the process lives."""
    chance = random.Random(9)
    for _ in range(150):
        data = bytearray(sound[: chance.randrange(len(sound))] if chance.random() < 0.3 else sound)
        moov = data.find(b"moov")
        for _ in range(chance.randint(1, 8)):
            if data:
                data[chance.randrange(max(moov, 0), len(data))] = chance.randrange(256)
        try:
            with MemoryInput(data) as source:
                _read_all(source)
        except NotVideoError:
            pass


def _box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def _with_data_reference(movie: bytes, entry: bytes) -> bytes:
    """Put `entry` in the place of the data references of the first track; the boxes around it grow with it."""
    new = _box(b"dref", struct.pack(">II", 0, 1) + entry)

    def replaced(data: bytes) -> bytes:
        out = b""
        position = 0
        while position < len(data):
            size, kind = struct.unpack_from(">I4s", data, position)
            payload = data[position + 8 : position + size]
            if kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
                out += _box(kind, replaced(payload))
            else:
                out += new if kind == b"dref" else data[position : position + size]
            position += size
        return out

    return replaced(movie)


def _alias(path: str) -> bytes:
    """A QuickTime alias record with an absolute path, as libavformat reads it."""
    name = path.rsplit("/", 1)[1].encode()
    record = b"\0" * 10 + bytes([1]) + b"/".ljust(27, b"\0") + b"\0" * 12
    record += bytes([len(name)]) + name.ljust(63, b"\0") + b"\0" * 16 + struct.pack(">hh", 1, 1) + b"\0" * 16
    encoded = path.encode() + b"\0" * (len(path) % 2)
    record += struct.pack(">hH", 2, len(encoded)) + encoded + struct.pack(">hH", -1, 0)
    return _box(b"alis", b"\0\0\0\0" + record.ljust(200, b"\0"))


OPENER = """
import sys
from pathlib import Path
import ffbind
from ffbind.avio import MemoryInput, SourceInput
from ffbind.sources import BytesSource

def look(data, path):
    for make in (MemoryInput, lambda data: SourceInput(BytesSource(data))):
        try:
            with make(data) as source:
                source.streams()
                print(sum(1 for _ in source.packets()), end=" ")
        except ffbind.FFbindError as error:
            print(type(error).__name__, end=" ")
    try:
        with ffbind.open(path) as video:
            video[0]
        print("shown")
    except ffbind.FFbindError as error:
        print(type(error).__name__)

paths = [Path(path) for path in sys.argv[1:]]
all_bytes = [path.read_bytes() for path in paths]
look(all_bytes[0], paths[0])
look(b"no video", __file__)
try:
    open("/marker-of-the-test")
except FileNotFoundError:
    pass
for data, path in zip(all_bytes[1:], paths[1:]):
    look(data, path)
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_nothing_else_is_opened(clip: Callable[[str], Path], tmp_path: Path) -> None:
    """Files that name other files and addresses: none of them is opened, whatever libavformat would do on its own."""
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(clip("plain.mp4").read_bytes())
    url = _box(b"url ", b"\0\0\0\0" + f"file://{secret}".encode() + b"\0")
    files = {
        "good.mp4": secret.read_bytes(),
        "alias.mov": _with_data_reference(clip("plain.mov").read_bytes(), _alias(str(secret))),
        "url.mp4": _with_data_reference(secret.read_bytes(), url),
        "list.ffconcat": f"ffconcat version 1.0\nfile '{secret}'\n".encode(),
        "list.m3u8": (
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n"
            f"#EXTINF:10,\n{secret}\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
        ).encode(),
        "stream.sdp": (
            b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            b"m=video 5004 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\n"
        ),
    }
    paths = []
    for name, data in files.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(data)
    script = tmp_path / "opener.py"
    script.write_text(OPENER)
    log = tmp_path / "strace.log"
    calls = "trace=open,openat,openat2,socket,connect,bind,execve"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-s", "300", "-e", calls, "-o", log, sys.executable, script, *paths],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    good, text, *others = done.stdout.splitlines()
    assert good == "50 50 shown"
    assert text == "NotVideoError NotVideoError NotVideoError"
    assert len(others) == len(files) - 1
    assert not any("shown" in line for line in others)
    before, marker, after = log.read_text().partition("/marker-of-the-test")
    assert marker
    assert str(paths[0]) in before  # strace sees what is opened
    assert str(secret) not in after
    assert not re.findall(r"\b(?:socket|connect|bind|execve)\(", after)
    opened = set(re.findall(r'open(?:at2?)?\([^"]*"([^"]+)"', after))
    assert opened == {str(path) for path in paths[1:]}


def test_the_video_refuses_data_in_other_files(clip: Callable[[str], Path]) -> None:
    """Our own reader says so."""
    movie = _with_data_reference(
        clip("plain.mp4").read_bytes(), _box(b"url ", b"\0\0\0\0file:///tmp/other.mp4\0")
    )
    with pytest.raises(UnsupportedError):
        read_index(BytesSource(movie))
