"""What is installed: every package of the tree under its name, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_pyproject_names_every_package() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("ffbind", "streamer", "cli")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert set(packages) == {"streamer_cli" if name == "cli" else name for name in found}


def test_the_library_loads_nothing_of_the_server_or_the_command_line() -> None:
    code = (
        "import sys, ffbind; ffbind.open, ffbind.Video; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & "
        "{'streamer', 'streamer_cli', 'cli', 'minio', 'websockets', 'msgspec', 'typer', 'rich'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"
