"""What names a video, and where endpoint, region and credentials come from: read from a real store."""

from __future__ import annotations

from pathlib import Path

import pytest
from stores import ACCESS_KEY, SECRET_KEY, Store, publish

import ffbind
from streamer.storage import (
    ForbiddenError,
    NotFoundError,
    Patience,
    S3Options,
    S3OptionsError,
    S3Storage,
    source,
)

QUICK = Patience(tries=2, pause=0.01, connect_timeout=1, read_timeout=1)
KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, wherever they might come from."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_ACCESS_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "AWS_PROFILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def read(minio: Store, bucket: str) -> bytes | bytearray | memoryview:
    opened = source(f"s3://{bucket}/a.mp4", variables={"AWS_ENDPOINT_URL": minio.endpoint}, patience=QUICK)
    assert opened.size == 1024
    return opened.read_at(1, 3)


def test_keys_of_the_environment(minio: Store, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    assert read(minio, filled) == b"\x01\x02\x03"


@pytest.mark.parametrize("profile", ["default", "lab"])
def test_keys_of_a_profile(
    minio: Store, filled: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str
) -> None:
    (tmp_path / "credentials").write_text(
        "[other]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n"
        f"[{profile}]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    )
    if profile != "default":
        monkeypatch.setenv("AWS_PROFILE", profile)
    assert read(minio, filled) == b"\x01\x02\x03"
    monkeypatch.setenv("AWS_PROFILE", "other")
    with pytest.raises(ForbiddenError, match="does not know the access key"):
        read(minio, filled)


def test_a_profile_that_is_not_there_is_told(
    minio: Store, filled: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also where anonymous requests would do: whoever named a profile means it."""
    publish(minio, filled)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(S3OptionsError, match="AWS_PROFILE is 'nobody'"):
        read(minio, filled)
    monkeypatch.delenv("AWS_PROFILE")
    assert read(minio, filled) == b"\x01\x02\x03"
    (tmp_path / "credentials").write_text("aws_access_key_id = without a profile\n")
    with pytest.raises(S3OptionsError, match="file of credentials"):
        read(minio, filled)


def test_half_of_the_keys_is_told(minio: Store, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    with pytest.raises(S3OptionsError, match="only one is set"):
        read(minio, filled)


def test_without_credentials_requests_are_anonymous(minio: Store, filled: str) -> None:
    with pytest.raises(ForbiddenError, match=r"anonymous requests \(no credentials were found\)"):
        read(minio, filled)
    publish(minio, filled)
    assert read(minio, filled) == b"\x01\x02\x03"


def test_variables_and_their_order() -> None:
    order = [
        ("AWS_ENDPOINT_URL", "http://c"),
        ("AWS_ENDPOINT_URL_S3", "http://b"),
        ("S3_ENDPOINT", "http://a"),
    ]
    variables: dict[str, str] = {}
    assert S3Options.from_environment("videos", variables) == S3Options(bucket="videos")
    for name, value in order:
        variables[name] = value
        assert S3Options.from_environment("videos", variables).endpoint == value
    for name, value in [("AWS_DEFAULT_REGION", "eu-west-1"), ("AWS_REGION", "eu-north-1")]:
        variables[name] = value
        assert S3Options.from_environment("videos", variables).region == value
    variables["S3_ENDPOINT"] = ""  # empty is not set
    assert S3Options.from_environment("videos", variables).endpoint == "http://b"


PROFILES = """
[default]
region = eu-west-1
endpoint_url = http://of-all:1

[profile lab]
region = eu-north-1
"""


def test_region_and_endpoint_of_a_profile(tmp_path: Path) -> None:
    """The weakest of all, and each by itself."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(PROFILES)
    home = {"HOME": str(tmp_path)}

    def found(variables: dict[str, str]) -> tuple[str, str]:
        options = S3Options.from_environment("videos", variables)
        return options.endpoint, options.region

    assert found(home) == ("http://of-all:1", "eu-west-1")
    assert found(home | {"AWS_PROFILE": "lab"}) == ("", "eu-north-1")
    assert found(home | {"AWS_PROFILE": "nobody"}) == ("", "us-east-1")
    assert found(home | {"AWS_REGION": "us-west-2"}) == ("http://of-all:1", "us-west-2")
    assert found({}) == ("", "us-east-1")
    other = tmp_path / "profiles"
    other.write_text("[profile default]\nregion = ap-south-1\n")
    assert found(home | {"AWS_CONFIG_FILE": str(other)}) == ("", "ap-south-1")
    other.write_text("region = of no profile")
    with pytest.raises(S3OptionsError, match="cannot be read as a file of profiles"):
        found(home | {"AWS_CONFIG_FILE": str(other)})


def test_the_environment_of_the_process(minio: Store, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**KEYS, "AWS_ENDPOINT_URL_S3": minio.endpoint, "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    assert source(f"s3://{filled}/a.mp4").read_at(0, 2) == b"\x00\x01"
    storage = S3Storage(S3Options.from_environment(filled))
    assert not storage.anonymous
    assert storage.check()
    with pytest.raises(NotFoundError, match=r"Video not found: none\.mp4"):
        source(f"s3://{filled}/none.mp4")


def test_a_path_and_an_http_url(minio: Store, filled: str, tmp_path: Path) -> None:
    (tmp_path / "a:b.mp4").write_bytes(b"abc")
    for path in (tmp_path / "a:b.mp4", str(tmp_path / "a:b.mp4")):
        assert source(path).read_at(1, 1) == b"b"
    publish(minio, filled)
    assert source(f"{minio.endpoint}/{filled}/a.mp4").read_at(1, 1) == b"\x01"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://", "does not name an object"),
        ("s3://bucket", "does not name an object"),
        ("s3://bucket/", "does not name an object"),
        ("gs://bucket/a.mp4", "gs:// is not known"),
        ("file:///a.mp4", "file:// is not known"),
    ],
)
def test_urls_that_name_no_video(url: str, words: str) -> None:
    with pytest.raises(ffbind.ArgumentError, match=words):
        source(url)
