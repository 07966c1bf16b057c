"""`streamer doctor`: its JSON is the library's report, its text says the same, its status says whether it works."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from stores import ACCESS_KEY, SECRET_KEY, Store, bucket_of, publish

import ffbind
from ffbind.report import describe_system, describe_video, package_version


def test_installation(streamer: Callable[..., Any]) -> None:
    run = streamer("doctor")
    system = describe_system()
    assert (run.status, run.err) == (0, "")
    lines = run.out.splitlines()
    assert lines[0] == f"streamer {package_version()}"
    facts = dict(line.split(":", 1) for line in lines[1:] if ":" in line)
    assert system.ffmpeg is not None
    for name, number in system.ffmpeg.libraries:
        assert f"{name} {number}" in facts["Its libraries"]
    assert facts["libjpeg-turbo"].strip() == system.libjpeg_turbo
    for package in ("cffi", "numpy", "websockets", "msgspec"):
        assert f"{package} " in facts["Packages"]
    assert "missing" not in facts["Packages"]


def test_installation_as_json(streamer: Callable[..., Any]) -> None:
    document = json.loads(streamer("doctor", "--json").out)
    system = json.loads(json.dumps(asdict(describe_system())))
    assert {"websockets", "msgspec"} <= {package["name"] for package in document.pop("packages")}
    del system["packages"]
    assert document == system


@pytest.fixture
def bucket(minio: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A bucket that streamer.toml and the environment name, in a working folder of its own."""
    for name in [name for name in os.environ if name.startswith(("STREAMER_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", minio.endpoint)
    monkeypatch.setenv("STREAMER_S3_ACCESS_KEY", ACCESS_KEY)
    monkeypatch.setenv("STREAMER_S3_SECRET_KEY", SECRET_KEY)
    name = bucket_of(minio)
    (tmp_path / "streamer.toml").write_text(f'storage_backend = "s3"\ns3_bucket = "{name}"\n')
    monkeypatch.chdir(tmp_path)
    return name


def test_the_bucket_of_the_settings_is_asked(bucket: str, minio: Store, streamer: Callable[..., Any]) -> None:
    run = streamer("doctor")
    assert (run.status, run.err) == (0, "")
    facts = dict(line.split(":", 1) for line in run.out.splitlines() if ":" in line)
    assert facts["Bucket"].strip() == f"s3://{bucket}/ at {minio.endpoint} (signed)"
    assert facts["The store"].strip() == "answers: the bucket, the keys and the clock are right"
    assert json.loads(streamer("doctor", "--json").out)["bucket"] == {
        "where": f"s3://{bucket}/ at {minio.endpoint} (signed)",
        "listable": True,
        "problem": None,
    }


def test_a_bucket_that_may_be_read_and_not_listed(
    bucket: str, minio: Store, streamer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(minio, bucket)
    monkeypatch.delenv("STREAMER_S3_ACCESS_KEY")
    monkeypatch.delenv("STREAMER_S3_SECRET_KEY")
    monkeypatch.setenv("STREAMER_S3_CREDENTIALS", "anonymous")
    run = streamer("doctor")
    assert run.status == 0
    assert "it may not be listed, which is no need" in run.out


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"STREAMER_S3_BUCKET": "no-such-bucket"}, "There is no bucket no-such-bucket"),
        ({"STREAMER_S3_SECRET_KEY": "not-the-secret"}, "the secret key does not fit the access key"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "no connection could be made"),
        ({"STREAMER_S3_ENDPOINT": "localhost:9000"}, "the endpoint must be http:// or https://"),
        ({"STREAMER_S3_BUCKET": "a/b"}, "'a/b' is not the name of a bucket"),
        (
            {"AWS_ACCESS_KEY_ID": "x", "STREAMER_S3_ACCESS_KEY": "", "STREAMER_S3_SECRET_KEY": ""},
            "only one is set",
        ),
        ({"STREAMER_S3_CONNECTIONS": "many"}, "must be a whole number"),
    ],
)
def test_a_bucket_that_cannot_be_served_is_a_finding(
    bucket: str,
    streamer: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    says: str,
) -> None:
    monkeypatch.setenv("STREAMER_S3_TRIES", "1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    run = streamer("doctor")
    assert (run.status, run.err) == (1, "")
    (finding,) = [line for line in run.out.splitlines() if line.startswith("error: ")]
    assert finding.startswith(
        ("error: the bucket cannot be served: ", "error: the settings of the server cannot be used: ")
    )
    assert says in finding
    assert not any(secret in run.out for secret in (ACCESS_KEY, SECRET_KEY, "not-the-secret"))
    assert says in json.loads(streamer("doctor", "--json").out)["bucket"]["problem"]


@pytest.mark.parametrize("name", ["plain.mp4", "dash.mp4", "cut_start.mp4", "turned.mp4"])
def test_video_as_json_is_the_report_of_the_library(
    clip: Callable[[str], Path], streamer: Callable[..., Any], name: str
) -> None:
    run = streamer("doctor", clip(name), "--json")
    with ffbind.open(clip(name)) as video:
        report = describe_video(video)
    assert (run.status, run.err) == (0, "")
    assert json.loads(run.out) == json.loads(json.dumps(asdict(report)))


def test_video_as_text(clip: Callable[[str], Path], streamer: Callable[..., Any]) -> None:
    run = streamer("doctor", clip("turned.mp4"))
    assert run.status == 0
    lines = {
        line.split(":", 1)[0]: line.split(":", 1)[1].strip() for line in run.out.splitlines() if ":" in line
    }
    with ffbind.open(clip("turned.mp4")) as video:
        report = describe_video(video)
        assert lines["Size"] == f"{video.width}x{video.height}, turned clockwise by {video.rotation} degrees"
    assert lines["Codec"] == "HEVC Main, 8 bits, yuv420p"
    assert lines["Colour"] == "unspecified, limited range"
    assert report.gops is not None
    assert lines["GOPs"] == f"{report.gops.count}, {report.gops.open} open (with RASL pictures)"
    assert lines["IRAP pictures"].startswith(f"{report.sync.iraps}; all named, and no others (stss")
    assert "\x1b" not in run.out
    assert "note" in lines  # the index stands at the end
    assert "  ffmpeg -i IN -c copy -movflags +faststart OUT.mp4" in run.out.splitlines()


@pytest.mark.parametrize(
    ("name", "container", "track"),
    [("open_gop.mkv", "Matroska", 1), ("open_gop.ts", "MPEG-TS", 256), ("open_gop.hevc", "raw stream", 0)],
)
def test_other_containers(
    clip: Callable[[str], Path], streamer: Callable[..., Any], name: str, container: str, track: int
) -> None:
    """They have no tables to be wrong; what opening them costs is said."""
    run = streamer("doctor", clip(name))
    assert run.status == 0
    lines = {
        line.split(":", 1)[0]: line.split(":", 1)[1].strip() for line in run.out.splitlines() if ":" in line
    }
    assert lines["Container"].startswith(f"{container}, ")
    assert lines["Container"].endswith("no index in the file")
    assert lines["Tracks"] == f"this is {track}"
    assert lines["note"] == f"opening a {container} file reads all of it, to find its pictures"
    with ffbind.open(clip("open_gop.mp4")) as video:
        gops = describe_video(video).gops
    assert gops is not None
    assert lines["GOPs"].startswith(f"{gops.count}, {gops.open} open")


def test_hdr_colour_has_names(media: Path, streamer: Callable[..., Any]) -> None:
    out = streamer("doctor", media / "androidx-media" / "dolbyVision-hdr.MOV").out
    assert "primaries BT.2020, transfer HLG (ARIB STD-B67), matrix BT.2020, limited range" in out
    assert "Dolby Vision:  profile 8" in out
    assert "1 vide hvc1, 2 soun mp4a, 3 meta mebx" in out


def test_wrong_tables_are_listed(
    clip: Callable[[str], Path], streamer: Callable[..., Any], tmp_path: Path
) -> None:
    data = bytearray(clip("closed.mp4").read_bytes())
    place = data.index(b"stss") + 16
    data[place : place + 4] = (14).to_bytes(4, "big")  # instead of 13
    (tmp_path / "wrong.mp4").write_bytes(data)
    run = streamer("doctor", tmp_path / "wrong.mp4")
    with ffbind.open(bytes(data)) as video:
        offsets = video.index.samples["offset"].tolist()
    assert run.status == 0
    assert "5; 5 samples are named (stss), 1 of them falsely; 1 are not named" in run.out
    assert f"sample 13 at byte {offsets[13]}, TRAIL_" in run.out
    assert f"sample 12 at byte {offsets[12]}, IDR_N_LP" in run.out


def test_a_file_that_cannot_work_as_a_whole_gives_status_1(
    clip: Callable[[str], Path], streamer: Callable[..., Any], tmp_path: Path
) -> None:
    data = clip("faststart.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    run = streamer("doctor", tmp_path / "cut.mp4")
    assert run.status == 1
    assert "error: " in run.out
    assert "beyond the end of the file" in run.out
    assert run.err == ""
    assert streamer("doctor", tmp_path / "cut.mp4", "--json").status == 1
