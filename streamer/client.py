"""A client of the base protocol: set a video, ask for frames, take the answers."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self, TypeAlias

import websockets
from websockets.asyncio.client import ClientConnection, connect

from .messages import (
    Error,
    Frame,
    FrameError,
    FrameRequest,
    MessageError,
    RequestFrames,
    SetVideo,
    VideoSet,
    decode_server_message,
    encode,
)

__all__ = ["Answer", "Client", "ClientError", "ErrorAnswer", "FrameAnswer", "SetVideoError"]

MAX_JPEG = 512 * 1024 * 1024


class ClientError(Exception):
    """The connection failed, or the server does not follow the protocol."""


class SetVideoError(ClientError):
    """The server refused the video; `code` is the protocol's word for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class FrameAnswer:
    """A frame: `index` as it was asked with, byte `offset` of its sample, its JPEG, its announcement (with the receipt)."""

    index: int
    offset: int
    jpeg: bytes
    meta: Frame


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """A frame that cannot be given; or, with `index` and `offset` None, a message that the server refused."""

    index: int | None
    offset: int | None
    code: str
    message: str
    retryable: bool


Answer: TypeAlias = FrameAnswer | ErrorAnswer


class Client:
    """One connection to a server; use it from one task.

    ```
    async with Client.connect("ws://localhost:3000/ws") as client:
        await client.set_video("videos/a.mp4")
        await client.request_frames(48, [(48, 0), (1500, 1)])
        async for answer in client.answers():
            ...
    ```
    """

    def __init__(self, ws: ClientConnection) -> None:
        self._ws = ws
        self._early: deque[Answer] = deque()

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, *, open_timeout: float = 10.0) -> AsyncIterator[Self]:
        """Connect to `url` (`ws://host:port/ws`). Raises ClientError."""
        try:
            ws = await connect(
                url, compression=None, max_size=MAX_JPEG, max_queue=64, open_timeout=open_timeout, proxy=None
            )
        except (OSError, websockets.WebSocketException) as error:
            raise ClientError(f"Cannot connect to {url}: {error}; is the server running there?") from error
        try:
            yield cls(ws)
        finally:
            await ws.close()

    async def set_video(self, path: str) -> None:
        """Choose the video and wait until it is open. Raises SetVideoError when the server refuses it.

        Answers to frames that were still pending are kept for `answer`.
        """
        await self._send(encode(SetVideo(path=path)))
        while True:
            message = await self._receive()
            if isinstance(message, VideoSet):
                break
            self._early.append(message)
        if not message.ok:
            reason = await self._receive()
            if not isinstance(reason, ErrorAnswer):
                raise ClientError("the server refused the video without saying why")
            raise SetVideoError(reason.code, reason.message)

    async def request_frames(
        self, irap_offset: int, frames: Iterable[tuple[int, int]], *, timing: bool = False
    ) -> None:
        """Ask for frames, `(offset, index)` each, that can be decoded from the IRAP at `irap_offset`.

        `timing`: with a receipt in the `meta` of each answer, as far as the server gives them.
        """
        wanted = tuple(FrameRequest(offset=offset, index=index) for offset, index in frames)
        await self._send(encode(RequestFrames(irap_offset=irap_offset, frames=wanted, timing=timing)))

    async def answer(self) -> Answer:
        """Wait for the next answer; they come in the order of the requests. Raises ClientError at the end."""
        if self._early:
            return self._early.popleft()
        message = await self._receive()
        if isinstance(message, VideoSet):
            raise ClientError("the server sent a VideoSet that nobody asked for")
        return message

    async def answers(self) -> AsyncIterator[Answer]:
        """All answers until the connection ends, which is a ClientError."""
        while True:
            yield await self.answer()

    async def _send(self, text: bytes) -> None:
        try:
            await self._ws.send(text, text=True)
        except websockets.ConnectionClosed as error:
            raise ClientError(f"The connection has ended: {error}") from error

    async def _receive(self) -> Answer | VideoSet:
        try:
            text = await self._ws.recv(decode=False)
            message = decode_server_message(text)
            if isinstance(message, Frame):
                jpeg = await self._ws.recv(decode=False)
                if len(jpeg) != message.size:
                    raise ClientError(f"a frame of {message.size} bytes was announced, {len(jpeg)} came")
                return FrameAnswer(message.index, message.offset, jpeg, message)
        except websockets.ConnectionClosed as error:
            raise ClientError(f"The connection has ended: {error}") from error
        except MessageError as error:
            raise ClientError(str(error)) from error
        if isinstance(message, FrameError):
            return ErrorAnswer(
                message.index,
                message.offset,
                message.code or message.error,
                message.message,
                message.retryable,
            )
        if isinstance(message, Error):
            return ErrorAnswer(None, None, message.code, message.message, message.retryable)
        return message
