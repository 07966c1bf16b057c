"""Counters of what a video has done so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import add, attrgetter, sub

__all__ = ["Stats"]


@dataclass(slots=True)
class Stats:
    """What a video has done so far. Counters only grow; what one frame took is the difference of two of them.

    - `decoders_opened`: libavcodec decoders, parked ones included; damage makes another one necessary
    - `restarts`: how often decoding started at an IRAP
    - `samples_read`: samples whose headers were read; `samples_sent`: given to a decoder; `samples_skipped`: left out between those
    - `pictures`: pictures that came out; `pictures_reused`: frames answered from those kept
    - `fallbacks`: what was planned did not do: starts at an earlier IRAP than the nearest, found necessary only on the way, and
      decoding everything from the IRAP again, to see what is damaged
    - `source_reads`, `source_bytes`: reads of samples that were answered, without the file's tables. Of a source that is far, each is
      a request to it, and what was fetched ahead counts as soon as it is there

    Of sources that are far (all but paths, bytes and file objects), and 0 for the others:

    - `used_reads`, `used_bytes`: those of these reads that brought what was needed, each counted when something of it was first used.
      The rest was fetched ahead, and will be used later or never
    - `waits`: how often bytes were not at hand when they were needed; `wait_us`: microseconds that were spent waiting for them
    """

    decoders_opened: int = 0
    restarts: int = 0
    samples_read: int = 0
    samples_sent: int = 0
    samples_skipped: int = 0
    pictures: int = 0
    pictures_reused: int = 0
    fallbacks: int = 0
    source_reads: int = 0
    source_bytes: int = 0
    used_reads: int = 0
    used_bytes: int = 0
    waits: int = 0
    wait_us: int = 0

    def __add__(self, other: Stats) -> Stats:
        return self._combined(add, other)

    def __sub__(self, other: Stats) -> Stats:
        return self._combined(sub, other)

    def _combined(self, operation: Callable[[int, int], int], other: Stats) -> Stats:
        return Stats(*map(operation, _values(self), _values(other)))


_values = attrgetter(*(field.name for field in fields(Stats)))
"""All counters in the order of the class; looked up once, since a server takes differences with each frame."""
