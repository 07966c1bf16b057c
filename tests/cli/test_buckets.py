"""Commands on videos in a bucket and on the web: what they write is what they write of the file, and mistakes are one sentence."""

from __future__ import annotations

import datetime
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import run_faulty
from stores import ACCESS_KEY, SECRET_KEY, Store, bucket_of, publish

import ffbind
from streamer.storage import HEAD_BYTES

NAME = "night drive #2.mp4"  # a name that stands in a URL only in other words


@pytest.fixture
def bucket(minio: Store, clip: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket with a video in a folder, and an environment that leads to it."""
    name = bucket_of(minio)
    path = str(clip("open_gop.mp4"))
    minio.admin().fput_object(bucket_name=name, object_name=f"cam/{NAME}", file_path=path)
    for variable in ("AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", minio.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    return name


@pytest.fixture(params=["s3", "http"])
def url(request: pytest.FixtureRequest, minio: Store, bucket: str) -> str:
    """The video, by the bucket or by an address that everybody may read."""
    if request.param == "s3":
        return f"s3://{bucket}/cam/{NAME}"
    publish(minio, bucket)
    return f"{minio.endpoint}/{bucket}/cam/night%20drive%20%232.mp4"


@pytest.fixture
def local(clip: Callable[[str], Path], tmp_path: Path) -> Path:
    """The same video as a file of the same name."""
    path = tmp_path / "local" / NAME
    path.parent.mkdir()
    shutil.copy(clip("open_gop.mp4"), path)
    return path


def test_decode_names_its_files_after_the_object(
    url: str, local: Path, tmp_path: Path, streamer: Callable[..., Any]
) -> None:
    run = streamer("decode", url, "--frames", "0:60:20", "-o", tmp_path / "out")
    assert (run.status, run.err) == (0, "")
    with ffbind.open(local) as video:
        for number in (0, 20, 40):
            written = tmp_path / "out" / f"night drive #2-{number:06d}.jpg"
            assert str(written) in run.out.splitlines()
            assert written.read_bytes() == video[number].to_jpeg(quality=80)


def test_index_and_doctor_say_what_they_say_of_the_file(
    url: str, local: Path, streamer: Callable[..., Any]
) -> None:
    for words in (("index",), ("index", "--json")):
        of_url = streamer(words[0], url, *words[1:])
        assert (of_url.status, of_url.err) == (0, "")
        assert of_url.out == streamer(words[0], local, *words[1:]).out
    of_url, of_file = streamer("doctor", url), streamer("doctor", local)
    assert (of_url.status, of_url.err) == (0, "")
    lines = of_url.out.splitlines()
    place = lines.index("Store")
    took = lines.pop(place + 1)
    assert re.fullmatch(r"This report took: +\d+ requests?, [\d.]+ [kM]B", took)
    assert [line for line in lines if line not in ("Store", "")] == [
        line for line in of_file.out.splitlines() if line
    ]


@pytest.mark.parametrize("how", ["s3", "http"])
def test_doctor_says_what_its_report_took_of_the_store(
    how: str,
    minio: Store,
    bucket: str,
    clip: Callable[[str], Path],
    streamer: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = clip("far_last.mp4")
    minio.admin().fput_object(bucket_name=bucket, object_name="far.mp4", file_path=str(path))
    publish(minio, bucket)
    with run_faulty(minio) as counted:
        monkeypatch.setenv("AWS_ENDPOINT_URL", counted.endpoint.url)
        url = f"s3://{bucket}/far.mp4" if how == "s3" else f"{counted.endpoint.url}/{bucket}/far.mp4"
        document = json.loads(streamer("doctor", url, "--json").out)
        cost = document.pop("cost")
        assert cost["requests"] == len(counted.endpoint.exchanges) >= 3
        # Of the answer to the look some was still under way when the command let go of it, or ended.
        assert abs(cost["bytes"] - counted.endpoint.sent) < HEAD_BYTES
        assert document == json.loads(streamer("doctor", path, "--json").out)


def test_an_index_that_was_saved_spares_reading_the_table(
    minio: Store, url: str, local: Path, tmp_path: Path, streamer: Callable[..., Any]
) -> None:
    saved = tmp_path / "drive.ffindex"
    run = streamer("index", url, "-o", saved)
    assert (run.status, run.err) == (0, "")
    from streamer.storage import source

    with ffbind.open(source(url), index=saved) as video, ffbind.open(local) as expected:
        assert np.array_equal(video[17].to_numpy(), expected[17].to_numpy())


def test_a_frame_of_a_large_object_costs_little_of_it(
    minio: Store, bucket: str, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    """By the real command, in a process of its own, on 75 MB."""
    path = clip("noisy.mp4")
    minio.admin().fput_object(bucket_name=bucket, object_name="noisy.mp4", file_path=str(path))
    with run_faulty(minio) as counted:
        command = [sys.executable, "-m", "streamer_cli", "decode", f"s3://{bucket}/noisy.mp4"]
        run = subprocess.run(
            [*command, "--frame", "700", "-o", str(tmp_path / "x.npy")],
            env={**os.environ, "AWS_ENDPOINT_URL": counted.endpoint.url},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, "")
        assert len(counted.endpoint.exchanges) < 10
        assert counted.endpoint.sent < 3_000_000
    with ffbind.open(path) as video:
        assert np.array_equal(np.load(tmp_path / "x.npy"), video[700].to_numpy())


def test_bench_serves_the_bucket_itself(bucket: str, streamer: Callable[..., Any]) -> None:
    run = streamer("bench", f"s3://{bucket}/cam/{NAME}", "--frames", 20, "--json")
    assert (run.status, run.err) == (0, "")
    assert json.loads(run.out)["benchmark"]["frames_received"] == 20


MISTAKES = [
    ("decode s3://{bucket}/none.mp4 --frame 0", 1, r"Video not found: none\.mp4"),
    ("index s3://no-such-bucket/a.mp4", 1, "There is no bucket no-such-bucket at "),
    ("decode s3://no-such-bucket/a.mp4 --frame 0", 1, "There is no bucket no-such-bucket at "),
    ("decode s3://Name!/a.mp4 --frame 0", 2, "'Name!' is not the name of a bucket; it has 3 to 63"),
    ("doctor s3://{bucket}", 2, r"does not name an object; write s3://BUCKET/KEY"),
    ("doctor gs://{bucket}/a.mp4", 2, "gs:// is not known; give a path, s3://BUCKET/KEY, http"),
    ("index {endpoint}/{bucket}/none.mp4", 1, "none.mp4: its server does not let this file be read"),
    ("index http://127.0.0.1:1/a.mp4", 1, "http://127.0.0.1:1/a.mp4 could not be read: no connection"),
    ("bench {endpoint}/{bucket}/a.mp4", 2, "a server serves a folder or a bucket; give --url"),
    ("bench s3://{bucket}/none.mp4", 1, r"Video not found: none\.mp4"),
]


def is_one_sentence(run: Any, says: str) -> None:
    assert run.out == ""
    assert re.fullmatch(r"streamer: [^\n]+\n", run.err), run.err
    assert re.search(says, run.err), run.err
    assert "internal error" not in run.err
    assert SECRET_KEY not in run.err


@pytest.mark.parametrize(("line", "status", "says"), MISTAKES, ids=[line for line, _, _ in MISTAKES])
def test_mistake(
    line: str, status: int, says: str, minio: Store, bucket: str, streamer: Callable[..., Any]
) -> None:
    run = streamer(*shlex.split(line.format(bucket=bucket, endpoint=minio.endpoint)))
    assert run.status == status, run
    is_one_sentence(run, says)


@pytest.mark.parametrize(
    ("variables", "status", "says"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, 1, "the secret key does not fit the access key"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, 1, "does not know the access key"),
        ({"AWS_SESSION_TOKEN": "wrong"}, 1, "the session token is not valid"),
        ({"AWS_ACCESS_KEY_ID": ""}, 2, "only one is set"),
        ({"AWS_REGION": "eu west"}, 2, "it cannot be used: invalid region"),
        ({"AWS_ENDPOINT_URL": "https://{store}"}, 1, "it does not speak https; write http://"),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
            1,
            "http://127.0.0.1:1 could not be read: no connection",
        ),
        ({"AWS_ENDPOINT_URL": "localhost:9000"}, 2, "the endpoint must be http:// or https://"),
        ({"AWS_ENDPOINT_URL": "http://no-such-host.invalid"}, 1, "its host name is not known"),
    ],
)
def test_a_mistake_in_the_environment(
    minio: Store,
    bucket: str,
    streamer: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    status: int,
    says: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(store=minio.endpoint.removeprefix("http://")))
    for words in (("index",), ("decode", "--frame", "0")):
        run = streamer(words[0], f"s3://{bucket}/cam/{NAME}", *words[1:])
        assert run.status == status, run
        is_one_sentence(run, says)


def test_a_clock_that_is_off(
    bucket: str, streamer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests signed an hour ago, as a machine with a wrong clock signs them."""
    import minio.time as clock

    now = clock.utcnow
    monkeypatch.setattr(clock, "utcnow", lambda: now() - datetime.timedelta(hours=1))
    run = streamer("index", f"s3://{bucket}/cam/{NAME}")
    assert run.status == 1
    is_one_sentence(run, "the clock of this machine is wrong by more than 15 minutes")
