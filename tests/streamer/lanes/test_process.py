"""One lane process: it starts, answers, and ends, whatever state it is in and whatever it sends."""

import asyncio
import os
import signal
from typing import Any

import pytest

from ffbind.limits import Limits
from streamer.lanes import process
from streamer.lanes.process import LaneProcess
from streamer.lanes.wire import Ready, Stats, StatsRequest


async def start() -> tuple[LaneProcess, "asyncio.Queue[Any]", "asyncio.Future[str]"]:
    records: asyncio.Queue[Any] = asyncio.Queue()
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    lane = await LaneProcess.start(
        "lane",
        encode_threads=1,
        kept_bytes=1 << 25,
        limits=Limits(),
        on_record=lambda _, record, payload: records.put_nowait((record, payload)),
        on_exit=lambda _, how: ended.set_result(how),
    )
    return lane, records, ended


async def test_a_lane_says_ready_answers_and_stops() -> None:
    lane, records, ended = await start()
    assert await asyncio.wait_for(records.get(), 20) == (Ready(), b"")
    lane.send(StatsRequest(5))
    assert await asyncio.wait_for(records.get(), 20) == (Stats(5, {}), b"")
    await lane.stop()
    assert await asyncio.wait_for(ended, 20) == "ended with status 0"
    assert not os.path.exists(f"/proc/{lane.pid}")


async def test_signals_that_are_meant_for_the_server_do_not_end_it() -> None:
    lane, records, _ = await start()
    await asyncio.wait_for(records.get(), 20)
    os.kill(lane.pid, signal.SIGINT)
    os.kill(lane.pid, signal.SIGTERM)
    lane.send(StatsRequest(1))
    assert await asyncio.wait_for(records.get(), 20) == (Stats(1, {}), b"")
    assert os.getpgid(lane.pid) != os.getpgid(0)
    await lane.stop()


async def test_a_crash_is_reported_by_name() -> None:
    lane, records, ended = await start()
    await asyncio.wait_for(records.get(), 20)
    os.kill(lane.pid, signal.SIGSEGV)
    assert (await asyncio.wait_for(ended, 20)).startswith("ended by SIGSEGV")


async def test_a_lane_that_hangs_is_killed_by_stop() -> None:
    lane, records, ended = await start()
    await asyncio.wait_for(records.get(), 20)
    os.kill(lane.pid, signal.SIGSTOP)
    await lane.stop()
    assert await asyncio.wait_for(ended, 20) == "ended by SIGKILL"


HOSTILE = [
    "sock.sendall(b'\\xff' * 64)",
    "sock.sendall(b'\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\xc1')",
    "sock.sendall(b'\\x05\\x00')",
]


@pytest.mark.parametrize("program", HOSTILE)
async def test_a_lane_taken_over_by_a_video_cannot_harm_the_server(monkeypatch, program: str) -> None:
    head = "import socket, sys, time; sock = socket.socket(fileno=int(sys.argv[-5]));"
    monkeypatch.setattr(process, "_PROGRAM", f"{head} {program}; sock.close(); time.sleep(60)")
    _, records, ended = await start()
    assert await asyncio.wait_for(ended, 20) == "ended by SIGKILL"
    assert records.empty()
