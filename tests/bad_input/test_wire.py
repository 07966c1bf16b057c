"""Bad input over the wire: one answer for each, with its code and a sentence, and the connection goes on.

All rows share one server, run as `streamer serve` runs it; the client is WebSocket and JSON alone.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from ffbind.index import VideoIndex
from ffbind.isobmff import read_index
from ffbind.sources import FileSource

ROOT = Path(__file__).resolve().parents[2]
DECODE_TIMEOUT = 4

UNREACHED = {
    "decode_failed": "libavcodec fails for want of memory or of a decoder only",
    "internal": "a fault of the server itself",
    "needs_earlier_irap": "earlier bytes of a stored object can always be reached",
    "not_shown": "no encoder at hand writes pic_output_flag",
}
"""Codes that no client and no file can bring about at will."""

ELSEWHERE = {
    "bad_path": "test_addresses_that_are_none",
    "too_many_frames": "test_addresses_that_are_none",
    "busy": "test_too_much_and_too_late",
    "cancelled": "test_too_much_and_too_late",
    "storage_unavailable": "test_storage_that_gives_no_bytes",
    "decode_timeout": "test_a_lane_that_stops",
    "decode_crash": "test_a_lane_that_stops",
    "draining": "test_a_server_that_stops",
}
"""Codes that take more than a file or a message: the test of each."""

# irap_offset, offset, and what is said to that.
ADDRESSES = [
    ("first sample", "no sample", "bad_offset"),
    ("no sample", "first sample", "bad_offset"),
    ("second sample", "second sample", "not_irap"),
    ("second IRAP", "first sample", "before_irap"),
]

# Messages that no server can serve, and what is said to them.
MESSAGES = {
    "not JSON": ("{", "bad_json"),
    "not an object": ("[]", "bad_message"),
    "field of the wrong type": ('{"type":"SetVideo","path":1}', "bad_message"),
    "binary": (b"SetVideo", "bad_message"),
    "unknown type": ('{"type":"Quit"}', "unknown_type"),
    "too long": (" " * (256 * 1024 + 1), "too_large"),
    "no video": ('{"type":"RequestFrames","irap_offset":0,"frames":[]}', "no_video"),
}


def chosen(kind: Any) -> bool:
    return bool(kind.on_the_wire)


@dataclass
class Live:
    """A server: its process, address and folder."""

    process: subprocess.Popen[str]
    url: str
    folder: Path

    def lanes(self) -> list[int]:
        """Process ids of its children."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


Serve = Callable[[], AbstractContextManager[Live]]


@pytest.fixture(scope="module")
def serve(
    unprivileged: list[str],
    environment: dict[str, str],
    clip: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Serve:
    """Function that runs a server with one lane over a folder with a good video: `with serve() as server:`."""

    @contextmanager
    def start() -> Iterator[Live]:
        folder = tmp_path_factory.mktemp("served")
        (folder / "good.mp4").write_bytes(clip("plain.mp4").read_bytes())
        log = folder.with_suffix(".log")
        words = ["serve", "--listen-addr", "127.0.0.1:0", "--local-path", str(folder), "--workers", "1"]
        command = [*unprivileged, sys.executable, "-m", "streamer_cli", *words]
        variables = {**environment, "STREAMER_DECODE_TIMEOUT": str(DECODE_TIMEOUT)}
        with (
            log.open("w") as stream,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stream, text=True, env=variables
            ) as process,
        ):
            assert process.stdout is not None
            found = (re.search(r"ws://\S+/ws", line) for line in process.stdout)
            url = next((match[0] for match in found if match), None)
            assert url is not None, log.read_text()
            try:
                yield Live(process, url, folder)
            finally:
                process.terminate()
                process.communicate(timeout=30)
        assert process.returncode == 0
        assert "Traceback" not in log.read_text()

    return start


@pytest.fixture(scope="module")
def live(serve: Serve) -> Iterator[Live]:
    """One server for all tests that leave it as it was."""
    with serve() as server:
        yield server
        assert server.process.poll() is None, "the server is still there"


class Client:
    """One connection."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws

    async def send(self, message: object) -> None:
        await self.ws.send(json.dumps(message))

    async def message(self) -> dict[str, Any]:
        """The next message; a Frame together with its picture."""
        message: dict[str, Any] = json.loads(await self.ws.recv())
        if message["type"] == "Frame":
            assert len(await self.ws.recv()) == message["size"]
        return message

    async def set_video(self, path: str) -> dict[str, Any] | None:
        """Set a video; the Error that comes behind a refusal."""
        await self.send({"type": "SetVideo", "path": path})
        answer = await self.message()
        assert (answer["type"], answer["path"]) == ("VideoSet", path)
        return None if answer["ok"] else await self.message()

    async def request(self, irap: int, *offsets: int) -> None:
        wanted = [{"offset": offset, "index": place} for place, offset in enumerate(offsets)]
        await self.send({"type": "RequestFrames", "irap_offset": irap, "frames": wanted})


@asynccontextmanager
async def connected(live: Live) -> AsyncIterator[Client]:
    async with websockets.connect(live.url, max_size=None, compression=None, proxy=None) as ws:
        yield Client(ws)


def index_of(path: Path) -> VideoIndex:
    source = FileSource(path)
    try:
        return read_index(source)
    finally:
        source.close()


async def a_good_frame(client: Client, live: Live) -> None:
    """The connection works: a frame of the good video comes."""
    first = int(index_of(live.folder / "good.mp4").samples["offset"][0])
    assert await client.set_video("good.mp4") is None
    await client.request(first, first)
    assert (await client.message())["type"] == "Frame"


async def test_kind(
    kind: Any, live: Live, clip: Callable[[str], Path], is_a_sentence: Callable[[str], bool]
) -> None:
    path = live.folder / f"{kind.name}.mp4"
    kind.make(path, clip)
    async with connected(live) as client:
        if kind.frame is None:
            error = await client.set_video(path.name)
            assert error is not None
            assert error["type"] == "Error"
            assert path.name in error["message"]
        else:
            index = index_of(path)
            offsets = index.samples["offset"]
            row = int(index.order[kind.frame])
            assert await client.set_video(path.name) is None
            if kind.meanwhile is not None:
                kind.meanwhile(path)
            await client.request(int(offsets[max(int(index.samples["irap"][row]), 0)]), int(offsets[row]))
            error = await client.message()
            assert error["type"] == "FrameError"
            assert error["error"] == error["code"]
        assert error["code"] == (kind.code if kind.wire is None else kind.wire), error
        assert is_a_sentence(error["message"]), error
        assert str(live.folder) not in error["message"], "the server's own paths are nobody's business"
        await a_good_frame(client, live)


@pytest.mark.parametrize(("message", "code"), MESSAGES.values(), ids=MESSAGES)
async def test_message(
    message: str | bytes, code: str, live: Live, is_a_sentence: Callable[[str], bool]
) -> None:
    async with connected(live) as client:
        await client.ws.send(message)
        error = await client.message()
        assert (error["type"], error["code"]) == ("Error", code)
        assert is_a_sentence(error["message"]), error
        await a_good_frame(client, live)


async def test_addresses_that_are_none(live: Live) -> None:
    samples = index_of(live.folder / "good.mp4").samples
    offsets = [int(offset) for offset in samples["offset"]]
    places = {
        "first sample": offsets[0],
        "second sample": offsets[1],
        "second IRAP": offsets[int(samples["irap"].max())],
        "no sample": offsets[0] + 1,
    }
    async with connected(live) as client:
        assert (await client.set_video("../good.mp4") or {})["code"] == "bad_path"
        await a_good_frame(client, live)
        for irap, frame, code in ADDRESSES:
            await client.request(places[irap], places[frame])
            assert (await client.message())["code"] == code
        await client.request(offsets[0], *offsets[:1] * 1025)
        assert (await client.message())["code"] == "too_many_frames"
        await a_good_frame(client, live)


async def test_too_much_and_too_late(live: Live) -> None:
    """More frames than may wait; then another video while they do."""
    offsets = [int(offset) for offset in index_of(live.folder / "good.mp4").samples["offset"]]
    async with connected(live) as client:
        assert await client.set_video("good.mp4") is None
        for _ in range(5):
            await client.request(offsets[0], *(offsets * 21)[:1024])
        await client.send({"type": "SetVideo", "path": "good.mp4"})
        seen = []
        while (message := await client.message())["type"] != "VideoSet":
            seen.append(message.get("code"))
        assert {"busy", "cancelled"} <= set(seen)
        assert len(seen) == 4 * 1024 + 1
        await a_good_frame(client, live)


async def test_storage_that_gives_no_bytes(live: Live) -> None:
    """The server runs out of descriptors; when it has some again, all is well."""
    pid = live.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    async with connected(live) as client:
        await a_good_frame(client, live)
        lowest = min(set(range(1024)) - {int(name) for name in os.listdir(f"/proc/{pid}/fd")})
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            error = await client.set_video("good.mp4")
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        assert error is not None
        assert (error["code"], error["retryable"]) == ("storage_unavailable", True)
        await a_good_frame(client, live)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGSTOP, "decode_timeout"), (signal.SIGSEGV, "decode_crash")]
)
async def test_a_lane_that_stops(number: signal.Signals, code: str, live: Live) -> None:
    offsets = [int(offset) for offset in index_of(live.folder / "good.mp4").samples["offset"]]
    async with connected(live) as client:
        await a_good_frame(client, live)
        await client.request(offsets[0], *(offsets * 20)[:1000])
        assert (await client.message())["type"] == "Frame"
        (lane,) = live.lanes()
        os.kill(lane, number)
        answers = [await client.message() for _ in range(999)]
        assert {answer.get("code") for answer in answers} <= {None, code}
        await a_good_frame(client, live)


async def test_a_server_that_stops(serve: Serve) -> None:
    """What was asked is answered, what is asked now is not, and the end is clean."""
    with serve() as server:
        offsets = [int(offset) for offset in index_of(server.folder / "good.mp4").samples["offset"]]
        async with connected(server) as client:
            await a_good_frame(client, server)
            await client.request(offsets[0], *(offsets * 20)[:1000])
            assert (await client.message())["type"] == "Frame"
            server.process.terminate()
            codes = set()
            with suppress(websockets.ConnectionClosed):
                while True:
                    if "draining" not in codes:
                        await client.request(offsets[0], offsets[0])
                    codes.add((await client.message()).get("code"))
            assert codes == {None, "draining"}
            assert client.ws.close_code == 1012


def test_every_code_of_the_protocol_is_told(table: Any) -> None:
    """By a row of the tables, or by a test that is named for it."""
    text = (ROOT / "docs" / "protocol.md").read_text()
    rows = text.partition("\n## Codes\n")[2].partition("\n\n`decode_timeout`")[0].splitlines()
    documented = {
        word for row in rows for word in re.findall("`([a-z_]+)`", row.split("|")[1] if "|" in row else "")
    }
    of_kinds = {kind.code if kind.wire is None else kind.wire for kind in table.KINDS if chosen(kind)}
    told = (
        of_kinds
        | {code for _, code in MESSAGES.values()}
        | {code for _, _, code in ADDRESSES}
        | set(ELSEWHERE)
    )
    assert told.isdisjoint(UNREACHED)
    assert told | set(UNREACHED) == documented
