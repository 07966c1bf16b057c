"""The build script: one sentence where something is missing, with what to install; and what it tells cffi."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not (ROOT / "build_ffi.py").is_file(), reason="not run from the source tree")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the build needs, so that no test builds over the extension in use."""
    (tmp_path / "ffbind").mkdir()
    shutil.copytree(
        ROOT / "ffbind" / "csrc", tmp_path / "ffbind" / "csrc", ignore=shutil.ignore_patterns("*.o")
    )
    shutil.copy(ROOT / "build_ffi.py", tmp_path)
    return tmp_path


def _build(tree: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "build_ffi.py"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tree,
        env={**os.environ, **environment},
    )


def _pkg_config_that(tree: Path, script: str) -> str:
    program = tree / "pkg-config-of-the-test"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def _assert_one_sentence(done: subprocess.CompletedProcess[str], what: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    first, debian, fedora, macos = done.stderr.splitlines()
    assert first == f"ffbind needs {what}. Install it and build again:"
    assert "apt-get install gcc pkg-config python3-dev libavformat-dev" in debian
    assert "dnf install" in fedora
    assert "brew install" in macos


def test_no_headers(tree: Path) -> None:
    """pkg-config is there and knows none of FFmpeg's libraries."""
    done = _build(tree, PKG_CONFIG_LIBDIR=str(tree), PKG_CONFIG_PATH="")
    _assert_one_sentence(done, "the headers of FFmpeg's libavformat (5.1 or later)")


def test_one_library_is_missing(tree: Path) -> None:
    program = _pkg_config_that(tree, 'case "$*" in *libswscale*) exit 1 ;; esac; exec pkg-config "$@"')
    _assert_one_sentence(
        _build(tree, PKG_CONFIG=program), "the headers of FFmpeg's libswscale (5.1 or later)"
    )


def test_libraries_that_are_too_old(tree: Path) -> None:
    """FFmpeg 4.4 as Debian 11 and Ubuntu 22.04 have it."""
    versions = {
        "libavformat": "58.76.100",
        "libavcodec": "58.134.100",
        "libavutil": "56.70.100",
        "libswscale": "5.9.100",
    }
    for name, version in versions.items():
        (tree / f"{name}.pc").write_text(f"Name: {name}\nDescription: {name}\nVersion: {version}\n")
    done = _build(tree, PKG_CONFIG_LIBDIR=str(tree), PKG_CONFIG_PATH="")
    _assert_one_sentence(done, "the headers of FFmpeg's libavformat (5.1 or later)")


def test_no_pkg_config(tree: Path) -> None:
    done = _build(tree, PKG_CONFIG="no-such-pkg-config")
    _assert_one_sentence(done, "'no-such-pkg-config', which finds FFmpeg's headers")
    _assert_one_sentence(
        _build(tree, PKG_CONFIG="false"), "the headers of FFmpeg's libavformat (5.1 or later)"
    )


def test_no_compiler(tree: Path) -> None:
    done = _build(tree, CC="no-such-compiler -O2")
    _assert_one_sentence(done, "a C compiler ('no-such-compiler' was not found; CC names another)")


def test_setuptools_says_the_same(tree: Path) -> None:
    """Through setup.py, as pip builds: the sentence is the last of the output, no traceback."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    done = subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tree,
        env={**os.environ, "PKG_CONFIG_LIBDIR": str(tree), "PKG_CONFIG_PATH": ""},
    )
    assert done.returncode == 1
    assert (
        "ffbind needs the headers of FFmpeg's libavformat (5.1 or later). Install it and build again:"
        in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_each_declaration_of_ours_reaches_python() -> None:
    """Every function between the marks in our headers can be called from Python."""
    from ffbind._native import lib

    names = set()
    for header in sorted((ROOT / "ffbind" / "csrc").glob("*.h")):
        block = header.read_text().partition("/* cdef */\n")[2].partition("/* end cdef */")[0]
        for line in block.splitlines():
            if line.rstrip().endswith((");", ",")) and "(" in line and not line.startswith((" ", "/*")):
                names.add(line.partition("(")[0].split()[-1].lstrip("*"))
    assert len(names) > 20
    assert names <= set(dir(lib))


@pytest.mark.long
def test_it_builds_in_place(tree: Path) -> None:
    """The whole: an extension for the limited API that loads."""
    done = _build(tree, FFBIND_CFLAGS="-O0")
    assert done.returncode == 0, done.stderr
    assert (tree / "ffbind" / "_native.abi3.so").is_file()
    (tree / "ffbind" / "__init__.py").touch()
    code = "from ffbind._native import lib; print(lib.avcodec_version() >> 16 >= 59)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tree)
    assert done.stdout == "True\n"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="vectors of AVX2 are those of x86-64")
def test_the_compiler_vectorises_every_row_of_a_conversion(tmp_path: Path) -> None:
    """Also with the flags that Python has for extensions: -fwrapv keeps it from indexes that may wrap around."""
    source = ROOT / "ffbind" / "csrc" / "convert.c"
    done = subprocess.run(
        [
            "gcc",
            "-std=c11",
            "-D_DEFAULT_SOURCE",
            "-O3",
            "-fwrapv",
            "-fPIC",
            "-fopt-info-vec-optimized",
            "-c",
            str(source),
            "-o",
            str(tmp_path / "convert.o"),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    pattern = r"convert\.c:(\d+):\d+: optimized: +loop vectorized using 32 byte vectors"
    vectorised = {int(line) for line in re.findall(pattern, done.stderr)}
    rows = {
        number: line
        for number, line in enumerate(source.read_text().splitlines(), 1)
        if re.match(r"DEFINE_\w+\(", line)
    }
    assert len(rows) == 8
    assert {line for number, line in rows.items() if number not in vectorised} == set()
