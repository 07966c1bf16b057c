"""`streamer bench` against the real server, its own and a running one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ffbind
from streamer_cli.bench import Pattern, choose
from streamer_cli.child import own_server

BLOCK = re.compile(
    r"""=== Benchmark Results ===
Frames requested: 20
Frames received:  20
Frames errored:   0
Total time:       \d+\.\ds
Average FPS:      \d+\.\d
Avg latency:      \d+\.\dms
Min latency:      \d+\.\dms
Max latency:      \d+\.\dms
P95 latency:      \d+\.\dms
"""
)


def test_own_server_and_the_block(clip: Callable[[str], Path], streamer: Callable[..., Any]) -> None:
    run = streamer("bench", clip("plain.mp4"), "--frames", 20)
    assert run.status == 0, run.err
    assert BLOCK.search(run.out)
    assert re.search(r"^ +8 in flight +1 in flight$", run.out, re.MULTILINE)
    assert run.err == ""
    for name in ("queue", "fetch", "decode", "encode"):
        assert re.search(rf"^  {name} +\d+\.\d ms +\d+\.\d ms$", run.out, re.MULTILINE), run.out
    assert re.search(r"^  requests per frame +0\.\d\d +0\.00$", run.out, re.MULTILINE)
    assert re.search(r"^  their fetch, median +\d+\.\d ms +-$", run.out, re.MULTILINE)
    assert re.search(r"^  bytes per JPEG byte +\d\.\d\d +0\.00$", run.out, re.MULTILINE)
    assert re.search(r"^  frames +\d+ of 20 +0 of 20$", run.out, re.MULTILINE)


def test_json_has_every_figure(clip: Callable[[str], Path], streamer: Callable[..., Any]) -> None:
    run = streamer(
        "bench", clip("fragmented.mp4"), "--frames", 60, "--pattern", "random", "--in-flight", 3, "--json"
    )
    result = json.loads(run.out)
    assert run.status == 0
    for name, depth in (("benchmark", 3), ("one_in_flight", 1)):
        figures = result[name]
        assert (figures["in_flight"], figures["frames_requested"], figures["frames_received"]) == (
            depth,
            60,
            60,
        )
        latency = figures["latency"]
        assert 0 < latency["min"] <= latency["p50"] <= latency["p95"] <= latency["max"] <= figures["seconds"]
        assert figures["jpeg_bytes"] > 60 * 500
        receipts = figures["receipts"]
        assert receipts["frames"] == 60
        assert receipts["requests_per_frame"] == receipts["requests"] / 60
        assert receipts["fetched_to_jpeg"] == receipts["fetched_bytes"] / figures["jpeg_bytes"]
        assert receipts["median"].keys() == {"queue", "fetch", "decode", "encode"}
        assert receipts["median"]["encode"] > 0
    first, second = result["benchmark"]["receipts"], result["one_in_flight"]["receipts"]
    # All of the video's frames were asked for, some of them twice: each byte was fetched once.
    assert 0 < first["requests"] < 60
    assert 0 < first["fetched_bytes"] + first["ahead_bytes"] < clip("fragmented.mp4").stat().st_size
    assert (second["requests"], second["frames_from_cache"], second["median"]["fetch"]) == (0, 60, 0)
    assert result["server_cpu_seconds"] > 0


def test_running_server_and_frames_that_fail(
    clip: Callable[[str], Path], streamer: Callable[..., Any], tmp_path: Path
) -> None:
    shutil.copy(clip("plain.mp4"), tmp_path / "other-name.mp4")
    shutil.copy(clip("no_b.mp4"), tmp_path / "plain.mp4")
    with own_server(tmp_path) as server:
        words = ("bench", clip("plain.mp4"), "--frames", 10, "--in-flight", 1, "--url", server.url, "--json")
        good = streamer(*words, "--path", "other-name.mp4")
        assert good.status == 0
        assert json.loads(good.out)["one_in_flight"] is None
        # Under its own name the server has other bytes: the offsets are not samples there, and that is said.
        bad = streamer(*words)
        assert bad.status == 1
        assert json.loads(bad.out)["benchmark"]["errors"].keys() <= {"bad_offset", "not_irap", "before_irap"}
        assert json.loads(bad.out)["benchmark"]["frames_errored"] > 0
        missing = streamer(*words, "--path", "missing.mp4")
        assert missing.status == 1
        assert "missing.mp4" in missing.err
    assert server.cpu_seconds > 0


@pytest.mark.parametrize("pattern", list(Pattern))
def test_choice_of_frames(clip: Callable[[str], Path], pattern: Pattern) -> None:
    with ffbind.open(clip("plain.mp4")) as video:
        index = video.scan()
    wanted = choose(index, pattern, 120, seed=1)
    offsets = [index.row_of_offset(frame.offset) for frame in wanted]
    assert len(wanted) == 120
    assert len(set(offsets[:50])) == 50, "each frame once before any comes again"
    assert (offsets[:50] == index.order.tolist()) is (pattern is Pattern.SEQUENTIAL)
    assert wanted == choose(index, pattern, 120, seed=1)
    iraps = {int(index.samples["offset"][row]) for row in index.samples["irap"]}
    assert {frame.irap_offset for frame in wanted} <= iraps
