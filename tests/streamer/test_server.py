"""The server with real sockets, real lanes and real clips, spoken to by a client written from the protocol page."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import websockets

import ffbind
from ffbind.index import VideoIndex
from streamer.config import ConfigError, Settings
from streamer.connection import Limits
from streamer.server import Server, ServerInfo, StartError

Picture = np.ndarray[Any, np.dtype[np.uint8]]


def offset_of(index: VideoIndex, row: int) -> int:
    return int(index.samples["offset"][row])


def shown(index: VideoIndex) -> list[tuple[int, int]]:
    """`(offset, index)` of all frames in presentation order."""
    return [(offset_of(index, int(row)), place) for place, row in enumerate(index.order)]


def http_get(port: int, path: str) -> tuple[int, str]:
    """A request of HTTP/1.1 by hand: status and body."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while chunk := sock.recv(65536):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


async def health(port: int) -> tuple[int, str]:
    return await asyncio.to_thread(http_get, port, "/health")


async def eventually(condition: Any, *, within: float = 20.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def live(start_process):
    """One server process for all tests that leave it as it was."""
    server = start_process(workers=2)
    yield server
    assert server.process.poll() is None
    assert server.end() == 0
    assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def oracle(videos) -> Picture:
    """Luma of all frames as the ffmpeg command presents them: uint8 (frames, 108, 192), full range."""
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(videos.clip),
        "-vf",
        "scale=out_range=full",
        "-f",
        "rawvideo",
    ]
    data = subprocess.run([*command, "-pix_fmt", "gray", "-"], check=True, capture_output=True).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, 108, 192)


def luma(jpeg: bytes) -> Picture:
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "mjpeg", "-i", "-", "-f", "rawvideo", "-pix_fmt", "gray", "-"],
        check=True,
        input=jpeg,
        capture_output=True,
    )
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, 108, 192)


# ---- frames ---------------------------------------------------------------------------------------------------


async def test_a_base_client_gets_300_frames_in_order_each_the_right_one(live, connect, videos, oracle):
    index = videos.index()
    frames = shown(index)
    assert len(frames) == 300
    jpegs = []
    async with connect(live.url) as client:
        await client.set_video("videos/clip.mp4")
        await client.request(offset_of(index, 0), frames)
        for offset, place in frames:
            message, jpeg = await client.receive()
            assert message == {"type": "Frame", "index": place, "offset": offset, "size": len(jpeg)}
            jpegs.append(jpeg)
    with ffbind.open(videos.clip) as video:
        for (offset, _), jpeg in zip(frames, jpegs, strict=True):
            assert jpeg == video.frame_at_offset(offset).to_jpeg(80)
    # And without ffbind: of all pictures, each JPEG is nearest to the one of its number.
    pictures = luma(b"".join(jpegs)).astype(np.int16)
    assert len(pictures) == 300
    for place, picture in enumerate(pictures):
        near = range(max(0, place - 5), min(300, place + 6))
        distances = {other: float(np.abs(oracle[other] - picture).mean()) for other in near}
        assert min(distances, key=lambda other: distances[other]) == place
        assert distances[place] < 3


async def test_any_order_from_any_irap_before_gives_the_same_pictures(live, connect, videos):
    index = videos.index()
    wanted = list(np.random.default_rng(7).permutation(300)[:60])
    irap = index.samples["irap"]
    async with connect(live.url) as client:
        await client.set_video("videos/clip.mp4")
        for number, row in enumerate(wanted):
            start = offset_of(index, int(irap[row])) if number % 2 else offset_of(index, 0)
            await client.request(start, [(offset_of(index, row), number)])
        with ffbind.open(videos.clip) as video:
            for number, row in enumerate(wanted):
                message, jpeg = await client.receive()
                assert (message["type"], message["index"]) == ("Frame", number)
                assert jpeg == video.frame_at_offset(offset_of(index, row)).to_jpeg(80)


async def test_a_frame_asked_twice_is_answered_twice_and_an_empty_list_by_nothing(live, connect, videos):
    index = videos.index()
    first = offset_of(index, 0)
    async with connect(live.url) as client:
        await client.set_video("videos/clip.mp4")
        await client.request(first, [])
        await client.request(first, [(first, 9), (first, 9)])
        answers = [await client.receive(), await client.receive()]
        assert answers[0] == answers[1]
        assert answers[0][0]["index"] == 9


async def test_wrong_offsets_are_an_error_each_and_the_connection_goes_on(live, connect, videos):
    index = videos.index()
    samples = index.samples
    irap_rows = np.flatnonzero(samples["irap"] == np.arange(300))
    first, second_irap = offset_of(index, 0), offset_of(index, int(irap_rows[1]))
    plain = offset_of(index, 5)
    table = [
        (first, plain + 1, "bad_offset"),
        (first, 0, "bad_offset"),
        (first, index.size, "bad_offset"),
        (first, 2**63, "bad_offset"),
        (first, 2**64 - 1, "bad_offset"),
        (first + 1, plain, "bad_offset"),
        (2**64 - 1, plain, "bad_offset"),
        (plain, offset_of(index, 6), "not_irap"),
        (second_irap, plain, "before_irap"),
    ]
    async with connect(live.url) as client:
        await client.set_video("videos/clip.mp4")
        for number, (irap_offset, offset, code) in enumerate(table):
            await client.request(irap_offset, [(offset, number)])
            message = await client.message()
            assert {
                key: message[key] for key in ("type", "index", "offset", "error", "code", "retryable")
            } == {
                "type": "FrameError",
                "index": number,
                "offset": offset,
                "error": code,
                "code": code,
                "retryable": False,
            }, (irap_offset, offset)
            assert message["message"]
        await client.request(first, [(plain, 99)])
        assert (await client.message())["type"] == "Frame"


async def test_a_broken_sample_is_one_error_and_the_connection_goes_on(live, connect, videos):
    index = videos.index(videos.broken)
    broken = offset_of(index, videos.broken_row)
    frames = shown(index)
    async with connect(live.url) as client:
        await client.set_video("broken.mp4")
        await client.request(offset_of(index, 0), frames)
        errors = []
        with ffbind.open(videos.clip) as whole:
            for offset, place in frames:
                message, jpeg = await client.receive()
                assert (message["index"], message["offset"]) == (place, offset)
                if message["type"] == "FrameError":
                    errors.append((offset, message["code"]))
                else:
                    assert jpeg == whole.frame_at_offset(offset).to_jpeg(80)
    assert errors == [(broken, "corrupt_sample")]


@pytest.mark.parametrize(
    "name",
    [
        "androidx-media/h265_bframes.mp4",
        "androidx-media/fragmented_captions_h265.mp4",
        "androidx-media/hev1_08_05.mp4",
        "mediabunny/video-h265.mp4",
    ],
)
async def test_real_files_as_the_library_decodes_them(start_server, connect, media, name):
    file = media / name
    with ffbind.open(file) as video:
        wanted = [int(offset) for offset in video.index.samples["offset"][:120]]
        async with start_server(local_path=media) as server, connect(server.info.url) as client:
            await client.set_video(name)
            await client.request(wanted[0], [(offset, place) for place, offset in enumerate(wanted)])
            for offset in wanted:
                message, jpeg = await client.receive()
                assert message["offset"] == offset
                if jpeg is None:
                    with pytest.raises(ffbind.FFbindError) as caught:
                        video.frame_at_offset(offset, irap_offset=wanted[0])
                    assert message["code"] == caught.value.code
                else:
                    assert jpeg == video.frame_at_offset(offset, irap_offset=wanted[0]).to_jpeg(80)


# ---- what clients do wrong --------------------------------------------------------------------------------------


REFUSED_VIDEOS = [
    ("videos/missing.mp4", "not_found"),
    ("text.mp4", "not_video"),
    ("empty.mp4", "not_video"),
    ("folder.mp4", "not_video"),
    ("videos", "not_video"),
    ("", "bad_path"),
    ("../secret", "bad_path"),
    ("/etc/passwd", "bad_path"),
    ("videos/%2e%2e/videos/clip.mp4", "not_found"),
    ("a\0b", "bad_path"),
    ("a\\b", "bad_path"),
    ("x" * 5000, "bad_path"),
]


async def test_videos_that_cannot_be_served(live, connect, videos):
    async with connect(live.url) as client:
        for path, code in REFUSED_VIDEOS:
            await client.set_video("videos/clip.mp4")
            await client.send({"type": "SetVideo", "path": path})
            assert await client.message() == {"type": "VideoSet", "path": path, "ok": False}
            error = await client.message()
            assert (error["type"], error["code"], error["retryable"]) == ("Error", code, False), path
            assert str(videos.folder) not in error["message"]
            await client.request(0, [(0, 0)])
            assert (await client.message())["code"] == "no_video"
        await client.send({"type": "SetVideo", "path": "videos/missing.mp4"})
        await client.message()
        assert (await client.message())["message"] == "Video not found: videos/missing.mp4"


async def test_a_request_before_set_video_is_an_error_and_the_connection_stays(live, connect):
    async with connect(live.url) as client:
        await client.request(0, [(0, 0), (1, 1)])
        error = await client.message()
        assert (error["type"], error["code"]) == ("Error", "no_video")
        await client.set_video("videos/clip.mp4")


GARBAGE: list[tuple[str | bytes, str]] = [
    ("", "bad_json"),
    ("hello", "bad_json"),
    ("{" * 1000, "bad_json"),
    ("[" * 250_000, "bad_json"),
    ('{"type":"SetVideo","path":"\\ud800"}', "bad_json"),
    ("[]", "bad_message"),
    ("null", "bad_message"),
    ('{"type":"SetVideo","path":[]}', "bad_message"),
    ('{"type":"RequestFrames","irap_offset":-1,"frames":[]}', "bad_message"),
    ('{"type":"RequestFrames","irap_offset":0,"frames":[{"offset":"0","index":0}]}', "bad_message"),
    ('{"type":"Quit"}', "unknown_type"),
    (b"", "bad_message"),
    (b"\xff\xd8\xff", "bad_message"),
    (b'{"type":"SetVideo","path":"videos/clip.mp4"}', "bad_message"),
    ('"' + "x" * (256 * 1024 - 2) + '"', "bad_message"),
    ('"' + "x" * (256 * 1024 - 1) + '"', "too_large"),
    ("x" * (1024 * 1024), "too_large"),
    (
        json.dumps({"type": "RequestFrames", "irap_offset": 0, "frames": [{"offset": 0, "index": 0}] * 1025}),
        "too_many_frames",
    ),
]


async def test_garbage_is_one_error_each_and_the_session_still_works(live, connect, videos):
    index = videos.index()
    first = offset_of(index, 0)
    async with connect(live.url) as client:
        await client.set_video("videos/clip.mp4")
        for data, code in GARBAGE:
            await client.ws.send(data)
            error = await client.message()
            assert (error["type"], error["code"]) == ("Error", code), data[:50]
        await client.request(first, [(first, 4)])
        assert (await client.message())["index"] == 4


async def test_beyond_the_hard_limit_and_for_bad_utf8_the_websocket_layer_closes(live, connect):
    async with connect(live.url) as client:
        await client.ws.send("x" * (1024 * 1024 + 1))
        with pytest.raises(websockets.ConnectionClosed):
            await client.ws.recv()
        assert client.ws.close_code == 1009
    async with connect(live.url) as client:
        await client.ws.send(b'{"type":"\xff"}', text=True)
        with pytest.raises(websockets.ConnectionClosed):
            await client.ws.recv()
        assert client.ws.close_code == 1007


async def test_random_messages_to_a_live_server(live, connect, videos):
    """Every message that is no valid one gets exactly one Error; the session works to the end."""
    random = np.random.default_rng(3)
    valid = b'{"type":"RequestFrames","irap_offset":48,"frames":[{"offset":48,"index":0}]}'
    async with connect(live.url) as client:
        for _ in range(300):
            text = bytearray(valid)
            for place in random.integers(0, len(text), random.integers(1, 4)):
                text[place] = random.integers(32, 127)
            await client.ws.send(bytes(text), text=True)
            # No video is set, so a message that happens to be valid is an error as well.
            assert (await client.message())["type"] == "Error"
        await client.set_video("videos/clip.mp4")


async def test_other_paths_and_methods(live):
    assert await asyncio.to_thread(http_get, live.port, "/health") == (200, "ok\n")
    assert (await asyncio.to_thread(http_get, live.port, "/"))[0] == 404
    assert (await asyncio.to_thread(http_get, live.port, "/ws/../etc"))[0] == 404
    assert (await asyncio.to_thread(http_get, live.port, "/ws"))[0] == 426
    for garbage in (b"\x16\x03\x01\x02\x00", b"HELLO\r\n\r\n", b"POST /health HTTP/1.1\r\n\r\n", b""):
        with socket.create_connection(("127.0.0.1", live.port), timeout=10) as sock:
            sock.sendall(garbage)
    assert await health(live.port) == (200, "ok\n")


# ---- several things at once -----------------------------------------------------------------------------------


async def test_set_video_while_frames_are_pending(live, connect, videos):
    index = videos.index()
    frames = shown(index)
    async with connect(live.url) as client:
        await client.set_video("videos/clip.mp4")
        await client.request(offset_of(index, 0), frames)
        await client.send({"type": "SetVideo", "path": "broken.mp4"})
        answers = [await client.message() for _ in frames]
        assert [(m["offset"], m["index"]) for m in answers] == frames
        cancelled = [m for m in answers if m["type"] == "FrameError"]
        assert cancelled, "all 300 frames were ready before the next message was read"
        assert {m["code"] for m in cancelled} == {"cancelled"}
        assert await client.message() == {"type": "VideoSet", "path": "broken.mp4", "ok": True}
        await client.request(offset_of(index, 0), [(offset_of(index, 0), 1)])
        message, jpeg = await client.receive()
        assert message["index"] == 1
        with ffbind.open(videos.broken) as video:
            assert jpeg == video.frame_at_offset(offset_of(index, 0)).to_jpeg(80)


async def test_two_clients_at_once_each_get_their_own_frames(live, connect, videos):
    index = videos.index()
    frames = shown(index)

    async def play(path: str, wanted: list[tuple[int, int]]) -> list[tuple[int, str]]:
        async with connect(live.url) as client:
            await client.set_video(path)
            await client.request(offset_of(index, 0), wanted)
            answers = [await client.message() for _ in wanted]
            return [(m["index"], m["type"]) for m in answers]

    forwards, backwards, other = await asyncio.gather(
        play("videos/clip.mp4", frames),
        play("videos/clip.mp4", frames[::-6]),
        play("broken.mp4", frames[:100]),
    )
    assert forwards == [(place, "Frame") for _, place in frames]
    assert backwards == [(place, "Frame") for _, place in frames[::-6]]
    assert other == [(place, "Frame") for _, place in frames[:100]]


async def test_health_and_pings_are_answered_while_frames_are_decoded(live, connect, videos):
    index = videos.index()
    frames = shown(index)
    async with connect(live.url) as client:
        await client.set_video("videos/clip.mp4")
        await client.request(offset_of(index, 0), frames * 3)
        answered = 0
        pongs = []
        while answered < 900:
            if answered % 100 == 0:
                pongs.append(await client.ws.ping())
                assert await health(live.port) == (200, "ok\n")
            await client.receive()
            answered += 1
        for pong in pongs:
            await pong


async def test_frames_in_flight_over_the_limit_are_busy(start_server, connect, videos):
    index = videos.index()
    first = offset_of(index, 0)
    async with start_server(limits=Limits(frames_in_flight=50)) as server, connect(server.info.url) as client:
        await client.set_video("videos/clip.mp4")
        await client.request(first, [(first, 0)] * 50)
        await client.request(first, [(first, 1)])
        codes = [(m["type"], m.get("code")) for m in [await client.message() for _ in range(51)]]
        # The second request may find a frame of the first already answered.
        assert codes[:50] == [("Frame", None)] * 50
        assert codes[50] in (("Error", "busy"), ("Frame", None))
        await client.request(first, [(first, 0)] * 51)
        assert (await client.message())["code"] == "busy"


async def test_connections_at_the_limit_and_one_more(start_server, connect):
    async with start_server(max_connections=2) as server:
        async with connect(server.info.url) as first, connect(server.info.url):
            with pytest.raises(websockets.InvalidStatus) as caught:
                async with connect(server.info.url):
                    pass
            assert caught.value.response.status_code == 503
            assert await health(server.info.port) == (200, "ok\n")
            await first.set_video("videos/clip.mp4")
        await eventually(lambda: not server.sessions)
        async with connect(server.info.url) as again:
            await again.set_video("videos/clip.mp4")


async def test_a_client_that_does_not_read_is_cut_and_others_do_not_notice(start_server, connect, videos):
    index = videos.index()
    frames = shown(index)
    request = json.dumps(
        {
            "type": "RequestFrames",
            "irap_offset": offset_of(index, 0),
            "frames": [{"offset": offset, "index": place} for offset, place in frames],
        }
    )
    async with start_server(send_timeout=1.0, jpeg_quality=100) as server:
        # A receive window of a few kilobytes, and nobody who reads from it.
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            raw.setblocking(False)
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", server.info.port))
            async with connect(
                server.info.url, sock=raw, max_queue=1, ping_interval=None, close_timeout=0.1
            ) as deaf:
                await deaf.set_video("videos/clip.mp4")
                deaf.ws.transport.pause_reading()
                for _ in range(10):
                    await deaf.ws.send(request)
                await eventually(lambda: any(session.behind for session in server.sessions))
                async with connect(server.info.url) as client:
                    await client.set_video("videos/clip.mp4")
                    await client.request(offset_of(index, 0), frames)
                    answers = [await client.message() for _ in frames]
                    assert [m["type"] for m in answers] == ["Frame"] * 300
                    await eventually(lambda: len(server.sessions) == 1)
        await eventually(lambda: len(server.sessions) == 0)


async def test_a_client_that_does_not_read_does_not_hold_up_the_end(start_process, videos):
    server = start_process(drain_timeout=0.5, jpeg_quality=100)
    index = videos.index()
    frames = [{"offset": offset, "index": place} for offset, place in shown(index)]
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        raw.connect(("127.0.0.1", server.port))
        raw.setblocking(False)
        ws = await websockets.connect(
            server.url, sock=raw, max_queue=1, ping_interval=None, close_timeout=0.1
        )
        await ws.send(json.dumps({"type": "SetVideo", "path": "videos/clip.mp4"}))
        await ws.recv()
        ws.transport.pause_reading()
        for _ in range(10):
            await ws.send(
                json.dumps({"type": "RequestFrames", "irap_offset": offset_of(index, 0), "frames": frames})
            )
        await asyncio.sleep(0.5)  # let the buffers between the two fill up
        assert await asyncio.to_thread(server.end) == 0
        ws.transport.abort()


# ---- lanes ------------------------------------------------------------------------------------------------------


async def test_one_worker_and_sequential_requests_open_exactly_one_decoder(start_server, connect, videos):
    index = videos.index()
    async with start_server(workers=1) as server, connect(server.info.url) as client:
        await client.set_video("videos/clip.mp4")
        for offset, place in shown(index):
            await client.request(offset_of(index, 0), [(offset, place)])
            assert (await client.message())["type"] == "Frame"
        (stats,) = await server.stats()
        assert stats.path == "videos/clip.mp4"
        assert stats.counters["decoders_opened"] == 1
        assert stats.counters["samples_sent"] == 300
        # Another connection to the same video goes on with the same decoder.
        async with connect(server.info.url) as other:
            await other.set_video("videos/clip.mp4")
            await other.request(offset_of(index, 0), [(offset_of(index, 0), 0)])
            assert (await other.message())["type"] == "Frame"
        (stats,) = await server.stats()
        assert stats.counters["decoders_opened"] == 1


async def test_a_lane_killed_in_the_middle_of_work_is_replaced(start_server, connect, videos):
    index = videos.index()
    frames = shown(index)
    async with (
        start_server(workers=2) as server,
        connect(server.info.url) as client,
        connect(server.info.url) as other,
    ):
        await client.set_video("videos/clip.mp4")
        await other.set_video("broken.mp4")
        before = server.lane_pids
        assert len(before) == 2
        for _ in range(10):  # so much that the lane cannot be through before it is killed
            await client.request(offset_of(index, 0), frames)
        await other.request(offset_of(index, 0), frames[:100])
        assert (await client.message())["type"] == "Frame"
        victim = server.lane_of("videos/clip.mp4")
        os.kill(victim, signal.SIGKILL)
        answers = [await client.message() for _ in range(2999)]
        assert [m["index"] for m in answers] == [place for _, place in frames * 10][1:]
        # None of them is lost if the lane happened to be between two jobs.
        assert {m.get("code") for m in answers} <= {None, "decode_crash"}
        assert all(m["retryable"] for m in answers if m["type"] == "FrameError")
        assert [(await other.message())["type"] for _ in range(100)] == ["Frame"] * 100
        await client.request(offset_of(index, 0), frames[:20])
        assert [(await client.message())["type"] for _ in range(20)] == ["Frame"] * 20
        await eventually(lambda: len(server.lane_pids) == 2)
        assert victim not in server.lane_pids


async def test_a_lane_that_hangs_is_replaced_after_the_deadline(start_server, connect, videos):
    index = videos.index()
    frames = shown(index)
    async with start_server(decode_timeout=1.0) as server, connect(server.info.url) as client:
        await client.set_video("videos/clip.mp4")
        await client.request(offset_of(index, 0), frames)
        assert (await client.message())["type"] == "Frame"
        (victim,) = server.lane_pids
        os.kill(victim, signal.SIGSTOP)
        answers = [await client.message() for _ in frames[1:]]
        assert [m["index"] for m in answers] == [place for _, place in frames[1:]]
        assert {m.get("code") for m in answers} <= {None, "decode_timeout"}
        await client.request(offset_of(index, 0), frames[:20])
        assert [(await client.message())["type"] for _ in range(20)] == ["Frame"] * 20
        assert server.lane_pids != [victim]


async def test_more_videos_than_a_lane_keeps_open(start_server, connect, videos, tmp_path):
    for number in range(4):
        shutil.copy(videos.clip, tmp_path / f"{number}.mp4")
    index = videos.index()
    first = offset_of(index, 0)
    async with start_server(local_path=tmp_path, videos_per_lane=2) as server:
        clients = []
        async with (
            connect(server.info.url) as a,
            connect(server.info.url) as b,
            connect(server.info.url) as c,
        ):
            clients = [a, b, c]
            for number, client in enumerate(clients):
                await client.set_video(f"{number}.mp4")
            for _ in range(3):
                for number, client in enumerate(clients):
                    await client.request(first, [(first, number)])
                    assert (await client.message())["type"] == "Frame"
            assert len(await server.stats()) == 2


async def test_a_file_that_changes_in_mid_session_is_told(start_server, connect, videos, large_file):
    file = large_file
    index = videos.index(file)
    first, last = offset_of(index, 0), offset_of(index, len(index) - 1)
    assert last - first > 8_000_000
    async with (
        start_server(local_path=file.parent, cache_bytes=0) as server,
        connect(server.info.url) as client,
    ):
        await client.set_video("a.mp4")
        await client.request(first, [(first, 0)])
        assert (await client.message())["type"] == "Frame"
        await asyncio.to_thread(os.utime, file, ns=(1, 1))
        await client.request(first, [(last, 1)])
        answer = await client.message()
        assert (answer["type"], answer["code"]) == ("FrameError", "video_changed")
        await client.set_video("a.mp4")
        await client.request(first, [(last, 1)])
        assert (await client.message())["type"] == "Frame"


# ---- beginning and end ------------------------------------------------------------------------------------------


async def test_sigterm_finishes_what_was_asked_closes_1012_and_leaves_no_process(
    start_process, connect, videos
):
    index = videos.index()
    frames = shown(index)
    server = start_process(workers=2)
    lanes = server.lanes()
    assert len(lanes) == 2
    async with connect(server.url) as client, connect(server.url) as idle:
        await client.set_video("videos/clip.mp4")
        await client.request(offset_of(index, 0), frames)
        assert (await client.message())["type"] == "Frame"
        server.process.send_signal(signal.SIGTERM)
        answers = [await client.message() for _ in frames[1:]]
        assert [m["type"] for m in answers] == ["Frame"] * 299
        for connection in (client, idle):
            with pytest.raises(websockets.ConnectionClosed):
                await connection.ws.recv()
            assert connection.ws.close_code == 1012
    assert await asyncio.to_thread(server.process.wait, 20) == 0
    assert not any(is_running(pid) for pid in lanes)
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(http_get, server.port, "/health")
    assert "Traceback" not in server.log.read_text()


async def test_new_requests_during_the_drain_are_refused(start_server, connect, videos):
    index = videos.index()
    frames = shown(index)
    async with start_server() as server, connect(server.info.url) as client:
        await client.set_video("videos/clip.mp4")
        await client.request(offset_of(index, 0), frames)
        assert (await client.message())["type"] == "Frame"
        stop = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        await client.request(offset_of(index, 0), frames[:1])
        answers = [await client.message() for _ in range(300)]
        assert [m["type"] for m in answers[:299]] == ["Frame"] * 299
        assert answers[299]["code"] == "draining"
        await stop


async def test_the_drain_has_an_end(start_process, connect, videos):
    index = videos.index()
    server = start_process(drain_timeout=0.3)
    async with connect(server.url) as client:
        await client.set_video("videos/clip.mp4")
        (lane,) = server.lanes()
        os.kill(lane, signal.SIGSTOP)
        await client.request(offset_of(index, 0), shown(index))
        await asyncio.to_thread(http_get, server.port, "/health")
        server.process.send_signal(signal.SIGINT)
        with pytest.raises(websockets.ConnectionClosed):
            await client.ws.recv()
        assert client.ws.close_code == 1012
    assert await asyncio.to_thread(server.process.wait, 20) == 0
    assert not is_running(lane)


async def test_a_second_signal_ends_at_once(start_process, connect, videos):
    index = videos.index()
    server = start_process(drain_timeout=600)
    async with connect(server.url) as client:
        await client.set_video("videos/clip.mp4")
        (lane,) = server.lanes()
        os.kill(lane, signal.SIGSTOP)
        await client.request(offset_of(index, 0), shown(index))
        await asyncio.to_thread(http_get, server.port, "/health")
        server.process.send_signal(signal.SIGTERM)
        await eventually(lambda: "Stopping" in server.log.read_text())
        server.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.process.wait, 20) == 0
    assert not is_running(lane)


def test_lanes_end_when_the_server_is_killed(start_process):
    server = start_process(workers=2)
    lanes = server.lanes()
    assert len(lanes) == 2
    server.process.kill()
    server.process.wait()
    deadline = time.monotonic() + 20
    while any(is_running(pid) for pid in lanes):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # an orphan waits for init to take note of it


def test_settings_that_cannot_work_are_one_clear_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"local_path is .* not a folder"):
        Server(Settings(local_path=tmp_path / "missing"))


async def test_a_port_that_is_taken_is_one_clear_sentence(start_server, videos):
    async with start_server() as server:
        again = Server(
            Settings(listen_addr=f"127.0.0.1:{server.info.port}", local_path=videos.folder, workers=1)
        )
        with pytest.raises(
            StartError, match=r"cannot listen on 127\.0\.0\.1:\d+: .*; choose another address"
        ):
            await again.start()
        assert again.lane_pids == []


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "ws://localhost:3000/ws"), ("::", "ws://localhost:3000/ws"), ("::1", "ws://[::1]:3000/ws")],
)
def test_the_url_of_a_server(host: str, url: str) -> None:
    assert ServerInfo(host=host, port=3000, lanes=1).url == url


async def test_nothing_is_written_to_disk(start_process, connect, videos, tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    server = start_process(
        wrapper=("strace", "-f", "-qq", "-y", "-e", "trace=open,openat,openat2,creat", "-o", str(trace)),
        workers=1,
    )
    index = videos.index()
    frames = shown(index)[:60]
    async with connect(server.url) as client:
        await client.set_video("videos/clip.mp4")
        await client.request(offset_of(index, 0), frames)
        assert [(await client.message())["type"] for _ in frames] == ["Frame"] * 60
        await client.set_video("broken.mp4")
        await client.request(offset_of(index, 0), [(offset_of(index, videos.broken_row), 0)])
        assert (await client.message())["type"] == "FrameError"
    # The child of the tracer is the server; signals to the tracer would not reach it.
    os.kill(server.lanes()[0], signal.SIGTERM)
    assert await asyncio.to_thread(server.process.wait, 30) == 0
    calls = trace.read_text().splitlines()
    assert sum("clip.mp4" in call for call in calls) > 1
    writing = [
        call
        for call in calls
        if re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND|creat\(", call)
        and not re.search(r'"/dev/(null|tty|shm/[^"]*)"', call)
        and not re.search(r"= -1 ", call)
    ]
    assert writing == []


def test_the_server_process_loads_no_native_decoder() -> None:
    program = "import sys, streamer.server; assert not any('_native' in name and 'ffbind' in name for name in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)
