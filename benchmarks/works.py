"""The work of each row: what is asked of a contender in a round, which part of it is timed, and the goals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from benchmarks import compression, instructions, steps
from benchmarks.oracle import Oracle, Tally
from benchmarks.results import Goal

__all__ = ["ROWS", "Ask", "Contest", "Outcome", "Own", "Row", "Setting", "Work"]

Ask: TypeAlias = Callable[..., dict[str, Any]]
Measure: TypeAlias = Callable[[Path, int], dict[str, list[float]]]

_SHORTER = 3
"""What shortened work has this many times fewer frames than the full one."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A clip and how it is to be opened."""

    path: Path
    oracle: Oracle
    threads: int
    form: str

    def opening(self) -> dict[str, Any]:
        """Give the fields of a request that opens a file."""
        return {"path": str(self.path), "threads": self.threads, "form": self.form}


@dataclass(slots=True)
class Outcome:
    """A round: seconds of wall clock and CPU for one unit of work, how many answers were right, and what else was counted."""

    seconds: float
    cpu: float
    tally: Tally
    figures: dict[str, float] = field(default_factory=dict)


class Work(ABC):
    """What is asked of every contender, each over its own `ask`."""

    frames: int | None = None
    """How many frames of the clip are looked at; None for all."""

    def prepare(self, ask: Ask, setting: Setting) -> Tally:
        """Do what comes once, before the rounds; count what it showed."""
        return Tally()

    @abstractmethod
    def measure(self, ask: Ask, setting: Setting, turn: int) -> Outcome:
        """Do the work of round `turn`, the same for all contenders."""

    def shortened(self) -> Work:
        """Give the same work with fewer frames a round, where their number is free."""
        return self


@dataclass(frozen=True, slots=True)
class Cold(Work):
    """Random frames, each from a file opened anew: no decoder stands anywhere, nothing is kept. Opening is not timed."""

    count: int = 4

    def shortened(self) -> Work:
        return replace(self, count=self.count // _SHORTER)

    def measure(self, ask: Ask, setting: Setting, turn: int) -> Outcome:
        indices = Random(f"cold {turn}").sample(range(len(setting.oracle)), self.count)
        answers = []
        for index in indices:
            ask(do="open", **setting.opening())
            answers.append(ask(do="frames", indices=[index]))
        return _together(setting.oracle, indices, answers)


@dataclass(frozen=True, slots=True)
class Warm(Work):
    """Random frames one after the other from a file that stays open, over all rounds; none is ever asked for twice.

    What is asked before the first round is not timed.
    """

    count: int = 30

    def shortened(self) -> Work:
        return replace(self, count=self.count // _SHORTER)

    def measure(self, ask: Ask, setting: Setting, turn: int) -> Outcome:
        sets = len(setting.oracle) // self.count
        again, place = divmod(turn, sets - 1)
        order = list(range(len(setting.oracle)))
        Random(f"warm {again}").shuffle(order)
        parts = [order[part * self.count : (part + 1) * self.count] for part in range(sets)]
        if place == 0:
            ask(do="open", **setting.opening())
            ask(do="frames", indices=parts[0])
        return _together(setting.oracle, parts[place + 1], [ask(do="frames", indices=parts[place + 1])])


@dataclass(frozen=True, slots=True)
class Step(Work):
    """Steps inside a GOP after landing at random, frame by frame. Landing is not timed.

    - `gop`: length of the GOPs of the clip
    - `back`: towards the start; `known`: over frames that were just walked over the other way
    """

    gop: int
    back: bool = False
    known: bool = False
    count: int = 12

    def shortened(self) -> Work:
        return replace(self, count=self.count // _SHORTER)

    def measure(self, ask: Ask, setting: Setting, turn: int) -> Outcome:
        random = Random(f"step {turn}")
        first = random.randrange(len(setting.oracle) // self.gop) * self.gop
        landing = first + random.randrange(4, self.gop - self.count - 2)
        way = list(range(landing, landing + self.count + 1))
        ask(do="open", **setting.opening())
        if self.back and self.known:
            ask(do="frames", indices=way[:-1])
        if self.back:
            way.reverse()
        ask(do="frames", indices=way[:1])
        return _together(setting.oracle, way[1:], [ask(do="frames", indices=way[1:])])


@dataclass(frozen=True, slots=True)
class Batch(Work):
    """Random frames of a file just opened, asked for at once."""

    count: int = 64

    def shortened(self) -> Work:
        return replace(self, count=self.count // _SHORTER)

    def measure(self, ask: Ask, setting: Setting, turn: int) -> Outcome:
        indices = Random(f"batch {turn}").sample(range(len(setting.oracle)), self.count)
        ask(do="open", **setting.opening())
        return _together(setting.oracle, indices, [ask(do="batch", indices=indices)])


class Whole(Work):
    """The whole file from a fresh start; opening is not timed. Every frame is checked once, before the rounds."""

    def prepare(self, ask: Ask, setting: Setting) -> Tally:
        ask(do="open", **setting.opening())
        answers = ask(do="list")["answers"]
        tally = setting.oracle.judge(list(range(len(setting.oracle))), answers)
        tally.errors += max(len(answers) - len(setting.oracle), 0)
        return tally

    def measure(self, ask: Ask, setting: Setting, turn: int) -> Outcome:
        ask(do="open", **setting.opening())
        answer = ask(do="all")
        frames = len(setting.oracle)
        figures = (
            {"pictures per frame": answer["counters"]["pictures"] / frames} if answer["counters"] else {}
        )
        missing = abs(frames - answer["count"])
        return Outcome(answer["seconds"][0], answer["cpu"], Tally(frames, errors=missing), figures)


class First(Work):
    """Open a file and give its first frame; all of it timed."""

    frames = 1

    def measure(self, ask: Ask, setting: Setting, turn: int) -> Outcome:
        answer = ask(do="first", **setting.opening())
        outcome = _together(setting.oracle, [0], [answer])
        size = setting.path.stat().st_size
        read = answer["counters"].get("bytes_with_tables", answer["bytes_read"])
        if read:
            outcome.figures["% of the file read"] = 100 * read / size
        return outcome


def _together(oracle: Oracle, wanted: list[int], answers: Sequence[dict[str, Any]]) -> Outcome:
    """Sum up answers, which together are for `wanted`, for each frame wanted."""
    count = len(wanted)
    counters = [answer["counters"] for answer in answers if answer["counters"]]
    figures = {}
    if counters and "pictures" in counters[0]:
        figures["pictures per frame"] = sum(each["pictures"] for each in counters) / count
        figures["kB read per frame"] = sum(each["source_bytes"] for each in counters) / count / 1000
    return Outcome(
        seconds=sum(sum(answer["seconds"]) for answer in answers) / count,
        cpu=sum(answer["cpu"] for answer in answers) / count,
        tally=oracle.judge(wanted, [each for answer in answers for each in answer["answers"]]),
        figures=figures,
    )


@dataclass(frozen=True, slots=True)
class Contest:
    """What ours and the peers are measured on: a work on a clip, in some forms; `also`: contenders that are left out elsewhere."""

    clip: str
    work: Work
    forms: tuple[str, ...] = ("planes", "rgb")
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Own:
    """What is measured of ours alone: `measure(path, rounds)` gives figures, one value a round."""

    clip: str
    measure: Measure


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table. `quick`: it is among those of a quick run."""

    name: str
    title: str
    unit: str
    task: Contest | Own
    goals: tuple[Goal, ...]
    quick: bool = False


def _ratio(bound: float, peer: str | None = None) -> Goal:
    return Goal("ratio", bound, peer)


_FRAME = "ms per frame"
_CPU = Goal("cpu", 1.03, "ffmpeg-1")

# Clip, what it stands for, and the goals of random frames, cold and warm.
_RANDOM = (
    ("open250", "open GOPs of 250", 1.6, 3.0),
    ("closed60", "closed GOPs of 60", 1.8, 2.5),
    ("p60", "no B-frames", 1.0, 1.4),
    ("layers4", "four layers", 2.5, 4.0),
)
_QUICK = {"cold-open250", "cold-closed60", "warm-closed60", "batch-closed60", "yuv-gops", "hour-moov-first"}


def _row(name: str, title: str, unit: str, task: Contest | Own, *goals: Goal) -> Row:
    return Row(name, title, unit, task, goals, quick=name in _QUICK or isinstance(task, Own))


def _cold(name: str, about: str, goal: float) -> Row:
    title = f"random frame, cold, {about}"
    return _row(f"cold-{name}", title, _FRAME, Contest(f"{name}.mp4", Cold()), _ratio(goal))


def _warm(name: str, about: str, goal: float) -> Row:
    title = f"random frame, warm, {about}"
    return _row(f"warm-{name}", title, _FRAME, Contest(f"{name}.mp4", Warm()), _ratio(goal))


def _step(name: str, title: str, step: Step, *goals: Goal) -> Row:
    return _row(name, title, "ms per step", Contest("closed60.mp4", step), *goals)


def _steps(way: str, measure: Measure) -> Row:
    title = f"pictures for a step {way}, over whole GOPs"
    return _row(f"steps-{way}", title, "", Own("closed60.mp4", measure), Goal("pictures per step", 1.0))


def _batch(name: str, about: str) -> Row:
    title = f"64 random frames at once, {about}"
    return _row(f"batch-{name}", title, _FRAME, Contest(f"{name}.mp4", Batch()), _ratio(2.0))


def _yuv(name: str, clip: str, about: str) -> Row:
    contest = Contest(clip, Whole(), ("planes",), ("ffmpeg-1",))
    return _row(name, f"whole file to YUV, {about}", "s", contest, _ratio(1.0), _CPU)


def _hour(place: str) -> Row:
    title = f"open and first frame of an hour, moov {place}"
    goals = (_ratio(50.0, "torchcodec"), _ratio(1.0, "pyav-slice"), Goal("% of the file read", 0.5))
    return _row(f"hour-moov-{place}", title, "ms", Contest(f"hour_moov_{place}.mp4", First()), *goals)


def _overhead(order: str, measure: Measure) -> Row:
    title = f"per-frame overhead, VGA, {order} order"
    return _row(f"overhead-{order}", title, "", Own("vga30.mp4", measure), Goal("overhead %", 5.0))


def _jpeg(way: str, clip: str) -> Row:
    title = f"YUV to JPEG at 1080p, {way}"
    return _row(f"jpeg-{way}", title, "", Own(clip, compression.measure), Goal("CPU of the bare encode", 1.2))


ROWS: tuple[Row, ...] = (
    *(_cold(name, about, goal) for name, about, goal, _ in _RANDOM),
    *(_warm(name, about, goal) for name, about, _, goal in _RANDOM),
    _step("step-forward", "step forward inside a GOP", Step(60)),
    _step("step-back", "step back inside a GOP", Step(60, back=True)),
    _step(
        "step-back-known",
        "step back over frames just shown",
        Step(60, back=True, known=True),
        Goal("pictures per frame", 0.0),
    ),
    _steps("forward", steps.forward),
    _steps("back", steps.back),
    _batch("open250", "open GOPs of 250"),
    _batch("closed60", "closed GOPs of 60"),
    _yuv("yuv-gops", "closed60.mp4", "ten GOPs"),
    _yuv("yuv-one-gop", "one_gop.mp4", "one GOP"),
    _row(
        "rgb-gops",
        "whole file to RGB arrays, ten GOPs",
        "s",
        Contest("closed60.mp4", Whole(), ("rgb",)),
        _ratio(1.3),
    ),
    _hour("first"),
    _hour("last"),
    _overhead("linear", instructions.linear),
    _overhead("random", instructions.random),
    _jpeg("upright", "closed60.mp4"),
    _jpeg("turned", "turned.mp4"),
)
