"""What the README and the examples show is run as it stands there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ffbind
from streamer_cli.child import own_server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(clip: Callable[[str], Path], tmp_path: Path) -> Path:
    """A folder with a video called as in the texts."""
    shutil.copy(clip("plain.mp4"), tmp_path / "drive.mp4")
    return tmp_path


def run(folder: Path, *words: object) -> str:
    done = subprocess.run(
        [sys.executable, *(str(word) for word in words)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_of_the_readme(folder: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    (folder / "readme.py").write_text(
        block + "\n    assert batch.shape == (4, 108, 192, 3)\n    assert jpeg[:2] == b'\\xff\\xd8'\n"
    )
    assert run(folder, "readme.py").startswith("50 192 108 2.0")


def test_messages_of_the_readme_are_those_of_the_protocol() -> None:
    from streamer.messages import decode_client_message, decode_server_message

    said = re.findall(r"^([<>]) (\{.*\})$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert len(said) == 4
    for direction, text in said:
        message = (decode_client_message if direction == ">" else decode_server_message)(text)
        assert type(message).__name__ == json.loads(text)["type"]


def test_library_example(folder: Path) -> None:
    text = run(folder, ROOT / "examples" / "frames.py", "drive.mp4")
    assert text.startswith("50 frames of 192x108, 2.00 s, hevc\n")
    assert (folder / "middle.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_client_example(folder: Path) -> None:
    with ffbind.open(folder / "drive.mp4") as video:
        samples = video.scan().samples
    offsets = samples["offset"][[0, 3, 5]].tolist()
    with own_server(folder) as server:
        text = run(folder, ROOT / "examples" / "client.py", server.url, "drive.mp4", offsets[0], *offsets, 1)
    lines = text.splitlines()
    sizes = [(folder / f"frame-{number}.jpg").stat().st_size for number in range(3)]
    assert lines[:3] == [f"frame-{number}.jpg: {size} bytes" for number, size in enumerate(sizes)]
    assert lines[3].startswith("offset 1: bad_offset: ")


def test_codes_of_the_protocol_page_are_those_of_the_server() -> None:
    from streamer.messages import RETRYABLE, Code

    page = (ROOT / "docs" / "protocol.md").read_text()
    listed = page[page.index("## Codes") :]
    named = set(re.findall(r"`([a-z_]+)`", listed))
    assert named - {"irap_offset", "offset", "retryable"} <= {code.value for code in Code}
    last = listed.strip().splitlines()[-1]
    assert set(re.findall(r"`([a-z_]+)`", last)) - {"retryable"} <= {code.value for code in RETRYABLE}


def test_limits_of_the_protocol_page_are_those_of_the_server() -> None:
    from streamer.config import Settings
    from streamer.connection import Limits

    page = (ROOT / "docs" / "protocol.md").read_text()
    limits = Limits()
    assert re.findall(r"^\| [a-z ]+ \| (\d+) \|", page, flags=re.MULTILINE) == [
        str(limits.message_bytes),
        str(limits.frames_per_request),
        str(limits.frames_in_flight),
    ]
    assert f"prepares {limits.frames_ahead} frames ahead, at most {limits.bytes_ahead >> 20} MiB" in page
    assert f"Beyond {Settings().max_connections} connections" in page
    assert f"be sent for {Settings().send_timeout:g} seconds" in page


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
