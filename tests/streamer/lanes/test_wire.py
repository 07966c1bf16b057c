"""The wire between server and lanes: what goes in comes out, and what breaks the format is refused."""

import asyncio
import socket
import struct
import threading

import pytest

from streamer.lanes import wire
from streamer.lanes.wire import WireError, pack

TO_LANE = [
    wire.Open(1, 2, "a/b.mp4", 2**40, "abc-1"),
    wire.Close(2),
    wire.Decode(3, 2, 2**64 - 1, 2**63, 80),
    wire.Decode(3, 2, 2**64 - 1, 2**63, 80, measured=True),
    wire.Cancel(3),
    wire.ReadDone(4, (1, 2, 0)),
    wire.ReadDone(4, (1, 2, 0), 2, 70_000),
    wire.ReadFailed(4, "video_changed", "changed"),
    wire.StatsRequest(5),
]
FROM_LANE = [
    wire.Ready(),
    wire.Opened(1),
    wire.Started(3),
    wire.Picture(3),
    wire.Picture(3, wire.Effort(1, 2, 3, 4, 5, 6, 7, 2**40)),
    wire.Failed(3, "corrupt_sample", "damaged"),
    wire.Read(4, 2, ((0, 10), (2**40, 5))),
    wire.Read(5, 2, ((0, 10),), True),
    wire.HurryRead(5),
    wire.DropRead(5),
    wire.Stats(5, {2: {"decoders_opened": 1}}),
]


@pytest.mark.parametrize("payload", [b"", b"x", b"\0" * 3_000_000], ids=len)
def test_records_to_a_lane_and_their_payloads(payload: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def send() -> None:
            for record in TO_LANE:
                ours.sendall(pack(record, len(payload)) + payload)
            ours.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        for record in TO_LANE:
            received = wire.receive_record(theirs)
            assert received is not None
            assert wire.decode_to_lane(received[0]) == record
            assert received[1] == payload
        assert wire.receive_record(theirs) is None
        sender.join()


@pytest.mark.parametrize("payload", [b"", b"x", b"\0" * 3_000_000], ids=len)
async def test_records_from_a_lane_and_their_payloads(payload: bytes) -> None:
    reader = asyncio.StreamReader()
    for record in FROM_LANE:
        reader.feed_data(pack(record, len(payload)) + payload)
    reader.feed_eof()
    for record in FROM_LANE:
        received = await wire.read_record(reader)
        assert received is not None
        assert wire.decode_from_lane(received[0]) == record
        assert received[1] == payload
    assert await wire.read_record(reader) is None


BROKEN = [
    b"\x01",
    struct.pack("<II", 5, 0) + b"abc",
    struct.pack("<II", 1, 4) + b"a" + b"xx",
    struct.pack("<II", 2**32 - 1, 0),
    struct.pack("<II", 1, 2**32 - 1),
]


@pytest.mark.parametrize("data", BROKEN, ids=range(len(BROKEN)))
async def test_a_broken_stream_is_a_wire_error_on_both_sides(data: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    with pytest.raises(WireError):
        await wire.read_record(reader)
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(data)
        with pytest.raises(WireError):
            wire.receive_record(theirs)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x90",
        b"\x91\xa7unknown",
        b"\x92\xa4read\x01",
        b"\x94\xa4read\x01\x02\x91\x92\xff\x05",
        b"\x00",
        b"\x93\xa7picture\x03\x98\xff\x00\x00\x00\x00\x00\x00\x00",
    ],
    ids=range(8),
)
def test_records_that_are_none_are_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode_from_lane(body)
    with pytest.raises(WireError):
        wire.decode_to_lane(body)
