"""Opens bad input with the library, or runs a command on it: each job in a process of its own, with little memory and little time.

A job is a line of JSON on standard input, `{"kind": ..., "path": ..., "index": ...}` or `{"words": [...]}`; its result is one on
standard output. All is loaded once, then forked for each job, which takes milliseconds.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import ffbind
import ffbind.video
import streamer_cli.main

ADDRESS_SPACE = 1536 << 20
SECONDS = 30


def load_kinds() -> ModuleType:
    """Load the table beside this file: tests are no package."""
    spec = importlib.util.spec_from_file_location("bad_input_kinds", Path(__file__).with_name("kinds.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def show(kind: Any, path: str, index: str | None) -> dict[str, Any]:
    """Open the file and make a JPEG of the frame; tell what was raised, and where."""
    stage, error = "open", None
    try:
        with ffbind.open(path, index=index, threads=1) as video:
            stage = "frame"
            if kind.meanwhile is not None:
                kind.meanwhile(Path(path))
            video[0 if kind.frame is None else kind.frame].to_jpeg()
    except BaseException as raised:
        error = raised
    return {
        "stage": stage,
        "error": type(error).__name__ if error else "",
        "code": getattr(error, "code", ""),
        "message": str(error) if error else "",
        "memory": highest_memory(),
    }


def command(words: list[str]) -> dict[str, Any]:
    """Run `streamer` with these words, as its own process would: exit status, standard output, standard error."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        status = streamer_cli.main.main(words)
        sys.stdout.flush()
        sys.stderr.flush()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return {"status": status, "out": texts[0][:1000], "err": texts[1], "memory": highest_memory()}


def highest_memory() -> int:
    """Most bytes of memory that this process ever held."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def in_a_process(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do this in a process that is ended when it takes too much memory or time."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # AddressSanitizer's shadow takes terabytes of addresses; the memory in use is bounded with it as well.
        if "SANITIZED" not in os.environ:
            resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        signal.alarm(SECONDS)
        os.write(writing, json.dumps(work()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if not answer:
        return {"died": os.waitstatus_to_exitcode(status)}
    result: dict[str, Any] = json.loads(answer)
    return result


def main() -> None:
    kinds = {kind.name: kind for kind in load_kinds().KINDS}
    for line in sys.stdin:
        job = json.loads(line)
        if "words" in job:
            result = in_a_process(lambda job=job: command(job["words"]))  # type: ignore[misc]
        else:
            result = in_a_process(lambda job=job: show(kinds[job["kind"]], job["path"], job["index"]))  # type: ignore[misc]
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
