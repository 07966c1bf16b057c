"""A server for `streamer bench`: the real `streamer serve`, in a process of its own, on a free port."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from streamer.storage import S3Options

from .console import Mistake

__all__ = ["ServerProcess", "own_server"]

_URL = re.compile(r"ws://\S+/ws")
_STOP_SECONDS = 20.0


@dataclass(slots=True)
class ServerProcess:
    """A running server; `cpu_seconds` covers it and its decode lanes, and is known once it has ended."""

    url: str
    cpu_seconds: float = 0.0


@contextmanager
def own_server(place: Path | S3Options, quality: int | None = None) -> Iterator[ServerProcess]:
    """Serve a folder or a bucket until the block is left; then end the server. Raises Mistake if it does not start.

    Of the options of a bucket its name, endpoint and region are used; the server finds the credentials where we do.
    """
    command = [sys.executable, "-m", __package__, "serve", "--listen-addr", "127.0.0.1:0"]
    if isinstance(place, Path):
        command += ["--storage-backend", "local", "--local-path", str(place)]
    else:
        command += ["--storage-backend", "s3", "--s3-bucket", place.bucket, "--s3-region", place.region]
        command += ["--s3-endpoint", place.endpoint]
    if quality is not None:
        command += ["--jpeg-quality", str(quality)]
    before = _children_cpu()
    # The log goes the way of the panel, through one pipe: kept for the case that something goes wrong.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: deque[str] = deque(maxlen=20)
    found: Queue[str | None] = Queue()
    reader = threading.Thread(target=_drain, args=(process, lines, found), daemon=True)
    reader.start()
    try:
        url = found.get()
        if url is None:
            process.wait()
            said = " ".join(lines).strip() or f"status {process.returncode}"
            raise Mistake(f"the server did not start: {said}", 1)
        server = ServerProcess(url)
        yield server
        server.cpu_seconds = _stop(process) - before
    finally:
        _stop(process)
        reader.join()
        assert process.stdout is not None
        process.stdout.close()


def _drain(process: subprocess.Popen[str], lines: deque[str], found: Queue[str | None]) -> None:
    """Read what the server prints until it ends; put its URL, or None when there was none, into `found`."""
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip())
        if match := _URL.search(line):
            found.put(match[0])
    found.put(None)


def _stop(process: subprocess.Popen[str]) -> float:
    """End the server and give the CPU seconds of all children that this process has waited for so far."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return _children_cpu()


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
