"""Promise 1 is only as good as its tests: each careless change of tests/mutants, made to a copy of the code, must fail some.

A patch file begins with a sentence that says what the change does wrong. A line of `KILLERS` names the tests that must notice.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PATCHES = ROOT / "tests" / "mutants"
EXACT, DAMAGE, ENGINE = "test_exact.py::", "test_damage.py::", "test_engine.py::"
PLAN, REFERENCES = "test_plan.py::", "test_references.py::"

KILLERS = {
    "late_picture": [EXACT + "test_by_index_in_every_order[plain.mp4]"],
    "unfinished_picture": [DAMAGE + "test_a_picture_that_ends_early_is_damaged"],
    "marks_of_the_largest_blocks": [DAMAGE + "test_a_picture_without_its_last_slice_is_damaged[2]"],
    "decode_order": [EXACT + "test_by_index_in_every_order[plain.mp4]"],
    "no_reference_check": [
        DAMAGE + "test_damage_that_nobody_may_notice[0-plain.mp4]",
        REFERENCES + "test_damage_in_all_small_streams",
    ],
    "damage_counts_as_decoded": [REFERENCES + "test_damage_in_all_small_streams"],
    "rasl_from_its_own_irap": [EXACT + "test_by_offset_from_irap_and_from_earlier[plain.mp4]"],
    "no_flush": [
        EXACT + "test_by_index_in_every_order[plain.mp4]",
        ENGINE + "test_parked_decoders_are_bounded_by_memory[open_gop.mp4]",
    ],
    "goes_on_behind_the_row": [PLAN + "test_all_small_streams_and_all_pairs_of_pictures"],
    "past_references_count_as_held": [PLAN + "test_all_small_streams_and_all_pairs_of_pictures"],
    "references_of_references": [PLAN + "test_all_small_streams_and_all_pairs_of_pictures"],
    "order_counts_over_what_is_sent": [PLAN + "test_order_counts_that_would_shift_are_kept"],
    "ambiguous_references": [PLAN + "test_a_reference_that_two_pictures_could_be_takes_everything"],
    "following_pictures": [PLAN + "test_all_small_streams_and_all_pairs_of_pictures"],
    "sets_of_samples_left_out": [ENGINE + "test_parameter_sets_of_a_sample_that_is_left_out"],
    "cache_by_place": [EXACT + "test_by_index_in_every_order[plain.mp4]"],
    "order_count_of_any_picture": [REFERENCES + "test_order_counts_step_back_for_b_pictures_over_the_wrap"],
    "entry_of_the_sample_before": ["test_camera_files.py::test_two_sample_entries"],
    "frame_before": [EXACT + "test_by_time[plain.mp4]"],
    "first_come_first_given": ["test_flow.py::test_whole_files_are_those_of_a_linear_decode[one_gop.mp4-2]"],
    "stretches_joined": [
        "test_lazy.py::test_frames_by_offset_are_those_of_the_whole_table[open_gop_fragments.mp4-shuffled-True]"
    ],
    "batch_in_decode_order": ["test_video.py::test_frames_in_the_callers_order_with_repeats"],
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code and its tests that shares only the generated clips."""
    copy = tmp_path_factory.mktemp("mutants") / "original"
    copy.mkdir()
    for name in (
        "build_ffi.py",
        "pyproject.toml",
        "tests/conftest.py",
        "tests/clips.py",
        "tests/linear.py",
        "tests/far.py",
        "tests/headers.py",
        "tests/movie.py",
        "tests/waiting.py",
    ):
        (copy / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    ignore = shutil.ignore_patterns("__pycache__", "*.o", "*.so")
    shutil.copytree(ROOT / "ffbind", copy / "ffbind", ignore=ignore)
    shutil.copytree(ROOT / "tests" / "ffbind", copy / "tests" / "ffbind", ignore=ignore)
    native = importlib.util.find_spec("ffbind._native")
    assert native is not None
    assert native.origin is not None
    shutil.copy(native.origin, copy / "ffbind")
    (ROOT / ".cache").mkdir(exist_ok=True)
    (copy / ".cache").symlink_to(ROOT / ".cache")
    return copy


def environment(tree: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "FFBIND_CFLAGS": "-O0"}


def run_tests(tree: Path, tests: list[str]) -> tuple[int, str]:
    """Run tests of a tree against the code of that tree: exit status of pytest, and what it said."""
    where = [sys.executable, "-c", "import ffbind._native as native; print(native.__file__)"]
    done = subprocess.run(where, cwd=tree, env=environment(tree), capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).parent == tree / "ffbind"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        *(f"tests/ffbind/{test}" for test in tests),
    ]
    done = subprocess.run(
        command, cwd=tree, env=environment(tree), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def apply_patch(tree: Path, patch: str) -> list[str]:
    """Apply a unified diff: every hunk must fit at exactly one place, wherever that is. Gives the paths changed."""
    paths = []
    for part in re.split(r"^--- a/.*\n", patch, flags=re.MULTILINE)[1:]:
        name, _, hunks = part.partition("\n")
        path = tree / name.removeprefix("+++ b/")
        text = path.read_text()
        for hunk in re.split(r"^@@.*@@\n", hunks, flags=re.MULTILINE)[1:]:
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] in " -")
            new = "".join(line[1:] for line in lines if line[0] in " +")
            assert old != new
            assert text.count(old) == 1, f"{path.name}: this part of the patch does not fit any more:\n{hunk}"
            text = text.replace(old, new)
        path.write_text(text)
        paths.append(str(path))
    return paths


def test_every_mutant_has_tests_that_must_notice_it() -> None:
    assert {path.stem for path in PATCHES.glob("*.patch")} == set(KILLERS)


def test_the_unchanged_code_passes_all_of_them(original: Path) -> None:
    tests = sorted({test for tests in KILLERS.values() for test in tests})
    status, text = run_tests(original, tests)
    assert status == 0, text


@pytest.mark.parametrize("name", KILLERS)
def test_a_careless_change_is_noticed(name: str, original: Path) -> None:
    tree = original.with_name(name)
    shutil.copytree(original, tree, symlinks=True)
    changed = apply_patch(tree, (PATCHES / f"{name}.patch").read_text())
    assert changed
    if any(path.endswith((".c", ".h")) for path in changed):
        build = [sys.executable, "build_ffi.py"]
        done = subprocess.run(
            build, cwd=tree, env=environment(tree), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    status, text = run_tests(tree, KILLERS[name])
    assert status == 1, f"no test noticed this change:\n{text}"
    shutil.rmtree(tree)
