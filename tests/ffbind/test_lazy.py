"""Long fragmented files that are far: fragments are read when frames need them, and frames are the same as with the whole table."""

from __future__ import annotations

import math
import pickle
import random
import struct
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import movie
import pytest
from far import FarSource, settle
from linear import picture_hash

import ffbind
from ffbind.fetching import FetchingSource
from ffbind.isobmff import LazyTable, open_table

Make = Callable[[str], Path]

SMALL = [
    "fragmented.mp4",
    "fragmented_moof_base.mp4",
    "fragmented_negative.mp4",
    "fragmented_with_sound.mp4",
    "fragmented_omit_tfhd.mp4",
    "fragment_each_frame.mp4",
    "open_gop_fragments.mp4",
    "open_gop_short_fragments.mp4",
    "open_gop_dash.mp4",
    "in_band_fragments.mp4",
]


@pytest.fixture
def small_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for mfra in small files as well, which would not be worth it."""
    monkeypatch.setattr("ffbind.isobmff.hints._WORTH", 0)


def opened(source: FarSource, threads: int = 2, **settings: int) -> ffbind.Video:
    """Open it with one request at a time, so that two fragments are enough for being long."""
    return ffbind.open(source, threads=threads, fetch=ffbind.FetchSettings(**{"at_once": 1} | settings))


def is_lazy(video: ffbind.Video) -> bool:
    return not video._track.is_whole


def outcome(give: Callable[[], ffbind.Frame]) -> tuple[object, ...]:
    """A frame by its bytes and times, or the error instead of it."""
    try:
        frame = give()
    except ffbind.FFbindError as error:
        return type(error), str(error)
    return picture_hash(frame), frame.offset, frame.pts, frame.kind, frame.color


def same_tables(one: ffbind.VideoIndex, other: ffbind.VideoIndex) -> bool:
    """Whether two indexes say the same, whatever they are of."""
    return bool((one.samples == other.samples).all() and (one.presentation == other.presentation).all())


def boxes_of(data: bytes) -> list[tuple[int, int, bytes]]:
    """Place, size and type of the boxes at the top level."""
    found, place = [], 0
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        found.append((place, length, kind))
        place += length
    return found


def sidx(references: Sequence[tuple[int, bool]], first: int = 0) -> bytes:
    """A segment index; references by size, and whether they are to another index. `first`: bytes between it and them."""
    rows = b"".join(struct.pack(">III", size | nested << 31, 0, 0) for size, nested in references)
    payload = struct.pack(">IIIIIHH", 0, 1, 1, 0, first, 0, len(references)) + rows
    return struct.pack(">I4s", len(payload) + 8, b"sidx") + payload


def in_two_levels(data: bytes) -> bytes:
    """The same file with an index of two others, each in front of half of the fragments."""
    boxes = boxes_of(data)
    head = b"".join(data[at : at + size] for at, size, kind in boxes if kind in (b"ftyp", b"moov"))
    starts = [at for at, _, kind in boxes if kind == b"moof"]
    end = next((at for at, _, kind in boxes if kind == b"mfra"), len(data))
    fragments = [data[a:b] for a, b in pairwise([*starts, end])]
    middle = len(fragments) // 2
    halves = [
        sidx([(len(fragment), False) for fragment in half]) + b"".join(half)
        for half in (fragments[:middle], fragments[middle:])
    ]
    return head + sidx([(len(half), True) for half in halves]) + b"".join(halves)


def rows_of(data: bytes) -> tuple[ffbind.VideoIndex, list[int], list[int | None]]:
    """The whole table, the offset of each sample, and that of its IRAP where the file names one."""
    with ffbind.open(data) as near:
        index = near.index
    offsets = index.samples["offset"].tolist()
    return index, offsets, [offsets[row] if row >= 0 else None for row in index.samples["irap"].tolist()]


# The same frames


@pytest.mark.usefixtures("small_too")
@pytest.mark.parametrize("irap", [False, True])
@pytest.mark.parametrize("order", ["forward", "backward", "shuffled"])
@pytest.mark.parametrize("name", SMALL)
def test_frames_by_offset_are_those_of_the_whole_table(clip: Make, name: str, order: str, irap: bool) -> None:
    """Each sample, an error where it is one; leading pictures too, whose references are a fragment before."""
    data = clip(name).read_bytes()
    _, offsets, iraps = rows_of(data)
    rows = list(range(len(offsets)))
    if order == "backward":
        rows.reverse()
    elif order == "shuffled":
        random.Random(name).shuffle(rows)
    with ffbind.open(data, threads=2) as near, opened(FarSource(data)) as video:
        assert is_lazy(video)
        for row in rows:
            first = iraps[row] if irap else None
            lazy, whole = (
                outcome(partial(each.frame_at_offset, offsets[row], first)) for each in (video, near)
            )
            assert lazy == whole, row
        assert is_lazy(video)


@pytest.mark.usefixtures("small_too")
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("order", ["forward", "shuffled"])
def test_frames_together_are_those_of_the_whole_table(clip: Make, name: str, order: str) -> None:
    data = clip(name).read_bytes()
    index, offsets, _ = rows_of(data)
    rows = [row for row in range(len(offsets)) if index.samples["display"][row] >= 0]
    if order == "shuffled":
        random.Random(name).shuffle(rows)
    with ffbind.open(data, threads=2) as near, opened(FarSource(data)) as video:
        wanted = [offsets[row] for row in rows]
        frames = list(video.frames_at_offsets(wanted))
        assert [picture_hash(frame) for frame in frames] == [
            picture_hash(frame) for frame in near.frames_at_offsets(wanted)
        ]
        assert [frame.offset for frame in frames] == wanted


@pytest.mark.usefixtures("small_too")
@pytest.mark.parametrize("name", SMALL)
def test_where_a_frame_stands_is_found_out_when_it_is_asked_for(clip: Make, name: str) -> None:
    data = clip(name).read_bytes()
    _, offsets, _ = rows_of(data)
    with ffbind.open(data) as near, opened(FarSource(data)) as video:
        frame, known = video.frame_at_offset(offsets[-1]), near.frame_at_offset(offsets[-1])
        text = repr(frame)
        assert is_lazy(video)
        assert f"offset={offsets[-1]}" in text
        assert (frame.index, frame.time, frame.duration) == (known.index, known.time, known.duration)
        assert not is_lazy(video)
        assert same_tables(video.index, near.index)
        again = video.frame_at_offset(offsets[-1])
        assert repr(again) == repr(known)
        with pytest.raises(AttributeError, match="colour"):
            frame.colour  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.usefixtures("small_too")
@pytest.mark.parametrize("name", ["far_dash.mp4", "open_gop_short_fragments.mp4"])
def test_an_index_of_indexes(clip: Make, name: str) -> None:
    """Places that name another index, which is read when a frame behind it is asked for."""
    data = in_two_levels(clip(name).read_bytes())
    _, offsets, iraps = rows_of(data)
    with ffbind.open(data) as near, opened(far := FarSource(data)) as video:
        assert is_lazy(video)
        assert len(far.requests) == 1
        for row in random.Random(5).sample(range(len(offsets)), 20):
            known = outcome(partial(near.frame_at_offset, offsets[row]))
            assert outcome(partial(video.frame_at_offset, offsets[row], iraps[row])) == known
        assert is_lazy(video)
        assert len(video) == len(near)


@pytest.mark.usefixtures("small_too")
@pytest.mark.parametrize("inside", [False, True])
def test_parameter_sets_that_samples_bring_unseen(clip: Make, tmp_path: Path, inside: bool) -> None:
    """In the first sample of each of two parts only: where decoding starts later, only all headers tell which are in force."""
    parts = [clip(name).read_bytes() for name in ("open_gop.mp4", "offset_chroma.mp4")]
    samples = movie.samples_in_turn(parts, lambda part: [0])
    entry = movie.entry_of(parts[0])
    plain, fragments = tmp_path / "plain.mp4", tmp_path / "fragments.mp4"
    plain.write_bytes(movie.write_movie([entry[:4] + b"hev1" + entry[8:]], samples))
    command = ["ffmpeg", "-v", "error", "-i", plain, "-c", "copy", "-tag:v", "hev1"]
    subprocess.run([*command, "-movflags", "frag_keyframe+empty_moov", fragments], check=True)
    data = fragments.read_bytes()
    _, offsets, iraps = rows_of(data)
    assert len(offsets) == len(samples)
    with ffbind.open(plain) as near:
        known = [
            outcome(partial(near.frame_at_offset, at))[0] for at in near.index.samples["offset"].tolist()
        ]
    wanted = random.Random(2).sample(range(len(offsets)), 30)
    with opened(FarSource(data)) as video:
        assert is_lazy(video)
        if inside:
            shown = [row for row in wanted if isinstance(known[row], str)]
            frames = video.frames_at_offsets([offsets[row] for row in shown])
            assert [picture_hash(frame) for frame in frames] == [known[row] for row in shown]
        else:
            for row in wanted:
                assert outcome(partial(video.frame_at_offset, offsets[row], iraps[row]))[0] == known[row]
        assert not is_lazy(video)


def test_what_is_known_without_the_table(clip: Make) -> None:
    data = clip("far_dash.mp4").read_bytes()
    with ffbind.open(data) as near, opened(far := FarSource(data)) as video:
        for name in (
            "width",
            "height",
            "bit_depth",
            "pixel_format",
            "rotation",
            "color",
            "pixel_aspect",
            "codec",
            "profile",
        ):
            assert getattr(video, name) == getattr(near, name)
        assert "fragments read when they are needed" in repr(video)
        assert is_lazy(video)
        assert len(far.requests) == 1
        assert video.duration == near.duration
        assert repr(video) == repr(near)


@pytest.mark.parametrize("name", ["far_dash.mp4", "far_fragments.mp4"])
def test_whatever_needs_the_table_reads_it(clip: Make, name: str) -> None:
    data = clip(name).read_bytes()
    with ffbind.open(data) as near:
        index, picture = near.index, picture_hash(near[77])
        time = near[77].time
    for give in (
        lambda video: video[77],
        lambda video: video.frame_at(time),
        lambda video: next(video.frames([77])),
        lambda video: next(video.frames_at([time])),
        lambda video: video[70:80][7],
    ):
        with opened(FarSource(data)) as video:
            assert is_lazy(video)
            assert picture_hash(give(video)) == picture
            assert same_tables(video.index, index)
    with opened(FarSource(data)) as video:
        assert [frame.index for frame in video] == list(range(len(index)))


# What it costs


@pytest.mark.parametrize(("name", "requests"), [("far_dash.mp4", 1), ("far_fragments.mp4", 2)])
def test_a_frame_is_two_requests_at_most(clip: Make, name: str, requests: int) -> None:
    """Opening reads what names the fragments; a frame its fragment and what it is decoded from."""
    data = clip(name).read_bytes()
    index, offsets, iraps = rows_of(data)
    far = FarSource(data)
    with opened(far, at_once=8) as video:
        assert is_lazy(video)
        assert len(far.requests) == requests
        for row in (85, 205, 145):
            video.frame_at_offset(offsets[row], iraps[row])
        assert len(far.requests) == requests + 3  # media and table of a fragment in one
        video.frame_at_offset(offsets[265])
        assert len(far.requests) == requests + 5
        assert index.samples["irap"][265] == 240


def test_a_batch_is_two_rounds_of_requests(clip: Make) -> None:
    data = clip("far_dash.mp4").read_bytes()
    _, offsets, _ = rows_of(data)
    wanted = [offsets[row] for row in (85, 145, 205, 265)]
    far = FarSource(data)
    with opened(far, at_once=8, gap=0) as video:
        far.requests.clear()
        far.hold()
        with ThreadPoolExecutor(1) as executor:
            frames = executor.submit(list, video.frames_at_offsets(wanted))
            far.wait_for(1 + 4)
            far.answer_first(1 + 4)
            far.wait_for(1 + 8)
            far.answer()
            assert [frame.offset for frame in frames.result()] == wanted
        assert len(far.requests) == 8


def test_the_whole_table_comes_side_by_side(clip: Make) -> None:
    """More requests at once than for anything else, since each brings little."""
    far = FarSource(clip("far_dash.mp4").read_bytes())
    with opened(far, at_once=2, tables_at_once=16) as video:
        far.hold()
        with ThreadPoolExecutor(1) as executor:
            count = executor.submit(len, video)
            far.wait_for(1 + 9)
            assert far.at_once >= 9
            far.answer()
            assert count.result() == 300
        assert len(far.requests) == 1 + 10  # nine fragments, and what stands behind them


def test_playing_waits_for_no_fragment(clip: Make) -> None:
    """Once it is seen that frames are wanted one after the other; tables of fragments come before their media do."""
    data = clip("far_dash.mp4").read_bytes()
    _, offsets, iraps = rows_of(data)
    far = FarSource(data)
    with opened(far, at_once=8) as video:
        waits = 0
        for row in range(len(offsets)):
            video.frame_at_offset(offsets[row], iraps[row])
            settle(far)
            if row == 2:
                waits = video.stats.waits
        assert video.stats.waits == waits
        assert is_lazy(video)
        # The head, one for each of nine fragments, and what stands behind them; of the media nothing twice.
        assert sum(length <= 4096 for _, length in far.requests) == 10
        assert len(far.requests) <= 11 + 14
        assert sum(length for _, length in far.requests) <= len(data) + 4096


def test_nothing_is_decoded_across_fragments_that_were_not_read(clip: Make) -> None:
    """A trace ends with what is known in one piece."""
    data = clip("far_dash.mp4").read_bytes()
    _, offsets, iraps = rows_of(data)
    with opened(FarSource(data)) as video:
        video.frame_at_offset(offsets[125], iraps[125])
        decoding = video._track.now
        assert decoding.samples.breaks == (30,)
        assert [decoding.samples.first_known(row) for row in (0, 29, 30, 59)] == [0, 0, 30, 30]
        assert [decoding.samples.end_known(row) for row in (0, 29, 30, 59)] == [30, 30, 60, 60]
        trace = decoding.samples.traces.at(0)
        assert trace.extend(29, decoding._reader)
        assert not trace.extend(30, decoding._reader)
        video.frame_at_offset(offsets[155], iraps[155])
        assert video._track.now is decoding
        assert decoding.samples.end_known(30) == 90
        video.frame_at_offset(offsets[35], iraps[35])
        assert video._track.now is not decoding


# What is not as it says


@pytest.mark.usefixtures("small_too")
@pytest.mark.parametrize("what", ["shifted", "random", "behind the end"])
@pytest.mark.parametrize("name", ["far_dash.mp4", "far_fragments.mp4"])
def test_places_that_are_none(clip: Make, name: str, what: str) -> None:
    """An index of fragments that is out of date: the whole table is read instead, and frames are the right ones."""
    data = bytearray(clip(name).read_bytes())
    place = data.rindex(b"tfra") + 20 if name == "far_fragments.mp4" else data.index(b"sidx") + 28
    step = 19 if name == "far_fragments.mp4" else 12
    count = 10
    chance = random.Random(what)
    for number in range(1, count):
        at = place + number * step + (12 if name == "far_fragments.mp4" else 0)
        width = 8 if name == "far_fragments.mp4" else 4
        value = int.from_bytes(data[at : at + width], "big")
        if what == "shifted":
            value += 4
        elif what == "random":
            value = chance.randrange(len(data) // (1 if width == 8 else count))
        else:
            value += len(data)
        data[at : at + width] = value.to_bytes(width, "big")
    whole = bytes(data)
    _, offsets, iraps = rows_of(whole)
    with ffbind.open(whole) as near, opened(FarSource(whole)) as video:
        for row in (85, 205, 145, 299):
            assert picture_hash(video.frame_at_offset(offsets[row], iraps[row])) == picture_hash(
                near.frame_at_offset(offsets[row])
            )
        assert same_tables(video.index, near.index)


def test_offsets_that_are_none(clip: Make) -> None:
    data = clip("far_dash.mp4").read_bytes()
    index, offsets, _ = rows_of(data)
    with ffbind.open(data) as near, opened(FarSource(data)) as video:
        for offset, irap in (
            (offsets[95] + 1, None),
            (offsets[95], offsets[90] + 1),
            (offsets[95], offsets[91]),
            (offsets[95], offsets[120]),
            (0, None),
            (offsets[95], 0),
            (len(data) - 1, None),
            (len(data) + 1000, None),
            (offsets[95], len(data) * 2),
            (-1, None),
            (2**70, None),
        ):
            asked = [outcome(partial(each.frame_at_offset, offset, irap)) for each in (video, near)]
            assert asked[0] == asked[1]
            assert issubclass(asked[0][0], ffbind.OffsetError)  # type: ignore[arg-type]
        assert is_lazy(video)
        with pytest.raises(ffbind.OffsetError):
            list(video.frames_at_offsets([offsets[95], offsets[95] + 1]))
        assert int(index.samples["irap"][95]) == 90


def test_a_damaged_fragment_is_an_error_of_its_frames(clip: Make) -> None:
    data = bytearray(clip("far_dash.mp4").read_bytes())
    moofs = [at for at, _, kind in boxes_of(bytes(data)) if kind == b"moof"]
    _, offsets, iraps = rows_of(bytes(data))
    at = data.index(b"trun", moofs[4])
    data[at + 8 : at + 12] = b"\x00\xff\xff\xff"  # samples that it has no room for
    with opened(FarSource(bytes(data))) as video:
        for row in (85, 205, 299):
            assert video.frame_at_offset(offsets[row], iraps[row]).offset == offsets[row]
        for _ in range(2):
            with pytest.raises(ffbind.CorruptError, match="trun promises"):
                video.frame_at_offset(offsets[125], iraps[125])
        assert video.frame_at_offset(offsets[155], iraps[155]).offset == offsets[155]
        with pytest.raises(ffbind.CorruptError, match="trun promises"):
            len(video)
        assert video.frame_at_offset(offsets[85], iraps[85]).offset == offsets[85]


@pytest.mark.parametrize("name", ["far_dash.mp4", "far_fragments.mp4"])
def test_a_file_that_was_cut_short(clip: Make, name: str) -> None:
    """Of the last fragment samples are missing; of those behind it everything."""
    data = clip(name).read_bytes()
    _, offsets, iraps = rows_of(data)
    data = data[: offsets[215] + 5]
    if name == "far_fragments.mp4":
        data += clip(name).read_bytes()[-1000:]  # mfra as it was, places behind the end in it
    with ffbind.open(data) as near, opened(FarSource(data)) as video:
        for row in (85, 205, 214, 215, 216, 299):
            asked = [
                outcome(partial(each.frame_at_offset, offsets[row], iraps[row])) for each in (video, near)
            ]
            assert asked[0] == asked[1], row


WORDS = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1"]


@pytest.mark.usefixtures("small_too")
@pytest.mark.parametrize(
    "name", ["open_gop_dash.mp4", "open_gop_short_fragments.mp4", "fragmented_with_sound.mp4"]
)
@pytest.mark.parametrize("seed", range(4))
def test_any_damage_of_tables_and_places(clip: Make, name: str, seed: int) -> None:
    """A frame is that of the whole table. Where that has none, as a walk ends with damage, it is right, or an error of ours."""
    whole = clip(name).read_bytes()
    _, offsets, iraps = rows_of(whole)
    with ffbind.open(whole) as unharmed:
        right = [outcome(partial(unharmed.frame_at_offset, offset))[0] for offset in offsets]
    chance = random.Random(f"{name} {seed}")
    kinds = (b"moov", b"moof", b"sidx", b"mfra")
    spans = [(at, size, kind) for at, size, kind in boxes_of(whole) if kind in kinds]
    lazily = given = 0
    for _ in range(25):
        data, harmed = bytearray(whole), set()
        for _ in range(chance.randrange(1, 4)):
            at, size, kind = chance.choice(spans)
            place = at + chance.randrange(size)
            new = chance.choice([*WORDS, chance.randbytes(chance.randrange(1, 5))])
            data[place : min(place + len(new), len(whole))] = new[: len(whole) - place]
            harmed.add(kind)
        near = far = None
        with ExitStack() as stack:
            with suppress(ffbind.FFbindError):
                near = stack.enter_context(ffbind.open(bytes(data)))
            with suppress(ffbind.FFbindError):
                far = stack.enter_context(opened(FarSource(bytes(data))))
            if far is None:
                assert near is None
                continue
            lazily += is_lazy(far)
            for row in chance.sample(range(len(offsets)), 6):
                first = chance.choice([None, iraps[row]])
                found = outcome(partial(far.frame_at_offset, offsets[row], first))
                known = None if near is None else outcome(partial(near.frame_at_offset, offsets[row], first))
                given += isinstance(found[0], str)
                if known is not None and isinstance(known[0], str):
                    assert found == known
                elif b"moov" not in harmed:
                    assert not isinstance(found[0], str) or found[0] == right[row]
    assert lazily > 10
    assert given > 10


def test_a_store_that_fails_is_asked_again(clip: Make) -> None:
    data = clip("far_dash.mp4").read_bytes()
    _, offsets, iraps = rows_of(data)
    far = FarSource(data)
    with opened(far) as video:

        def failing(offset: int, length: int) -> None:
            raise ffbind.SourceError("the store is tired; try again")

        far.failing = failing
        for give in (
            lambda: video.frame_at_offset(offsets[125], iraps[125]),
            lambda: list(video.frames_at_offsets([offsets[125]])),
            lambda: len(video),
        ):
            with pytest.raises(ffbind.SourceError, match="tired"):
                give()
        settle(far)  # who comes to a read that fails is told so
        far.failing = None
        frame = video.frame_at_offset(offsets[125], iraps[125])
        assert is_lazy(video)
        far.failing = failing
        with pytest.raises(ffbind.SourceError, match="tired"):
            frame.index  # noqa: B018
        settle(far)  # who comes to a read that fails is told so
        far.failing = None
        assert frame.index >= 0


@pytest.mark.parametrize("name", ["plain.mp4", "far_last.mp4", "far_no_hints.mp4", "far_short_fragments.mp4"])
def test_what_names_no_fragments_is_read_as_a_whole(clip: Make, name: str) -> None:
    with opened(FarSource(clip(name).read_bytes())) as video:
        assert not is_lazy(video)


@pytest.mark.usefixtures("small_too")
@pytest.mark.parametrize("name", ["fragmented_after_moov.mp4", "fragmented_separate.mp4"])
def test_what_cannot_be_told_by_one_fragment_is_read_as_a_whole(clip: Make, name: str) -> None:
    """Samples in moov, which edits cut; tracks with fragments of their own."""
    data = clip(name).read_bytes()
    _, offsets, iraps = rows_of(data)
    with ffbind.open(data) as near, opened(FarSource(data)) as video:
        for row in range(0, len(offsets), 7):
            asked = [
                outcome(partial(each.frame_at_offset, offsets[row], iraps[row])) for each in (video, near)
            ]
            assert asked[0] == asked[1]


def test_few_fragments_are_read_as_a_whole(clip: Make) -> None:
    """As many as come side by side cost no more time than one."""
    data = clip("far_dash.mp4").read_bytes()
    with opened(FarSource(data), at_once=11) as video:
        assert not is_lazy(video)


# Life


def test_iterating_goes_on_when_the_table_is_read(clip: Make) -> None:
    """By the rows that it began with, though the video goes by others then."""
    data = clip("far_dash.mp4").read_bytes()
    index, offsets, _ = rows_of(data)
    rows = [int(row) for row in index.order[150:270]]
    with ffbind.open(data) as near, opened(FarSource(data)) as video:
        wanted = [offsets[row] for row in rows]
        frames = video.frames_at_offsets(wanted)
        hashes = [picture_hash(next(frames))]
        video.frame_at_offset(offsets[5])
        hashes.append(picture_hash(next(frames)))
        assert len(video) == len(index)
        assert picture_hash(video[3]) == picture_hash(near[3])
        hashes += map(picture_hash, frames)
        assert hashes == [picture_hash(near[place]) for place in range(150, 270)]
        before = video.stats
        assert before.pictures >= 120
        video[4]
        assert (video.stats - before).pictures >= 0
        video.frame_at_offset(offsets[5])
        assert not video._track._users


def test_several_threads(clip: Make) -> None:
    data = clip("far_dash.mp4").read_bytes()
    _, offsets, iraps = rows_of(data)
    rows = random.Random(1).sample(range(len(offsets)), 60)
    with ffbind.open(data) as near, opened(FarSource(data), at_once=4) as video:

        def ask(row: int) -> bool:
            if row % 20 == 0:
                assert len(video) == len(near)
            frame = video.frame_at_offset(offsets[row], iraps[row])
            return picture_hash(frame) == picture_hash(near.frame_at_offset(offsets[row]))

        with ThreadPoolExecutor(4) as executor:
            assert all(executor.map(ask, rows))


def test_closing(clip: Make) -> None:
    data = clip("far_dash.mp4").read_bytes()
    _, offsets, _ = rows_of(data)
    video = opened(FarSource(data))
    frame, other = video.frame_at_offset(offsets[95]), video.frame_at_offset(offsets[96])
    frames = video.frames_at_offsets(offsets[100:110])
    next(frames)
    assert other.index > 0
    lazily = opened(FarSource(data))
    late = lazily.frame_at_offset(offsets[95])
    lazily.close()
    video.close()
    assert len(frame.planes) == 3
    assert math.isclose(other.duration, 0.04)
    with pytest.raises(ffbind.ClosedError):
        late.time  # noqa: B018
    with pytest.raises(ffbind.ClosedError):
        list(frames)
    with pytest.raises(ffbind.ClosedError):
        lazily.frame_at_offset(offsets[95])
    with pytest.raises(ffbind.ClosedError):
        len(lazily)


def test_a_table_is_carried_to_another_process(clip: Make) -> None:
    """What is known goes with it; another version of the bytes is refused."""
    data = clip("far_dash.mp4").read_bytes()
    _, offsets, iraps = rows_of(data)
    source = FetchingSource(FarSource(data), ffbind.FetchSettings(at_once=1))
    table = open_table(source)
    assert isinstance(table, LazyTable)
    assert table.read_for(source, [(offsets[95], iraps[95])])
    source.close()
    copy = pickle.loads(pickle.dumps(table))
    assert copy.partial == table.partial
    assert copy.partial.breaks == (30,)
    far = FarSource(data)
    with ffbind.open(far, index=copy) as video, ffbind.open(data) as near:
        assert far.requests == []
        assert picture_hash(video.frame_at_offset(offsets[95])) == picture_hash(
            near.frame_at_offset(offsets[95])
        )
        assert is_lazy(video)
        assert len(video) == len(near)
    with pytest.raises(ffbind.IndexMismatchError):
        ffbind.open(FarSource(data, "two"), index=copy)
    with pytest.raises(ffbind.ArgumentError, match="far"):
        ffbind.open(data, index=copy)
