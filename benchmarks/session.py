"""A worker as its user sees it: a process that is asked over a pipe, started again where it died or did not answer."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Self

__all__ = ["Session", "WorkerError"]


class WorkerError(Exception):
    """A worker answered with an error, died, or took too long."""


class Session:
    """One worker process.

    - `command`, `variables`, `folder`: how it is started
    - `log`: where it writes what it has to say besides answers
    - `patience`: seconds after which a request counts as failed, and the process is replaced
    - `stands_still`: the process is stopped between requests, so that what it does in the background slows nobody else down
    """

    def __init__(
        self,
        command: list[str],
        variables: dict[str, str],
        folder: str,
        log: IO[Any],
        patience: float = 300.0,
        *,
        stands_still: bool = False,
    ) -> None:
        self._command, self._variables, self._folder, self._log = command, variables, folder, log
        self._patience = patience
        self._stands_still = stands_still
        self._opened: dict[str, Any] | None = None
        self.hello: dict[str, Any] = {}
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=self._variables,
            cwd=self._folder,
            text=True,
        )
        self.hello = self._read(process)
        self._signal(process, signal.SIGSTOP)
        return process

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and give the answer. WorkerError where there is none.

        A worker that died is started again at the next request, with the file open that was open before.
        """
        if self._process.poll() is not None:
            self._process = self._start()
            if self._opened is not None and request["do"] != "open":
                self._exchange(self._opened)
        if request["do"] == "open":
            self._opened = request
        return self._exchange(request)

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        self._signal(self._process, signal.SIGCONT)
        # Should it have died just now, reading says so.
        with suppress(BrokenPipeError):
            _pipe(self._process.stdin).write(json.dumps(request) + "\n")
            _pipe(self._process.stdin).flush()
        answer = self._read(self._process)
        self._signal(self._process, signal.SIGSTOP)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _signal(self, process: subprocess.Popen[str], number: signal.Signals) -> None:
        if self._stands_still:
            process.send_signal(number)

    def _read(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        watch = threading.Timer(self._patience, process.kill)
        watch.start()
        try:
            line = _pipe(process.stdout).readline()
        finally:
            watch.cancel()
        if not line:
            status = _end(process)
            raise WorkerError(
                f"the worker ended with status {status} (killed if it took more than {self._patience:.0f} s)"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the worker."""
        self._signal(self._process, signal.SIGCONT)
        _end(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise ValueError("the process was started without this pipe")
    return stream


def _end(process: subprocess.Popen[str]) -> int:
    """Let a worker end by itself, as it does when no request can come any more; give its status."""
    with suppress(BrokenPipeError):
        _pipe(process.stdin).close()
    status = process.wait()
    _pipe(process.stdout).close()
    return status
