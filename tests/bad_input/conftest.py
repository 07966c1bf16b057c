"""The table of bad input for its three tests, and the process that tries it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load(name: str) -> Any:
    """Load a module beside this file: tests are no package."""
    spec = importlib.util.spec_from_file_location(f"bad_input_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


KINDS = _load("kinds")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes a `kind` for each one that its module has `chosen`."""
    if "kind" in metafunc.fixturenames:
        kinds = [kind for kind in KINDS.KINDS if metafunc.module.chosen(kind)]
        metafunc.parametrize("kind", kinds, ids=[kind.name for kind in kinds])


@pytest.fixture(scope="session")
def table() -> Any:
    """The module kinds.py."""
    return KINDS


def without_privileges() -> list[str]:
    """Command in front of another, under which root cannot read what nobody may read."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    assert setpriv is not None, "setpriv, of util-linux, is needed to test as root"
    return [setpriv, "--bounding-set=-dac_override,-dac_read_search"]


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Environment of processes that run this tree."""
    path = os.pathsep.join(entry for entry in (str(ROOT), os.environ.get("PYTHONPATH", "")) if entry)
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="session")
def unprivileged() -> list[str]:
    """Words that start a command without root's right to read everything."""
    return without_privileges()


@pytest.fixture(scope="session")
def attempt(
    unprivileged: list[str], environment: dict[str, str]
) -> Iterator[Callable[[Any], dict[str, Any]]]:
    """Function that has a job done by attempt.py, and gives its result."""
    command = [*unprivileged, sys.executable, str(Path(__file__).with_name("attempt.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines, results = process.stdin, process.stdout

        def run(job: Any) -> dict[str, Any]:
            lines.write(json.dumps(job) + "\n")
            lines.flush()
            result: dict[str, Any] = json.loads(results.readline())
            assert "died" not in result, result
            return result

        yield run
        lines.close()


@pytest.fixture(scope="session")
def is_a_sentence() -> Callable[[str], bool]:
    """Function that tells whether a message is one for people: one line, without what Python prints for itself."""

    def check(message: str) -> bool:
        noise = ("Traceback", "[Errno", "object at 0x", "b'", 'b"', "<class", "Error(", "0x7", "\n")
        return 10 < len(message) < 500 and not any(word in message for word in noise)

    return check
