"""Settings: defaults of the original design, environment and file and their order, and refusals that say what would be right."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from ffbind.cores import usable_cores
from streamer.config import ConfigError, Origin, Settings, SettingValue
from streamer.connection import Limits
from streamer.storage import default_folder


def from_environment(variables: dict[str, str], **arguments: Any) -> Settings:
    return Settings.load(arguments, environment=variables).settings


@pytest.fixture(autouse=True)
def _no_file_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder of each test is its own."""
    monkeypatch.chdir(tmp_path)


def test_defaults_are_those_of_the_original_design() -> None:
    settings = Settings()
    assert settings.listen_addr == "0.0.0.0:3000"
    assert settings.address == ("0.0.0.0", 3000)
    assert settings.storage_backend == "local"
    assert settings.local_path == Path("./data")
    assert settings.s3_bucket == ""
    assert settings.s3_region == "us-east-1"
    assert settings.jpeg_quality == 80
    assert settings.workers == usable_cores() >= 1


def test_the_folder_of_indexes_is_that_of_the_commands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert Settings().index_folder == tmp_path / ".cache" / "bucket-streamer" / "index" == default_folder()
    for given, expected in (("/elsewhere", Path("/elsewhere")), ("not/absolute", tmp_path / ".cache")):
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert Settings().index_folder == expected / "bucket-streamer" / "index"


def test_an_empty_environment_changes_nothing() -> None:
    assert from_environment({}) == Settings()
    assert from_environment({"LISTEN_ADDR": "", "STREAMER_WORKERS": ""}) == Settings()


def test_each_setting_by_its_variable() -> None:
    settings = from_environment(
        {
            "STREAMER_LISTEN_ADDR": "[::1]:0",
            "STREAMER_STORAGE_BACKEND": "local",
            "STREAMER_LOCAL_PATH": "/videos",
            "STREAMER_FOLLOW_SYMLINKS": "yes",
            "STREAMER_S3_BUCKET": "videos",
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
        s3_bucket="videos",
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
        "S3_BUCKET": "videos",
        "S3_REGION": "r",
        "JPEG_QUALITY": "70",
    }
    settings = from_environment(plain)
    assert (settings.address, settings.local_path) == (("127.0.0.1", 1), Path("/a"))
    assert (settings.s3_bucket, settings.s3_region, settings.jpeg_quality) == ("videos", "r", 70)
    assert from_environment({**plain, "STREAMER_JPEG_QUALITY": "71"}).jpeg_quality == 71
    # Only the names of the original design: WORKERS or LOG_LEVEL may well be another program's.
    assert from_environment({"LOG_LEVEL": "nonsense", "WORKERS": "x"}) == Settings()


def test_overrides_win_and_none_is_no_override() -> None:
    environment = {"STREAMER_JPEG_QUALITY": "70", "STREAMER_WORKERS": "5"}
    settings = from_environment(environment, jpeg_quality=90, workers=None)
    assert (settings.jpeg_quality, settings.workers) == (90, 5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"listen_addr": "3000"}, "HOST:PORT"),
        ({"listen_addr": "localhost:http"}, "HOST:PORT"),
        ({"listen_addr": "localhost:65536"}, "HOST:PORT"),
        ({"listen_addr": "localhost:-1"}, "HOST:PORT"),
        ({"listen_addr": "::1:3000"}, "brackets"),
        ({"storage_backend": "s3"}, "s3_bucket: no bucket is named"),
        ({"storage_backend": "s3", "s3_bucket": "videos", "s3_endpoint": "minio:9000"}, "s3_endpoint: "),
        ({"storage_backend": "s3", "s3_bucket": "videos", "s3_access_key": "k"}, "s3_access_key: "),
        ({"s3_tries": 0}, "s3_tries is 0"),
        ({"storage_backend": "ftp"}, "must be local or s3"),
        ({"index_cache": "on"}, "must be off, read or write"),
        ({"index_cache": "read", "index_folder": Path("~/x")}, "index_folder is '~/x'"),
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
        from_environment({variable: text})
    assert variable in str(caught.value)
    assert text in str(caught.value)


# The file


def load(
    text: str, folder: Path, environment: dict[str, str] | None = None, **arguments: Any
) -> dict[str, SettingValue]:
    (folder / "streamer.toml").write_text(text)
    loaded = Settings.load(arguments, environment=environment or {}, folder=folder)
    return {value.name: value for value in loaded.values}


def test_each_origin_in_its_order(tmp_path: Path) -> None:
    values = load(
        "workers = 3\njpeg_quality = 70\nsend_timeout = 5\nframes_ahead = 9\n",
        tmp_path,
        {"STREAMER_WORKERS": "4", "JPEG_QUALITY": "71"},
        workers=5,
        log_level=None,
    )
    file = str(tmp_path / "streamer.toml")
    assert values["workers"] == SettingValue("workers", 5, False, Origin.COMMAND_LINE, "")
    assert values["jpeg_quality"] == SettingValue(
        "jpeg_quality", 71, False, Origin.ENVIRONMENT, "JPEG_QUALITY"
    )
    assert values["send_timeout"] == SettingValue("send_timeout", 5.0, False, Origin.FILE, file)
    assert values["frames_ahead"] == SettingValue("frames_ahead", 9, False, Origin.FILE, file)
    assert values["log_level"] == SettingValue("log_level", "info", False, Origin.DEFAULT, "")


def test_values_are_those_of_the_settings(tmp_path: Path) -> None:
    """Every setting is listed once, with the value that is in force."""
    (tmp_path / "streamer.toml").write_text("message_bytes = 1234\nlocal_path = 'videos'\n")
    loaded = Settings.load(environment={}, folder=tmp_path)
    assert loaded.file == tmp_path / "streamer.toml"
    assert loaded.settings.limits.message_bytes == 1234
    plain = asdict(loaded.settings)
    flat = {name: value for name, value in plain.items() if name != "limits"} | plain["limits"]
    assert {value.name: value.value for value in loaded.values} == flat | {
        "local_path": str(tmp_path / "videos"),
        "index_folder": str(plain["index_folder"]),
        **{value.name: False for value in loaded.values if value.secret},  # whether it is set
    }
    assert len(loaded.values) == len(fields(Settings)) - 1 + len(fields(Limits))


def test_which_file_is_read(tmp_path: Path) -> None:
    for name, workers in (("streamer.toml", 3), ("variable.toml", 4), ("argument.toml", 5)):
        (tmp_path / name).write_text(f"workers = {workers}")
    variables = {"STREAMER_CONFIG": str(tmp_path / "variable.toml")}
    named = tmp_path / "argument.toml"
    assert Settings.load(environment=variables, config=named, folder=tmp_path).settings.workers == 5
    assert Settings.load(environment=variables, folder=tmp_path).settings.workers == 4
    assert Settings.load(environment={}, folder=tmp_path).settings.workers == 3
    assert Settings.load(environment={}).settings.workers == 3  # the working folder is tmp_path
    assert Settings.load(environment={}, folder=tmp_path / "elsewhere").file is None


def test_a_path_in_a_file_is_seen_from_there(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc" / "s.toml"
    file.write_text("local_path = 'videos'")
    assert Settings.load(environment={}, config=file).settings.local_path == tmp_path / "etc" / "videos"
    file.write_text("local_path = '/srv'")
    assert Settings.load(environment={}, config=file).settings.local_path == Path("/srv")
    assert Settings.load({"local_path": Path("v")}, environment={}, config=file).settings.local_path == Path(
        "v"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("worker = 3", "worker is no setting; did you mean workers?"),
        ("jpeg-quality = 3", "jpeg-quality is no setting; did you mean jpeg_quality?"),
        ("xyz = 3", "xyz is no setting; `streamer config` lists all settings"),
        ("[limits]\nframes_ahead = 3", "limits is no setting"),
        ("workers = 'three'", "workers is 'three'; it must be a whole number"),
        ("workers = true", "workers is True; it must be a whole number"),
        ("workers = 2.0", "workers is 2.0; it must be a whole number"),
        ("[workers]\na = 1", "workers is a table; it must be a whole number"),
        ("send_timeout = '5'", "send_timeout is '5'; it must be a number of seconds"),
        ("follow_symlinks = 1", "follow_symlinks is 1; it must be true or false"),
        ("local_path = 1", "local_path is 1; it must be a path in quotes"),
        ("log_level = 1", "log_level is 1; it must be text in quotes"),
        ("workers = [1,\nx]", r"not a TOML file: .*line 2"),
        ("workers = 0", "workers is 0; it must be from 1 to 256 "),
        ("frames_ahead = 0", "frames_ahead is 0"),
        ("listen_addr = '3000'", "listen_addr is '3000'; it must be HOST:PORT"),
        ("log_level = 'loud'", "log_level is 'loud'"),
    ],
)
def test_what_is_wrong_in_a_file_names_file_and_key(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        load(text, tmp_path)
    assert str(tmp_path / "streamer.toml") in str(caught.value)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    for chosen in (
        {"config": tmp_path / "none.toml"},
        {"environment": {"STREAMER_CONFIG": str(tmp_path / "none.toml")}},
    ):
        with pytest.raises(
            ConfigError, match=r"none.toml: the configuration file cannot be read: No such file"
        ):
            Settings.load(**chosen)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Is a directory"):
        Settings.load(environment={}, config=tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"log_level = '\xe9'")
    with pytest.raises(ConfigError, match=r"latin.toml: not a TOML file"):
        Settings.load(environment={}, config=tmp_path / "latin.toml")


def test_a_variable_that_does_not_fit_a_range_is_named() -> None:
    with pytest.raises(ConfigError, match=r"workers is 0; it must be from 1 to 256 \(STREAMER_WORKERS\)"):
        from_environment({"STREAMER_WORKERS": "0"})
    with pytest.raises(ConfigError, match=r"jpeg_quality is 0; .*100$"):
        from_environment({}, jpeg_quality=0)


def test_variables_that_are_no_settings_are_told() -> None:
    environment = {"STREAMER_WORKRES": "3", "STREAMER_CONFIG": "", "STREAMER_WORKERS": "3", "OTHER": "1"}
    assert Settings.load(environment=environment).unknown_variables == ("STREAMER_WORKRES",)


def test_an_argument_that_is_no_setting_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="no settings: colour"):
        Settings.load({"colour": "red"}, environment={})


# Secrets: no setting of this version is one, so the rule is shown with a class of settings that has some.


@dataclass(frozen=True, slots=True, kw_only=True)
class WithSecrets(Settings):
    s3_access_key: str = ""
    api_token: str = ""


def test_secrets_come_from_the_environment_and_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key-1234\n")
    variables = {"STREAMER_API_TOKEN": "token-5678", "STREAMER_S3_ACCESS_KEY_FILE": str(tmp_path / "key")}
    loaded = WithSecrets.load(environment=variables)
    assert (loaded.settings.api_token, loaded.settings.s3_access_key) == ("token-5678", "key-1234")
    values = {value.name: value for value in loaded.values}
    assert values["api_token"] == SettingValue(
        "api_token", True, True, Origin.ENVIRONMENT, "STREAMER_API_TOKEN"
    )
    assert values["s3_access_key"].where == "STREAMER_S3_ACCESS_KEY_FILE"
    assert "1234" not in repr(loaded.values)
    assert "5678" not in repr(loaded.values)
    assert loaded.unknown_variables == ()
    assert {v.value for v in WithSecrets.load(environment={}).values if v.secret} == {False}


@pytest.mark.parametrize("name", ["api_token", "s3_access_key"])
def test_secrets_are_refused_elsewhere(name: str, tmp_path: Path) -> None:
    (tmp_path / "streamer.toml").write_text(f"{name} = 'hush'")
    with pytest.raises(
        ConfigError, match=f"{name} is secret and cannot stand in this file; set STREAMER_"
    ) as caught:
        WithSecrets.load(environment={}, folder=tmp_path)
    assert "hush" not in str(caught.value)
    with pytest.raises(ConfigError, match=f"{name} is secret and cannot stand on the command line") as caught:
        WithSecrets.load({name: "hush"}, environment={}, folder=tmp_path / "elsewhere")
    assert "hush" not in str(caught.value)


def test_a_secret_in_a_file_that_is_not_there_or_empty(tmp_path: Path) -> None:
    path = tmp_path / "token"
    with pytest.raises(
        ConfigError, match=r"STREAMER_API_TOKEN_FILE names .*token, which cannot be read: No such file"
    ):
        WithSecrets.load(environment={"STREAMER_API_TOKEN_FILE": str(path)})
    path.write_text("\n")
    with pytest.raises(ConfigError, match=r"STREAMER_API_TOKEN_FILE names .*token, which is empty"):
        WithSecrets.load(environment={"STREAMER_API_TOKEN_FILE": str(path)})
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not text"):
        WithSecrets.load(environment={"STREAMER_API_TOKEN_FILE": str(path)})
    with pytest.raises(ConfigError, match="both set"):
        WithSecrets.load(environment={"STREAMER_API_TOKEN": "a", "STREAMER_API_TOKEN_FILE": str(path)})


def test_only_secrets_come_from_files_that_variables_name(tmp_path: Path) -> None:
    (tmp_path / "workers").write_text("3")
    loaded = Settings.load(environment={"STREAMER_WORKERS_FILE": str(tmp_path / "workers")})
    assert loaded.settings.workers == usable_cores()
    assert loaded.unknown_variables == ("STREAMER_WORKERS_FILE",)


def test_a_profile_of_other_tools_is_the_weakest(tmp_path: Path) -> None:
    config = tmp_path / "profiles"
    config.write_text("[default]\nregion = eu-west-1\n")
    variables = {"AWS_CONFIG_FILE": str(config), "STREAMER_STORAGE_BACKEND": "s3", "S3_BUCKET": "videos"}
    loaded = Settings.load(environment=variables)
    where = {value.name: (value.origin, value.where) for value in loaded.values}
    assert (loaded.settings.s3_region, where["s3_region"]) == ("eu-west-1", (Origin.FILE, str(config)))
    assert from_environment(variables | {"AWS_REGION": "us-west-2"}).s3_region == "us-west-2"
    config.write_text("no profile")
    with pytest.raises(ConfigError, match=r"s3_region: .* cannot be read as a file of profiles"):
        from_environment(variables | {"S3_ENDPOINT": "http://ours:1"})
    assert from_environment({"AWS_CONFIG_FILE": str(config)}).storage_backend == "local"


def test_what_other_tools_are_told_is_weaker_than_the_file(tmp_path: Path) -> None:
    variables = {
        "AWS_ENDPOINT_URL": "http://general:1",
        "AWS_ENDPOINT_URL_S3": "http://particular:1",
        "AWS_REGION": "eu-north-1",
        "AWS_DEFAULT_REGION": "us-west-2",
    }
    loaded = Settings.load(environment=variables)
    assert (loaded.settings.s3_endpoint, loaded.settings.s3_region) == ("http://particular:1", "eu-north-1")
    where = {value.name: (value.origin, value.where) for value in loaded.values}
    assert where["s3_endpoint"] == (Origin.ENVIRONMENT, "AWS_ENDPOINT_URL_S3")
    assert where["s3_region"] == (Origin.ENVIRONMENT, "AWS_REGION")
    (tmp_path / "streamer.toml").write_text('s3_endpoint = "http://file:1"')
    assert from_environment(variables).s3_endpoint == "http://file:1"
    for name in ("S3_ENDPOINT", "STREAMER_S3_ENDPOINT"):
        assert from_environment({**variables, name: "http://ours:1"}).s3_endpoint == "http://ours:1"
    weaker = {"AWS_ENDPOINT_URL": "http://general:1", "AWS_DEFAULT_REGION": "us-west-2"}
    (tmp_path / "streamer.toml").unlink()
    assert (from_environment(weaker).s3_endpoint, from_environment(weaker).s3_region) == (
        "http://general:1",
        "us-west-2",
    )
