"""Messages: what is understood, what is refused with which code, and that nothing makes the parser fail."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.messages import (
    Code,
    Error,
    Frame,
    FrameError,
    FrameRequest,
    MessageError,
    Receipt,
    RequestFrames,
    SetVideo,
    Timing,
    VideoSet,
    decode_client_message,
    decode_server_message,
    encode,
)

REQUEST = '{"type":"RequestFrames","irap_offset":1000,"frames":[{"offset":1500,"index":0},{"offset":2100,"index":1}]}'


def test_the_messages_of_the_protocol_page_are_understood() -> None:
    assert decode_client_message('{"type":"SetVideo","path":"videos/a.mp4"}') == SetVideo(path="videos/a.mp4")
    assert decode_client_message(REQUEST) == RequestFrames(
        irap_offset=1000, frames=(FrameRequest(offset=1500, index=0), FrameRequest(offset=2100, index=1))
    )


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (VideoSet(path="v.mp4", ok=True), {"type": "VideoSet", "path": "v.mp4", "ok": True}),
        (
            Frame(index=0, offset=1500, size=45230),
            {"type": "Frame", "index": 0, "offset": 1500, "size": 45230},
        ),
        (
            Frame.of(0, 1500, 45230, Receipt(Timing(4.5, 52.125, 8, 3.25), 1, 70000, 0, 0)),
            {
                "type": "Frame",
                "index": 0,
                "offset": 1500,
                "size": 45230,
                "timing": {"queue": 4.5, "fetch": 52.125, "decode": 8, "encode": 3.25},
                "source": "store",
                "requests": 1,
                "fetched_bytes": 70000,
                "ahead_requests": 0,
                "ahead_bytes": 0,
            },
        ),
        (
            FrameError(5, 2800, error="bad_offset", code="bad_offset", message="no sample", retryable=False),
            {
                "type": "FrameError",
                "index": 5,
                "offset": 2800,
                "error": "bad_offset",
                "code": "bad_offset",
                "message": "no sample",
                "retryable": False,
            },
        ),
        (
            Error(message="Video not found: a", code=Code.NOT_FOUND),
            {"type": "Error", "message": "Video not found: a", "code": "not_found", "retryable": False},
        ),
    ],
)
def test_server_messages_are_written_as_the_page_says(
    message: VideoSet | Frame | FrameError | Error, text: dict[str, object]
) -> None:
    assert json.loads(encode(message)) == text
    assert decode_server_message(encode(message)) == message


def test_a_receipt_is_asked_for_by_a_field_of_the_request() -> None:
    wanted = (FrameRequest(1500, 0),)
    for timing in (True, False):
        text = f'{{"type":"RequestFrames","irap_offset":9,"frames":[{{"offset":1500,"index":0}}],"timing":{str(timing).lower()}}}'
        assert decode_client_message(text) == RequestFrames(9, wanted, timing=timing)
    assert "timing" not in json.loads(encode(RequestFrames(9, wanted)))
    assert json.loads(encode(RequestFrames(9, wanted, timing=True)))["timing"] is True


def test_fields_at_the_ends_of_their_ranges() -> None:
    frame = '{"offset":18446744073709551615,"index":4294967295}'
    message = decode_client_message('{"type":"RequestFrames","irap_offset":0,"frames":[' + frame + "]}")
    assert message == RequestFrames(0, (FrameRequest(2**64 - 1, 2**32 - 1),))


def test_unknown_fields_are_ignored() -> None:
    text = '{"type":"SetVideo","path":"a","request_id":7,"more":{"x":[1,null,"y"]}}'
    assert decode_client_message(text) == SetVideo(path="a")


BAD = [
    ("", Code.BAD_JSON),
    ("not json", Code.BAD_JSON),
    ("{", Code.BAD_JSON),
    ('{"type":"SetVideo","path":"a"} more', Code.BAD_JSON),
    ('{"type":"SetVideo","path":"\\ud800"}', Code.BAD_JSON),
    ('{"type":"SetVideo","path":"a","x":NaN}', Code.BAD_JSON),
    ('{"type":"Nothing" garbage', Code.BAD_JSON),
    ('{"type":"SetVideo","path":"a","x":' + "[" * 100_000, Code.BAD_JSON),
    ("[" * 200_000, Code.BAD_JSON),
    ("[]", Code.BAD_MESSAGE),
    ("5", Code.BAD_MESSAGE),
    ("null", Code.BAD_MESSAGE),
    ('"SetVideo"', Code.BAD_MESSAGE),
    ("{}", Code.BAD_MESSAGE),
    ('{"path":"a"}', Code.BAD_MESSAGE),
    ('{"type":7,"path":"a"}', Code.BAD_MESSAGE),
    ('{"type":null,"path":"a"}', Code.BAD_MESSAGE),
    ('{"type":"SetVideo"}', Code.BAD_MESSAGE),
    ('{"type":"SetVideo","path":5}', Code.BAD_MESSAGE),
    ('{"type":"SetVideo","path":null}', Code.BAD_MESSAGE),
    ('{"type":"RequestFrames","irap_offset":0}', Code.BAD_MESSAGE),
    ('{"type":"RequestFrames","frames":[]}', Code.BAD_MESSAGE),
    ('{"type":"RequestFrames","irap_offset":0,"frames":{}}', Code.BAD_MESSAGE),
    ('{"type":"RequestFrames","irap_offset":0,"frames":[5]}', Code.BAD_MESSAGE),
    ('{"type":"RequestFrames","irap_offset":0,"frames":[{"offset":1}]}', Code.BAD_MESSAGE),
    ('{"type":"RequestFrames","irap_offset":0,"frames":[{"offset":"1","index":0}]}', Code.BAD_MESSAGE),
    ('{"type":"RequestFrames","irap_offset":0,"frames":[{"offset":1.5,"index":0}]}', Code.BAD_MESSAGE),
    ('{"type":"RequestFrames","irap_offset":0,"frames":[{"offset":true,"index":0}]}', Code.BAD_MESSAGE),
    ('{"type":"RequestFrames","irap_offset":0,"frames":[{"offset":-1,"index":0}]}', Code.BAD_MESSAGE),
    ('{"type":"RequestFrames","irap_offset":0,"frames":[{"offset":1,"index":-1}]}', Code.BAD_MESSAGE),
    ('{"type":"RequestFrames","irap_offset":0,"frames":[{"offset":1,"index":4294967296}]}', Code.BAD_MESSAGE),
    (
        '{"type":"RequestFrames","irap_offset":0,"frames":[{"offset":18446744073709551616,"index":0}]}',
        Code.BAD_MESSAGE,
    ),
    ('{"type":"RequestFrames","irap_offset":18446744073709551616,"frames":[]}', Code.BAD_MESSAGE),
    ('{"type":"RequestFrames","irap_offset":1e400,"frames":[]}', Code.BAD_MESSAGE),
    ('{"type":"RequestFrames","irap_offset":' + "9" * 10_000 + ',"frames":[]}', Code.BAD_MESSAGE),
    ('{"type":"setvideo","path":"a"}', Code.UNKNOWN_TYPE),
    ('{"type":"Frame","index":0,"offset":0,"size":0}', Code.UNKNOWN_TYPE),
    ('{"type":"","path":"a"}', Code.UNKNOWN_TYPE),
    ('{"type":"Hello"}', Code.UNKNOWN_TYPE),
]


@pytest.mark.parametrize(("text", "code"), BAD, ids=[text[:60] for text, _ in BAD])
def test_bad_messages_are_told_apart(text: str, code: Code) -> None:
    with pytest.raises(MessageError) as caught:
        decode_client_message(text)
    assert caught.value.code is code
    assert str(caught.value)
    with pytest.raises(MessageError):
        decode_client_message(text.encode())


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["type", "path", "frames", "irap_offset", "offset", "index"]), inner
        )
    ),
)


@given(st.one_of(st.text(), st.binary(), VALUES.map(json.dumps)))
def test_whatever_comes_is_a_message_or_a_message_error(text: str | bytes) -> None:
    with suppress(MessageError):
        assert isinstance(decode_client_message(text), (SetVideo, RequestFrames))


def test_codes_have_the_words_of_the_protocol_page() -> None:
    words = (
        "bad_json bad_message unknown_type too_large too_many_frames no_video bad_path forbidden unauthorized "
        "not_found not_video unsupported_codec encrypted picture_too_large bad_offset not_irap before_irap "
        "gop_too_long needs_earlier_irap undecodable not_shown not_exact corrupt_sample decode_failed "
        "decode_timeout decode_crash quarantined storage_unavailable video_changed superseded cancelled busy "
        "draining internal"
    )
    assert [code.value for code in Code] == words.split()
    assert Code.of("bad_offset") is Code.BAD_OFFSET
    assert Code.of("no such word") is Code.INTERNAL
