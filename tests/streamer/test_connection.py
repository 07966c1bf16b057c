"""Protocol state of a connection as plain functions: order, one answer each, limits; then a state machine."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streamer.connection import CancelDecode, CloseVideo, Connection, Decode, Limits, OpenVideo, Send
from streamer.messages import Code, Receipt, Timing


def set_video(path: str = "a.mp4") -> str:
    return json.dumps({"type": "SetVideo", "path": path})


def request(*frames: tuple[int, int], irap: int = 0) -> str:
    wanted = [{"offset": offset, "index": index} for offset, index in frames]
    return json.dumps({"type": "RequestFrames", "irap_offset": irap, "frames": wanted})


class Shell:
    """Performs the actions of a connection as the server does, and keeps what would have been sent."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.connection = Connection(limits)
        self.sent: list[dict[str, Any]] = []
        self.binaries: list[bytes] = []
        self.unsent: list[Send] = []
        self.work: dict[int, Decode] = {}
        self.cancelled: list[int] = []
        self.opened: list[str] = []
        self.closed = 0

    def perform(self, *, send: bool = True) -> list[dict[str, Any]]:
        """Perform all actions; returns the messages sent by them."""
        before = len(self.sent)
        while True:
            for action in self.connection.actions():
                if isinstance(action, Send):
                    self.unsent.append(action)
                elif isinstance(action, Decode):
                    self.work[action.ticket] = action
                elif isinstance(action, CancelDecode):
                    del self.work[action.ticket]
                    self.cancelled.append(action.ticket)
                elif isinstance(action, OpenVideo):
                    self.opened.append(action.path)
                else:
                    assert isinstance(action, CloseVideo)
                    self.closed += 1
            if not send or not self.unsent:
                return self.sent[before:]
            self.send_one()

    def send_one(self) -> None:
        action = self.unsent.pop(0)
        message = json.loads(action.text)
        if message["type"] == "Frame":
            assert action.binary is not None
            assert message["size"] == len(action.binary)
            self.binaries.append(action.binary)
        else:
            assert action.binary is None
        self.sent.append(message)
        self.connection.sent(action)

    def tell(self, text: str, *, send: bool = True) -> list[dict[str, Any]]:
        self.connection.receive_text(text)
        return self.perform(send=send)

    def finish(self, ticket: int, jpeg: bytes = b"jpeg", *, send: bool = True) -> list[dict[str, Any]]:
        del self.work[ticket]
        self.connection.frame_done(ticket, jpeg)
        return self.perform(send=send)


def with_video(limits: Limits | None = None) -> Shell:
    shell = Shell(limits)
    shell.tell(set_video())
    shell.connection.video_opened()
    assert shell.perform() == [{"type": "VideoSet", "path": "a.mp4", "ok": True}]
    return shell


def test_a_frame_is_announced_and_followed_by_its_bytes() -> None:
    shell = with_video()
    assert shell.tell(request((1500, 7), irap=1000)) == []
    (work,) = shell.work.values()
    assert (work.offset, work.irap_offset) == (1500, 1000)
    assert shell.finish(work.ticket, b"12345") == [{"type": "Frame", "index": 7, "offset": 1500, "size": 5}]
    assert shell.binaries == [b"12345"]
    assert shell.connection.idle


def test_a_receipt_goes_with_the_frames_of_the_request_that_asked_for_it() -> None:
    clock = iter([10.0, 20.0])
    shell = Shell()
    shell.connection = Connection(Limits(frames_ahead=2), clock=lambda: next(clock))
    shell.tell(set_video())
    shell.connection.video_opened()
    shell.perform()
    shell.tell(request((10, 0)))
    shell.tell(request((11, 1), (12, 2))[:-1] + ',"timing":true}')
    receipt = Receipt(Timing(1, 0, 2, 3), 0, 0, 1, 500)
    plain, first = shell.work
    assert (shell.work[plain].asked, shell.work[first].asked) == (None, 10.0)
    shell.tell(request((13, 3))[:-1] + ',"timing":true}')
    assert shell.finish(plain) == [{"type": "Frame", "index": 0, "offset": 10, "size": 4}]
    del shell.work[first]
    shell.connection.frame_done(first, b"jpeg", receipt)
    (answer,) = shell.perform()
    assert (answer["index"], answer["source"], answer["ahead_bytes"]) == (1, "cache", 500)
    assert answer["timing"] == {"queue": 1, "fetch": 0, "decode": 2, "encode": 3}
    # Those that waited to be given out were asked for when their request came.
    assert [work.asked for work in shell.work.values()] == [10.0, 20.0]


def test_answers_keep_the_order_of_the_questions_whatever_order_the_results_have() -> None:
    shell = with_video()
    shell.tell(request((10, 0), (11, 1)))
    shell.tell("garbage")
    shell.tell(request((12, 2)))
    a, b, c = shell.work
    assert shell.finish(c) == []
    assert shell.finish(b) == []
    assert [m.get("index", m.get("code")) for m in shell.finish(a)] == [0, 1, "bad_json", 2]


def test_a_frame_asked_twice_is_answered_twice_and_an_empty_list_by_nothing() -> None:
    shell = with_video()
    assert shell.tell(request()) == []
    shell.tell(request((10, 5), (10, 5)))
    a, b = shell.work
    assert [m["index"] for m in shell.finish(a) + shell.finish(b)] == [5, 5]
    assert shell.connection.idle


def test_a_failed_frame_is_one_error_and_the_next_goes_on() -> None:
    shell = with_video()
    shell.tell(request((10, 0), (11, 1)))
    a, b = shell.work
    del shell.work[a]
    shell.connection.frame_failed(a, Code.CORRUPT_SAMPLE, "damaged")
    (answer,) = shell.perform()
    assert answer == {
        "type": "FrameError",
        "index": 0,
        "offset": 10,
        "error": "corrupt_sample",
        "code": "corrupt_sample",
        "message": "damaged",
        "retryable": False,
    }
    assert [m["type"] for m in shell.finish(b)] == ["Frame"]


def test_request_before_set_video_is_an_error_and_the_connection_stays() -> None:
    shell = Shell()
    (answer,) = shell.tell(request((10, 0)))
    assert (answer["type"], answer["code"]) == ("Error", "no_video")
    assert shell.work == {}


def test_a_missing_video_is_video_set_false_then_an_error_and_unsets_the_earlier_one() -> None:
    shell = with_video()
    shell.tell(set_video("missing.mp4"))
    shell.connection.video_failed(Code.NOT_FOUND, "Video not found: missing.mp4")
    first, second = shell.perform()
    assert first == {"type": "VideoSet", "path": "missing.mp4", "ok": False}
    assert second == {
        "type": "Error",
        "message": "Video not found: missing.mp4",
        "code": "not_found",
        "retryable": False,
    }
    assert shell.closed == 1
    assert shell.tell(request((10, 0)))[0]["code"] == "no_video"


def test_set_video_answers_pending_frames_first_and_nothing_of_the_old_video_follows() -> None:
    shell = with_video(Limits(frames_ahead=2))
    shell.tell(request((10, 0), (11, 1), (12, 2), (13, 3)))
    a, b = shell.work
    shell.finish(b)  # ready, but its turn has not come
    sent = shell.tell(set_video("b.mp4"))
    assert [(m["type"], m["index"], m.get("code")) for m in sent] == [
        ("FrameError", 0, "cancelled"),
        ("Frame", 1, None),
        ("FrameError", 2, "cancelled"),
        ("FrameError", 3, "cancelled"),
    ]
    assert a in shell.cancelled
    assert shell.work == {}
    shell.connection.frame_done(a, b"late")
    assert shell.perform() == []
    shell.connection.video_opened()
    assert shell.perform() == [{"type": "VideoSet", "path": "b.mp4", "ok": True}]
    shell.connection.frame_failed(a, Code.INTERNAL, "later still")
    assert shell.perform() == []


def test_messages_that_come_while_a_video_opens_wait_for_it() -> None:
    shell = Shell()
    shell.tell(set_video("a"))
    assert not shell.connection.wants_input
    assert shell.tell(request((10, 0))) == []
    assert shell.tell(set_video("b")) == []
    assert shell.opened == ["a"]
    shell.connection.video_opened()
    sent = shell.perform()
    assert [(m["type"], m.get("code")) for m in sent] == [("VideoSet", None), ("FrameError", "cancelled")]
    assert shell.opened == ["a", "b"]
    shell.connection.video_opened()
    assert shell.perform() == [{"type": "VideoSet", "path": "b", "ok": True}]
    assert shell.connection.wants_input


def test_binary_and_large_messages_are_one_error_each() -> None:
    shell = with_video(Limits(message_bytes=200))
    shell.connection.receive_binary(b"\x00\x01")
    assert [m["code"] for m in shell.perform()] == ["bad_message"]
    text = set_video("x" * 200)
    assert [m["code"] for m in shell.tell(text)] == ["too_large"]
    exact = set_video("")
    exact = set_video("x" * (200 - len(exact)))
    assert len(exact) == 200
    assert shell.tell(exact) == []
    assert shell.opened[-1].startswith("xxx")


def test_the_limit_counts_bytes_not_characters() -> None:
    shell = Shell(Limits(message_bytes=100))
    text = '{"type":"SetVideo","path":"' + "ä" * 50 + '"}'
    assert len(text) < 100 < len(text.encode())
    assert [m["code"] for m in shell.tell(text)] == ["too_large"]


def test_frames_per_request_at_the_limit_and_one_more() -> None:
    shell = with_video(Limits(frames_per_request=3))
    assert shell.tell(request((1, 0), (2, 1), (3, 2))) == []
    assert len(shell.work) == 3
    shell.tell(request((1, 0), (2, 1), (3, 2), (4, 3)))
    assert len(shell.work) == 3
    sent = [message for ticket in list(shell.work) for message in shell.finish(ticket)]
    assert [m.get("code") for m in sent] == [None, None, None, "too_many_frames"]


def test_frames_in_flight_at_the_limit_and_one_more() -> None:
    shell = with_video(Limits(frames_in_flight=3))
    shell.tell(request((1, 0), (2, 1)))
    shell.tell(request((3, 2)))
    shell.tell(request((4, 3)))
    sent = [message for ticket in list(shell.work) for message in shell.finish(ticket)]
    assert [m.get("code") for m in sent] == [None, None, None, "busy"]
    assert sent[-1]["retryable"] is True
    shell.tell(request((5, 4)))
    assert len(shell.work) == 1


def test_a_client_that_does_not_read_gets_no_more_work_done() -> None:
    shell = with_video(Limits(frames_ahead=3, bytes_ahead=1000))
    shell.tell(request(*((offset, offset) for offset in range(20))))
    assert len(shell.work) == 3
    for ticket in list(shell.work):
        shell.finish(ticket, b"x" * 100, send=False)
    assert shell.work == {}
    assert len(shell.unsent) == 3
    shell.send_one()
    shell.perform(send=False)
    assert len(shell.work) == 1
    shell.finish(*shell.work, b"x" * 900, send=False)  # above bytes_ahead now
    shell.send_one()
    shell.perform(send=False)
    assert shell.work == {}
    shell.send_one()
    shell.perform(send=False)
    assert len(shell.work) == 2


def test_a_flood_of_garbage_stops_the_input_until_answers_are_sent() -> None:
    shell = Shell(Limits(frames_in_flight=4))
    for _ in range(68):
        assert shell.connection.wants_input
        shell.tell("garbage", send=False)
    assert not shell.connection.wants_input
    shell.perform()
    assert shell.connection.wants_input


def test_draining_finishes_what_was_asked_and_refuses_what_is_new() -> None:
    shell = with_video()
    shell.tell(request((10, 0)))
    shell.connection.drain()
    shell.tell(request((11, 1)))
    assert not shell.connection.idle
    sent = [message for ticket in list(shell.work) for message in shell.finish(ticket)]
    assert [(m["type"], m.get("code")) for m in sent] == [("Frame", None), ("Error", "draining")]
    assert sent[1]["retryable"] is True
    assert shell.connection.idle


def test_close_cancels_work_releases_the_video_and_sends_nothing() -> None:
    shell = with_video(Limits(frames_ahead=2))
    shell.tell(request((10, 0), (11, 1), (12, 2)))
    shell.connection.close()
    assert shell.perform() == []
    assert len(shell.cancelled) == 2
    assert shell.closed == 1
    shell.tell(request((13, 3)))
    shell.connection.frame_done(1, b"late")
    assert shell.perform() == []


def test_a_video_that_opens_after_the_client_left_is_released() -> None:
    shell = Shell()
    shell.tell(set_video())
    shell.connection.close()
    shell.connection.video_opened()
    assert shell.perform() == []
    assert shell.closed == 1


class OneAnswerEach(RuleBasedStateMachine):
    """Whatever is said in whatever order: one answer for each frame asked, in order, none of an old video."""

    def __init__(self) -> None:
        super().__init__()
        self.shell = Shell(Limits(frames_per_request=5, frames_in_flight=12, frames_ahead=3, bytes_ahead=40))
        self.indices: Iterator[int] = iter(range(1_000_000))
        # What must be sent, in order; a frame is ("frame", index), answered by Frame or FrameError.
        self.expected: list[tuple[str, int | str]] = []
        self.asked = 0  # frames asked and not yet answered
        self.set = False
        self.waiting: list[str] = []  # messages held back while a video opens
        self.opening: str | None = None
        self.checked = 0
        self.epoch = 0
        self.epoch_of: dict[int, int] = {}  # frame index -> epoch in which it was asked

    # A model of what a message means, applied when its turn comes.
    def apply(self, text: str) -> None:
        message = json.loads(text) if text.startswith("{") else None
        if message is None:
            self.expected.append(("Error", "bad_json"))
        elif message["type"] == "SetVideo":
            self.opening = message["path"]
            self.set = False
        elif not self.set:
            self.expected.append(("Error", "no_video"))
        elif len(message["frames"]) > 5:
            self.expected.append(("Error", "too_many_frames"))
        else:
            for frame in message["frames"]:
                self.expected.append(("frame", frame["index"]))
                self.epoch_of[frame["index"]] = self.epoch

    def say(self, text: str) -> None:
        if self.opening is not None:
            self.waiting.append(text)
        else:
            self.apply(text)
        self.shell.tell(text, send=False)

    def apply_waiting(self) -> None:
        while self.waiting and self.opening is None:
            self.apply(self.waiting.pop(0))

    @precondition(lambda self: self.shell.connection.unanswered_frames + 6 * len(self.waiting) <= 6)
    @rule(count=st.integers(0, 6), offset=st.integers(0, 100))
    def request(self, count: int, offset: int) -> None:
        self.say(request(*((offset, next(self.indices)) for _ in range(count))))

    @rule()
    def garbage(self) -> None:
        self.say("garbage")

    @rule(path=st.sampled_from(["a", "b"]))
    def set_video(self, path: str) -> None:
        self.say(set_video(path))

    @precondition(lambda self: self.opening is not None)
    @rule(ok=st.booleans())
    def video_answer(self, ok: bool) -> None:
        self.epoch += 1
        self.expected.append(("VideoSet", ok))
        self.opening = None
        self.set = ok
        if ok:
            self.shell.connection.video_opened()
        else:
            self.expected.append(("Error", "not_found"))
            self.shell.connection.video_failed(Code.NOT_FOUND, "no")
        self.apply_waiting()
        self.shell.perform(send=False)

    @precondition(lambda self: self.shell.work)
    @rule(data=st.data(), ok=st.booleans(), size=st.integers(0, 30))
    def result(self, data: st.DataObject, ok: bool, size: int) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.shell.work)))
        if ok:
            self.shell.finish(ticket, b"x" * size, send=False)
        else:
            del self.shell.work[ticket]
            self.shell.connection.frame_failed(ticket, Code.DECODE_FAILED, "no")
            self.shell.perform(send=False)

    @precondition(lambda self: self.shell.cancelled)
    @rule(data=st.data())
    def late_result(self, data: st.DataObject) -> None:
        self.shell.connection.frame_done(data.draw(st.sampled_from(self.shell.cancelled)), b"late")
        self.shell.perform(send=False)

    @precondition(lambda self: self.shell.unsent)
    @rule()
    def send(self) -> None:
        self.shell.send_one()
        self.shell.perform(send=False)

    @invariant()
    def what_was_sent_is_the_beginning_of_what_is_expected(self) -> None:
        sent = self.shell.sent
        assert len(sent) <= len(self.expected)
        for place in range(self.checked, len(sent)):
            message, (kind, value) = sent[place], self.expected[place]
            if kind == "frame":
                assert message["type"] in ("Frame", "FrameError")
                assert message["index"] == value
            elif kind == "VideoSet":
                assert (message["type"], message["ok"]) == (kind, value)
            else:
                assert (message["type"], message["code"]) == (kind, value)
        self.checked = len(sent)

    @invariant()
    def work_given_out_is_bounded_and_of_the_open_video(self) -> None:
        assert len(self.shell.work) <= 3
        if self.opening is not None:
            assert self.shell.work == {}

    def teardown(self) -> None:
        """Let everything finish: every frame asked must then have its answer."""
        while self.opening is not None or self.shell.work or self.shell.unsent:
            if self.opening is not None:
                self.video_answer(True)
            for ticket in list(self.shell.work):
                self.shell.finish(ticket, b"x", send=False)
            while self.shell.unsent:
                self.send()
        self.what_was_sent_is_the_beginning_of_what_is_expected()
        assert len(self.shell.sent) == len(self.expected)
        assert self.shell.connection.idle


OneAnswerEach.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much],
)
TestOneAnswerEach = OneAnswerEach.TestCase
