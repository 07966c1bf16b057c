"""What is said of files that are not read: real files of other containers and codecs, made by the `ffmpeg` command."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import ffbind
from ffbind.errors import CorruptError, FFbindError, NotVideoError, UnsupportedError
from ffbind.probe import explain_foreign
from ffbind.sources import BytesSource
from ffbind.streams import read_index

PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=64x64:duration=0.2"]
MADE: dict[str, list[str]] = {
    "hevc.avi": ["-i", "{plain.mp4}", "-c", "copy", "-f", "avi"],
    "picture.avi": [*PICTURE, "-c:v", "mpeg4"],
    "picture.mkv": [*PICTURE, "-c:v", "mpeg4"],
    "picture.ts": [*PICTURE, "-c:v", "mpeg2video"],
    "picture.png": [*PICTURE, "-frames:v", "1", "-f", "image2"],
    "picture.gif": PICTURE,
    "sound.wav": ["-f", "lavfi", "-i", "sine=duration=0.2"],
    "sound.mkv": ["-f", "lavfi", "-i", "sine=duration=0.2"],
}


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        (
            "hevc.avi",
            UnsupportedError,
            "HEVC video in avi, but only MP4, MOV, Matroska, MPEG-TS and raw streams are read; put it into MP4 without re-encoding",
        ),
        ("picture.avi", UnsupportedError, r"mpeg4 video in avi, but only HEVC \(H\.265\) is shown"),
        ("picture.mkv", UnsupportedError, "mpeg4 video in matroska,webm, but only HEVC"),
        ("picture.ts", UnsupportedError, "mpeg2video video in mpegts, but only HEVC"),
        ("picture.png", NotVideoError, r"a still picture \(png\), not a video"),
        ("picture.gif", UnsupportedError, "gif video in gif, but only HEVC"),
        ("sound.wav", NotVideoError, r"no video track in it \(FFmpeg calls it wav\)"),
        ("sound.mkv", NotVideoError, r"no video track in it \(FFmpeg calls it matroska,webm\)"),
    ],
)
def test_other_containers_and_codecs(
    name: str, kind: type[FFbindError], message: str, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    """The sentence names the file, its container and its codec, and says what to do."""
    path = tmp_path / name
    arguments = _fill(MADE[name], clip)
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *arguments, path], check=True)
    with pytest.raises(kind, match=f"{path}: .*{message}") as caught:
        ffbind.open(path)
    assert type(caught.value) is kind
    with pytest.raises(kind, match=message):
        ffbind.open(path.read_bytes())


def _fill(arguments: list[str], clip: Callable[[str], Path]) -> list[str]:
    return [str(clip(argument[1:-1])) if argument.startswith("{") else argument for argument in arguments]


@pytest.mark.parametrize("data", [b"x", b"text\n" * 100, b"\0" * 4000])
def test_what_nobody_knows(data: bytes) -> None:
    with pytest.raises(NotVideoError, match=r"^not an MP4 or MOV file: its .* bytes do not start with a box"):
        ffbind.open(data)


def test_what_our_reader_said_of_an_mp4_holds(clip: Callable[[str], Path], media: Path) -> None:
    data = clip("plain.mp4").read_bytes()
    known = NotVideoError("as it is")
    assert explain_foreign("mov,mp4,m4a,3gp,3g2,mj2", (), known) is known
    with pytest.raises(NotVideoError, match="as it is"):
        read_index(BytesSource(data), known)
    with pytest.raises(NotVideoError, match="no video track"):
        ffbind.open(media / "androidx-media" / "sample_audio_only.mp4")


def test_a_failing_source_is_no_opinion(clip: Callable[[str], Path]) -> None:
    """What the source raises while libavformat looks comes out as it is."""

    class Failing(BytesSource):
        def read_at(self, offset: int, length: int) -> memoryview:
            raise CorruptError("own")

    with pytest.raises(CorruptError, match="own"):
        read_index(Failing(b"RIFF" + bytes(100)), NotVideoError("known"))
