"""Real workers on a small clip: ours and the `ffmpeg` command, asked, timed and checked as in a run of the benchmarks."""

from __future__ import annotations

import base64
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from waiting import until

from benchmarks import works
from benchmarks.contenders import CONTENDERS, OURS, Environment
from benchmarks.contest import hold
from benchmarks.oracle import Oracle
from benchmarks.peers.worker import GRID
from benchmarks.results import Goal, Results, RowResult
from benchmarks.session import Session, WorkerError
from benchmarks.verdicts import duels, verdicts

ROOT = Path(__file__).resolve().parents[2]
TAKING_PART = [each for each in CONTENDERS if each.name in (OURS, "ffmpeg")]


@pytest.fixture
def video(clip: Callable[[str], Path]) -> Path:
    """Sixty frames in closed GOPs of 20, which the `ffmpeg` command seeks in exactly."""
    return clip("moving.mp4")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "benchmarks.peers.ours"]
        with Session(command, dict(os.environ), str(ROOT), log, patience=60) as opened:
            yield opened


def _hold(work: works.Work, video: Path, folder: Path, forms: tuple[str, ...]) -> RowResult:
    if shutil.which("ffmpeg") is None:
        pytest.skip("the ffmpeg command is not installed")
    with (folder / "log").open("w") as log:
        runs = hold(
            works.Contest("", work, forms),
            video,
            TAKING_PART,
            Environment(folder / "venv", print),
            oracles=folder / "oracles",
            threads=2,
            rounds=2,
            log=log,
            say=print,
            stand_still=True,
        )
    return RowResult("row", "a row", "s", [Goal("ratio", 1e-9)], runs)


@pytest.mark.parametrize(
    "work",
    [
        works.Cold(2),
        works.Warm(5),
        works.Step(20, count=5),
        works.Step(20, back=True, count=5),
        works.Batch(8),
        works.First(),
    ],
    ids=lambda work: type(work).__name__,
)
def test_ours_and_ffmpeg_give_the_frames_asked_for(work: works.Work, video: Path, tmp_path: Path) -> None:
    row = _hold(work, video, tmp_path, ("planes", "rgb"))
    assert list(row.runs) == ["ffbind/planes", "ffbind/rgb", "ffmpeg"]
    for run in row.runs.values():
        assert run.exact, (run.tally, run.failures)
        assert len(run.seconds) == len(run.cpu) == 2
        assert min(run.seconds) > 0
    assert [duel.peer for duel in duels(row)] == ["ffmpeg"]
    assert verdicts(row)[0].met


@pytest.mark.parametrize("form", ["planes", "rgb"])
def test_whole_files_are_read_and_checked(form: str, video: Path, tmp_path: Path) -> None:
    row = _hold(works.Whole(), video, tmp_path, (form,))
    for run in row.runs.values():
        assert run.exact, (run.tally, run.failures)
        assert run.tally.answers == 3 * 60  # the check before the rounds, and two rounds


def test_results_are_the_same_after_saving(video: Path, tmp_path: Path) -> None:
    results = Results({"rounds": 2}, [_hold(works.Cold(1), video, tmp_path, ("planes",))])
    results.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == results


def test_a_neighbouring_frame_is_noticed(video: Path, tmp_path: Path, session: Session) -> None:
    oracle = Oracle(video, tmp_path)
    for form in ("planes", "rgb"):
        session.ask(do="open", path=str(video), threads=1, form=form)
        answers = session.ask(do="frames", indices=[40, 41])["answers"]
        assert oracle.judge([40, 41], answers).wrong == 0
        assert oracle.judge([41, 40], answers).wrong == 2
        assert oracle.judge([40, 41, 42], answers).errors == 1


def test_a_picture_that_is_nobodys_is_noticed(video: Path, tmp_path: Path, session: Session) -> None:
    oracle = Oracle(video, tmp_path)
    session.ask(do="open", path=str(video), threads=1, form="rgb")
    answer = session.ask(do="frames", indices=[40])["answers"][0]
    pixels = np.frombuffer(base64.b64decode(answer["rgb"]), np.uint8).copy()
    pixels[: len(pixels) // 3] = 128  # a third of it grey: nearest to frame 40 still, but not frame 40
    damaged = {"rgb": base64.b64encode(pixels.tobytes()).decode()}
    assert oracle.nearest(answer)[0] == 40
    assert oracle.judge([40], [damaged]).wrong == 1
    other_size = {"rgb": base64.b64encode(np.zeros((90, 90, 3), np.uint8)[GRID].tobytes()).decode()}
    assert oracle.judge([40], [other_size]).wrong == 1


def test_an_error_is_counted_and_work_goes_on(video: Path, session: Session) -> None:
    session.ask(do="open", path=str(video), threads=1, form="planes")
    answers = session.ask(do="frames", indices=[0, 10_000, 1])["answers"]
    assert ["error" in answer for answer in answers] == [False, True, False]
    with pytest.raises(WorkerError, match="nothing"):
        session.ask(do="open", path=str(video.parent / "nothing"), threads=1, form="planes")


def test_a_worker_that_died_is_started_again_with_its_file(video: Path, session: Session) -> None:
    session.ask(do="open", path=str(video), threads=1, form="planes")
    before = session.ask(do="frames", indices=[3])["answers"]
    session._process.kill()
    with pytest.raises(WorkerError, match="ended with status -9"):
        session.ask(do="frames", indices=[3])
    assert session.ask(do="frames", indices=[3])["answers"] == before


def test_a_worker_that_hangs_is_ended(tmp_path: Path) -> None:
    hanging = (
        "import json, sys, time; print(json.dumps({}), flush=True); sys.stdin.readline(); time.sleep(600)"
    )
    with (
        (tmp_path / "log").open("w") as log,
        Session([sys.executable, "-c", hanging], {}, str(ROOT), log, patience=5) as session,
        pytest.raises(WorkerError, match="took more than 5 s"),
    ):
        session.ask(do="frames", indices=[0])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the state of a process is read in /proc")
def test_a_worker_stands_still_between_requests(tmp_path: Path) -> None:
    """One that counts in the background does so only while it is asked."""
    counting = (
        "import itertools, json, sys, threading\n"
        "print('{}', flush=True)\n"
        "counter = itertools.count()\n"
        "threading.Thread(target=lambda: [None for _ in iter(lambda: next(counter), -1)], daemon=True).start()\n"
        "for line in sys.stdin:\n"
        "    print(json.dumps({'pid': __import__('os').getpid(), 'count': next(counter)}), flush=True)\n"
    )
    with (
        (tmp_path / "log").open("w") as log,
        Session(
            [sys.executable, "-c", counting], {}, str(ROOT), log, patience=30, stands_still=True
        ) as session,
    ):
        answers = [session.ask(do="count")]
        stat = Path(f"/proc/{answers[0]['pid']}/stat")
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")  # stopped
        answers.append(session.ask(do="count"))
        assert answers[1]["count"] > answers[0]["count"]
