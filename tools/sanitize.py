"""The test-suite over our C built with AddressSanitizer and UndefinedBehaviorSanitizer: `./dev sanitize [PYTEST'S ARGUMENTS]`.

A copy of the tree is made in .cache/sanitize and the extension built there. The interpreter is not instrumented, so the
sanitizers' libraries are loaded in front of it, and lost memory is not looked for: CPython keeps much until the process ends.
(tests/native/test_sanitizers.py and test_valgrind.py look for it.)
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

__all__ = ["LEFT_OUT", "main"]

ROOT = Path(__file__).resolve().parent.parent
TREE = ROOT / ".cache" / "sanitize"
NOT_COPIED = (".*", "*.so", "*.o", "*.egg-info", "__pycache__", "build", "dist")
COMPILE = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1"
LINK = "-fsanitize=address,undefined"
ASAN = ":".join(
    (
        "detect_leaks=0",
        "abort_on_error=1",
        "allocator_may_return_null=1",  # a MemoryError, as without it
        "handle_segv=0",  # a process killed by a signal ends by that signal
        "quarantine_size_mb=16",  # tests that bound memory see little more than there is
    )
)

LEFT_OUT = {
    "tests/native": "builds programs of its own with the sanitizers; valgrind does not go with them",
    "tests/ffbind/test_mutants.py": "builds other extensions from copies of the code, without the sanitizers",
    "tests/test_wheel.py": "builds another extension, without the sanitizers",
    "tests/ffbind/test_pixels_native.py": "builds a program of its own with the sanitizers",
    "tests/ffbind/test_soak.py::test_opens": "what AddressSanitizer keeps of freed memory looks like memory that creeps",
    "tests/bad_input/test_library.py::test_kind[5000 edits of 5000 samples]": (
        "takes nearly all of the memory that it may take, and AddressSanitizer some more"
    ),
    "tests/ffbind/test_avio.py::test_nothing_else_is_opened": "runs Python under strace with an empty environment",
    "tests/ffbind/test_native.py::test_another_ffmpeg_is_refused_when_loading": "has a library of its own loaded first",
    "tests/ffbind/test_report.py::test_ffmpeg_7_1_0_is_named": "has a library of its own loaded first",
    "tests/ffbind/test_report.py::test_an_ffmpeg_that_is_refused_is_an_error_and_the_rest_is_described": (
        "has a library of its own loaded first"
    ),
}


def runtime_libraries(compiler: list[str]) -> list[str]:
    """Paths of the sanitizers' libraries, the ones that have to be loaded first. RuntimeError where there are none."""
    found = []
    for name in ("libasan.so", "libubsan.so"):
        command = [*compiler, f"-print-file-name={name}"]
        path = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        if not Path(path).is_absolute():
            raise RuntimeError(f"{compiler[0]} has no {name}; install GCC with its sanitizers")
        found.append(path)
    return found


def make_tree() -> None:
    """Copy the tree and build the extension in the copy."""
    shutil.rmtree(TREE, ignore_errors=True)
    shutil.copytree(ROOT, TREE, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (ROOT / ".cache" / "clips").mkdir(parents=True, exist_ok=True)
    (TREE / ".cache").mkdir()
    (TREE / ".cache" / "clips").symlink_to(ROOT / ".cache" / "clips")
    environment = {**os.environ, "FFBIND_CFLAGS": COMPILE, "FFBIND_LDFLAGS": LINK}
    subprocess.run([sys.executable, "build_ffi.py"], check=True, cwd=TREE, env=environment)


def sanitized(compiler: list[str]) -> dict[str, str]:
    """Environment in which Python loads the extension of the copy."""
    media = os.environ.get("BUCKET_STREAMER_MEDIA") or str(ROOT.parent / "shared" / "media")
    return {
        **os.environ,
        "PYTHONPATH": str(TREE),
        "LD_PRELOAD": " ".join(runtime_libraries(compiler)),
        "ASAN_OPTIONS": ASAN,
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        # Each object in a block of its own: the interpreter's pools would hide what is behind one.
        "PYTHONMALLOC": "malloc",
        # The ciphers that minio brings along would be loaded past the sanitizers, which these refuse.
        "PYCRYPTODOME_DISABLE_DEEPBIND": "1",
        "BUCKET_STREAMER_MEDIA": media,
        "SANITIZED": "1",
    }


def check_at_work(environment: dict[str, str]) -> None:
    """See that the extension of the copy is loaded, and that an access behind a block ends the process. RuntimeError if not."""
    sps = (ROOT / "tests" / "fuzz" / "corpus" / "sps" / "open_gop").read_bytes()
    code = (
        "import sys; from ffbind.native import ffi, lib; import ffbind._native as native; "
        f"sps, out = ffi.new('uint8_t[]', {list(sps)}), ffi.new('uint8_t[8192]'); "
        "print(native.__file__, lib.ffb_sps_without_delay(sps, int(sys.argv[1]), out, 8192))"
    )
    right, wrong = (
        subprocess.run(
            [sys.executable, "-c", code, str(size)],
            check=False,
            cwd=TREE,
            env=environment,
            capture_output=True,
            text=True,
        )
        for size in (len(sps), 4096)
    )
    if right.stdout.split() != [str(TREE / "ffbind" / "_native.abi3.so"), str(len(sps))]:
        raise RuntimeError(f"the extension with the sanitizers does not load: {right.stdout}{right.stderr}")
    if wrong.returncode == 0 or "AddressSanitizer: heap-buffer-overflow" not in wrong.stderr:
        raise RuntimeError(f"AddressSanitizer is not at work: {wrong.stdout}{wrong.stderr}")


def main(arguments: list[str]) -> int:
    """Build, then run pytest; its status."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[:1]
    make_tree()
    environment = sanitized(compiler)
    check_at_work(environment)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    for test, reason in LEFT_OUT.items():
        print(f"left out: {test} ({reason})", flush=True)
        command += ["--deselect", test] if "::" in test else ["--ignore", test]
    return subprocess.run(command, check=False, cwd=TREE, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
