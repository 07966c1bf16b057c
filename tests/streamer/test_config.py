"""Settings: defaults of the original design, the environment and its order, and refusals that say what would be right."""

from pathlib import Path
from typing import Any

import pytest

from streamer.config import ConfigError, Settings, available_cores
from streamer.connection import Limits


def test_defaults_are_those_of_the_original_design() -> None:
    settings = Settings()
    assert settings.listen_addr == "0.0.0.0:3000"
    assert settings.address == ("0.0.0.0", 3000)
    assert settings.storage_backend == "local"
    assert settings.local_path == Path("./data")
    assert settings.s3_bucket == ""
    assert settings.s3_region == "us-east-1"
    assert settings.jpeg_quality == 80
    assert settings.workers == available_cores() >= 1


def test_an_empty_environment_changes_nothing() -> None:
    assert Settings.from_environment({}) == Settings()
    assert Settings.from_environment({"LISTEN_ADDR": "", "STREAMER_WORKERS": ""}) == Settings()


def test_each_setting_by_its_variable() -> None:
    settings = Settings.from_environment(
        {
            "STREAMER_LISTEN_ADDR": "[::1]:0",
            "STREAMER_STORAGE_BACKEND": "local",
            "STREAMER_LOCAL_PATH": "/videos",
            "STREAMER_FOLLOW_SYMLINKS": "yes",
            "STREAMER_S3_BUCKET": "b",
            "STREAMER_S3_REGION": "eu-central-1",
            "STREAMER_JPEG_QUALITY": "95",
            "STREAMER_WORKERS": "3",
            "STREAMER_LOG_LEVEL": "debug",
            "STREAMER_MAX_CONNECTIONS": "7",
            "STREAMER_VIDEOS_PER_LANE": "3",
            "STREAMER_PICTURE_BYTES": "1000",
            "STREAMER_CACHE_BYTES": "0",
            "STREAMER_OPEN_TIMEOUT": "1.5",
            "STREAMER_DECODE_TIMEOUT": "2",
            "STREAMER_SEND_TIMEOUT": "3",
            "STREAMER_DRAIN_TIMEOUT": "4",
            "STREAMER_FRAMES_PER_REQUEST": "10",
            "STREAMER_MESSAGE_BYTES": "1000",
        }
    )
    assert settings == Settings(
        listen_addr="[::1]:0",
        local_path=Path("/videos"),
        follow_symlinks=True,
        s3_bucket="b",
        s3_region="eu-central-1",
        jpeg_quality=95,
        workers=3,
        log_level="debug",
        max_connections=7,
        videos_per_lane=3,
        picture_bytes=1000,
        cache_bytes=0,
        open_timeout=1.5,
        decode_timeout=2,
        send_timeout=3,
        drain_timeout=4,
        limits=Limits(frames_per_request=10, message_bytes=1000),
    )
    assert settings.address == ("::1", 0)


def test_plain_names_are_accepted_and_the_prefixed_ones_win() -> None:
    plain = {
        "LISTEN_ADDR": "127.0.0.1:1",
        "STORAGE_BACKEND": "local",
        "LOCAL_PATH": "/a",
        "S3_BUCKET": "b",
        "S3_REGION": "r",
        "JPEG_QUALITY": "70",
    }
    settings = Settings.from_environment(plain)
    assert (settings.address, settings.local_path) == (("127.0.0.1", 1), Path("/a"))
    assert (settings.s3_bucket, settings.s3_region, settings.jpeg_quality) == ("b", "r", 70)
    assert Settings.from_environment({**plain, "STREAMER_JPEG_QUALITY": "71"}).jpeg_quality == 71
    # Only the names of the original design: WORKERS or LOG_LEVEL may well be another program's.
    assert Settings.from_environment({"LOG_LEVEL": "nonsense", "WORKERS": "x"}) == Settings()


def test_overrides_win_and_none_is_no_override() -> None:
    environment = {"STREAMER_JPEG_QUALITY": "70", "STREAMER_WORKERS": "5"}
    settings = Settings.from_environment(environment, jpeg_quality=90, workers=None)
    assert (settings.jpeg_quality, settings.workers) == (90, 5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"listen_addr": "3000"}, "HOST:PORT"),
        ({"listen_addr": "localhost:http"}, "HOST:PORT"),
        ({"listen_addr": "localhost:65536"}, "HOST:PORT"),
        ({"listen_addr": "localhost:-1"}, "HOST:PORT"),
        ({"listen_addr": "::1:3000"}, "brackets"),
        ({"storage_backend": "s3"}, "s3 is not part of this version; use local"),
        ({"storage_backend": "ftp"}, "must be local"),
        ({"log_level": "loud"}, "debug, info, warning, error"),
        ({"jpeg_quality": 0}, "from 1 to 100"),
        ({"jpeg_quality": 101}, "from 1 to 100"),
        ({"workers": 0}, "from 1 to 256"),
        ({"videos_per_lane": 0}, "videos_per_lane is 0"),
        ({"cache_bytes": -1}, "cache_bytes is -1"),
        ({"decode_timeout": 0}, "decode_timeout is 0"),
        ({"send_timeout": float("nan")}, "send_timeout is nan"),
        ({"limits": Limits(frames_ahead=0)}, "frames_ahead is 0"),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(**values)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("STREAMER_WORKERS", "many"),
        ("JPEG_QUALITY", "80%"),
        ("STREAMER_SEND_TIMEOUT", "soon"),
        ("STREAMER_FOLLOW_SYMLINKS", "perhaps"),
        ("STREAMER_FRAMES_PER_REQUEST", "1e3"),
    ],
)
def test_a_variable_that_does_not_fit_is_named(variable: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_environment({variable: text})
    assert variable in str(caught.value)
    assert text in str(caught.value)
