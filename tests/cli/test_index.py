"""`streamer index`: its CSV, JSON and saved index say what the library's index says."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyarrow import feather, parquet

import ffbind
from ffbind.hevc import Kind


@pytest.mark.parametrize(
    "name", ["plain.mp4", "fragmented.mp4", "cut_start.mp4", "cut.mkv", "open_gop.ts", "cut.hevc"]
)
def test_csv_has_a_row_for_each_sample(
    clip: Callable[[str], Path], streamer: Callable[..., Any], name: str
) -> None:
    run = streamer("index", clip(name), "--scan")
    rows = list(csv.DictReader(io.StringIO(run.out)))
    with ffbind.open(clip(name)) as video:
        index = video.scan()
    samples = index.samples
    assert len(rows) == len(samples)
    shown, hidden = rows[: len(index)], rows[len(index) :]
    assert [int(row["frame"]) for row in shown] == list(range(len(index)))
    assert [int(row["offset"]) for row in shown] == samples["offset"][index.order].tolist()
    assert [float(row["time"]) for row in shown] == index.times.tolist()
    assert [row["frame"] for row in hidden] == [""] * len(hidden)
    assert [int(row["offset"]) for row in hidden] == samples["offset"][samples["display"] < 0].tolist()
    for row in rows:
        number = index.row_of_offset(int(row["offset"]))
        assert number is not None
        assert int(row["size"]) == samples["size"][number]
        assert row["kind"] == Kind(samples["kind"][number]).name
        assert int(row["irap_offset"]) == samples["offset"][samples["irap"][number]]


def test_json_on_standard_output_and_in_a_file(
    clip: Callable[[str], Path], streamer: Callable[..., Any], tmp_path: Path
) -> None:
    document = json.loads(streamer("index", clip("plain.mp4"), "--json").out)
    assert (document["codec"], document["width"], document["height"], document["frames"]) == (
        "hevc",
        192,
        108,
        50,
    )
    assert len(document["samples"]) == 50
    streamer("index", clip("plain.mp4"), "-o", tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text()) == document


@pytest.mark.parametrize("name", ["plain.mp4", "cut_start.mp4"])
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_tables_for_other_tools_hold_the_rows_of_the_json(
    clip: Callable[[str], Path], streamer: Callable[..., Any], tmp_path: Path, suffix: str, name: str
) -> None:
    document = json.loads(streamer("index", clip(name), "--scan", "--json").out)
    path = tmp_path / f"x.{suffix}"
    run = streamer("index", clip(name), "--scan", "-o", path)
    assert (run.status, run.err) == (0, "")
    table = (parquet.read_table if suffix == "parquet" else feather.read_table)(path)
    assert table.to_pylist() == document.pop("samples")
    assert json.loads(table.schema.metadata[b"video"]) == document
    kinds = {field.name: str(field.type) for field in table.schema}
    assert (kinds["offset"], kinds["size"], kinds["time"], kinds["kind"]) == (
        "uint64",
        "uint32",
        "double",
        "string",
    )


def test_without_pyarrow_is_one_sentence(clip: Callable[[str], Path], tmp_path: Path) -> None:
    """As where it is not installed: the interpreter finds none."""
    program = (
        "import sys; sys.modules['pyarrow'] = None; from streamer_cli.main import main; sys.exit(main())"
    )
    command = [
        sys.executable,
        "-c",
        program,
        "index",
        str(clip("plain.mp4")),
        "-o",
        str(tmp_path / "x.parquet"),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.endswith("install it with: pip install 'bucket-streamer[parquet]'\n")
    assert run.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_saved_index_opens_the_video(
    clip: Callable[[str], Path], streamer: Callable[..., Any], tmp_path: Path
) -> None:
    run = streamer("index", clip("plain.mp4"), "--scan", "-o", tmp_path / "x.ffindex")
    assert run.out.startswith(str(tmp_path / "x.ffindex"))
    with (
        ffbind.open(clip("plain.mp4"), index=tmp_path / "x.ffindex") as video,
        ffbind.open(clip("plain.mp4")) as plain,
    ):
        assert video.index.samples["kind"].max() != Kind.UNKNOWN
        assert (video[33].to_numpy() == plain[33].to_numpy()).all()
