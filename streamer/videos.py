"""Videos in use by connections: looked up, indexed and opened once for all who set the same one."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ffbind import magic
from ffbind.errors import CorruptError, FFbindError, NotVideoError, SourceChangedError, UnsupportedError
from ffbind.fetching import FetchingSource
from ffbind.index import VideoIndex
from ffbind.isobmff import open_table, read_index

from .fetcher import Fetcher
from .lanes.pool import Failure, LanePool, LaneVideo, Outcome
from .messages import Code
from .storage import HEAD_BYTES, Look, ObjectInfo, ObjectSource, SavedIndexes, Storage, StorageError

__all__ = ["OpenError", "Table", "Videos", "read_table_of"]

_log = logging.getLogger(__name__)

IDLE_VIDEOS = 16  # kept after the last connection let go, since viewers come back
_MEDIA_BYTES = 1 << 20  # that came with a table, and are kept
PROOF_BYTES = 8 << 20  # of the first sample, which an index from elsewhere says is so long


class OpenError(Exception):
    """A video that cannot be served; `code` and text go to the client."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


class Table(NamedTuple):
    """An index, or a table that is read as frames need it, packed for the lanes, and what came with it of the media.

    `media`: bytes from the first sample on, which is at `media_offset`.
    """

    packed: bytes
    media_offset: int
    media: bytes


@dataclass(slots=True, eq=False)
class _Entry:
    opening: asyncio.Task[LaneVideo]
    users: int = 0


class Videos:
    """The videos that connections have set. Used on the event loop only; what blocks runs in `executor`."""

    def __init__(
        self,
        storage: Storage,
        fetcher: Fetcher,
        pool: LanePool,
        executor: Executor,
        *,
        open_timeout: float,
        indexes: SavedIndexes | None = None,
    ) -> None:
        self._storage = storage
        self.indexes = SavedIndexes(storage) if indexes is None else indexes
        self._fetcher = fetcher
        self._pool = pool
        self._executor = executor
        self._open_timeout = open_timeout
        self._entries: OrderedDict[ObjectInfo, _Entry] = OrderedDict()

    def __len__(self) -> int:
        """Count the videos that are open, those in use and those kept."""
        return len(self._entries)

    async def acquire(self, path: str) -> LaneVideo:
        """Open a video for one user; pair it with `release`. Raises OpenError."""
        try:
            async with asyncio.timeout(self._open_timeout):
                return await self._acquire(path)
        except TimeoutError:
            raise OpenError(
                Code.STORAGE_UNAVAILABLE,
                f"Opening {path} took longer than {self._open_timeout:g} s; try again",
            ) from None
        except StorageError as error:
            raise OpenError(error.code, str(error)) from None
        except FFbindError as error:
            raise OpenError(Code.of(error.code), _named(path, str(error))) from None
        except OSError as error:
            raise OpenError(Code.STORAGE_UNAVAILABLE, f"{path} could not be read: {error.strerror}") from None
        except OpenError:
            raise
        except Exception as error:
            _log.exception("Opening %s failed in an unexpected way", path)
            raise OpenError(
                Code.INTERNAL, f"Opening {path} failed unexpectedly; the server's log has more"
            ) from error

    def release(self, video: LaneVideo) -> None:
        """Let go of a video; it is kept a while for whoever sets it next."""
        entry = self._entries.get(video.info)
        if entry is not None:
            self._let_go(video.info, entry)

    async def _acquire(self, path: str) -> LaneVideo:
        loop = asyncio.get_running_loop()
        if not any(info.path == path for info in self._entries):
            for place in self.indexes.places:
                index = await loop.run_in_executor(self._executor, self.indexes.load, place, path)
                if index is None:
                    continue
                info = ObjectInfo(path, index.size, index.identity)
                try:
                    return await self._use(Look(info), index)
                except (SourceChangedError, CorruptError, OpenError) as error:
                    # A hint that was wrong, of another version as a rule, is not the client's trouble.
                    self.indexes.refuse(place, path, error)
                    self._fetcher.forget(info)  # what proved it once proves nothing later
            looked = await loop.run_in_executor(self._executor, self._storage.look, path, HEAD_BYTES)
        else:
            # Whether a video that is open is still the one that is stored, only the store knows.
            looked = Look(await loop.run_in_executor(self._executor, self._storage.stat, path))
        self._fetcher.found(looked.info)
        return await self._use(looked)

    async def _use(self, looked: Look, index: VideoIndex | None = None) -> LaneVideo:
        """Add a user to a version of a video, which is opened for the first one: by `index`, if there is one, else by its table."""
        info = looked.info
        entry = self._entries.get(info)
        if entry is None:
            entry = self._entries[info] = _Entry(asyncio.create_task(self._open(looked, index)))
        entry.users += 1
        self._entries.move_to_end(info)
        try:
            # Shielded, so that a client who leaves takes nothing from another who waits for the same video.
            return await asyncio.shield(entry.opening)
        except BaseException:
            self._let_go(info, entry)
            raise

    async def _open(self, looked: Look, hint: VideoIndex | None) -> LaneVideo:
        loop = asyncio.get_running_loop()
        info = looked.info
        if hint is None:
            source = ObjectSource(self._storage, looked)
            keep = self.indexes.keep if self.indexes.writes else None
            table = await loop.run_in_executor(self._executor, read_table_of, source, info.path, keep)
            index = table.packed
            if source.brought:  # by a store; a file is read again as cheaply, and whether it still is the one that was set is seen then
                self._fetcher.put(info, table.media_offset, table.media)
        else:
            await self._prove(info, hint)
            index = await loop.run_in_executor(self._executor, pickle.dumps, hint, 5)
        video = self._pool.add_video(info, index)
        answer: asyncio.Future[Outcome] = loop.create_future()
        job = self._pool.open(video, answer.set_result)
        try:
            outcome = await answer
            if isinstance(outcome, Failure):
                raise OpenError(outcome.code, _named(info.path, outcome.message))
        except BaseException:
            self._pool.cancel(job)
            self._pool.remove_video(video)
            raise
        self.indexes.used += hint is not None
        return video

    async def _prove(self, info: ObjectInfo, index: VideoIndex) -> None:
        """See that the store still has the version of an index, by reading the first sample of just that version.

        It is what the first frame is made from, and what tells for any frame whether parameter sets come in the samples; the fetcher
        keeps it. Raises SourceChangedError, CorruptError, and what the store's reads raise.
        """
        sizes = index.samples["size"]
        row = int(np.argmax(sizes > 0))
        offset = int(index.samples["offset"][row])
        length = min(int(sizes[row]), PROOF_BYTES, info.size - offset)
        if length <= 0:
            raise CorruptError("its first sample lies outside the file")
        await self._fetcher.read(info, [(offset, length)])

    def _let_go(self, info: ObjectInfo, entry: _Entry) -> None:
        entry.users -= 1
        opening = entry.opening
        if entry.users == 0 and (
            not opening.done() or opening.cancelled() or opening.exception() is not None
        ):
            opening.cancel()
            if self._entries.get(info) is entry:
                del self._entries[info]
            return
        idle = [key for key, other in self._entries.items() if other.users == 0]
        for key in idle[: max(0, len(idle) - IDLE_VIDEOS)]:
            self._pool.remove_video(self._entries.pop(key).opening.result())
            self._fetcher.forget(key)


def _named(path: str, message: str) -> str:
    """Say which video a message is about, where it does not do so itself."""
    return message if path in message else f"{path}: {message}"


def read_table_of(
    source: ObjectSource, path: str, keep: Callable[[str, VideoIndex], None] | None = None
) -> Table:
    """Read the sample table (numpy, no native parser) and pack it for the lane.

    All of it where there is `keep`, which is given it with the path; else, of a long fragmented file, what is needed to open it.
    """
    fetching = FetchingSource(source)
    try:
        try:
            table = open_table(fetching) if keep is None else read_index(fetching)
            index = table if isinstance(table, VideoIndex) else table.partial.index
            if keep is not None:
                keep(path, index)
            first = int(index.samples["offset"][0]) if len(index.samples) else 0
            media = max(
                bytes(fetching.at_hand(first, _MEDIA_BYTES)), source.held(first, _MEDIA_BYTES), key=len
            )
            return Table(pickle.dumps(table, protocol=5), first, media)
        except NotVideoError:
            _refuse_streams(fetching)
            raise
    except (FFbindError, StorageError) as error:
        # Without its frames, which hold all that was read and would live until the collector finds them.
        raise error.with_traceback(None) from None
    finally:
        fetching.close()


def _refuse_streams(source: FetchingSource) -> None:
    """Say of files that only the library opens why the server does not: their samples are found by a native parser."""
    container = magic.name_container(bytes(source.read_at(0, magic.HEAD_BYTES))) if source.size else None
    if container is not None:
        raise UnsupportedError(
            f"a {container} file is not served, only MP4 and MOV are; put it into MP4 without re-encoding: "
            "ffmpeg -i IN -c copy OUT.mp4"
        )
