"""Which peer counts, and when a goal is met; and the plot of it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks.oracle import Tally
from benchmarks.plot import draw
from benchmarks.report import make_console, show
from benchmarks.results import Goal, Results, RowResult, Runs
from benchmarks.verdicts import duels, fastest, verdicts

RIGHT = Tally(5)


def _row(*goals: Goal, **runs: Runs) -> RowResult:
    return RowResult(
        "row",
        "a <row>",
        "ms per frame",
        list(goals),
        {name.replace("_", "-"): run for name, run in runs.items()},
    )


def _runs(form: str, seconds: list[float], tally: Tally = RIGHT, **more: list[float]) -> Runs:
    cpu = more.pop("cpu", seconds)
    return Runs(form, seconds, cpu, list(range(len(seconds))), dict(more), tally)


@pytest.fixture
def row() -> RowResult:
    """One peer gives planes, one RGB, and the fastest has given a wrong frame."""
    found = _row(
        Goal("ratio", 1.5),
        Goal("ratio", 1.5, "opencv"),
        Goal("cpu", 1.03, "pyav-slice"),
        Goal("pictures", 1.0),
        Goal("ratio", 1.0, "decord2"),
        pyav_slice=_runs("planes", [2.0, 2.2, 1.8], cpu=[1.0, 1.0, 1.0]),
        opencv=_runs("rgb", [1.0, 1.0, 1.0], Tally(5, wrong=1)),
        torchcodec=_runs("rgb", [8.0, 8.0, 8.0]),
    )
    found.runs["ffbind/planes"] = _runs("planes", [1.0, 1.0, 1.0], pictures=[0.9, 1.0, 1.0])
    found.runs["ffbind/rgb"] = _runs("rgb", [2.0, 2.0, 2.0])
    return found


def test_peers_are_compared_with_ours_in_their_own_form(row: RowResult) -> None:
    assert [(duel.peer, round(duel.ratio.middle, 6)) for duel in duels(row)] == [
        ("opencv", 0.5),
        ("pyav-slice", 2.0),
        ("torchcodec", 4.0),
    ]


def test_a_wrong_frame_is_no_win(row: RowResult) -> None:
    by_all, by_exact = fastest(row, exact=False), fastest(row, exact=True)
    assert by_all is not None
    assert by_exact is not None
    assert (by_all.peer, by_exact.peer) == ("opencv", "pyav-slice")


def test_goals_are_judged_by_the_worse_end(row: RowResult) -> None:
    found = verdicts(row)
    assert [verdict.met for verdict in found] == [True, False, True, True, None]
    assert [verdict.against for verdict in found] == ["pyav-slice", "opencv", "pyav-slice", "", "decord2"]
    assert not Goal("ratio", 2.0).met_by(1.9, 2.5)
    assert not Goal("cpu", 1.03).met_by(1.0, 1.04)


def test_no_goal_is_met_by_wrong_frames_of_ours(row: RowResult) -> None:
    row.runs["ffbind/planes"].tally = Tally(5, errors=1)
    assert [verdict.met for verdict in verdicts(row)] == [False, False, False, False, None]


def test_rounds_that_one_of_them_missed_are_left_out() -> None:
    one, other = _runs("planes", [1.0, 1.0]), _runs("planes", [3.0, 100.0])
    one.rounds, other.rounds = [0, 2], [0, 1]
    assert duels(_row(ffbind=one, ffmpeg=other))[0].ratio.middle == pytest.approx(3.0)


def test_plot_and_tables_show_every_peer(row: RowResult, capsys: pytest.CaptureFixture[str]) -> None:
    about = {
        "machine": "a & b",
        "threads": 2,
        "rounds": 3,
        "date": "2026-01-01T00:00:00",
        "absent": {"ffmpeg": "not there"},
    }
    results = Results(about, [row])
    root = ElementTree.fromstring(draw(results))
    words = " ".join(root.itertext())
    for word in (
        "a <row>",
        "a & b",
        "opencv 0.5 x, 1 of 5 wrong",
        "pyav-slice 2 x",
        "torchcodec 4 x",
        "goal 1.5 x",
    ):
        assert word in words
    show(results, make_console())
    printed = capsys.readouterr().out
    for word in (
        "1, 0 of 5",
        "torchcodec",
        "not exact",
        "not measured",
        "ffmpeg did not take part: not there",
    ):
        assert word in printed


def test_a_plot_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no row"):
        draw(Results({}, [_row(ffbind=_runs("planes", [1.0]))]))
