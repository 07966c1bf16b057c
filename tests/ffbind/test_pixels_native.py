"""The C of the converters under AddressSanitizer and UndefinedBehaviorSanitizer, over random sizes and bad arguments,
and the same values from each of its variants.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def test_no_access_beyond_the_buffers(tmp_path: Path) -> None:
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler) is None or shutil.which("pkg-config") is None:
        pytest.skip("no C compiler or pkg-config")
    probe = tmp_path / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    if subprocess.run(
        [compiler, *SANITIZE, probe, "-o", tmp_path / "probe"], check=False, capture_output=True
    ).returncode:
        pytest.skip("the C compiler has no sanitizers")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libswscale", "libavutil"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    csrc = ROOT / "ffbind" / "csrc"
    sources = [
        ROOT / "tests" / "native" / "pixels.c",
        *(csrc / f"{name}.c" for name in ("convert", "orient", "scale")),
    ]
    warnings = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]
    digests = set()
    # With the instructions that this processor has, and with those that every one has.
    for variant in ([], ["-DFFB_BASELINE"]):
        program = tmp_path / "pixels"
        subprocess.run(
            [
                compiler,
                *warnings,
                *SANITIZE,
                *variant,
                f"-I{csrc}",
                *sources,
                *shlex.split(flags),
                "-o",
                program,
            ],
            check=True,
        )
        done = subprocess.run([program, "300"], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout)
    assert len(digests) == 1
