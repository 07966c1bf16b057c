"""Path rules: the table of what a path from the wire may and may not be."""

import pytest

from streamer.storage import BadPathError, check_path

GOOD = [
    "a.mp4",
    "videos/a.mp4",
    "a b/ä é.mp4",
    "%2e%2e/a.mp4",
    "..a/b..mp4",
    "...",
    "~/a",
    "C:a",
    "-rf",
    "a" * 255,
    "/".join(["d" * 100] * 10),
]

BAD = [
    "",
    "/",
    "/etc/passwd",
    "//server/a",
    ".",
    "..",
    "../a.mp4",
    "a/../b",
    "a/..",
    "a/./b",
    "./a",
    "a//b",
    "a/",
    "a\\b",
    "..\\a",
    "a\0b",
    "a\0",
    "a\nb",
    "a\x7fb",
    "\ud800",
    "a" * 256,
    "ä" * 128,
    "/".join(["d" * 100] * 11),
]


@pytest.mark.parametrize("path", GOOD, ids=ascii)
def test_accepted_as_it_is(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize("path", BAD, ids=ascii)
def test_refused_with_a_printable_reason(path: str) -> None:
    with pytest.raises(BadPathError) as caught:
        check_path(path)
    assert caught.value.code == "bad_path"
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
