"""The work of each row of frames in a bucket, and the goals: what is asked of a contender, what is timed, what the store counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, TypeAlias

from benchmarks.bucket import Place, Traffic
from benchmarks.contenders import OURS
from benchmarks.oracle import Tally
from benchmarks.results import Goal
from benchmarks.works import Ask, Outcome, Setting, Work

__all__ = ["REMOTE_ROWS", "RemoteRow"]

_FRAMES = 50
_RATE = 30.0
_REQUESTS, _BYTES, _OF_NEEDED = "requests a frame", "kB a frame", "bytes of those needed"
_WAITED = "steps that waited"


@dataclass(frozen=True, slots=True)
class RemoteWork(Work):
    """Work on a clip in a bucket, whose pictures are those of the oracle over and over."""

    place: Place

    def prepare(self, ask: Ask, setting: Setting) -> Tally:
        """Open it once: connections, imports and what is asked of a file only once are nobody's work."""
        ask(do="open", **self.opening(setting))
        ask(do="close")
        return Tally()

    def opening(self, setting: Setting) -> dict[str, Any]:
        """Give the fields of a request that opens the object."""
        return {"path": self.place.address, "threads": setting.threads, "form": setting.form}

    def outcome(
        self, ask: Ask, setting: Setting, before: Traffic, wanted: Sequence[int], answer: dict[str, Any]
    ) -> Outcome:
        """End the work, and sum up what came of it and what the store was asked since `before`, for each frame wanted."""
        ask(do="close")
        self.place.bucket.settle()
        spent = self.place.bucket.traffic() - before
        count = len(wanted)
        return Outcome(
            seconds=sum(answer["seconds"]) / count,
            cpu=answer["cpu"] / count,
            tally=setting.oracle.judge([index % len(setting.oracle) for index in wanted], answer["answers"]),
            figures={_REQUESTS: spent.requests / count, _BYTES: spent.bytes / count / 1000},
        )


@dataclass(frozen=True, slots=True)
class RemoteFirst(RemoteWork):
    """Open the object and give its first frame; all of it timed and counted."""

    frames = 1

    def measure(self, ask: Ask, setting: Setting, turn: int) -> Outcome:
        before = self.place.bucket.traffic()
        answer = ask(do="first", **self.opening(setting))
        return self.outcome(ask, setting, before, [0], answer)


@dataclass(frozen=True, slots=True)
class RemoteLone(RemoteWork):
    """Open the object and give one frame, `random` or the first; all of it timed and counted. Who can is told where its sample is."""

    random: bool

    def measure(self, ask: Ask, setting: Setting, turn: int) -> Outcome:
        index = Random(f"lone {turn}").randrange(self.place.frames) if self.random else 0
        before = self.place.bucket.traffic()
        answer = ask(do="lone", index=index, address=self.place.sample(index), **self.opening(setting))
        return self.outcome(ask, setting, before, [index], answer)


@dataclass(frozen=True, slots=True)
class RemoteRandom(RemoteWork):
    """Random frames of an object just opened, `do` 'frames' one after the other or 'batch' at once. Opening is not in it.

    Bytes are compared with those that the frames need: together where they are asked for at once, else each for itself.
    """

    do: str
    count: int = _FRAMES

    def measure(self, ask: Ask, setting: Setting, turn: int) -> Outcome:
        indices = Random(f"remote {turn}").sample(range(self.place.frames), self.count)
        ask(do="open", **self.opening(setting))
        before = self.place.bucket.traffic()
        answer = ask(do=self.do, indices=indices)
        outcome = self.outcome(ask, setting, before, indices, answer)
        sent = outcome.figures[_BYTES] * 1000 * self.count
        together = [indices] if self.do == "batch" else [[index] for index in indices]
        outcome.figures[_OF_NEEDED] = sent / sum(map(self.place.needed, together))
        return outcome


@dataclass(frozen=True, slots=True)
class RemoteSteps(RemoteWork):
    """Step forward from the start of a GOP at 30 frames a second, through `gops` of them; the first is not timed, but counted.

    How many steps had to wait for bytes is known of ours alone; a step that takes longer than a frame is shown is late for anybody.
    """

    gop: int
    gops: int = 3

    def measure(self, ask: Ask, setting: Setting, turn: int) -> Outcome:
        first = Random(f"steps {turn}").randrange(self.place.frames // self.gop - self.gops) * self.gop
        way = list(range(first, first + self.gops * self.gop))
        ask(do="open", **self.opening(setting))
        before = self.place.bucket.traffic()
        answer = ask(do="pace", indices=way, rate=_RATE)
        outcome = self.outcome(ask, setting, before, way, answer)
        seconds = answer["seconds"][self.gop :]
        outcome.seconds = sum(seconds) / len(seconds)
        outcome.figures["late steps"] = sum(each > 1 / _RATE for each in seconds)
        if "wait_us" in answer["counters"]:
            outcome.figures[_WAITED] = sum(answer["waits"][self.gop :])
        return outcome


Make: TypeAlias = Callable[[Place], RemoteWork]


@dataclass(frozen=True, slots=True)
class RemoteRow:
    """A row of the table.

    - `clip`: the one in the bucket
    - `make`: makes the work on it
    - `forms`: as in `benchmarks.works.Contest`
    - `also`: contenders of ours that are left out elsewhere
    """

    name: str
    title: str
    unit: str
    clip: str
    make: Make
    goals: tuple[Goal, ...]
    forms: tuple[str, ...] = ("planes", "rgb")
    also: tuple[str, ...] = ()


_BESIDE, _FOLDER = f"{OURS}-beside", f"{OURS}-folder"


def _open(place: str) -> RemoteRow:
    goals = (
        Goal(_REQUESTS, 4.0),
        Goal("ratio", 1.0),
        Goal(_REQUESTS, 2.0, of=_BESIDE),
        Goal(_REQUESTS, 1.0, of=_FOLDER),
        Goal("ratio", 2.0, of=_FOLDER),
    )
    return RemoteRow(
        f"open-moov-{place}",
        f"open and first frame of an hour, moov {place}",
        "ms",
        f"hour_moov_{place}.mp4",
        RemoteFirst,
        goals,
        also=(f"{OURS}-http", _BESIDE, _FOLDER),
    )


def _random(name: str, about: str, clip: str, do: str, ratio: float) -> RemoteRow:
    goals = (Goal("ratio", ratio), Goal(_REQUESTS, 1.0), Goal(_OF_NEEDED, 1.05))
    title = f"{_FRAMES} random frames {about}"
    return RemoteRow(name, title, "ms per frame", clip, partial(RemoteRandom, do=do), goals)


def _lone(name: str, about: str, *, random: bool, requests: float) -> RemoteRow:
    goals = (Goal(_REQUESTS, requests), Goal("ratio", 1.0))
    make = partial(RemoteLone, random=random)
    return RemoteRow(name, f"open an hour in fragments, and {about}", "ms", "hour_fragments.mp4", make, goals)


_HD, _VGA = "closed60_long.mp4", "vga30_long.mp4"

REMOTE_ROWS = (
    _open("first"),
    _open("last"),
    _lone("fragments-first", "its first frame", random=False, requests=1.0),
    _lone("fragments-random", "one frame anywhere in it", random=True, requests=2.0),
    _random("random-hd", "one by one, 1080p, closed GOPs of 60, 20 Mb/s", _HD, "frames", 1.7),
    _random("batch-hd", "as one batch, 1080p, closed GOPs of 60, 20 Mb/s", _HD, "batch", 3.0),
    _random("random-vga", "one by one, VGA, GOPs of 30", _VGA, "frames", 3.0),
    _random("batch-vga", "as one batch, VGA, GOPs of 30", _VGA, "batch", 6.0),
    RemoteRow(
        "steps",
        "step forward at 30 a second, 1080p, 20 Mb/s, after the first GOP",
        "ms per step",
        _HD,
        partial(RemoteSteps, gop=60),
        (Goal(_WAITED, 0.0),),
        ("planes",),
    ),
)
