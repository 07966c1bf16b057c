"""What the rounds come to: ratios of each peer to ours, the fastest peers of a row, and whether the goals are met."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.contenders import OURS, is_ours
from benchmarks.intervals import Interval, median, paired_ratio
from benchmarks.results import Goal, RowResult, Runs

__all__ = ["Duel", "Verdict", "duels", "fastest", "ours", "verdicts"]


@dataclass(frozen=True, slots=True)
class Duel:
    """A peer against ours in the same form. `ratio`: how many times as long the peer takes."""

    peer: str
    runs: Runs
    ratio: Interval


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal and what was found; `found` is None where there was nothing to compare with.

    - `against`: the peer compared with
    - `right`: ours gave no wrong frame and no error; how fast it would else have been is all the same
    """

    goal: Goal
    found: Interval | None
    against: str = ""
    right: bool = True

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None if that could not be told."""
        return (
            None if self.found is None else self.right and self.goal.met_by(self.found.low, self.found.high)
        )


def ours(row: RowResult, form: str | None = None, of: str = OURS) -> Runs | None:
    """Give our runs in a form, those of the contender `of`; the first ones if no form is named."""
    found = [
        run for name, run in row.runs.items() if name.partition("/")[0] == of and form in (None, run.form)
    ]
    return found[0] if found else None


def duels(row: RowResult, of: str = OURS) -> list[Duel]:
    """Compare each peer with ours, the contender `of`, in the form that the peer was measured in, the fastest first."""
    found = []
    for name, run in row.runs.items():
        if is_ours(name):
            continue
        own = ours(row, run.form, of)
        pair = None if own is None else _paired(own, run, "seconds")
        if pair is not None:
            found.append(Duel(name, run, paired_ratio(*pair)))
    return sorted(found, key=lambda duel: duel.ratio.middle)


def fastest(row: RowResult, *, exact: bool, of: str = OURS) -> Duel | None:
    """Give the peer that comes closest to ours or is farthest ahead; with `exact`, of those without a wrong frame or an error."""
    return next((duel for duel in duels(row, of) if duel.runs.exact or not exact), None)


def verdicts(row: RowResult) -> list[Verdict]:
    """Judge a row's goals."""
    return [replace(_judge(row, goal), right=row.ours_are_right) for goal in row.goals]


def _judge(row: RowResult, goal: Goal) -> Verdict:
    if goal.figure == "ratio":
        named = [duel for duel in duels(row, goal.of) if duel.peer == goal.peer]
        duel = fastest(row, exact=True, of=goal.of) if goal.peer is None else named[0] if named else None
        return Verdict(goal, duel.ratio, duel.peer) if duel else Verdict(goal, None, goal.peer or "")
    own = ours(row, of=goal.of)
    if goal.figure == "cpu":
        peer = row.runs.get(goal.peer or "")
        pair = None if own is None or peer is None else _paired(peer, own, "cpu")
        return Verdict(goal, None if pair is None else paired_ratio(*pair), goal.peer or "")
    values = own.figures.get(goal.figure) if own is not None else None
    return Verdict(goal, median(values) if values else None)


def _paired(one: Runs, other: Runs, what: str) -> tuple[list[float], list[float]] | None:
    """Values of the rounds that both have done."""
    first = dict(zip(one.rounds, getattr(one, what), strict=True))
    second = dict(zip(other.rounds, getattr(other, what), strict=True))
    both = sorted(first.keys() & second.keys())
    return ([first[turn] for turn in both], [second[turn] for turn in both]) if both else None
