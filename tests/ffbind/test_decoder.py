"""The container-free decoder: samples in decode order in, exact pictures out at once, and what happens when samples are wrong."""

from __future__ import annotations

import gc
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import ffbind
from ffbind.limits import Limits

Clip = Callable[[str], Path]
Hash = Callable[[ffbind.Frame], str]
Linear = Callable[..., list[str]]


@dataclass(frozen=True)
class Stream:
    """A clip taken out of its container, in decode order, with the picture that a linear decode has for each sample."""

    hvcc: bytes
    parameter_sets: tuple[bytes, ...]
    samples: list[bytes]
    kinds: list[ffbind.Kind]
    hashes: list[str]

    def irap_after(self, row: int) -> int:
        return next(i for i in range(row + 1, len(self.kinds)) if self.kinds[i].is_irap)


@pytest.fixture(scope="module")
def stream_of(clip: Clip, linear_hashes: Linear) -> Callable[[str], Stream]:
    """Function that takes a clip of tests/clips.py apart."""

    def take(name: str) -> Stream:
        path = clip(name)
        data = path.read_bytes()
        with ffbind.open(path) as video:
            index = video.scan()
        at = data.index(b"hvcC")
        size = int.from_bytes(data[at - 4 : at], "big")
        shown = linear_hashes(path)
        rows = index.samples
        return Stream(
            hvcc=data[at + 4 : at - 4 + size],
            parameter_sets=index.entries[0].parameter_sets,
            samples=[data[int(row["offset"]) : int(row["offset"]) + int(row["size"])] for row in rows],
            kinds=[ffbind.Kind(int(row["kind"])) for row in rows],
            hashes=[shown[int(row["display"])] for row in rows],
        )

    return take


@pytest.fixture(scope="module")
def plain(stream_of: Callable[[str], Stream]) -> Stream:
    return stream_of("plain.mp4")


def nal_units(sample: bytes) -> list[bytes]:
    """Take a sample with NAL lengths of 4 bytes apart."""
    units = []
    while sample:
        size = int.from_bytes(sample[:4], "big")
        units.append(sample[4 : 4 + size])
        sample = sample[4 + size :]
    return units


def framed(units: list[bytes], length_size: int = 4) -> bytes:
    return b"".join(len(unit).to_bytes(length_size, "big") + unit for unit in units)


def nal_type(unit: bytes) -> int:
    return unit[0] >> 1 & 0x3F


@pytest.mark.parametrize(
    "name", ["plain.mp4", "no_b.mp4", "slices.mp4", "poc_wrap.mp4", "lossless_ten_bit.mp4", "tiny.mp4"]
)
@pytest.mark.parametrize("by", ["hvcC", "NAL units"])
def test_each_sample_gives_its_picture_at_once(
    name: str, by: str, stream_of: Callable[[str], Stream], picture_hash: Hash
) -> None:
    stream = stream_of(name)
    with ffbind.Decoder(stream.hvcc if by == "hvcC" else stream.parameter_sets) as decoder:
        for sample, kind, wanted in zip(stream.samples, stream.kinds, stream.hashes, strict=True):
            frame = decoder.decode(sample)
            assert frame is not None
            assert picture_hash(frame) == wanted
            assert (frame.index, frame.offset, frame.kind) == (-1, -1, kind)
            assert math.isnan(frame.time)
        assert decoder.opened == 1


def test_parameter_sets_in_the_samples_are_enough(
    stream_of: Callable[[str], Stream], picture_hash: Hash
) -> None:
    stream = stream_of("in_band.mp4")
    with ffbind.Decoder() as decoder:
        for sample, wanted in zip(stream.samples, stream.hashes, strict=True):
            frame = decoder.decode(memoryview(sample))
            assert frame is not None
            assert picture_hash(frame) == wanted


@pytest.mark.parametrize("length_size", [1, 2])
def test_short_nal_lengths(length_size: int, stream_of: Callable[[str], Stream], picture_hash: Hash) -> None:
    stream = stream_of("tiny.mp4")
    record = bytearray(stream.hvcc)
    record[21] = record[21] & ~3 | (length_size - 1)
    by_record = ffbind.Decoder(bytes(record))
    by_argument = ffbind.Decoder(stream.parameter_sets, nal_length_size=length_size)
    for sample, wanted in zip(stream.samples, stream.hashes, strict=True):
        slices = [unit for unit in nal_units(sample) if nal_type(unit) < 32]
        for decoder in (by_record, by_argument):
            frame = decoder.decode(framed(slices, length_size))
            assert frame is not None
            assert picture_hash(frame) == wanted


def test_samples_before_an_irap_are_undecodable(plain: Stream, picture_hash: Hash) -> None:
    start = plain.irap_after(0)
    with ffbind.Decoder(plain.hvcc) as decoder:
        for row in range(start - 3, start):
            with pytest.raises(ffbind.UndecodableError, match="IRAP"):
                decoder.decode(plain.samples[row])
        check_from_cra(decoder, plain, start, picture_hash)


def check_from_cra(decoder: ffbind.Decoder, stream: Stream, start: int, picture_hash: Hash) -> None:
    """From a CRA on: its RASL pictures are left out, everything else is exact."""
    assert stream.kinds[start] is ffbind.Kind.CRA
    own = True
    left_out = 0
    for row in range(start, len(stream.samples)):
        own = own and (row == start or not stream.kinds[row].is_irap)
        frame = decoder.decode(stream.samples[row])
        if own and stream.kinds[row].is_rasl:
            assert frame is None
            left_out += 1
        else:
            assert frame is not None
            assert picture_hash(frame) == stream.hashes[row]
    assert left_out > 0


def test_flush_starts_at_an_irap_again(plain: Stream, picture_hash: Hash) -> None:
    start = plain.irap_after(15)
    with ffbind.Decoder(plain.hvcc) as decoder:
        for sample in plain.samples[: start + 2]:
            decoder.decode(sample)
        decoder.flush()
        with pytest.raises(ffbind.UndecodableError, match="IRAP"):
            decoder.decode(plain.samples[start + 2])
        check_from_cra(decoder, plain, start, picture_hash)
        assert decoder.opened == 1


def test_flush_keeps_parameter_sets_that_skipped_samples_brought(
    stream_of: Callable[[str], Stream], picture_hash: Hash
) -> None:
    stream = stream_of("in_band.mp4")
    units = nal_units(stream.samples[0])
    with ffbind.Decoder() as decoder:
        assert decoder.decode(framed([unit for unit in units if nal_type(unit) in (32, 33, 34)])) is None
        decoder.flush()
        frame = decoder.decode(framed([unit for unit in units if nal_type(unit) < 32]))
        assert frame is not None
        assert picture_hash(frame) == stream.hashes[0]


@pytest.mark.parametrize(
    "use",
    [lambda decoder: decoder.decode(b""), lambda decoder: decoder.flush()],
)
def test_use_after_close(use: Callable[[ffbind.Decoder], object], plain: Stream, picture_hash: Hash) -> None:
    with ffbind.Decoder(plain.hvcc) as decoder:
        frame = decoder.decode(plain.samples[0])
    decoder.close()
    with pytest.raises(ffbind.ClosedError, match="closed"):
        use(decoder)
    del decoder
    gc.collect()
    assert frame is not None
    assert picture_hash(frame) == plain.hashes[0]


def test_a_sample_left_out_is_noticed(plain: Stream, picture_hash: Hash) -> None:
    """No grey stand-in: what refers to the sample that never came is an error, what does not is exact."""
    cra = plain.irap_after(0)
    for row in range(1, cra):
        errors = 0
        with ffbind.Decoder(plain.hvcc) as decoder:
            for other in range(len(plain.samples)):
                if other == row:
                    continue
                try:
                    frame = decoder.decode(plain.samples[other])
                except ffbind.UndecodableError:
                    assert row < other < plain.irap_after(cra)
                    errors += 1
                    continue
                assert frame is not None
                assert picture_hash(frame) == plain.hashes[other]
            assert decoder.opened == 1
        if row == 1:  # the P picture that the whole group stands on
            assert errors >= 3


def test_after_a_damaged_sample_it_goes_on_at_the_next_irap(plain: Stream, picture_hash: Hash) -> None:
    cra = plain.irap_after(0)
    with ffbind.Decoder(plain.hvcc) as decoder:
        decoder.decode(plain.samples[0])
        with pytest.raises(ffbind.CorruptError):
            decoder.decode(plain.samples[1][:-20])
        for row in range(2, cra):
            with pytest.raises(ffbind.UndecodableError):
                decoder.decode(plain.samples[row])
        for row in range(cra, len(plain.samples)):
            if plain.kinds[row].is_rasl and row < plain.irap_after(cra):
                with pytest.raises(ffbind.UndecodableError):
                    decoder.decode(plain.samples[row])
                continue
            frame = decoder.decode(plain.samples[row])
            assert frame is not None
            assert picture_hash(frame) == plain.hashes[row]


def test_after_an_error_of_libavcodec_another_decoder_is_opened(plain: Stream, picture_hash: Hash) -> None:
    units = nal_units(plain.samples[1])
    assert nal_type(units[-1]) < 32
    cut = framed([*units[:-1], units[-1][: len(units[-1]) // 3]])
    with ffbind.Decoder(plain.hvcc) as decoder:
        decoder.decode(plain.samples[0])
        with pytest.raises(ffbind.CorruptError, match="damaged"):
            decoder.decode(cut)
        frame = decoder.decode(plain.samples[0])
        assert frame is not None
        assert picture_hash(frame) == plain.hashes[0]
        assert decoder.opened == 2


@pytest.mark.parametrize(
    "sample",
    [b"\0\0\0", b"\0\0\0\x09\x02\x01", b"\xff" * 40, b"\0\0\0\x03\x26\x01\x00", b"\0\0\0\x03\x26\x01\xaf"],
)
def test_garbage_is_corrupt(sample: bytes, plain: Stream, picture_hash: Hash) -> None:
    with ffbind.Decoder(plain.hvcc) as decoder:
        with pytest.raises(ffbind.CorruptError):
            decoder.decode(sample)
        frame = decoder.decode(plain.samples[0])
        assert frame is not None
        assert picture_hash(frame) == plain.hashes[0]


@pytest.mark.parametrize("sample", [b"", b"\0\0\0\0", b"\0\0\0\x03\x46\x01\x50"])
def test_samples_without_a_picture_give_none(sample: bytes, plain: Stream) -> None:
    with ffbind.Decoder(plain.hvcc) as decoder:
        assert decoder.decode(sample) is None


@pytest.mark.parametrize("record", [b"", b"\1" * 10, b"\1" + b"\0" * 21 + b"\5"])
def test_a_malformed_record_is_corrupt(record: bytes) -> None:
    with pytest.raises(ffbind.CorruptError):
        ffbind.Decoder(record)


def test_malformed_parameter_sets_are_corrupt(plain: Stream) -> None:
    vps, sps, pps = plain.parameter_sets[:3]
    with pytest.raises(ffbind.CorruptError):
        ffbind.Decoder([vps, sps[:12], pps])
    with ffbind.Decoder([vps, sps]) as decoder, pytest.raises(ffbind.CorruptError, match="parameter sets"):
        decoder.decode(plain.samples[0])


def test_zeros_behind_a_nal_unit_mean_nothing(plain: Stream, picture_hash: Hash) -> None:
    """Writers that take streams apart at start codes leave the zero byte of the next one."""
    with ffbind.Decoder(plain.hvcc) as decoder:
        for sample, wanted in zip(plain.samples, plain.hashes, strict=True):
            frame = decoder.decode(framed([unit + b"\0\0\0" for unit in nal_units(sample)]))
            assert frame is not None
            assert picture_hash(frame) == wanted


# ---- Limits -----------------------------------------------------------------------------------------------


class Bits:
    """The payload of a NAL unit as a string of bits, for rewriting a field by hand."""

    def __init__(self, unit: bytes) -> None:
        payload = unit.replace(b"\0\0\3", b"\0\0")
        self.text = "".join(f"{byte:08b}" for byte in payload)

    def read_ue(self, at: int) -> tuple[int, int]:
        """Exp-Golomb code at a place: value and place behind it (H.265 9.2)."""
        zeros = self.text.index("1", at) - at
        end = at + 2 * zeros + 1
        return int(self.text[at + zeros : end], 2) - 1, end

    def replace(self, start: int, end: int, values: list[int]) -> bytes:
        """Put other codes there, and give the NAL unit, with emulation prevention (7.3.1.1) and stop bit (7.3.2.11)."""
        codes = "".join("0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}" for value in values)
        text = (self.text[:start] + codes + self.text[end:]).rstrip("0")
        text += "0" * (-len(text) % 8)
        out = bytearray()
        zeros = 0
        for byte in int(text, 2).to_bytes(len(text) // 8, "big"):
            if zeros >= 2 and byte <= 3:
                out.append(3)
                zeros = 0
            out.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return bytes(out)


def with_size(sps: bytes, width: int, height: int) -> bytes:
    """Rewrite the picture size of an SPS of one sub-layer: it follows 15 bytes, sps_id and chroma_format_idc (7.3.2.2.1)."""
    bits = Bits(sps)
    at = 15 * 8
    for _ in range(2):
        _, at = bits.read_ue(at)
    _, end = bits.read_ue(at)
    _, end = bits.read_ue(end)
    return bits.replace(at, end, [width, height])


def test_pictures_over_the_limit_are_refused_before_a_decoder_is_opened(
    plain: Stream, picture_hash: Hash
) -> None:
    vps, sps, pps = plain.parameter_sets[:3]
    assert with_size(sps, 192, 112) == sps
    huge = ffbind.Decoder([vps, with_size(sps, 16384, 16384), pps])
    for _ in range(2):
        with pytest.raises(ffbind.LimitError, match="16384x16384"):
            huge.decode(plain.samples[0])
    assert huge.opened == 0
    assert 8192 * 8192 <= Limits().pixels < 16384 * 16384
    # The limit counts coded samples: 192x112, of which 108 rows are shown.
    with pytest.raises(ffbind.LimitError, match="192x112"):
        ffbind.Decoder(plain.hvcc, limits=Limits(pixels=192 * 112 - 1)).decode(plain.samples[0])
    frame = ffbind.Decoder(plain.hvcc, limits=Limits(pixels=192 * 112)).decode(plain.samples[0])
    assert frame is not None
    assert picture_hash(frame) == plain.hashes[0]


# ---- Threads ----------------------------------------------------------------------------------------------


def test_decoders_of_several_threads_do_not_meet(plain: Stream, picture_hash: Hash) -> None:
    results: list[list[str]] = []

    def decode_all() -> None:
        with ffbind.Decoder(plain.hvcc) as decoder:
            frames = [decoder.decode(sample) for sample in plain.samples]
        results.append([picture_hash(frame) for frame in frames if frame is not None])

    threads = [threading.Thread(target=decode_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [plain.hashes] * 4


def test_threads_that_share_a_decoder_take_turns(plain: Stream) -> None:
    decoder = ffbind.Decoder(plain.hvcc)
    wanted = ffbind.Decoder(plain.hvcc).decode(plain.samples[0])
    assert wanted is not None
    results: list[bool] = []

    def decode_some() -> None:
        for _ in range(20):
            frame = decoder.decode(plain.samples[0])
            results.append(frame is not None and bool(np.array_equal(frame.planes[0], wanted.planes[0])))

    threads = [threading.Thread(target=decode_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 80
