"""What every worker does: answer requests on standard input, one JSON object a line, timing the library's work and nothing else.

Requests, by `do`:

- `open` (path, threads, form): open a file anew, forgetting everything about the one before; not timed
- `frames` (indices): one frame after the other, each timed by itself
- `batch` (indices): all of them at once, by what the library has for that
- `pace` (indices, rate): one frame after the other, none asked for before its time at so many frames a second; each identified at once
- `all`: every frame of the file, in order, none kept; `list`: the same, every frame identified, not for timing
- `first` (path, threads, form): open and give the first frame, timed together
- `lone` (path, threads, form, index, address): the same with any frame; `address`: byte offsets of its sample and of its IRAP, for
  those who can go by them
- `close`

A form is `planes` (as decoded: Y, U, V, each touched) or `rgb` (an array of 8-bit RGB). Frames are identified after the clock has
stopped, so that hashing is nobody's work: planes by MD5 of their visible bytes, RGB by a few thousand of its pixels.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import resource
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["GRID", "Picture", "Reader", "serve", "touch"]

Picture: TypeAlias = tuple[NDArray[np.uint8], ...]
"""The planes (H, W) of a picture as decoded, or one array (H, W, 3) of RGB."""

GRID = (slice(4, None, 24), slice(4, None, 24))
"""Pixels that identify a picture where its planes cannot be had; benchmarks/oracle.py compares them."""


class Reader(ABC):
    """A library's best exact way to each kind of work. One file is open at a time."""

    forms: ClassVar[tuple[str, ...]]

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Versions of the library and of the FFmpeg in it, as far as it tells."""

    @abstractmethod
    def open(self, path: str, threads: int, form: str) -> None:
        """Open a file with fresh decoders."""

    @abstractmethod
    def close(self) -> None:
        """Close what is open; nothing may be."""

    @abstractmethod
    def frame(self, index: int) -> Picture:
        """Give a frame by its place in presentation order."""

    def frame_at(self, index: int, address: tuple[int, int]) -> Picture:
        """Give a frame of which it is also known where its sample and that of its IRAP begin. Here: by its place."""
        return self.frame(index)

    @abstractmethod
    def everything(self) -> Iterator[Picture]:
        """Give all frames in presentation order."""

    def batch(self, indices: Sequence[int]) -> list[Picture]:
        """Give several frames in the caller's order. Here: in ascending order, which decodes each GOP once."""
        found = {index: self.frame(index) for index in sorted(set(indices))}
        return [found[index] for index in indices]

    def run_through(self) -> int:
        """Decode the whole file, touching every picture; count them."""
        count = 0
        for picture in self.everything():
            touch(picture)
            count += 1
        return count

    def counters(self) -> dict[str, float]:
        """Count what the library says it has done since the file was opened."""
        return {}

    def count_first(self, path: str) -> dict[str, float]:
        """Count what opening a file and giving its first frame takes, apart from the clock."""
        return {}


def touch(picture: Picture) -> None:
    """Read a value of each plane: a picture that is still to be made would have to be made now."""
    for plane in picture:
        plane[-1, -1].tolist()


def serve(reader: Reader) -> None:
    """Answer requests until standard input ends."""
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = _Worker(reader)
    _reply(answers, {"versions": reader.versions(), "forms": reader.forms})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = worker.answer(request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        _reply(answers, answer)


def _reply(stream: Any, answer: dict[str, Any]) -> None:
    stream.write(json.dumps(answer) + "\n")
    stream.flush()


class _Worker:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a request asks for."""
        reader = self._reader
        match request["do"]:
            case "open":
                reader.close()
                reader.open(request["path"], request["threads"], request["form"])
                return {}
            case "close":
                reader.close()
                return {}
            case "frames":
                return self._frames(request["indices"])
            case "batch":
                return self._timed(lambda: _touched(reader.batch(request["indices"])))
            case "pace":
                return self._paced(request["indices"], request["rate"])
            case "all":
                return self._run_through()
            case "list":
                return {"answers": [identify(picture) for picture in reader.everything()]}
            case "first":
                reader.close()
                before = _bytes_read()
                answer = self._timed(lambda: self._open_for(request, lambda: reader.frame(0)))
                answer["bytes_read"] = _bytes_read() - before
                answer["counters"] = answer["counters"] | reader.count_first(request["path"])
                return answer
            case "lone":
                reader.close()
                index, address = request["index"], tuple(request["address"])
                return self._timed(lambda: self._open_for(request, lambda: reader.frame_at(index, address)))
        raise ValueError(f"no request is called {request['do']!r}")

    def _open_for(self, request: dict[str, Any], give: Callable[[], Picture]) -> list[Picture]:
        self._reader.open(request["path"], request["threads"], request["form"])
        return _touched([give()])

    def _frames(self, indices: Sequence[int]) -> dict[str, Any]:
        found: list[Picture | Exception] = []
        seconds = []
        counters, cpu = self._reader.counters(), _cpu_seconds()
        for index in indices:
            start = time.perf_counter()
            found.append(self._tried(index))
            seconds.append(time.perf_counter() - start)
        return {
            "seconds": seconds,
            "cpu": _cpu_seconds() - cpu,
            "counters": _difference(self._reader.counters(), counters),
            "answers": [identify(picture) for picture in found],
        }

    def _paced(self, indices: Sequence[int], rate: float) -> dict[str, Any]:
        """Give frames as a player asks for them; one that came late puts the later ones off. `waits`: how many had to wait for bytes.

        How long a reader has waited for bytes so far is its counter `wait_us`, where it has one.
        """
        found: list[dict[str, str]] = []
        seconds, waits = [], []
        counters, cpu = self._reader.counters(), _cpu_seconds()
        due = time.perf_counter()
        for index in indices:
            time.sleep(max(due - time.perf_counter(), 0))
            waited, start = self._reader.counters().get("wait_us", 0), time.perf_counter()
            picture = self._tried(index)
            seconds.append(time.perf_counter() - start)
            waits.append(self._reader.counters().get("wait_us", 0) > waited)
            found.append(identify(picture))
            due = max(due, start) + 1 / rate
        return {
            "seconds": seconds,
            "waits": waits,
            "cpu": _cpu_seconds() - cpu,
            "counters": _difference(self._reader.counters(), counters),
            "answers": found,
        }

    def _tried(self, index: int) -> Picture | Exception:
        try:
            picture = self._reader.frame(index)
            touch(picture)
        except Exception as error:
            return error
        return picture

    def _run_through(self) -> dict[str, Any]:
        counters, cpu, start = self._reader.counters(), _cpu_seconds(), time.perf_counter()
        count = self._reader.run_through()
        return {
            "seconds": [time.perf_counter() - start],
            "cpu": _cpu_seconds() - cpu,
            "counters": _difference(self._reader.counters(), counters),
            "count": count,
        }

    def _timed(self, work: Callable[[], list[Picture]]) -> dict[str, Any]:
        counters, cpu, start = self._reader.counters(), _cpu_seconds(), time.perf_counter()
        found = work()
        seconds = time.perf_counter() - start
        return {
            "seconds": [seconds],
            "cpu": _cpu_seconds() - cpu,
            "counters": _difference(self._reader.counters(), counters),
            "answers": [identify(picture) for picture in found],
        }


def identify(picture: Picture | Exception) -> dict[str, str]:
    """Give what tells which picture this is."""
    if isinstance(picture, Exception):
        return {"error": f"{type(picture).__name__}: {picture}"}
    if picture[0].ndim == 3:
        return {"rgb": base64.b64encode(np.ascontiguousarray(picture[0][GRID]).tobytes()).decode()}
    digest = hashlib.md5(usedforsecurity=False)
    for plane in picture:
        digest.update(plane.tobytes())
    return {"md5": digest.hexdigest()}


def _touched(pictures: list[Picture]) -> list[Picture]:
    for picture in pictures:
        touch(picture)
    return pictures


def _difference(after: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {name: value - before.get(name, 0) for name, value in after.items()}


def _cpu_seconds() -> float:
    """CPU time of this process, of its threads and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _bytes_read() -> int:
    """Bytes that this process has read by system calls, 0 where the system does not say (it is Linux that does)."""
    try:
        with open("/proc/self/io") as counts:
            return int(next(line for line in counts if line.startswith("rchar")).split()[1])
    except OSError:
        return 0
