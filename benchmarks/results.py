"""What a run has measured, as it is saved: every round of every contender, so that it can be judged again later."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.contenders import OURS, is_ours
from benchmarks.oracle import Tally

__all__ = ["Goal", "Results", "RowResult", "Runs"]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a row has to show. It is met when the worse end of the interval is on the right side of `bound`.

    - `figure`: 'ratio' (time of a peer / ours), 'cpu' (our CPU time / a peer's) or the name of a figure of our own
    - `bound`: at least that for a ratio, at most that for everything else
    - `peer`: whom to compare with; None for the fastest that made no mistake
    - `of`: the contender of ours that it is for
    """

    figure: str
    bound: float
    peer: str | None = None
    of: str = OURS

    def met_by(self, low: float, high: float) -> bool:
        """Tell whether an interval meets the goal."""
        return low >= self.bound if self.figure == "ratio" else high <= self.bound


@dataclass(slots=True)
class Runs:
    """One contender's rounds on one row.

    - `form`: what it was asked for, 'planes' or 'rgb'
    - `seconds`, `cpu`: wall-clock and CPU seconds of each round, for one unit of the row's work
    - `rounds`: which rounds these are; one that failed is missing
    - `figures`: what else was counted, one value a round
    - `failures`: what went wrong, in words, the first few
    """

    form: str
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    figures: dict[str, list[float]] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    failures: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """True if every answer was the picture that was asked for."""
        return self.tally.answers > 0 and not (self.tally.wrong or self.tally.errors)


@dataclass(slots=True)
class RowResult:
    """One row: `runs` by contender, `name` or `name/form` for ours, which is measured in each form that a peer gives."""

    name: str
    title: str
    unit: str
    goals: list[Goal]
    runs: dict[str, Runs] = field(default_factory=dict)

    @property
    def ours_are_right(self) -> bool:
        """True if none of ours gave a wrong frame or an error."""
        own = [run for name, run in self.runs.items() if is_ours(name)]
        return not any(run.tally.wrong or run.tally.errors for run in own)


@dataclass(slots=True)
class Results:
    """A run of the benchmarks. `about`: when, on what machine, with which versions."""

    about: dict[str, Any]
    rows: list[RowResult] = field(default_factory=list)

    @property
    def ours_are_right(self) -> bool:
        """True if none of ours gave a wrong frame or an error."""
        return all(row.ours_are_right for row in self.rows)

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` wrote."""
        saved = json.loads(path.read_text())
        rows = []
        for row in saved["rows"]:
            runs = {
                name: Runs(**(run | {"tally": Tally(**run["tally"])}))
                for name, run in row.pop("runs").items()
            }
            goals = [Goal(**goal) for goal in row.pop("goals")]
            rows.append(RowResult(**row, goals=goals, runs=runs))
        return cls(saved["about"], rows)
