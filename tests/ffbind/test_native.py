"""Loading the compiled part: with an FFmpeg outside the supported range, or none, it is one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ffbind
from ffbind.native import FIRST_VERSION, check_version, version_text

ROOT = Path(__file__).resolve().parents[2]


def _number(text: str) -> int:
    major, minor, micro = map(int, text.split("."))
    return major << 16 | minor << 8 | micro


@pytest.mark.parametrize(
    "version", ["59.37.100", "60.31.102", "61.19.100", "62.28.100", "63.11.100", "63.99.255"]
)
def test_versions_that_are_supported(version: str) -> None:
    check_version(_number(version))


@pytest.mark.parametrize("version", ["58.134.100", "59.36.255", "64.0.0", "0.0.0"])
def test_versions_that_are_refused(version: str) -> None:
    with pytest.raises(ffbind.NativeError) as caught:
        check_version(_number(version))
    assert f"libavcodec {version}, ffbind works with 59.37.100 (FFmpeg 5.1) to 63 (FFmpeg 9)" in str(
        caught.value
    )


def test_version_text_is_that_of_the_first_version() -> None:
    assert version_text(FIRST_VERSION) == "59.37.100"
    assert _number(version_text(FIRST_VERSION)) == FIRST_VERSION


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs LD_PRELOAD and a C compiler"
)
def test_another_ffmpeg_is_refused_when_loading(tmp_path: Path) -> None:
    """A library that answers as libavcodec 64 stands in front of the real one."""
    source, library = tmp_path / "next.c", tmp_path / "next.so"
    source.write_text("unsigned avcodec_version(void) { return 64u << 16 | 3 << 8 | 100; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    for statement in ("ffbind.open", "ffbind.Decoder", "import ffbind.pixels"):
        code = f"import ffbind\ntry:\n    {statement}\nexcept ffbind.NativeError as error:\n    print(error)"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"LD_PRELOAD": str(library)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith("the FFmpeg that is loaded has libavcodec 64.3.100")


def test_a_compiled_part_that_does_not_load_is_one_sentence(tmp_path: Path) -> None:
    """As after an upgrade of the system, when the libraries that it was linked to are gone."""
    copy = tmp_path / "ffbind"
    shutil.copytree(ROOT / "ffbind", copy, ignore=shutil.ignore_patterns("_native*", "csrc", "__pycache__"))
    (copy / "_native.abi3.so").write_bytes(b"no library")
    code = (
        "import ffbind, ffbind.index\ntry:\n    ffbind.open\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("ffbind's compiled part cannot be loaded")
    assert done.stdout.count("\n") == 1


def test_a_source_tree_that_was_not_compiled_is_named(tmp_path: Path) -> None:
    """Python that is run in a clone finds the sources first, wherever the package was installed."""
    shutil.copytree(
        ROOT / "ffbind", tmp_path / "ffbind", ignore=shutil.ignore_patterns("_native*", "csrc", "__pycache__")
    )
    (tmp_path / "build_ffi.py").touch()
    # An editable installation would find the compiled part of this tree.
    code = (
        "import sys\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if not getattr(f, '__module__', '').startswith('__editable__')]\n"
        "import ffbind\ntry:\n    ffbind.open\nexcept ffbind.NativeError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(
        f"this is the ffbind of the source tree {tmp_path}, which has not been compiled"
    )
    assert done.stdout.count("\n") == 1
