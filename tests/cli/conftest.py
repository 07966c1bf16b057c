"""What the tests of the command line share: running it in this process, as `streamer` would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from streamer_cli.main import main


@dataclass(frozen=True)
class Run:
    """What a command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture
def streamer(capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Function that runs `streamer` with these words, output captured (so: not on a terminal)."""

    def run(*words: object) -> Run:
        capsys.readouterr()
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Run(status, captured.out, captured.err)

    return run
