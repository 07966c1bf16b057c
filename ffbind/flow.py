"""Rows on their way: decoded ahead of whoever takes them, in the order of taking, and only so far ahead.

    taken | decoded, or in work | known, not begun | not asked for yet
          '------ window -------'
          '------------ lookahead ----------------'

One thread takes. Those that decode begin with one stretch after the other, which is what is known of a GOP, or of several short ones.
At a row that is too far ahead they wait as long as another of them is busy, since what that one brings makes room; then they stop, and
what was stopped is begun again when there is room.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from .errors import FFbindError
from .frame import Frame
from .samples import Samples
from .sharing import TOGETHER_GAIN

__all__ = ["Flow", "Result", "Stretch"]

Result = Frame | FFbindError
"""What became of a wanted row."""

_STRETCH = 48
"""Rows of a stretch at least: who begins anew with an open GOP decodes its IRAP a second time."""

_FIRST = (8, 32)
"""Rows of the first stretches of what is far, at most: the first frame comes soon, before its whole GOP is here."""

_AT_LEAST = 16
"""Rows decoded before somebody who waits for the video gets it: who asks all the time does not stop everything all the time."""


class Flow:
    """The rows of one iteration, each with an address of the caller's.

    - `rows`: in the order of taking, which is about that of decoding; as many as `lookahead` are asked for before they are taken
    - `is_disturbed`: says whether somebody else waits for what decodes
    - `foresee`: of what is far; is told which rows come next, GOP by GOP, the one that is begun first of all
    - `window`: rows that may be decoded, counted from the one that is taken next
    - `complete`: all rows are known
    - `reused`: rows so far that did not have to be decoded
    """

    def __init__(
        self,
        rows: Iterator[tuple[int, int]],
        samples: Samples,
        lookahead: int,
        is_disturbed: Callable[[], bool],
        foresee: Callable[[Sequence[Sequence[int]]], None] | None = None,
    ) -> None:
        self._rows = rows
        self._samples = samples
        self._lookahead = lookahead
        self._is_disturbed = is_disturbed
        self._foresee = foresee
        self._first = _FIRST if foresee is not None else ()
        self._lock = threading.RLock()
        self._ready = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._awaited = -1
        self._known: deque[tuple[int, int]] = deque()  # not taken
        self._open: deque[int] = deque()  # not begun
        self._stopped: list[tuple[int, list[int]]] = []  # to be begun again, each with the first place in it
        self._left: Counter[int] = Counter()  # how often a row is still to be taken
        self._place: dict[int, int] = {}  # when it is taken first
        self._results: dict[int, Result] = {}
        self._asked = 0
        self._taken = 0
        self._begun = 0  # stretches
        self._foreseen: set[int] = set()  # last rows of the GOPs that were told of
        self._cut = -1  # the GOP that the last one is only a part of
        self._sent = 0  # since decoding went on
        self._in_work: list[Stretch] = []
        self._busy = 0  # how many of these do not wait for room
        self._waiting = 0  # for room
        self._closed = False
        self.window = 1
        self.complete = False
        self.reused = 0

    # Who takes

    def next(self) -> tuple[int, int] | None:
        """Give the row that is taken next and its address, and ask for what comes into sight. None: nothing is left."""
        with self._lock:
            while not self.complete and len(self._known) < self._lookahead:
                found = next(self._rows, None)
                if found is None:
                    self.complete = True
                    break
                row = found[0]
                if row not in self._left:
                    self._open.append(row)
                    self._place[row] = self._asked
                self._left[row] += 1
                self._asked += 1
                self._known.append(found)
            return self._known[0] if self._known else None

    def take(self, row: int, is_working: Callable[[], bool]) -> Result | None:
        """Take the result of the row that is next, or wait for it; None where it is not there, and nobody is working any more."""
        result = self._results.get(row)
        if result is None:
            with self._ready:
                self._awaited = row
                while (result := self._results.get(row)) is None and is_working():
                    self._ready.wait()
                self._awaited = -1
            if result is None:
                return None
        with self._lock:
            self._known.popleft()
            self._taken += 1
            self._left[row] -= 1
            if not self._left[row]:
                del self._left[row], self._place[row], self._results[row]
            if self._waiting:
                self._room.notify_all()
        return result

    def wake(self) -> None:
        """Let who waits see whether anybody is still working."""
        with self._ready:
            self._ready.notify()

    @property
    def has_room(self) -> bool:
        """Tell whether decoding is to go on, once it has stopped: something is left, and half of the window is free for it."""
        first = self._next_place()
        return first is not None and first <= self._taken + self.window // 2

    def close(self) -> None:
        """Nothing is taken any more: who decodes is told to stop, and whoever keeps an error keeps no pictures with it."""
        with self._lock:
            self._closed = True
            self._results.clear()
            self._room.notify_all()

    # Who decodes

    @property
    def rest(self) -> int | None:
        """How many rows are not taken, where all are known."""
        return self._asked - self._taken if self.complete else None

    @property
    def is_starting(self) -> bool:
        """Tell whether the next stretch is one of the first, or what these have left of their GOP."""
        if self._stopped or not self._open:
            return False
        return self._begun < len(self._first) or self._cut == self._samples.iraps.item(self._open[0])

    def lengths(self) -> list[int]:
        """How many rows each stretch has that is next; the last may get more."""
        with self._lock:
            stretches = _stretches(self._samples.gops(self._open))
            return [len(rows) for _, rows in self._stopped] + [sum(map(len, each)) for each in stretches]

    def go(self) -> None:
        """Decoding goes on."""
        self._sent = 0

    def begin(self, lanes: int = 1, *, waits: bool = True) -> Stretch | None:
        """Begin with the next stretch. None where it is too far ahead, or nothing is left.

        - `lanes`: how many begin stretches, one each. What is left in the end, fewer than lanes, is for all of them together where
          that ends sooner
        - `waits`: for room, while others are busy
        """
        with self._lock:
            while (first := self._next_place()) is not None:
                if not self._fits(first):
                    if not waits or not self._wait():
                        return None
                    continue
                if self._stopped and self._stopped[0][0] == first:
                    _, rows = self._stopped.pop(0)
                elif lanes > 1 and self.complete and self._is_for_all(lanes):
                    return None
                else:
                    rows = self._begin_next()
                if missing := self._without_kept(rows):
                    return self._stretch(missing)
            return None

    def begin_rest(self) -> Stretch:
        """Begin with all that is left."""
        with self._lock:
            rows = [row for _, stopped in self._stopped for row in stopped]
            rows += self._open
            self._stopped.clear()
            self._open.clear()
            if self._foresee is not None:
                self._foresee([sorted(rows)])
            return self._stretch(self._without_kept(rows))

    def goes_on(self, place: int) -> bool:
        """Tell whether something that is taken at this place may be decoded now, or wait until it may."""
        self._sent += 1
        if self._closed:
            return False
        if not self._fits(place):
            with self._lock:
                self._busy -= 1
                try:
                    while not self._fits(place):
                        if not self._wait():
                            return False
                finally:
                    self._busy += 1
        return self._sent <= _AT_LEAST or not self._is_disturbed()

    def put(self, row: int, result: Result) -> None:
        """Say what became of a row."""
        if self._closed:
            return
        self._results[row] = result
        if self._awaited == row:
            self.wake()

    def stop(self, stretch: Stretch) -> bool:
        """Give back what was begun; tells whether anything is left of it."""
        with self._lock:
            self._busy -= 1
            self._in_work.remove(stretch)
            self._room.notify_all()
            rows = self._unsettled(stretch)
            if rows:
                self._stopped.append((min(map(self._place.__getitem__, rows)), rows))
                self._stopped.sort()
            return bool(rows)

    # Inside, all but `_fits` with the lock held

    def _fits(self, place: int) -> bool:
        return place < self._taken + self.window

    def _wait(self) -> bool:
        """Wait for something to change. False where nobody is busy, so that nothing will."""
        if self._closed or not self._busy:
            return False
        self._waiting += 1
        self._room.wait()
        self._waiting -= 1
        return not self._closed

    def _next_place(self) -> int | None:
        """Place of the first row to be decoded, None where nothing is left."""
        places = [self._place[self._open[0]]] if self._open else []
        if self._stopped:
            places.append(self._stopped[0][0])
        return min(places, default=None)

    def _is_for_all(self, lanes: int) -> bool:
        """Tell whether what is left is decoded sooner by all lanes, when they are done, than by the one that asks now."""
        left = _stretches(self._samples.gops(self._open))
        if len(left) >= lanes:
            return False
        others = max((len(self._unsettled(stretch)) for stretch in self._in_work), default=0)
        alone = sum(map(len, left[0]))
        return others + alone / (TOGETHER_GAIN * lanes) < alone

    def _unsettled(self, stretch: Stretch) -> list[int]:
        return [row for row in stretch.rows if row in self._left and row not in self._results]

    def _begin_next(self) -> list[int]:
        """Leading pictures come with the GOP before: whoever decodes the one that they refer to goes on to them."""
        groups = self._samples.gops(self._open)
        if self._foresee is not None:
            known = sum(group[-1] in self._foreseen for group in groups)
            # Several new ones at a time, since each time takes a request.
            if 2 * known <= len(groups):
                self._foreseen = {group[-1] for group in groups}
                self._foresee(groups)
        most = self._first[self._begun] if self._begun < len(self._first) else len(self._open)
        self._cut = -1
        if most < len(groups[0]):
            rows = groups[0][:most]
            self._cut = self._samples.iraps.item(rows[0])
            seen = 1
        else:
            stretch = _stretches(groups)[0] if self._begun >= len(self._first) else groups[:1]
            seen = len(stretch) + 1
            moved = self._samples.leave_leading(groups[:seen])
            rows = [row for group in moved[: len(stretch)] for row in group]
        begun = set(rows)
        popped = [self._open.popleft() for _ in range(sum(map(len, groups[:seen])))]
        self._open.extendleft(row for row in reversed(popped) if row not in begun)
        self._begun += 1
        return rows

    def _without_kept(self, rows: Sequence[int]) -> list[int]:
        missing = []
        for row in rows:
            frame = self._samples.pictures.get(row)
            if frame is None:
                missing.append(row)
            else:
                self.reused += 1
                self.put(row, frame)
        return sorted(missing)

    def _stretch(self, rows: list[int]) -> Stretch:
        places = list(accumulate((self._place[row] for row in reversed(rows)), min))
        stretch = Stretch(self, rows, dict(zip(rows, reversed(places), strict=True)))
        self._in_work.append(stretch)
        self._busy += 1
        return stretch


class Stretch:
    """Rows to be decoded by one thread, or by all of them, ascending."""

    def __init__(self, flow: Flow, rows: list[int], places: dict[int, int]) -> None:
        self.rows = rows
        self._flow = flow
        self._places = places  # by row: when it, or one that is decoded after it, is taken first

    def go_on(self, row: int) -> bool:
        """Tell whether a row may be decoded now, one of these or what they refer to."""
        return self._flow.goes_on(self._places.get(row, -1))


def _stretches(groups: Sequence[list[int]]) -> list[list[list[int]]]:
    """Put short groups together, neighbours."""
    stretches: list[list[list[int]]] = []
    long = True
    for group in groups:
        if long:
            stretches.append([])
        stretches[-1].append(group)
        long = sum(map(len, stretches[-1])) >= _STRETCH
    return stretches
