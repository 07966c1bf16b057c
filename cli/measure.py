"""Figures of a benchmark run: latencies, rates, and the block that `streamer bench` prints."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

__all__ = ["PERCENTILES", "Measurement"]

PERCENTILES = (("min", 0), ("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99), ("max", 100))


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run: what was asked, what came, and when.

    `latencies` (seconds) and `sizes` (bytes of JPEG) hold one value for each frame received, in the order of
    arrival; `codes` one error code for each frame refused. `seconds` runs from the first request to the last
    answer.
    """

    requested: int
    in_flight: int
    latencies: tuple[float, ...]
    sizes: tuple[int, ...]
    codes: tuple[str, ...]
    seconds: float
    client_cpu: float

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
        }
