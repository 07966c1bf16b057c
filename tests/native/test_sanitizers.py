"""Our C under AddressSanitizer and UndefinedBehaviorSanitizer: headers of real samples and of changed ones, inputs, decoding."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ffbind.isobmff import read_index
from ffbind.sources import BytesSource

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "ffbind" / "csrc"
HERE = Path(__file__).resolve().parent
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
FLAGS = ["-std=c11", "-D_DEFAULT_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{CSRC}"]
HEADERS = [HERE / "mutate.c", HERE / "fuzz_headers.c", CSRC / "nal.c", CSRC / "params.c", CSRC / "sample.c"]
SPS = [HERE / "mutate.c", HERE / "fuzz_sps.c", CSRC / "nal.c", CSRC / "params.c"]
PIXELS = [HERE / "mutate.c", HERE / "fuzz_pixels.c", CSRC / "convert.c", CSRC / "orient.c", CSRC / "scale.c"]
CORPUS = ROOT / "tests" / "fuzz" / "corpus"


def _compiles(folder: Path, compiler: str, flags: list[str], text: str) -> bool:
    probe = folder / "probe.c"
    probe.write_text(text)
    if shutil.which(compiler) is None:
        return False
    command = [compiler, *flags, probe, "-o", folder / "probe"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    """Function that compiles sources with the sanitizers, linked with these libraries of FFmpeg, into a program."""
    compiler = os.environ.get("CC", "cc")
    if not _compiles(tmp_path, compiler, SANITIZE, "int main(void) { return 0; }\n"):
        pytest.skip("no C compiler with sanitizers")

    def make(*sources: Path, libraries: tuple[str, ...] = ()) -> Path:
        links = ""
        if libraries:
            command = ["pkg-config", "--cflags", "--libs", *libraries]
            links = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        program = tmp_path / "program"
        subprocess.run(
            [compiler, *FLAGS, *SANITIZE, *sources, *shlex.split(links), "-o", program], check=True
        )
        return program

    return make


def _run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _write_corpus(folder: Path, paths: list[Path]) -> list[Path]:
    """One input of the fuzz target for each sample, its parameter sets in front of it; what is behind 4 kB goes.

    Short ones with lengths of 1 and 2 bytes as well.
    """
    folder.mkdir()
    made = []
    for path in paths:
        data = path.read_bytes()
        index = read_index(BytesSource(data))
        for row in index.samples[:40]:
            entry = index.entries[row["entry"]]
            sample = data[row["offset"] : row["offset"] + row["size"]]
            units = list(entry.parameter_sets)
            while sample:
                length = int.from_bytes(sample[: entry.nal_length_size], "big")
                units.append(sample[entry.nal_length_size :][:length][:4096])
                sample = sample[entry.nal_length_size + length :]
            for size in (1, 2, 4):
                short = [unit[:255] if size == 1 else unit for unit in units]
                framed = b"".join(len(unit).to_bytes(size, "big") + unit for unit in short)
                made.append(folder / f"{len(made)}")
                made[-1].write_bytes(bytes([size]) + framed[:16000])
    return made


@pytest.fixture
def corpus(clip: Callable[[str], Path], tmp_path: Path) -> list[Path]:
    names = (
        "open_gop.mp4",
        "radl.mp4",
        "two_layers.mp4",
        "in_band.mp4",
        "poc_wrap.mp4",
        "slices.mp4",
        "rgb.mp4",
    )
    return _write_corpus(tmp_path / "corpus", [clip(name) for name in names])


ROUNDS = pytest.mark.parametrize("rounds", [8_000, pytest.param(200_000, marks=pytest.mark.long)])


@ROUNDS
def test_headers_of_samples(build: Callable[..., Path], corpus: list[Path], rounds: int) -> None:
    """As they are, and thousands of changed ones."""
    _run(build(*HEADERS), rounds, *corpus, *sorted((CORPUS / "headers").iterdir()))


@ROUNDS
def test_sps(build: Callable[..., Path], rounds: int) -> None:
    _run(build(*SPS), rounds, *sorted((CORPUS / "sps").iterdir()))


@ROUNDS
def test_planes(build: Callable[..., Path], rounds: int) -> None:
    """Sizes and strides that do not fit the buffers are refused."""
    program = build(*PIXELS, libraries=("libswscale", "libavutil"))
    _run(program, rounds, *sorted((CORPUS / "pixels").iterdir()))


@pytest.mark.parametrize("rounds", [20_000, pytest.param(2_000_000, marks=pytest.mark.long)])
def test_byte_streams(build: Callable[..., Path], rounds: int) -> None:
    """Start codes found and access units unwrapped, against the definition."""
    _run(build(HERE / "annexb.c", CSRC / "annexb.c"), rounds)


@pytest.mark.parametrize("rounds", [4, pytest.param(150, marks=pytest.mark.long)])
def test_inputs_and_decoding(build: Callable[..., Path], clip: Callable[[str], Path], rounds: int) -> None:
    """libav behind ours: all that ours gives it lies in blocks of exact size, and nothing of it leaks."""
    sources = [CSRC / f"{name}.c" for name in ("input", "decode", "buffers", "marks", "nal", "params")]
    program = build(HERE / "media.c", *sources, libraries=("libavformat", "libavcodec", "libavutil"))
    _run(program, rounds, clip("plain.mp4"))
