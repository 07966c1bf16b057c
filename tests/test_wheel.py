"""The source distribution and the wheel made from it: what is in them, and that the wheel works without compiler and headers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOOK = "import sys, setuptools.build_meta as backend; print(getattr(backend, sys.argv[1])(sys.argv[2]))"
NOT_SOURCE = shutil.ignore_patterns(
    ".*", "*.so", "*.o", "_native.c", "__pycache__", "*.egg-info", "build", "dist"
)


def hook(name: str, tree: Path, out: Path) -> Path:
    """Call a hook of PEP 517 in a tree, as pip and build do; the file that it made."""
    done = subprocess.run(
        [sys.executable, "-c", HOOK, name, str(out)],
        cwd=tree,
        env={**os.environ, "FFBIND_CFLAGS": "-O0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, made from a copy of this tree and unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    shutil.copytree(ROOT, folder / "copy", ignore=NOT_SOURCE)
    sdist = hook("build_sdist", folder / "copy", folder)
    (folder / "unpacked").mkdir()
    subprocess.run(["tar", "-xf", sdist, "-C", folder / "unpacked"], check=True)
    (unpacked,) = (folder / "unpacked").iterdir()
    return unpacked


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hook("build_wheel", tree, tmp_path_factory.mktemp("wheel"))


def test_the_source_distribution_holds_what_the_build_needs(tree: Path) -> None:
    assert (tree / "build_ffi.py").is_file()
    for folder, pattern in (("ffbind/csrc", "*.[ch]"), ("ffbind", "*.py"), ("cli", "*.py")):
        here = {path.name for path in (ROOT / folder).glob(pattern)}
        assert {path.name for path in (tree / folder).glob(pattern)} == here - {"_native.c"}
    assert not list(tree.rglob("*.so"))


def test_what_the_wheel_holds(wheel: Path) -> None:
    """One wheel for CPython 3.11 and later; no C sources, no top-level `cli`."""
    assert "-cp311-abi3-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        described = Parser().parsestr(archive.read(metadata).decode())
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {
        "ffbind",
        "streamer",
        "streamer_cli",
    }
    assert "ffbind/_native.abi3.so" in names
    assert {"ffbind/py.typed", "streamer/py.typed", "streamer_cli/py.typed", "ffbind/_native.pyi"} <= set(
        names
    )
    assert not [name for name in names if name.endswith((".c", ".h"))]
    assert described["Name"] == "bucket-streamer"
    assert described["License-Expression"] == "MIT"
    assert described["Description-Content-Type"] == "text/markdown"
    assert "dev" in described.get_all("Provides-Extra", [])


def test_it_works_without_compiler_and_headers(
    wheel: Path, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    """Installed by pip into a folder of its own; PATH and PKG_CONFIG lead nowhere."""
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", site]
    subprocess.run([*install, wheel], check=True)
    assert not (site / "cli").exists()
    environment = {
        "PATH": "/nonexistent",
        "PYTHONPATH": str(site),
        "HOME": str(tmp_path),
        "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""),
        "LD_PRELOAD": os.environ.get("LD_PRELOAD", ""),
    }

    def run(*command: object) -> str:
        words = [sys.executable, *map(str, command)]
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    code = "import sys, ffbind; print(ffbind.__file__); print(ffbind.open(sys.argv[1])[7].to_numpy().shape)"
    path, shape = run("-c", code, clip("plain.mp4")).splitlines()
    assert Path(path).is_relative_to(site)
    assert shape == "(108, 192, 3)"
    assert "serve" in run(site / "bin" / "streamer", "--help")


def test_pip_install_without_headers_says_what_is_missing(tree: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--target", tmp_path / "site", tree],
        env={**os.environ, "PKG_CONFIG_LIBDIR": str(tmp_path), "PKG_CONFIG_PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert (
        "ffbind needs the headers of FFmpeg's libavformat (5.1 or later). Install it and build again:"
        in output
    )
    assert "apt-get install gcc pkg-config python3-dev libavformat-dev" in output
    assert "Traceback" not in output
