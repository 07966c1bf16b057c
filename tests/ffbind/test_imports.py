"""What importing loads: no server, no command line; and no native code where only tables are read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import ffbind

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_NATIVE = (
    "errors",
    "hevc",
    "sources",
    "isobmff",
    "index",
    "plan",
    "color",
    "framing",
    "transport",
    "magic",
)
NOT_OURS = {
    "streamer",
    "streamer_cli",
    "cli",
    "minio",
    "websockets",
    "msgspec",
    "typer",
    "rich",
    "click",
    "PIL",
    "av",
}


def _loaded_by(code: str) -> set[str]:
    """Names of the modules in a fresh interpreter after it ran `code`."""
    code += "\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(done.stdout))


def test_the_library_brings_nothing_of_the_server() -> None:
    """Also when all of it is loaded."""
    modules = [path.stem for path in (ROOT / "ffbind").glob("*.py") if path.stem != "__init__"]
    loaded = _loaded_by("import " + ", ".join(f"ffbind.{name}" for name in modules))
    assert "ffbind._native" in loaded
    assert "ffbind.video" in loaded
    assert not {name.partition(".")[0] for name in loaded} & NOT_OURS


@pytest.mark.parametrize("name", WITHOUT_NATIVE)
def test_tables_are_read_without_native_code(name: str) -> None:
    loaded = _loaded_by(f"import ffbind.{name}")
    assert f"ffbind.{name}" in loaded
    assert not {"ffbind._native", "_cffi_backend", "turbojpeg"} & loaded


def test_an_index_is_made_without_native_code(media: Path) -> None:
    """Not only imported: reading a real file's table loads nothing native either."""
    path = media / "mp4parser" / "foreman-hevc-384.mp4"
    loaded = _loaded_by(
        "import ffbind\nfrom ffbind.sources import FileSource\nfrom ffbind.isobmff import read_index\n"
        f"index = read_index(FileSource({str(path)!r}))\n"
        "assert ffbind.VideoIndex.from_json(index.to_json()).samples.size == 248"
    )
    assert not {"ffbind._native", "_cffi_backend", "turbojpeg"} & loaded


def test_import_alone_loads_no_native_code() -> None:
    loaded = _loaded_by("import ffbind; dir(ffbind)")
    assert not {"ffbind._native", "_cffi_backend"} & loaded


def test_every_public_name_is_there() -> None:
    for name in ffbind.__all__:
        assert getattr(ffbind, name).__name__ == name
    assert set(dir(ffbind)) == set(ffbind.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        ffbind.nothing  # noqa: B018
