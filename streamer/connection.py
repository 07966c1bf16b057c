"""Protocol state of one connection, without sockets: messages and results go in, actions come out.

A connection is a queue of answers in the order of the questions:

    received    SetVideo  RequestFrames(a b c)  garbage  RequestFrames(d)
    answers     VideoSet   Frame a  Frame b  Frame c  Error  Frame d        <- sent from the left
                           done     waiting  done     done   waiting

An answer is sent when it is known and everything to its left has been sent. So results may arrive in any
order, and the client still sees its own order. The shell around this class (server.py) performs the actions
and reports back; it never decides anything about the protocol. No method blocks, none raises for anything a
client sends.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from .messages import (
    RETRYABLE,
    ClientMessage,
    Code,
    Error,
    Frame,
    FrameError,
    MessageError,
    Receipt,
    RequestFrames,
    SetVideo,
    VideoSet,
    decode_client_message,
    encode,
)

__all__ = ["Action", "CancelDecode", "CloseVideo", "Connection", "Decode", "Limits", "OpenVideo", "Send"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may ask for, so that memory and waiting work stay bounded."""

    message_bytes: int = 256 * 1024
    """A longer text message is answered too_large."""
    frames_per_request: int = 1024
    """A longer request is answered too_many_frames."""
    frames_in_flight: int = 4096
    """A request that would leave more frames unanswered is answered busy."""
    frames_ahead: int = 16
    """Frames given out as work and not yet sent: all that a client that does not read can make us hold."""
    bytes_ahead: int = 32 * 1024 * 1024
    """No new work is given out while so many bytes of JPEG wait to be sent."""


@dataclass(frozen=True, slots=True)
class OpenVideo:
    """Open this path; then call `video_opened` or `video_failed`."""

    path: str


@dataclass(frozen=True, slots=True)
class CloseVideo:
    """The video that is open is no longer used."""


@dataclass(frozen=True, slots=True)
class Decode:
    """Decode this frame of the open video; then call `frame_done` or `frame_failed` with the ticket."""

    ticket: int
    offset: int
    irap_offset: int
    asked: float | None = None
    """When the request came, by the connection's clock, where it wants a receipt; else None."""


@dataclass(frozen=True, slots=True)
class CancelDecode:
    """The result of this ticket is not wanted any more; one that still comes is ignored."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send `text` as a text message and, where there is one, `binary` at once behind it; then call `sent`."""

    text: bytes
    binary: bytes | None = None


Action: TypeAlias = OpenVideo | CloseVideo | Decode | CancelDecode | Send


@dataclass(slots=True, eq=False)
class _Answer:
    """One place in the queue of answers."""

    message: Send | None = None
    ticket: int = 0
    """Of a frame; 0 for other answers."""
    index: int = 0
    offset: int = 0
    irap_offset: int = 0
    asked: float | None = None
    given_out: bool = False


class Connection:
    """The base protocol as a state machine.

    `receive_text` and `receive_binary` take what the client sends, `video_opened`, `video_failed`,
    `frame_done`, `frame_failed` and `sent` what the shell has done. After each call, `actions()` gives what
    is to be done next, in order. `clock` gives seconds, for the receipts of frames.
    """

    def __init__(self, limits: Limits | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits or Limits()
        self._clock = clock
        self._actions: list[Action] = []
        self._answers: deque[_Answer] = deque()
        self._waiting: deque[_Answer] = deque()
        self._working: dict[int, _Answer] = {}
        self._inbox: deque[Callable[[], None]] = deque()
        self._opening: str | None = None
        self._video_is_set = False
        self._draining = False
        self._closed = False
        self._next_ticket = 1
        self._unanswered = 0
        self._unsent = 0
        self._frames_ahead = 0
        self._bytes_ahead = 0

    # ---- what the shell asks -------------------------------------------------------------------------------

    def actions(self) -> list[Action]:
        """Take what is to be done since the last call, in order."""
        actions, self._actions = self._actions, []
        return actions

    @property
    def wants_input(self) -> bool:
        """False while the next message should stay in the socket: a video opens, or many answers wait."""
        return (
            self._opening is None
            and not self._inbox
            and len(self._answers) + self._unsent < self.limits.frames_in_flight + 64
        )

    @property
    def idle(self) -> bool:
        """True when every question was answered and every answer sent."""
        return not self._answers and not self._unsent and self._opening is None and not self._inbox

    @property
    def unanswered_frames(self) -> int:
        """Frames that were requested and have no answer yet."""
        return self._unanswered

    # ---- what the client sends -----------------------------------------------------------------------------

    def receive_text(self, text: str | bytes) -> None:
        """Take a text message of the client."""
        raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        if len(raw) > self.limits.message_bytes:
            self._do(
                lambda: self._answer_error(
                    Code.TOO_LARGE,
                    f"The message has {len(raw)} bytes, the limit is {self.limits.message_bytes}; "
                    "send smaller requests",
                )
            )
            return
        try:
            message = decode_client_message(raw)
        except MessageError as error:
            code, reason = error.code, str(error)
            self._do(lambda: self._answer_error(code, reason))
            return
        self._do(lambda: self._handle(message))

    def receive_binary(self, data: bytes) -> None:
        """Take a binary message of the client, which has no meaning in the protocol."""
        self._do(
            lambda: self._answer_error(
                Code.BAD_MESSAGE,
                f"A binary message of {len(data)} bytes was not expected; send JSON text messages",
            )
        )

    # ---- what the shell has done ---------------------------------------------------------------------------

    def video_opened(self) -> None:
        """Report that the video of the last `OpenVideo` is ready."""
        if self._closed:
            self._actions.append(CloseVideo())
            return
        path, self._opening = self._expect_opening(), None
        self._video_is_set = True
        self._answer(VideoSet(path=path, ok=True))
        self._continue()

    def video_failed(self, code: Code, message: str) -> None:
        """Report that the video of the last `OpenVideo` cannot be served."""
        if self._closed:
            return
        path, self._opening = self._expect_opening(), None
        self._answer(VideoSet(path=path, ok=False))
        self._answer_error(code, message)
        self._continue()

    def frame_done(self, ticket: int, jpeg: bytes, receipt: Receipt | None = None) -> None:
        """Report the picture of a ticket, with its receipt if one was wanted; a ticket that was cancelled is ignored."""
        answer = self._working.pop(ticket, None)
        if answer is not None:
            self._bytes_ahead += len(jpeg)
            self._finish(answer, Frame.of(answer.index, answer.offset, len(jpeg), receipt), jpeg)
            self._advance()

    def frame_failed(self, ticket: int, code: Code, message: str) -> None:
        """Report that the frame of a ticket cannot be given; a ticket that was cancelled is ignored."""
        answer = self._working.pop(ticket, None)
        if answer is not None:
            self._finish_error(answer, code, message)
            self._advance()

    def sent(self, message: Send) -> None:
        """Report that a `Send` is done, so that more work may be given out."""
        self._unsent -= 1
        if message.binary is not None:
            self._frames_ahead -= 1
            self._bytes_ahead -= len(message.binary)
        self._advance()

    def drain(self) -> None:
        """Finish what was asked; answer new messages with `draining`."""
        self._draining = True

    def close(self) -> None:
        """The client is gone: nothing is sent any more, work is cancelled, the video is released."""
        if self._closed:
            return
        self._closed = True
        self._actions = [action for action in self._actions if isinstance(action, (CancelDecode, CloseVideo))]
        self._actions += [CancelDecode(ticket) for ticket in self._working]
        for queue in (self._answers, self._waiting, self._inbox):
            queue.clear()
        self._working.clear()
        self._unanswered = 0
        if self._video_is_set:
            self._video_is_set = False
            self._actions.append(CloseVideo())

    # ---- inside --------------------------------------------------------------------------------------------

    def _expect_opening(self) -> str:
        if self._opening is None:
            raise RuntimeError("no video is being opened on this connection")
        return self._opening

    def _do(self, handle: Callable[[], None]) -> None:
        """Handle a message now, or, while a video is opening, in its turn."""
        if self._closed:
            return
        self._inbox.append(handle)
        self._continue()

    def _continue(self) -> None:
        while self._inbox and self._opening is None:
            self._inbox.popleft()()
        self._advance()

    def _handle(self, message: ClientMessage) -> None:
        if self._draining:
            self._answer_error(Code.DRAINING, "The server is stopping; connect again in a moment")
        elif isinstance(message, SetVideo):
            self._set_video(message)
        else:
            self._request_frames(message)

    def _set_video(self, message: SetVideo) -> None:
        for answer in self._answers:
            if answer.ticket and answer.message is None:
                if answer.given_out:
                    self._actions.append(CancelDecode(answer.ticket))
                self._finish_error(
                    answer, Code.CANCELLED, "Another video was set before this frame was ready"
                )
        self._working.clear()
        self._waiting.clear()
        if self._video_is_set:
            self._video_is_set = False
            self._actions.append(CloseVideo())
        self._opening = message.path
        self._actions.append(OpenVideo(message.path))

    def _request_frames(self, message: RequestFrames) -> None:
        limits = self.limits
        if not self._video_is_set:
            self._answer_error(
                Code.NO_VIDEO, "No video is set; send SetVideo first and wait for VideoSet with ok true"
            )
        elif len(message.frames) > limits.frames_per_request:
            self._answer_error(
                Code.TOO_MANY_FRAMES,
                f"{len(message.frames)} frames in one request, the limit is {limits.frames_per_request}; "
                "split it",
            )
        elif self._unanswered + len(message.frames) > limits.frames_in_flight:
            self._answer_error(
                Code.BUSY,
                f"{self._unanswered} frames of this connection wait already, the limit is "
                f"{limits.frames_in_flight}; ask again when some have arrived",
            )
        else:
            asked = self._clock() if message.timing else None
            for wanted in message.frames:
                answer = _Answer(
                    ticket=self._next_ticket,
                    index=wanted.index,
                    offset=wanted.offset,
                    irap_offset=message.irap_offset,
                    asked=asked,
                )
                self._next_ticket += 1
                self._unanswered += 1
                self._answers.append(answer)
                self._waiting.append(answer)

    def _answer(self, message: VideoSet | Error) -> None:
        self._answers.append(_Answer(Send(encode(message))))

    def _answer_error(self, code: Code, message: str) -> None:
        self._answer(Error(message=message, code=code, retryable=code in RETRYABLE))

    def _finish(self, answer: _Answer, message: Frame | FrameError, jpeg: bytes | None = None) -> None:
        answer.message = Send(encode(message), jpeg)
        self._unanswered -= 1

    def _finish_error(self, answer: _Answer, code: Code, message: str) -> None:
        if answer.given_out:
            self._frames_ahead -= 1
        self._finish(
            answer,
            FrameError(
                index=answer.index,
                offset=answer.offset,
                error=code,
                code=code,
                message=message,
                retryable=code in RETRYABLE,
            ),
        )

    def _advance(self) -> None:
        """Send what can be sent and give out what may be worked on."""
        while self._answers and (message := self._answers[0].message) is not None:
            self._answers.popleft()
            self._unsent += 1
            self._actions.append(message)
        limits = self.limits
        while (
            self._waiting
            and self._frames_ahead < limits.frames_ahead
            and self._bytes_ahead < limits.bytes_ahead
        ):
            answer = self._waiting.popleft()
            answer.given_out = True
            self._frames_ahead += 1
            self._working[answer.ticket] = answer
            self._actions.append(Decode(answer.ticket, answer.offset, answer.irap_offset, answer.asked))
