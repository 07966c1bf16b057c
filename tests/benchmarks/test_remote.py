"""Frames in a bucket: real workers on a real store, what it was asked counted at the endpoint, pictures compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from stores import binary

import ffbind
from benchmarks.bucket import Bucket, Place
from benchmarks.contenders import INDEXES, OURS, REMOTE, Environment, is_ours
from benchmarks.contest import hold
from benchmarks.remote_works import (
    REMOTE_ROWS,
    RemoteFirst,
    RemoteLone,
    RemoteRandom,
    RemoteSteps,
    RemoteWork,
)
from benchmarks.results import Goal, RowResult, Runs
from benchmarks.verdicts import verdicts
from benchmarks.works import Contest

GOP = 30
REQUESTS = "requests a frame"


@pytest.fixture(scope="module")
def video(clip: Callable[[str], Path]) -> Path:
    """Ten closed GOPs of 30, moov behind them."""
    return clip("far_last.mp4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("remote")


@pytest.fixture(scope="module")
def bucket(folder: Path) -> Iterator[Bucket]:
    binary("minio")  # skips, or fails where it should be there
    with Bucket(folder / "minio", delay=0.0, indexes=folder / "indexes") as running:
        yield running


@pytest.fixture(scope="module")
def place(bucket: Bucket, video: Path) -> Place:
    return bucket.place(video)


@pytest.fixture
def measure(folder: Path, video: Path) -> Callable[..., dict[str, Runs]]:
    def run(work: RemoteWork, *names: str) -> dict[str, Runs]:
        wanted = [
            replace(
                each,
                arguments=tuple(
                    text.replace(str(INDEXES), str(folder / "indexes")) for text in each.arguments
                ),
            )
            for each in REMOTE
            if each.name in names
        ]
        with (folder / "log").open("w") as log:
            return hold(
                Contest("", work, ("planes",)),
                video,
                wanted,
                Environment(folder / "venv", pytest.fail),
                oracles=folder / "oracles",
                threads=1,
                rounds=2,
                log=log,
                say=pytest.fail,
                stand_still=False,
            )

    return run


def test_opening_with_and_without_an_index(place: Place, measure: Callable[..., dict[str, Runs]]) -> None:
    requests = {OURS: 2.0, f"{OURS}-http": 2.0, f"{OURS}-beside": 2.0, f"{OURS}-folder": 1.0}
    runs = measure(RemoteFirst(place), *requests, "ffmpeg, URL")
    assert all(run.exact for run in runs.values()), runs
    # Opening brings the first bytes with the look, which hold the first sample of this clip.
    assert {name: run.figures[REQUESTS] for name, run in runs.items() if is_ours(name)} == {
        name: [count] * 2 for name, count in requests.items()
    }
    assert min(runs["ffmpeg, URL"].figures[REQUESTS]) >= 1
    row = RowResult("", "", "", [Goal(REQUESTS, 1.0), Goal(REQUESTS, 1.0, of=f"{OURS}-folder")], runs)
    assert [verdict.met for verdict in verdicts(row)] == [False, True]
    with_ratio = RowResult("", "", "", [Goal("ratio", 0.0, of=f"{OURS}-folder")], runs)
    assert [verdict.against for verdict in verdicts(with_ratio)] == ["ffmpeg, URL"]


@pytest.mark.parametrize("random", [False, True])
def test_a_lone_frame_of_fragments(
    bucket: Bucket, clip: Callable[[str], Path], measure: Callable[..., dict[str, Runs]], random: bool
) -> None:
    """Ours goes by the byte offset and reads its fragment alone; others go by time."""
    runs = measure(RemoteLone(bucket.place(clip("far_dash.mp4")), random), OURS, "ffmpeg, URL")
    assert all(run.exact for run in runs.values()), runs
    assert max(runs[OURS].figures[REQUESTS]) <= (2 if random else 1)


@pytest.mark.parametrize("do", ["frames", "batch"])
def test_random_frames(place: Place, measure: Callable[..., dict[str, Runs]], do: str) -> None:
    runs = measure(RemoteRandom(place, do, count=6), OURS)
    assert runs[OURS].exact
    assert runs[OURS].tally.answers == 12
    assert max(runs[OURS].figures[REQUESTS]) <= 1
    assert min(runs[OURS].figures["kB a frame"]) > 0


def test_steps(place: Place, measure: Callable[..., dict[str, Runs]]) -> None:
    runs = measure(RemoteSteps(place, GOP, gops=2), OURS)
    assert runs[OURS].exact
    assert runs[OURS].tally.answers == 2 * 2 * GOP
    assert len(runs[OURS].figures["steps that waited"]) == 2


def test_what_frames_need(bucket: Bucket, place: Place, video: Path, clip: Callable[[str], Path]) -> None:
    with ffbind.open(video) as opened:
        sizes = [int(size) for size in opened.index.samples["size"]]
        rows = [int(row) for row in opened.index.samples["display"].argsort()]
    assert place.frames == len(sizes)
    for frame in (0, 7, GOP, 3 * GOP + 11):
        assert place.needed([frame]) == sum(sizes[frame // GOP * GOP : rows[frame] + 1])
    assert place.needed([7, 0, 7, GOP]) == place.needed([7]) + place.needed([GOP])
    # A leading picture of an open GOP is decoded from the GOP before.
    path = clip("far_open_gop.mp4")
    with ffbind.open(path) as opened:
        samples = opened.index.samples
        leading = next(
            row for row in range(len(samples)) if samples["pts"][row] < samples["pts"][samples["irap"][row]]
        )
        before = int(samples["irap"][samples["irap"][leading] - 1])
        expected = int(samples["size"][before : leading + 1].sum())
        assert bucket.place(path).needed([int(samples["display"][leading])]) == expected


def test_the_environment_names_the_store_within_the_block(bucket: Bucket) -> None:
    assert os.environ["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")


def test_rows_name_contenders_that_take_part() -> None:
    names = {each.name for each in REMOTE}
    for row in REMOTE_ROWS:
        assert set(row.also) <= names
        assert {goal.of for goal in row.goals} <= {OURS, *row.also}
