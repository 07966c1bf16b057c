"""Worker for ffbind on a bucket: `python -m benchmarks.peers.remote_ours [--http] [--index FOLDER]`."""

from __future__ import annotations

import argparse

import ffbind
from benchmarks.peers.bucket import url_of
from benchmarks.peers.ours import KEPT_BYTES, Ours
from benchmarks.peers.worker import serve
from streamer.storage import saved_index, source

__all__ = ["RemoteOurs"]


class RemoteOurs(Ours):
    """ffbind over `streamer.storage.source`.

    - `http`: the object is opened by its URL, as any web server's file, instead of by `s3://`
    - `index`: a folder of indexes that is looked into first, then beside the video; None: its table is read
    """

    def __init__(self, *, http: bool = False, index: str | None = None) -> None:
        self._http, self._index = http, index

    def open(self, path: str, threads: int, form: str) -> None:
        index = None if self._index is None else saved_index(path, folder=self._index)
        if self._index is not None and index is None:
            raise LookupError(f"{path} has no saved index")
        opened = source(url_of(path)) if self._http else source(path, index=index)
        self._video = ffbind.open(opened, index=index, threads=threads, kept_bytes=KEPT_BYTES)
        self._form = form

    def count_first(self, path: str) -> dict[str, float]:
        return {}  # the store counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--http", action="store_true")
    parser.add_argument("--index")
    options = parser.parse_args()
    serve(RemoteOurs(http=options.http, index=options.index))
