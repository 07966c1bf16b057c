"""The figures of a run, and the block in exactly the form that was promised."""

from __future__ import annotations

from streamer.messages import Frame, Receipt, Timing
from streamer_cli.measure import Measurement, Receipts


def test_block_is_exactly_as_promised() -> None:
    # 98 frames whose latencies are chosen so that each line of the block has a known value.
    latencies = (0.0312, *([0.0424] * 91), *([0.0671] * 5), 0.0894)
    run = Measurement(
        requested=100,
        in_flight=8,
        latencies=latencies,
        sizes=(1000,) * 98,
        codes=("undecodable", "undecodable"),
        seconds=4.2,
        client_cpu=0.1,
    )
    assert run.block() == (
        "=== Benchmark Results ===\n"
        "Frames requested: 100\n"
        "Frames received:  98\n"
        "Frames errored:   2\n"
        "Total time:       4.2s\n"
        "Average FPS:      23.3\n"
        "Avg latency:      44.0ms\n"
        "Min latency:      31.2ms\n"
        "Max latency:      89.4ms\n"
        "P95 latency:      67.1ms"
    )
    assert run.errors() == {"undecodable": 2}


def test_percentiles_are_latencies_that_occurred() -> None:
    run = Measurement(
        requested=100,
        in_flight=1,
        latencies=tuple(value / 1000 for value in range(100, 0, -1)),
        sizes=(1,) * 100,
        codes=(),
        seconds=1.0,
        client_cpu=0.0,
    )
    assert [round(run.percentile(at) * 1000) for at in (0, 50, 90, 95, 99, 100)] == [1, 50, 90, 95, 99, 100]
    assert run.record()["latency"] == {
        "mean": sum(run.latencies) / 100,
        "min": 0.001,
        "p50": 0.05,
        "p90": 0.09,
        "p95": 0.095,
        "p99": 0.099,
        "max": 0.1,
    }


def test_a_run_without_frames_has_zeros() -> None:
    run = Measurement(
        requested=2,
        in_flight=1,
        latencies=(),
        sizes=(),
        codes=("busy", "internal"),
        seconds=0.0,
        client_cpu=0.0,
    )
    assert "Frames errored:   2" in run.block()
    assert "Average FPS:      0.0" in run.block()
    assert run.percentile(95) == 0.0


def test_receipts_are_added_up() -> None:
    took = [(5.0, 50.0, 8.0, 2.0, 2, 3000), (7.0, 0.0, 2.0, 3.0, 0, 0), (6.0, 0.0, 3.0, 2.0, 1, 1000)]
    frames = [
        Frame.of(i, 0, 1000, Receipt(Timing(*times), requests, fetched, 1, 500 + i))
        for i, (*times, requests, fetched) in enumerate(took)
    ]
    receipts = Receipts.of(frames)
    assert receipts is not None
    assert receipts.record() == {
        "frames": 3,
        "frames_from_cache": 1,
        "requests": 3,
        "requests_per_frame": 1.0,
        "fetched_bytes": 4000,
        "fetched_bytes_per_frame": 4000 / 3,
        "fetched_to_jpeg": 4000 / 3000,
        "ahead_bytes": 502,
        "median": {"queue": 0.006, "fetch": 0.0, "decode": 0.003, "encode": 0.002},
        "median_fetch_from_store": 0.025,
    }


def test_a_server_that_gives_no_receipts() -> None:
    assert Receipts.of([Frame(0, 0, 1000)]) is None
    assert Receipts.of([]) is None
