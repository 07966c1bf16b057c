"""Damaged sample data: the exact picture of the undamaged clip or an error, never another picture, in every order of access.

`open_gop.mp4` carries an MD5 of each picture, so that damage of picture data cannot go unnoticed. For clips without them, what
no decoder notices is shown as a linear decode of the damaged file shows it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import ffbind
from ffbind.bitstream import ParameterSets
from ffbind.references import ReferenceTracker

Clip = Callable[[str], Path]
Hash = Callable[[ffbind.Frame], str]
Linear = Callable[..., list[str]]
Damage = Callable[[bytearray, int, int, random.Random], None]

HASHES = 70
"""Bytes at the end of a sample of open_gop.mp4 that hold its three MD5s: damage spares them, or it could hide itself."""


@dataclass(frozen=True)
class Whole:
    """An undamaged clip: bytes, samples, the hash of each row's picture, and which rows each row's picture is made from."""

    data: bytes
    index: ffbind.VideoIndex
    hashes: tuple[str, ...]
    closures: tuple[frozenset[int], ...]

    def irap_after(self, row: int) -> int:
        """First IRAP row behind a row, or the number of rows."""
        kinds = self.index.samples["kind"][row + 1 :]
        found = np.flatnonzero((kinds >= 16) & (kinds <= 23))
        return row + 1 + int(found[0]) if len(found) else len(self.index.samples)


def reference_closures(index: ffbind.VideoIndex, data: bytes) -> tuple[frozenset[int], ...]:
    """Rows that each row's picture is predicted from, directly or not, itself included: by slice headers and order counts."""
    entry = index.entries[0]
    sets = ParameterSets(entry.parameter_sets)
    tracker = ReferenceTracker(keep_following=False)
    closures: list[frozenset[int]] = []
    rows: dict[int, int] = {}
    for row, sample in enumerate(index.samples):
        start, size = int(sample["offset"]), int(sample["size"])
        header = sets.read(data[start : start + size], entry.nal_length_size)
        step = tracker.step(header)
        if step.starts_sequence:
            rows = {}
        used = [
            closures[rows[step.poc + reference.value]] for reference in header.references if reference.used
        ]
        closures.append(frozenset({row}).union(*used))
        rows[step.poc] = row
    return tuple(closures)


@pytest.fixture(scope="module")
def whole_of(clip: Clip, linear_hashes: Linear) -> Callable[[str], Whole]:
    """Function that gives a clip by name, with the pictures of a linear decode."""

    def make(name: str) -> Whole:
        path = clip(name)
        shown = linear_hashes(path)
        with ffbind.open(path) as video:
            index = video.scan()
        assert (index.samples["display"] >= 0).all()
        hashes = tuple(shown[display] for display in index.samples["display"])
        data = path.read_bytes()
        return Whole(data, index, hashes, reference_closures(index, data))

    return make


@pytest.fixture(scope="module")
def whole(whole_of: Callable[[str], Whole]) -> Whole:
    return whole_of("open_gop.mp4")


def outcome(
    data: bytes, index: ffbind.VideoIndex | None, rows: Iterable[int], picture_hash: Hash
) -> dict[int, str | type[ffbind.FFbindError]]:
    """Ask for the pictures of these rows, one after the other: the hash of each, or the class of its error."""
    found: dict[int, str | type[ffbind.FFbindError]] = {}
    with ffbind.open(data, index=index) as video:
        offsets = video.index.samples["offset"]
        for row in rows:
            try:
                found[row] = picture_hash(video.frame_at_offset(int(offsets[row])))
            except ffbind.FFbindError as error:
                found[row] = type(error)
    return found


def flip_a_bit(data: bytearray, start: int, end: int, chance: random.Random) -> None:
    data[chance.randrange(start, end)] ^= 1 << chance.randrange(8)


def flip_in_the_headers(data: bytearray, start: int, end: int, chance: random.Random) -> None:
    """NAL length, NAL header and slice header: what the planning goes by."""
    data[chance.randrange(start, min(start + 16, end))] ^= 1 << chance.randrange(8)


def zero_a_range(data: bytearray, start: int, end: int, chance: random.Random) -> None:
    first = chance.randrange(start, end)
    last = chance.randrange(first, end) + 1
    data[first:last] = bytes(last - first)


def overwrite_with_noise(data: bytearray, start: int, end: int, chance: random.Random) -> None:
    first = chance.randrange(start, end)
    last = min(end, first + chance.randrange(1, 40))
    data[first:last] = chance.randbytes(last - first)


DAMAGES = [flip_a_bit, flip_in_the_headers, zero_a_range, overwrite_with_noise]


def damaged_rows(whole: Whole, data: bytes) -> set[int]:
    spans = zip(whole.index.samples["offset"].tolist(), whole.index.samples["size"].tolist(), strict=True)
    return {row for row, (at, size) in enumerate(spans) if data[at : at + size] != whole.data[at : at + size]}


def check(whole: Whole, data: bytes, chance: random.Random, picture_hash: Hash) -> dict[int, object]:
    """Everything that holds of any damage, over several orders of access; returns what became of each row."""
    rows = list(range(len(whole.index.samples)))
    shuffled = chance.sample(rows, len(rows))
    hurt = damaged_rows(whole, data)
    forward = outcome(data, None, rows, picture_hash)
    for row, result in forward.items():
        if isinstance(result, str):
            assert result == whole.hashes[row], f"row {row}: another picture"
    first, last = min(hurt), max(hurt)
    behind = whole.irap_after(last)
    for row in rows:
        untouched = row < first or (row >= behind and not whole.closures[row] & hurt)
        leading = row >= behind and whole.closures[row] - set(range(behind, len(rows)))
        if untouched and not leading:
            assert isinstance(forward[row], str), (
                f"row {row} does not depend on the damage of {hurt}: {forward[row]}"
            )
    failing = {row for row in rows if not isinstance(forward[row], str)}
    for order in (rows[::-1], shuffled):
        again = outcome(data, None, order, picture_hash)
        assert {row for row in rows if not isinstance(again[row], str)} == failing
        assert all(again[row] == whole.hashes[row] for row in rows if row not in failing)
    return dict(forward)


def damage(whole: Whole, seed: str, how: Damage, count: int = 1) -> tuple[bytes, random.Random]:
    """Give the clip with `count` of its samples damaged."""
    chance = random.Random(seed)
    data = bytearray(whole.data)
    while bytes(data) == whole.data:
        for row in chance.sample(range(len(whole.index.samples)), count):
            start = int(whole.index.samples["offset"][row])
            size = int(whole.index.samples["size"][row])
            how(data, start, max(start + 8, start + size - HASHES), chance)
    return bytes(data), chance


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("seed", range(4))
def test_one_damaged_sample(how: Damage, seed: int, whole: Whole, picture_hash: Hash) -> None:
    data, chance = damage(whole, f"{how.__name__} {seed}", how)
    check(whole, data, chance, picture_hash)


@pytest.mark.parametrize("how", DAMAGES)
def test_several_damaged_samples(how: Damage, whole: Whole, picture_hash: Hash) -> None:
    data, chance = damage(whole, f"several {how.__name__}", how, 4)
    check(whole, data, chance, picture_hash)


@pytest.mark.long
@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("seed", range(100))
def test_much_damage(how: Damage, seed: int, whole: Whole, picture_hash: Hash) -> None:
    data, chance = damage(whole, f"much {how.__name__} {seed}", how, 1 + seed % 5)
    check(whole, data, chance, picture_hash)


def flip_in_the_pixels(whole: Whole, row: int) -> bytes:
    """Damage a sample in the middle of its slice data, behind all headers."""
    data = bytearray(whole.data)
    start, size = int(whole.index.samples["offset"][row]), int(whole.index.samples["size"][row])
    assert size > 2 * HASHES
    data[start + (size - HASHES) * 3 // 4] ^= 0x10
    return bytes(data)


def test_only_what_is_made_from_the_damage_fails(whole: Whole, picture_hash: Hash) -> None:
    """Damage in a picture that nothing refers to: one error. In one that others refer to: those, exactly."""
    rows = range(len(whole.index.samples))
    dependents = {row: {other for other in rows if row in whole.closures[other]} for row in rows}
    alone = next(
        row for row in rows if dependents[row] == {row} and whole.index.samples["size"][row] > 2 * HASHES
    )
    some = next(
        row for row in rows if 3 <= len(dependents[row]) <= 8 and whole.index.samples["kind"][row] < 16
    )
    for row in (alone, some):
        data = flip_in_the_pixels(whole, row)
        result = check(whole, data, random.Random(row), picture_hash)
        assert {other for other in rows if result[other] is ffbind.CorruptError} == dependents[row]
        assert all(isinstance(result[other], str) for other in rows if other not in dependents[row])


def test_damaged_irap_pictures(whole: Whole, picture_hash: Hash) -> None:
    """Nothing up to the next IRAP is shown, everything from there on that was shown before, RASL pictures of it excepted."""
    samples = whole.index.samples
    iraps = [int(row) for row in np.flatnonzero((samples["kind"] >= 16) & (samples["kind"] <= 23))]
    for irap in (iraps[0], iraps[1]):
        data = flip_in_the_pixels(whole, irap)
        result = check(whole, data, random.Random(irap), picture_hash)
        end = whole.irap_after(irap)
        assert {result[row] for row in range(irap, end)} == {ffbind.CorruptError}
        for row in range(end, len(samples)):
            rasl = ffbind.Kind(int(samples["kind"][row])).is_rasl and samples["irap"][row] == end
            assert result[row] is ffbind.CorruptError if rasl else result[row] == whole.hashes[row]


def test_errors_name_the_damaged_sample(whole: Whole) -> None:
    row, later = next(
        (row, later)
        for row in range(2, 20)
        for later in range(row + 1, 20)
        if row in whole.closures[later] and whole.index.samples["size"][row] > 2 * HASHES
    )
    data = flip_in_the_pixels(whole, row)
    samples = whole.index.samples
    with ffbind.open(data) as video:
        for asked in (later, row, later):
            with pytest.raises(ffbind.CorruptError) as caught:
                video.frame_at_offset(int(samples["offset"][asked]))
            assert f"sample at offset {samples['offset'][asked]}" in str(caught.value)
            if asked == later:
                assert f"the sample at offset {samples['offset'][row]} cannot be decoded" in str(caught.value)


def test_damage_is_found_again_without_decoding(whole: Whole) -> None:
    data = flip_in_the_pixels(whole, 5)
    offset = int(whole.index.samples["offset"][5])
    with ffbind.open(data, threads=1) as video:
        for _ in range(3):
            with pytest.raises(ffbind.CorruptError):
                video.frame_at_offset(offset)
        assert video.stats.restarts == 1
        assert len(list(video.frames([0, 1]))) == 2


def test_a_batch_raises_at_the_damaged_frame_and_not_before(whole: Whole, picture_hash: Hash) -> None:
    row = 5
    display = [int(display) for display in whole.index.samples["display"]]
    data = flip_in_the_pixels(whole, row)
    for threads in (1, 2):
        with ffbind.open(data, threads=threads) as video:
            frames = video.frames([display[0], display[40], display[row], display[1]])
            assert picture_hash(next(frames)) == whole.hashes[0]
            assert picture_hash(next(frames)) == whole.hashes[40]
            with pytest.raises(ffbind.CorruptError):
                next(frames)


def test_a_file_cut_short(whole: Whole, picture_hash: Hash) -> None:
    """The index of the whole file, as the moov in front of a cut one would give it."""
    samples = whole.index.samples
    rows = range(len(samples))
    for row in (0, 1, 30, 55, len(samples) - 1):
        cut = int(samples["offset"][row]) + int(samples["size"][row]) // 2
        # The index is told the new size, so that it is taken for this file's own.
        index = ffbind.VideoIndex.from_json(
            whole.index.to_json().replace(f'"size": {whole.index.size}', f'"size": {cut}', 1)
        )
        assert index.size == cut
        for order in (rows, rows[::-1]):
            result = outcome(whole.data[:cut], index, order, picture_hash)
            for other in rows:
                if other < row and not any(used >= row for used in whole.closures[other]):
                    assert result[other] == whole.hashes[other]
                elif other >= row:
                    assert result[other] is ffbind.CorruptError


def test_a_sample_of_zeros(whole: Whole, picture_hash: Hash) -> None:
    for row in (0, 7, whole.irap_after(0)):
        data = bytearray(whole.data)
        start, size = int(whole.index.samples["offset"][row]), int(whole.index.samples["size"][row])
        data[start : start + size] = bytes(size)
        result = check(whole, bytes(data), random.Random(row), picture_hash)
        assert result[row] in (ffbind.CorruptError, ffbind.UndecodableError)


@pytest.mark.parametrize("length", [0, 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_destroyed_nal_lengths(length: int, whole: Whole, picture_hash: Hash) -> None:
    for row in (0, 4, 20):
        data = bytearray(whole.data)
        start = int(whole.index.samples["offset"][row])
        data[start : start + 4] = length.to_bytes(4, "big")
        check(whole, bytes(data), random.Random(row), picture_hash)


@pytest.mark.parametrize("row", [1, 3, 14, 19, 22])
def test_a_picture_that_turns_into_a_parameter_set(row: int, whole: Whole, picture_hash: Hash) -> None:
    """One bit of the NAL header makes a VPS or an SPS of TRAIL pictures: nothing behind the next IRAP may suffer."""
    data = bytearray(whole.data)
    data[int(whole.index.samples["offset"][row]) + 4] ^= 0x40
    check(whole, bytes(data), random.Random(row), picture_hash)


@pytest.mark.parametrize("name", ["plain.mp4", "poc_wrap.mp4", "slices.mp4", "no_b.mp4"])
@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 60))]
)
def test_damage_that_nobody_may_notice(
    name: str,
    seed: int,
    whole_of: Callable[[str], Whole],
    tmp_path: Path,
    picture_hash: Hash,
    linear_hashes: Linear,
) -> None:
    """Without hashes in the stream: an error, the right picture, or, where damage went in, that of a linear decode of the damage."""
    clean = whole_of(name)
    samples = clean.index.samples
    chance = random.Random(f"{name} {seed}")
    data = bytearray(clean.data)
    for row in chance.sample(range(len(samples)), 3):
        start, size = int(samples["offset"][row]), int(samples["size"][row])
        chance.choice(DAMAGES)(data, start, start + size, chance)
    rows = list(range(len(samples)))
    hurt = damaged_rows(clean, bytes(data))

    def linear(damage: frozenset[int]) -> list[str]:
        """Decode the clip with the damage of these samples only: what else is damaged may derail a decoder that goes on."""
        path = tmp_path / f"{sorted(damage)}.mp4"
        if not path.exists():
            part = bytearray(clean.data)
            for row in damage:
                start, end = int(samples["offset"][row]), int(samples["offset"][row] + samples["size"][row])
                part[start:end] = data[start:end]
            path.write_bytes(part)
        return linear_hashes(path, edits=False, damaged=True)

    for order in (rows, rows[::-1], chance.sample(rows, len(rows))):
        for row, result in outcome(bytes(data), None, order, picture_hash).items():
            if isinstance(result, str) and result != clean.hashes[row]:
                damage = clean.closures[row] & hurt
                assert damage, f"row {row}: another picture"
                assert result in linear(damage), f"row {row}: a picture that a linear decode does not have"


def test_a_picture_that_ends_early_is_damaged(whole_of: Callable[[str], Whole], picture_hash: Hash) -> None:
    """A flipped bit can end a slice early; libavcodec then shows the rest of the picture as its buffer was, and says nothing.

    Which is never the same twice: every such flip in one sample is an error, or gives one picture whatever was decoded before.
    """
    clean = whole_of("no_b.mp4")
    row = 15
    offset, size = int(clean.index.samples["offset"][row]), int(clean.index.samples["size"][row])
    errors = 0
    for byte in range(offset + 40, offset + size, 16):
        for bit in (3, 5):
            data = bytearray(clean.data)
            data[byte] ^= 1 << bit
            results = {
                outcome(bytes(data), clean.index, order, picture_hash)[row]
                for order in ([row], range(row + 1))
            }
            assert len(results) == 1
            errors += results == {ffbind.CorruptError}
    assert errors > 5


@pytest.mark.parametrize("row", [0, 2, 7])
def test_a_picture_without_its_last_slice_is_damaged(
    row: int, whole_of: Callable[[str], Whole], picture_hash: Hash
) -> None:
    """What is missing is one row of coding tree blocks of 16 x 16: a mark for each 64 x 64 samples would not see it."""
    clean = whole_of("small_blocks.mp4")
    data = bytearray(clean.data)
    at = last = int(clean.index.samples["offset"][row])
    while at < int(clean.index.samples["offset"][row]) + int(clean.index.samples["size"][row]):
        last = at
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    data[last + 4] = 38 << 1  # filler data (H.265 7.3.1.2)
    for order in ([row], range(row + 1)):
        assert outcome(bytes(data), clean.index, order, picture_hash)[row] is ffbind.CorruptError


def test_zeros_within_a_picture_are_damage(whole_of: Callable[[str], Whole], picture_hash: Hash) -> None:
    """Three zero bytes end a NAL unit for libavcodec, which then decodes whatever lies behind: other pictures in other orders."""
    clean = whole_of("plain.mp4")
    for row in (0, 5, 21):
        start, size = int(clean.index.samples["offset"][row]), int(clean.index.samples["size"][row])
        for length in (3, 40):
            data = bytearray(clean.data)
            at = start + size * 3 // 4 - length
            data[at : at + length] = bytes(length)
            for order in ([row], range(row + 1), [row + 4, row]):
                assert outcome(bytes(data), clean.index, order, picture_hash)[row] is ffbind.CorruptError


def test_an_exact_plan_of_damaged_data_ends(whole: Whole) -> None:
    """A picture turns into a parameter set: what refers to it has no course, and planning it says so by leaving it out."""
    data = bytearray(whole.data)
    data[int(whole.index.samples["offset"][1]) + 4] ^= 0x40
    with ffbind.open(bytes(data)) as video:
        assert 0 < video.plan(range(len(video)), exact=True).samples < len(video)
