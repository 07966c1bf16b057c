"""`streamer index --save`: indexes of many videos, beside them or in a folder; fresh ones stay, what fails is told at the end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import Fault, Kind, Request, run_faulty
from linear import picture_hash
from stores import ACCESS_KEY, SECRET_KEY, Store, bucket_of, publish

import ffbind
from ffbind.hevc import Kind as PictureKind
from streamer.storage import IndexFolder, default_folder, place_of, saved_index, source

Streamer = Callable[..., Any]


@pytest.fixture
def folder(clip: Callable[[str], Path], tmp_path: Path) -> Path:
    """A folder of four videos."""
    made = tmp_path / "videos"
    made.mkdir()
    for name in ("plain.mp4", "fragmented.mp4", "cut_start.mp4", "open_gop.mp4"):
        shutil.copy(clip(name), made / name)
    return made


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of indexes, which is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return default_folder()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def stamps(paths: list[Path]) -> list[int]:
    return [path.stat().st_mtime_ns for path in paths]


def test_beside_files_each_opens_its_video(folder: Path, streamer: Streamer) -> None:
    videos = sorted(folder.glob("*.mp4"))
    run = streamer("index", "--save", *videos)
    assert (run.status, run.err) == (0, "")
    saved = [Path(f"{video}.ffindex") for video in videos]
    assert sorted(run.out.splitlines()) == [str(path) for path in saved]
    assert names(folder) == sorted(path.name for path in (*videos, *saved))
    for video, index in zip(videos, saved, strict=True):
        with ffbind.open(video, index=index) as opened, ffbind.open(video) as plain:
            assert opened.index == plain.index
            assert picture_hash(opened[-1]) == picture_hash(plain[-1])


def test_a_second_run_writes_only_what_is_missing_damaged_or_of_another_version(
    folder: Path, streamer: Streamer
) -> None:
    videos = sorted(folder.glob("*.mp4"))
    saved = [Path(f"{video}.ffindex") for video in videos]
    streamer("index", "--save", *videos)
    before = stamps(saved)
    run = streamer("index", "--save", *videos)
    assert (run.status, run.out, run.err) == (0, "4 of 4 had their index already\n", "")
    assert stamps(saved) == before
    saved[0].unlink()
    saved[1].write_bytes(saved[1].read_bytes()[:-1])
    os.utime(videos[2], ns=(1, 1))
    run = streamer("index", "--save", *videos)
    assert sorted(run.out.splitlines()) == sorted([*map(str, saved[:3]), "1 of 4 had their index already"])
    assert [ffbind.VideoIndex.load(path).identity for path in saved] == [
        source(path).identity for path in videos
    ]
    assert stamps(saved[3:]) == before[3:]


def test_kinds_that_are_wanted_and_not_there_are_no_fresh_index(folder: Path, streamer: Streamer) -> None:
    video, saved = folder / "plain.mp4", folder / "plain.mp4.ffindex"
    streamer("index", "--save", video)
    assert ffbind.VideoIndex.load(saved).samples["kind"].max() == PictureKind.UNKNOWN
    assert streamer("index", "--save", "--scan", video).out == f"{saved}\n"
    assert ffbind.VideoIndex.load(saved).samples["kind"].max() != PictureKind.UNKNOWN
    for words in (("--save", "--scan"), ("--save",)):
        assert "already" in streamer("index", *words, video).out


def test_a_folder_stands_for_the_videos_below(folder: Path, streamer: Streamer) -> None:
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "plain.mp4").rename(folder / "deep" / "er" / "A.MP4")
    (folder / "notes.txt").write_text("not asked for")
    run = streamer("index", "--save", f"{folder}/", folder / "deep" / "er" / "A.MP4")
    assert (run.status, run.err) == (0, "")
    expected = ["cut_start.mp4", "deep/er/A.MP4", "fragmented.mp4", "open_gop.mp4"]
    assert sorted(run.out.splitlines()) == [f"{folder}/{name}.ffindex" for name in expected]
    assert "4 of 4" in streamer("index", "--save", folder).out
    (folder / "empty").mkdir()
    run = streamer("index", "--save", folder / "empty")
    assert (run.status, run.err) == (
        1,
        f"streamer: {folder}/empty: nothing below it is called .mp4, .mov, .m4v\n",
    )


@pytest.mark.parametrize("jobs", [1, 3])
def test_what_fails_is_told_at_the_end_and_the_others_are_done(
    folder: Path, streamer: Streamer, jobs: int
) -> None:
    (folder / "text.mp4").write_text("This is not a video.\n" * 10)
    videos = [folder / "missing.mp4", folder / "plain.mp4", folder / "text.mp4", folder / "open_gop.mp4"]
    run = streamer("index", "--save", "--jobs", jobs, *videos)
    assert run.status == 1
    assert sorted(run.out.splitlines()) == [f"{folder}/open_gop.mp4.ffindex", f"{folder}/plain.mp4.ffindex"]
    first, second = run.err.splitlines()
    assert first == f"streamer: {folder}/missing.mp4: No such file; check the path"
    assert second.startswith(f"streamer: {folder}/text.mp4: ")
    assert "Traceback" not in run.err


def test_a_folder_that_cannot_be_written_is_a_sentence_for_each(folder: Path, streamer: Streamer) -> None:
    run = streamer("index", "--cache", folder / "plain.mp4", folder / "plain.mp4")
    assert (run.status, run.out) == (1, "")
    assert re.fullmatch(r"streamer: \S+plain\.mp4: file exists\n", run.err)


def test_in_a_folder_under_names_made_from_paths(
    folder: Path, tmp_path: Path, streamer: Streamer, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = sorted(folder.glob("*.mp4"))
    cache = tmp_path / "indexes"
    monkeypatch.chdir(folder)
    run = streamer("index", "--cache", cache, *(video.name for video in videos))
    assert run.status == 0
    assert names(folder) == [video.name for video in videos]
    assert len(names(cache)) == 4
    for video in videos:
        index = saved_index(video, folder=cache)
        assert index is not None
        assert index.identity == source(video).identity
        assert saved_index(video) is None
        assert oct(cache.stat().st_mode & 0o777) == "0o700"
    assert "4 of 4" in streamer("index", "--cache", cache, *videos).out, "by another way of writing the paths"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--beside --cache x {video}", "either --beside or --cache"),
        ("--save --json {video}", "-o FILE and --json write a table"),
        ("--save -o x.csv {video}", "-o FILE and --json write a table"),
        ("{video} {video}", "2 videos are given.*--save"),
        ("--save --jobs 0 {video}", "--jobs"),
        ("--beside {video} http://127.0.0.1:1/a.mp4", "http://127.0.0.1:1/a.mp4: nothing can be written"),
    ],
)
def test_mistakes_are_said_before_anything_is_done(
    folder: Path, streamer: Streamer, line: str, says: str
) -> None:
    before = names(folder)
    run = streamer("index", *line.format(video=folder / "plain.mp4").split())
    assert (run.status, run.out) == (2, "")
    assert re.search(says, run.err), run.err
    assert run.err.count("\n") == 1
    assert names(folder) == before


# ---- in buckets ----------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(minio: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket with the four videos, and an environment that leads to it."""
    name = bucket_of(minio)
    for video in folder.iterdir():
        minio.admin().fput_object(bucket_name=name, object_name=f"cam/{video.name}", file_path=str(video))
    for variable in ("AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "S3_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", minio.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    return name


def objects(minio: Store, bucket: str) -> list[str]:
    return [entry.object_name for entry in minio.admin().list_objects(bucket_name=bucket, recursive=True)]


def test_indexes_of_a_bucket_go_into_the_folder_and_nothing_into_the_bucket(
    minio: Store, bucket: str, folder: Path, cache: Path, streamer: Streamer
) -> None:
    before = objects(minio, bucket)
    urls = [f"s3://{bucket}/{name}" for name in before]
    run = streamer("index", "--save", *urls)
    assert (run.status, run.err) == (0, "")
    assert objects(minio, bucket) == before
    assert sorted(run.out.splitlines()) == sorted(str(cache / name) for name in names(cache))
    for url in urls:
        assert IndexFolder(cache).path(place_of(url)).exists()
    assert "4 of 4" in streamer("index", "--save", *urls).out


def test_beside_the_objects_only_when_asked(
    minio: Store, bucket: str, cache: Path, streamer: Streamer
) -> None:
    before = objects(minio, bucket)
    urls = [f"s3://{bucket}/{name}" for name in before]
    run = streamer("index", "--beside", *urls)
    assert (run.status, run.err) == (0, "")
    assert sorted(run.out.splitlines()) == sorted(f"{url}.ffindex" for url in urls)
    assert sorted(objects(minio, bucket)) == sorted([*before, *(f"{name}.ffindex" for name in before)])
    assert not cache.exists()
    for words in (urls, [f"s3://{bucket}/"], [f"s3://{bucket}/cam/"]):
        assert "4 of 4" in streamer("index", "--beside", *words).out


def test_a_replaced_object_gets_another_index(
    minio: Store, bucket: str, folder: Path, streamer: Streamer
) -> None:
    url = f"s3://{bucket}/cam/plain.mp4"
    streamer("index", "--beside", url)
    path = str(folder / "open_gop.mp4")
    minio.admin().fput_object(bucket_name=bucket, object_name="cam/plain.mp4", file_path=path)
    assert streamer("index", "--beside", url).out == f"{url}.ffindex\n"
    index = saved_index(url)
    assert index is not None
    with ffbind.open(source(url, index=index), index=index) as video, ffbind.open(path) as local:
        assert picture_hash(video[7]) == picture_hash(local[7])


def test_of_a_web_server_in_the_folder(minio: Store, bucket: str, cache: Path, streamer: Streamer) -> None:
    publish(minio, bucket)
    url = f"{minio.endpoint}/{bucket}/cam/plain.mp4"
    assert streamer("index", "--save", url).status == 0
    index = saved_index(url)
    assert index is not None
    with ffbind.open(source(url), index=index) as video:
        assert len(video) == 50
    assert place_of(url.replace("http://", "http://name:secret@")) == place_of(url)


def test_a_store_that_forbids_what_is_not_there(
    minio: Store, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As one does whose bucket may not be listed: there is no index, and that is no error."""
    publish(minio, bucket)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert saved_index(f"s3://{bucket}/cam/plain.mp4") is None


def test_a_bucket_that_may_not_be_written_is_one_sentence(
    minio: Store, bucket: str, streamer: Streamer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    publish(minio, bucket)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    before = objects(minio, bucket)
    run = streamer("index", "--beside", f"s3://{bucket}/cam/plain.mp4")
    assert (run.status, run.out) == (1, "")
    assert re.fullmatch(
        rf"streamer: s3://{bucket}/cam/plain\.mp4: \S+ does not let anonymous requests write cam/plain\.mp4\.ffindex\n",
        run.err,
    )
    assert objects(minio, bucket) == before


def test_a_run_that_was_killed_is_gone_on_with(
    minio: Store, bucket: str, folder: Path, tmp_path: Path
) -> None:
    """The real command, ended while the store keeps the last video back: what was written stays, and nothing half is there."""
    urls = [f"s3://{bucket}/cam/{name}" for name in names(folder)]
    cache = tmp_path / "indexes"
    command = [sys.executable, "-m", "streamer_cli", "index", "--cache", str(cache), "--jobs", "1", *urls]
    last = names(folder)[-1]
    waits = threading.Event()

    def plan(request: Request) -> Fault | None:
        if last not in request.target:
            return None
        waits.set()
        return Fault(Kind.LATE, seconds=3600)

    with run_faulty(minio, plan=plan) as faulty:
        environment = {**os.environ, "AWS_ENDPOINT_URL": faulty.endpoint.url}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        assert waits.wait(60)
        process.kill()
        process.wait()
        assert len(names(cache)) == 3
        faulty.endpoint.plan = lambda request: None
        run = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
        (written, summary) = run.stdout.splitlines()
        assert summary == "3 of 4 had their index already"
        assert len(names(cache)) == 4
        assert Path(written).parent == cache


@pytest.mark.parametrize("where", ["folder", "beside"])
def test_ctrl_c_says_how_many_were_saved_and_how_to_go_on(
    where: str, minio: Store, bucket: str, folder: Path, tmp_path: Path
) -> None:
    """The real command, while the store keeps the last video back, and so a thread busy: it ends all the same."""
    cache = tmp_path / "indexes"
    places = ["--beside"] if where == "beside" else ["--cache", str(cache)]
    command = [sys.executable, "-m", "streamer_cli", "index", *places, "--jobs", "1", f"s3://{bucket}/cam/"]
    last = names(folder)[-1]
    waits = threading.Event()

    def plan(request: Request) -> Fault | None:
        if not request.target.endswith(last):
            return None
        waits.set()
        return Fault(Kind.LATE, seconds=3600)

    def written() -> list[str]:
        return (
            names(cache)
            if where == "folder"
            else [key for key in objects(minio, bucket) if key.endswith(".ffindex")]
        )

    with run_faulty(minio, plan=plan) as faulty:
        environment = {**os.environ, "AWS_ENDPOINT_URL": faulty.endpoint.url}
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert waits.wait(60)
        process.send_signal(signal.SIGINT)
        out, problems = process.communicate(timeout=60)
        assert process.returncode == 130
        assert problems == (
            "streamer: interrupted; 3 of 4 indexes were saved; the same command goes on with the others\n"
        )
        assert len(out.splitlines()) in (2, 3)  # the last name may not have been printed yet
        assert len(written()) == 3
        faulty.endpoint.plan = lambda request: None
        run = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
        assert run.stdout.splitlines()[-1] == "3 of 4 had their index already"
        assert len(written()) == 4
