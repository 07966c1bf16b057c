"""`streamer index --save`: the indexes of many videos, each put where it will be looked for; one that is there and fresh stays."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Self

import numpy as np

import ffbind
from ffbind.errors import FFbindError
from ffbind.hevc import Kind
from ffbind.index import VideoIndex
from ffbind.sources import FileSource, Source
from streamer.storage import (
    INDEX_SUFFIX,
    IndexFolder,
    LocalStorage,
    S3Options,
    S3OptionsError,
    S3Storage,
    Storage,
    StorageError,
    WritableS3Storage,
    beside,
    bucket_and_key,
    default_folder,
    is_bucket_url,
    is_url,
    load_if_there,
    place_of,
    source,
)

from .console import Mistake, err, out, progress, say
from .source import index_of

__all__ = ["save_indexes"]


_LOOK_SECONDS = 0.1
"""How often it is looked whether an interrupt came, while nothing else happens."""

_SUFFIXES = (".mp4", ".mov", ".m4v")
"""What videos in folders and buckets are called; others are indexed where they are named themselves."""


@dataclass(frozen=True, slots=True)
class _Target:
    """Where the index of one video is kept; `load` gives None where there is none."""

    name: str
    load: Callable[[], VideoIndex | None]
    save: Callable[[VideoIndex], object]


class _Saves:
    """Lets threads save indexes until it is stopped, and counts those that they saved."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._stopped = False
        self._running = 0
        self.done = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Go around the saving of one index. Raises KeyboardInterrupt where it has been stopped."""
        with self._changed:
            if self._stopped:
                raise KeyboardInterrupt
            self._running += 1
        saved = 0
        try:
            yield
            saved = 1
        finally:
            with self._changed:
                self._running -= 1
                self.done += saved
                self._changed.notify_all()

    def stop(self) -> None:
        """Let none begin any more, and wait for those under way."""
        with self._changed:
            self._stopped = True
            self._changed.wait_for(lambda: not self._running)


class _Interrupts:
    """Notes Ctrl-C while it is entered, instead of an exception, which is lost where it comes up in what Python calls by itself.

    A second one raises KeyboardInterrupt. Where interrupts are ignored, as in the background of a shell, they stay so.
    """

    def __init__(self) -> None:
        self.came = False
        self._before = signal.getsignal(signal.SIGINT)

    def __enter__(self) -> Self:
        if self._before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = True


def save_indexes(
    names: Sequence[str], *, folder: Path | None, beside_videos: bool, scan: bool, jobs: int
) -> int:
    """Write what is missing or of another version, `jobs` videos at a time; give the exit status, 1 where some failed.

    `names`: videos; folders, and URLs of buckets that end in a slash, stand for all videos below. Indexes go beside their videos with
    `beside_videos`, else into `folder`; where neither is given, beside files and into the folder of indexes for URLs. Prints a line for
    each index that was written, and at the end what failed. Raises Mistake before anything is done.

    Ctrl-C ends the process with status 130, when what is being saved is saved, and says how many were.
    """
    videos = list(dict.fromkeys(video for name in names for video in _videos_of(name)))
    for video in videos:
        if beside_videos and is_url(video) and not is_bucket_url(video):
            raise Mistake(
                f"{video}: nothing can be written beside a file on a web server; leave --beside out"
            )
    passed = 0
    written_names: list[str] = []
    failures: dict[int, str] = {}
    saves = _Saves()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="index")
    running: dict[Future[str | None], int] = {}
    try:
        with _Interrupts() as interrupts, progress("videos") as bar:
            task = bar.add_task("Indexing", total=len(videos), note="")
            for number, video in enumerate(videos):
                running[pool.submit(_save, video, folder, beside_videos, scan, saves)] = number
            for future in _completed(running, interrupts):
                number = running[future]
                try:
                    written = future.result()
                except (FFbindError, StorageError, S3OptionsError, OSError) as error:
                    failures[number] = _sentence(videos[number], error)
                else:
                    if written is None:
                        passed += 1
                    elif out.is_terminal:
                        written_names.append(written)  # the bar stands there meanwhile
                    else:
                        say(written)
                bar.update(task, advance=1, note=f"{len(failures)} failed" if failures else "")
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        with suppress(KeyboardInterrupt):  # a second time: without waiting
            saves.stop()
        for name in written_names:
            say(name)
        had = f" and {passed} had theirs already" if passed else ""
        err.print(
            f"streamer: interrupted; {saves.done} of {len(videos)} indexes were saved{had}; the same command "
            "goes on with the others",
            markup=False,
            soft_wrap=True,
        )
        sys.stdout.flush()
        sys.stderr.flush()
        # Not by way of the interpreter's end, which would wait for threads that wait for a store.
        os._exit(130)
    finally:
        pool.shutdown(cancel_futures=True)
    for name in written_names:
        say(name)
    if passed:
        say(f"{passed} of {len(videos)} had their index already")
    for _, sentence in sorted(failures.items()):
        err.print(f"streamer: {sentence}", markup=False, soft_wrap=True)
    return 1 if failures else 0


def _completed(
    running: Iterable[Future[str | None]], interrupts: _Interrupts
) -> Iterator[Future[str | None]]:
    """Give futures as they are done. Raises KeyboardInterrupt soon after an interrupt came."""
    pending = set(running)
    while pending:
        done, pending = wait(pending, _LOOK_SECONDS, FIRST_COMPLETED)
        if interrupts.came:
            raise KeyboardInterrupt
        yield from done


def _videos_of(name: str) -> Iterator[str]:
    """Give the videos below a folder or a prefix, in the order of their paths; anything else is a video itself. Raises Mistake."""
    storage: Storage
    if not is_url(name) and Path(name).is_dir():
        storage, base, prefix = LocalStorage(name), name.rstrip("/") + "/", ""
    elif is_bucket_url(name) and name.endswith("/"):
        bucket, _, prefix = name[len("s3://") :].partition("/")
        storage, base = S3Storage(S3Options.from_environment(bucket)), f"s3://{bucket}/"
    else:
        yield name
        return
    found, cursor = 0, None
    while True:
        page = storage.list(prefix, cursor=cursor)
        for entry in page.objects:
            if entry.path.lower().endswith(_SUFFIXES):
                found += 1
                yield base + entry.path
        cursor = page.cursor
        if cursor is None:
            break
    if not found:
        raise Mistake(f"{name}: nothing below it is called {', '.join(_SUFFIXES)}", 1)


def _save(video: str, folder: Path | None, beside_videos: bool, scan: bool, saves: _Saves) -> str | None:
    """Write the index of one video and give its name; None where a good one is there."""
    target = _target(video, folder, beside_videos)
    found = source(video)
    try:
        if _is_fresh(target, found, scan):
            return None
        with ffbind.open(found) as opened:
            index = index_of(opened, scan=scan)
    finally:
        if isinstance(found, FileSource):
            found.close()
    with saves.one():
        target.save(index)
    return target.name


def _is_fresh(target: _Target, found: Source, scan: bool) -> bool:
    try:
        index = target.load()
        if index is None:
            return False
        index.check(found)
    except FFbindError:
        return False  # damaged, or of another version: made anew
    return not scan or not bool(np.any(index.samples["kind"] == Kind.UNKNOWN))


def _target(video: str, folder: Path | None, beside_videos: bool) -> _Target:
    if folder is None and (beside_videos or not is_url(video)):
        if is_url(video):
            return _in_bucket(video)
        path = Path(video + INDEX_SUFFIX)
        return _Target(
            str(path),
            lambda: load_if_there(path),
            lambda index: index.save(path),
        )
    indexes = IndexFolder(folder or default_folder())
    place = place_of(video)
    return _Target(
        str(indexes.path(place)), lambda: indexes.load(place), lambda index: indexes.save(place, index)
    )


def _in_bucket(video: str) -> _Target:
    bucket, key = bucket_and_key(video)
    storage = WritableS3Storage(S3Options.from_environment(bucket))
    return _Target(
        video + INDEX_SUFFIX,
        lambda: beside(storage, key),
        lambda index: storage.write(key + INDEX_SUFFIX, index.to_bytes()),
    )


def _sentence(video: str, error: Exception) -> str:
    """Say what went wrong with a video, in one sentence that names it."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror and not isinstance(error, FFbindError):
        text = f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror.lower()
    text = " ".join(text.split())
    return text if video in text else f"{video}: {text}"
