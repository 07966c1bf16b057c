"""One lane process as the server sees it: start, send records, receive records, end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from ffbind.limits import Limits

from .wire import FromLane, ToLane, WireError, decode_from_lane, pack, read_record

__all__ = ["LaneProcess"]

_log = logging.getLogger(__name__)

STOP_TIMEOUT = 2.0

# The child gets the search path of this process, so that it runs the same code however this one was started.
# (The interpreter is started anew, never forked: decoders and locks of threads do not survive a fork.)
_PROGRAM = (
    "import sys; n = int(sys.argv.pop(1)); sys.path[:] = sys.argv[1:n + 1]; del sys.argv[1:n + 1]; "
    "from streamer.lanes.worker import main; main()"
)


class LaneProcess:
    """A running lane. `on_record` gets every record and its payload; `on_exit` is called once, at the end."""

    def __init__(
        self,
        name: str,
        process: asyncio.subprocess.Process,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        on_record: Callable[[LaneProcess, FromLane, bytes], None],
        on_exit: Callable[[LaneProcess, str], None],
    ) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._reader, self._writer = streams
        self._on_record = on_record
        self._on_exit = on_exit
        self._last_words: deque[str] = deque(maxlen=20)
        self._task = asyncio.create_task(self._run(), name=name)

    @classmethod
    async def start(
        cls,
        name: str,
        *,
        encode_threads: int,
        kept_bytes: int,
        limits: Limits,
        on_record: Callable[[LaneProcess, FromLane, bytes], None],
        on_exit: Callable[[LaneProcess, str], None],
    ) -> LaneProcess:
        """Start a lane process; it says Ready when it can work."""
        ours, theirs = socket.socketpair()
        try:
            search_path = [entry or os.getcwd() for entry in sys.path]
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-c",
                _PROGRAM,
                str(len(search_path)),
                *search_path,
                str(theirs.fileno()),
                str(encode_threads),
                str(kept_bytes),
                str(limits.gop_samples),
                str(limits.gop_bytes),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
                # A Ctrl-C in the terminal goes to the process group of the server alone.
                process_group=0,
            )
            ours.setblocking(False)
            streams = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(name, process, streams, on_record, on_exit)

    def send(self, record: ToLane, payload: bytes | memoryview = b"") -> None:
        """Send a record; one to a lane that has just ended is lost, and `on_exit` follows."""
        self._writer.write(pack(record, len(payload)))
        if payload:
            self._writer.write(payload)

    def kill(self) -> None:
        """End the process at once."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    async def stop(self) -> None:
        """Close the socket, which ends the lane; kill it if it does not. Returns when the process is gone."""
        self._writer.close()
        done, _ = await asyncio.wait({self._task}, timeout=STOP_TIMEOUT)
        if not done:
            self.kill()
            await self._task

    async def _run(self) -> None:
        words = asyncio.create_task(self._listen_to_words())
        problem = ""
        try:
            while (received := await read_record(self._reader)) is not None:
                body, payload = received
                self._on_record(self, decode_from_lane(body), payload)
        except WireError as error:
            problem = str(error)
        except OSError as error:
            problem = f"its socket failed: {error}"
        except Exception:
            _log.exception("%s: an answer could not be handled", self.name)
            problem = "an answer could not be handled"
        # A lane that no longer answers ends by itself, as its socket is closed; one that hangs does not.
        self._writer.close()
        try:
            status = await asyncio.wait_for(self._process.wait(), timeout=1.0)
        except TimeoutError:
            self.kill()
            status = await self._process.wait()
        await words
        ended = f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        if problem and status == 0:
            ended = problem
        last = f"; last words: {self._last_words[-1]}" if self._last_words and status != 0 else ""
        self._on_exit(self, ended + last)

    async def _listen_to_words(self) -> None:
        """Log what the lane writes to stderr (libav's complaints about bad streams, a crash's trace)."""
        stderr = self._process.stderr
        assert stderr is not None
        rest = b""
        while chunk := await stderr.read(4096):
            *lines, rest = (rest + chunk)[-65536:].split(b"\n")
            for line in lines:
                text = line.decode(errors="replace").rstrip()
                self._last_words.append(text)
                _log.debug("%s says: %s", self.name, text)
