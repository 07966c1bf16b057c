"""Figures of a benchmark run: latencies, rates, receipts, and the block that `streamer bench` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from streamer.messages import Frame, Timing

__all__ = ["PERCENTILES", "STAGES", "Measurement", "Receipts"]

PERCENTILES = (("min", 0), ("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99), ("max", 100))

STAGES = ("queue", "fetch", "decode", "encode")
"""Where the time of a frame goes in the server, in this order; the fields of a receipt's `timing`."""


@dataclass(frozen=True, slots=True)
class Receipts:
    """What the receipts of a run's frames say together.

    - `frames`: how many frames had one, `cached`: those of them that nothing was fetched for
    - `requests`, `fetched_bytes`: what the store was asked for on their account; `ahead_bytes`: what had been fetched ahead and not
      been needed at the end
    - `jpeg_bytes`: bytes of their pictures
    - `medians`: seconds, by stage; `fetch_median`: seconds of `fetch` where something was fetched, None where nothing was
    """

    frames: int
    cached: int
    requests: int
    fetched_bytes: int
    ahead_bytes: int
    jpeg_bytes: int
    medians: dict[str, float]
    fetch_median: float | None

    @classmethod
    def of(cls, announcements: Iterable[Frame]) -> Receipts | None:
        """Add up the receipts of frames; None where there are none, as from a server that knows of none."""
        frames = [frame for frame in announcements if frame.timing is not None]
        if not frames:
            return None
        timings = [frame.timing for frame in frames if frame.timing is not None]
        fetched = [frame.timing for frame in frames if frame.timing is not None and frame.source == "store"]
        return cls(
            frames=len(frames),
            cached=sum(frame.source == "cache" for frame in frames),
            requests=sum(frame.requests or 0 for frame in frames),
            fetched_bytes=sum(frame.fetched_bytes or 0 for frame in frames),
            ahead_bytes=frames[-1].ahead_bytes or 0,
            jpeg_bytes=sum(frame.size for frame in frames),
            medians={stage: _median(timings, stage) for stage in STAGES},
            fetch_median=_median(fetched, "fetch") if fetched else None,
        )

    @property
    def requests_per_frame(self) -> float:
        return self.requests / self.frames

    @property
    def bytes_per_frame(self) -> float:
        return self.fetched_bytes / self.frames

    @property
    def fetched_to_jpeg(self) -> float:
        """Bytes fetched for each byte of JPEG."""
        return self.fetched_bytes / max(self.jpeg_bytes, 1)

    def record(self) -> dict[str, object]:
        """Give all figures under plain names, in seconds and bytes, for `--json`."""
        return {
            "frames": self.frames,
            "frames_from_cache": self.cached,
            "requests": self.requests,
            "requests_per_frame": self.requests_per_frame,
            "fetched_bytes": self.fetched_bytes,
            "fetched_bytes_per_frame": self.bytes_per_frame,
            "fetched_to_jpeg": self.fetched_to_jpeg,
            "ahead_bytes": self.ahead_bytes,
            "median": self.medians,
            "median_fetch_from_store": self.fetch_median,
        }


def _median(timings: Sequence[Timing], stage: str) -> float:
    return float(np.median([getattr(timing, stage) for timing in timings])) / 1000


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run: what was asked, what came, and when.

    `latencies` (seconds) and `sizes` (bytes of JPEG) hold one value for each frame received, in the order of
    arrival; `codes` one error code for each frame refused. `seconds` runs from the first request to the last
    answer. `receipts`: None where the server gave none.
    """

    requested: int
    in_flight: int
    latencies: tuple[float, ...]
    sizes: tuple[int, ...]
    codes: tuple[str, ...]
    seconds: float
    client_cpu: float
    receipts: Receipts | None = None

    @property
    def received(self) -> int:
        return len(self.latencies)

    @property
    def errored(self) -> int:
        """Frames without a picture, for whatever reason."""
        return self.requested - self.received

    @property
    def frames_per_second(self) -> float:
        return self.received / self.seconds if self.seconds > 0 else 0.0

    def percentile(self, percent: float) -> float:
        """Give the latency in seconds that `percent` of the frames did not exceed (nearest rank), or 0."""
        if not self.latencies:
            return 0.0
        return float(np.percentile(self.latencies, percent, method="inverted_cdf"))

    @property
    def mean(self) -> float:
        """Average latency in seconds; 0 without frames."""
        return sum(self.latencies) / self.received if self.latencies else 0.0

    def block(self) -> str:
        """Give the result block; its wording and columns are fixed, since programs read it."""
        return "\n".join(
            [
                "=== Benchmark Results ===",
                f"Frames requested: {self.requested}",
                f"Frames received:  {self.received}",
                f"Frames errored:   {self.errored}",
                f"Total time:       {self.seconds:.1f}s",
                f"Average FPS:      {self.frames_per_second:.1f}",
                f"Avg latency:      {self.mean * 1000:.1f}ms",
                f"Min latency:      {self.percentile(0) * 1000:.1f}ms",
                f"Max latency:      {self.percentile(100) * 1000:.1f}ms",
                f"P95 latency:      {self.percentile(95) * 1000:.1f}ms",
            ]
        )

    def errors(self) -> dict[str, int]:
        """Count the error codes, the most frequent first."""
        return dict(Counter(self.codes).most_common())

    def record(self) -> dict[str, object]:
        """Give all figures under plain names, in seconds and bytes, for `--json`."""
        return {
            "frames_requested": self.requested,
            "frames_received": self.received,
            "frames_errored": self.errored,
            "errors": self.errors(),
            "in_flight": self.in_flight,
            "seconds": self.seconds,
            "frames_per_second": self.frames_per_second,
            "latency": {
                "mean": self.mean,
                **{name: self.percentile(at) for name, at in PERCENTILES},
            },
            "jpeg_bytes": sum(self.sizes),
            "client_cpu_seconds": self.client_cpu,
            "receipts": None if self.receipts is None else self.receipts.record(),
        }
