"""Fuzzes all targets, or those named, one after the other: `./dev fuzz [SECONDS] [TARGET...]`.

Our C by libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer, our Python by atheris. Seeds are those of corpus/; what
is found on the way is kept in .cache/fuzz and gone on from the next time. Ends with 1 where an input was found that a target must
not fail on.
"""

from __future__ import annotations

import argparse
import re
import resource
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NATIVE", "Result", "build", "main"]

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "ffbind" / "csrc"
NATIVE_TESTS = ROOT / "tests" / "native"
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
CACHE = ROOT / ".cache" / "fuzz"
FLAGS = ("-std=c11", "-D_DEFAULT_SOURCE", "-O1", "-g", f"-I{CSRC}")
SANITIZE = ("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class Native:
    """A libFuzzer target in tests/native: the files of ffbind/csrc it takes, FFmpeg's libraries behind them, its longest input."""

    sources: tuple[str, ...]
    libraries: tuple[str, ...]
    longest: int


NATIVE = {
    "headers": Native(("nal", "params", "sample"), (), 4096),
    "sps": Native(("nal", "params"), (), 512),
    "pixels": Native(("convert", "orient", "scale"), ("libswscale", "libavutil"), 512),
}
# Python targets (targets.py) with their longest inputs.
PYTHON = {"boxes": 16384, "hvcc": 1024, "index": 4096, "message": 1024}
# What one input may take. Each target's own limits lie well below, so that going beyond them is a finding.
BOUNDS = ("-timeout=10", "-rss_limit_mb=700", "-malloc_limit_mb=200")


@dataclass(frozen=True)
class Result:
    """What one target came to. `found` is the input that it failed on."""

    name: str
    runs: int
    edges: int
    found: Path | None
    log: Path


def build(name: str) -> Path:
    """Compile a native target with clang, and give the program."""
    target = NATIVE[name]
    links: list[str] = []
    if target.libraries:
        command = ["pkg-config", "--cflags", "--libs", *target.libraries]
        links = shlex.split(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    program = CACHE / f"fuzz_{name}"
    sources = [NATIVE_TESTS / f"fuzz_{name}.c", *(CSRC / f"{source}.c" for source in target.sources)]
    subprocess.run(["clang", *FLAGS, *SANITIZE, *sources, *links, "-o", program], check=True)
    return program


def fuzz(name: str, seconds: int) -> Result:
    """Run one target for so long, or until it fails."""
    grown, found, log = CACHE / name, CACHE / "found" / name, CACHE / f"{name}.log"
    for folder in (grown, found):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    if name in NATIVE:
        command, longest = [str(build(name))], NATIVE[name].longest
    else:
        command, longest = [sys.executable, "-m", "fuzz.under_atheris", name], PYTHON[name]
    words = ROOT / "tests" / "fuzz" / f"{name}.dict"
    options = [f"-dict={words}"] if words.exists() else []
    options += [f"-max_total_time={seconds}", f"-max_len={longest}", *BOUNDS, "-print_final_stats=1"]
    with log.open("wb") as output:
        done = subprocess.run(
            [*command, *options, f"-artifact_prefix={found}/", grown, CORPUS / name],
            check=False,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    text = log.read_text(errors="replace")
    new = sorted(set(found.iterdir()) - before)
    if done.returncode != 0 and not new:
        sys.stderr.write(text)
        sys.exit(f"fuzz: {name} did not run (status {done.returncode}, output above)")
    runs = re.findall(r"stat::number_of_executed_units: (\d+)", text) or re.findall(
        r"^#(\d+)\s", text, re.MULTILINE
    )
    edges = re.findall(r" cov: (\d+) ", text)
    return Result(name, int(runs[-1]), int(edges[-1]), new[0] if new else None, log)


def main() -> int:
    """Fuzz; status 1 where something was found."""
    parser = argparse.ArgumentParser(prog="./dev fuzz", description="Fuzz all targets, or those named.")
    parser.add_argument(
        "seconds", nargs="?", type=int, default=300, help="for all targets together (default 300)"
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join((*NATIVE, *PYTHON)))
    options = parser.parse_args()
    names = options.targets or [*NATIVE, *PYTHON]
    if unknown := set(names) - {*NATIVE, *PYTHON}:
        parser.error(
            f"no such target: {', '.join(sorted(unknown))}; there are {', '.join((*NATIVE, *PYTHON))}"
        )
    CACHE.mkdir(parents=True, exist_ok=True)
    findings = runs = 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for name in names:
        result = fuzz(name, max(1, options.seconds // len(names)))
        runs += result.runs
        print(f"{name:<8} {result.runs:>10} runs, {result.edges:>5} edges", flush=True)
        if result.found:
            findings += 1
            print("\n".join(result.log.read_text(errors="replace").splitlines()[-40:]))
            print(
                f"{name}: fails on {result.found} (log: {result.log}); once mended, keep that input as "
                f"tests/fuzz/corpus/{name}/found-WHAT"
            )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{len(names)} targets, {runs} runs, {spent / 60:.1f} minutes of CPU time, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
