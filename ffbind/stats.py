"""Counters of what a video has done so far."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Stats"]


@dataclass(slots=True)
class Stats:
    """What a video has done so far. Counters only grow.

    - `decoders_opened`: libavcodec decoders, parked ones included; damage makes another one necessary
    - `restarts`: how often decoding started at an IRAP
    - `samples_read`: samples whose headers were read; `samples_sent`: given to a decoder; `samples_skipped`: left out between those
    - `pictures`: pictures that came out; `pictures_reused`: frames answered from those kept
    - `fallbacks`: what was planned did not do: starts at an earlier IRAP than the nearest, found necessary only on the way, and
      decoding everything from the IRAP again, to see what is damaged
    - `source_reads`, `source_bytes`: reads of samples, without the file's tables
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

    def __add__(self, other: Stats) -> Stats:
        return Stats(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))
