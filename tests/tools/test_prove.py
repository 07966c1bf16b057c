"""promises.toml and tools/prove.py: rows load, figures are found, and what is not shown is said to be so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import prove  # noqa: E402


def promise(**fields: object) -> prove.Promise:
    return prove.Promise(**{"name": "n", "says": "s", "command": "true", "figure": r"fps (\S+)", **fields})  # type: ignore[arg-type]


def test_every_row_of_the_file_loads() -> None:
    assert {row.name for row in prove.load(ROOT / "promises.toml")} >= {"exact", "mutants", "one-answer"}


@pytest.mark.parametrize(
    ("fields", "status", "output", "wanted"),
    [
        ({}, 0, "fps 10\nfps 12.5", ("12.5", "")),
        ({}, 0, "nothing", ("", "no figure printed")),
        ({}, 3, "fps 9", ("9", "status 3")),
        ({"at_least": 20.0}, 0, "fps 19.9", ("19.9", "at least 20 was promised")),
        ({"at_most": 5.0}, 0, "fps 5.1", ("5.1", "at most 5 was promised")),
        ({"at_least": 20.0, "at_most": 30.0}, 0, "fps 20", ("20", "")),
    ],
)
def test_judging(fields: dict[str, object], status: int, output: str, wanted: tuple[str, str]) -> None:
    assert prove.judge(promise(**fields), status, output) == wanted


def test_a_command_runs_in_the_root_with_this_python() -> None:
    proof = prove.prove(promise(command="pwd; python -c 'import sys; print(sys.prefix)'", figure=r"(.+)\n"))
    assert proof.problem == ""
    assert proof.output.splitlines() == [str(ROOT), sys.prefix]


@pytest.mark.parametrize(
    "text",
    ['[[promise]]\nname = "a"', '[[promise]]\nname = "a"\nsays = "b"\ncommand = "c"\nfigure = "d"\n' * 2],
)
def test_malformed_files(text: str, tmp_path: Path) -> None:
    path = tmp_path / "promises.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"promises\.toml"):
        prove.load(path)


def test_an_unknown_name_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "prove.py", "no-such"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no such promise: no-such" in done.stderr
