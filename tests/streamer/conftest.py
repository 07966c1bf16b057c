"""Fixtures of the server's tests: a folder of videos, servers in this process and as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from ffbind.index import VideoIndex
from ffbind.isobmff import read_index
from ffbind.sources import FileSource
from streamer.config import Settings
from streamer.server import Server

ROOT = Path(__file__).resolve().parents[2]

# 300 pictures, each different, in open GOPs with a B pyramid: CRA pictures with RASL ones behind them.
CLIP = (
    "-f lavfi -i testsrc2=size=192x108:rate=30:duration=10 -c:v libx265 -preset ultrafast -pix_fmt yuv420p "
    "-x265-params log-level=error:keyint=30:min-keyint=30:open-gop=1:bframes=4:b-pyramid=1:scenecut=0 -tag:v hvc1"
)


@dataclass(frozen=True)
class Videos:
    """The folder that servers under test serve, and what is in it."""

    folder: Path
    clip: Path
    """`videos/clip.mp4`: 300 pictures."""
    broken: Path
    """`broken.mp4`: the same, with one damaged picture that no other one refers to."""
    broken_row: int
    """Row of the damaged picture in decode order."""

    def index(self, path: Path | None = None) -> VideoIndex:
        source = FileSource(path or self.clip)
        try:
            return read_index(source)
        finally:
            source.close()


def nal_type(data: bytes, offset: int) -> int:
    """NAL unit type of the first NAL unit of a sample (H.265 7.3.1.2), after its 4 bytes of length."""
    return (data[offset + 4] >> 1) & 0x3F


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    folder = tmp_path_factory.mktemp("served")
    (folder / "videos").mkdir()
    clip = folder / "videos" / "clip.mp4"
    try:
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *CLIP.split(), str(clip)], check=True)
    except FileNotFoundError:
        pytest.skip("the ffmpeg command is not installed")
    (folder / "text.mp4").write_text("This is not a video.\n" * 10)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "folder.mp4").mkdir()
    source = FileSource(clip)
    samples = read_index(source).samples
    source.close()
    data = bytearray(clip.read_bytes())
    # TRAIL_N of the middle of the clip: nothing refers to it.
    row = next(
        row
        for row in range(150, 300)
        if nal_type(data, int(samples["offset"][row])) == 0 and samples["size"][row] > 100
    )
    # Its slice is cut short and what was there becomes filler data (H.265 7.3.2.8), so the container stays whole.
    # Noise would not do: a decoder reads most noise as some picture or other.
    start, end, kept = int(samples["offset"][row]), int(samples["offset"][row] + samples["size"][row]), 24
    data[start : start + 4] = kept.to_bytes(4, "big")
    filler = start + 4 + kept
    data[filler : filler + 6] = (end - filler - 4).to_bytes(4, "big") + bytes([38 << 1, 1])
    broken = folder / "broken.mp4"
    broken.write_bytes(data)
    return Videos(folder, clip, broken, row)


@pytest.fixture
def large_file(videos: Videos, tmp_path: Path) -> Path:
    """A video so large that no reader has all of it in memory: noise does not compress."""
    file = tmp_path / "a.mp4"
    source = "-f lavfi -i testsrc2=size=640x360:duration=2 -vf noise=alls=80:allf=t"
    codec = "-c:v libx265 -preset ultrafast -x265-params log-level=error:lossless=1:keyint=10 -tag:v hvc1"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", *source.split(), *codec.split(), str(file)], check=True
    )
    return file


StartServer = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture
def start_server(videos: Videos) -> StartServer:
    """Function that starts a server in this process: `async with start_server(workers=2) as server:`."""

    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[Server]:
        chosen = {"listen_addr": "127.0.0.1:0", "local_path": videos.folder, "workers": 1, **settings}
        async with Server(Settings(**chosen)) as server:
            yield server

    return start


@dataclass
class ServerProcess:
    """A server as a process of its own, as `streamer serve` runs it."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def lanes(self) -> list[int]:
        """Process ids of the children, from the kernel."""
        found = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            found += [int(pid) for pid in (task / "children").read_text().split()]
        return found

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


_PROGRAM = """
import json, logging, sys
from pathlib import Path
from streamer.config import Settings
from streamer.server import serve
logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s %(message)s")
settings = Settings(**{**json.loads(sys.argv[1]), "local_path": Path(sys.argv[2])})
sys.exit(serve(settings, ready=lambda info: print(info.port, flush=True)))
"""

StartProcess = Callable[..., ServerProcess]


@pytest.fixture(scope="session")
def start_process(videos: Videos, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartProcess]:
    """Function that starts a server process; `wrapper` is a command before it, such as strace."""
    started: list[ServerProcess] = []

    def start(*, wrapper: tuple[str, ...] = (), folder: Path | None = None, **settings: Any) -> ServerProcess:
        chosen = json.dumps({"listen_addr": "127.0.0.1:0", "workers": 1, **settings})
        log = tmp_path_factory.mktemp("log") / "server.log"
        path = os.pathsep.join(entry for entry in (str(ROOT), os.environ.get("PYTHONPATH", "")) if entry)
        with log.open("w") as stream:
            process = subprocess.Popen(
                [*wrapper, sys.executable, "-B", "-c", _PROGRAM, chosen, str(folder or videos.folder)],
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                env={**os.environ, "PYTHONPATH": path},
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        server = ServerProcess(process, int(line), log)
        started.append(server)
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            for child in server.lanes():  # under strace, the server itself, which would outlive the tracer
                os.kill(child, signal.SIGKILL)
            server.process.kill()
        server.process.wait()
        assert server.process.stdout is not None
        server.process.stdout.close()


class BaseClient:
    """A client written from the protocol page alone: WebSocket, JSON, and nothing of this project."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws

    async def send(self, message: object) -> None:
        await self.ws.send(json.dumps(message))

    async def receive(self) -> tuple[dict[str, Any], bytes | None]:
        """One message; a Frame together with the binary message that must follow it."""
        text = await self.ws.recv()
        assert isinstance(text, str), "a binary message without its Frame"
        message = json.loads(text)
        if message["type"] != "Frame":
            return message, None
        binary = await self.ws.recv()
        assert isinstance(binary, bytes), "a Frame without its binary message"
        assert len(binary) == message["size"]
        return message, binary

    async def message(self) -> dict[str, Any]:
        return (await self.receive())[0]

    async def set_video(self, path: str) -> None:
        await self.send({"type": "SetVideo", "path": path})
        assert await self.message() == {"type": "VideoSet", "path": path, "ok": True}

    async def request(self, irap_offset: int, frames: list[tuple[int, int]]) -> None:
        wanted = [{"offset": int(offset), "index": index} for offset, index in frames]
        await self.send({"type": "RequestFrames", "irap_offset": int(irap_offset), "frames": wanted})


@asynccontextmanager
async def base_client(url: str, **options: Any) -> AsyncIterator[BaseClient]:
    options = {"max_size": None, "compression": None, "proxy": None, **options}
    async with websockets.connect(url, **options) as ws:
        yield BaseClient(ws)


@pytest.fixture(scope="session")
def connect() -> Callable[..., AbstractAsyncContextManager[BaseClient]]:
    """Function that connects a BaseClient: `async with connect(url) as client:`."""
    return base_client
