"""The client against a real server: frames, errors, a refused video, the end of the connection."""

import pytest

import ffbind
from streamer.client import Client, ClientError, ErrorAnswer, FrameAnswer, SetVideoError


async def test_frames_and_errors_in_the_order_of_the_requests(start_server, videos):
    samples = videos.index().samples
    first, second = int(samples["offset"][0]), int(samples["offset"][1])
    async with start_server() as server, Client.connect(server.info.url) as client:
        await client.set_video("videos/clip.mp4")
        await client.request_frames(first, [(second, 1), (first + 1, 2)])
        await client.request_frames(first, [(first, 3)])
        answers = []
        async for answer in client.answers():
            answers.append(answer)
            if len(answers) == 3:
                break
    with ffbind.open(videos.clip) as video:
        frame = answers[0]
        assert isinstance(frame, FrameAnswer)
        assert (frame.index, frame.offset, frame.meta.size) == (1, second, len(frame.jpeg))
        assert frame.jpeg == video.frame_at_offset(second).to_jpeg(80)
    assert answers[1] == ErrorAnswer(2, first + 1, "bad_offset", answers[1].message, False)
    assert (answers[2].index, answers[2].offset) == (3, first)


async def test_a_refused_video_is_an_error_with_its_code(start_server):
    async with start_server() as server, Client.connect(server.info.url) as client:
        with pytest.raises(SetVideoError, match=r"Video not found: missing\.mp4") as caught:
            await client.set_video("missing.mp4")
        assert caught.value.code == "not_found"
        await client.request_frames(0, [(0, 0)])
        answer = await client.answer()
        assert isinstance(answer, ErrorAnswer)
        assert (answer.index, answer.offset, answer.code) == (None, None, "no_video")


async def test_answers_that_were_pending_when_another_video_was_set_are_kept(start_server, videos):
    samples = videos.index().samples
    first = int(samples["offset"][0])
    async with start_server() as server, Client.connect(server.info.url) as client:
        await client.set_video("videos/clip.mp4")
        await client.request_frames(first, [(int(offset), n) for n, offset in enumerate(samples["offset"])])
        await client.set_video("broken.mp4")
        answers = [await client.answer() for _ in range(300)]
        assert [answer.index for answer in answers] == list(range(300))
        assert {answer.code for answer in answers if isinstance(answer, ErrorAnswer)} == {"cancelled"}
        await client.request_frames(first, [(first, 7)])
        answer = await client.answer()
        assert isinstance(answer, FrameAnswer)
        assert answer.index == 7


async def test_the_end_of_the_connection_is_an_error_that_says_so(start_server):
    async with start_server() as server:
        url = server.info.url
        async with Client.connect(url) as client:
            await client.set_video("videos/clip.mp4")
            await server.stop()
            with pytest.raises(ClientError, match="1012"):
                await client.answer()
            with pytest.raises(ClientError, match="has ended"):
                await client.request_frames(0, [])
    with pytest.raises(ClientError, match=r"Cannot connect to .* is the server running there\?"):
        async with Client.connect(url):
            pass
