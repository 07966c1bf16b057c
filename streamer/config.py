"""Settings of the server: one typed value, checked once, and where each part of it came from.

Precedence: command line > environment > streamer.toml > what other tools are told > default. Environment and file know every
setting by the same name.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, Self, TypeAlias, TypeVar, cast, get_type_hints

from ffbind.cores import usable_cores

from .connection import Limits
from .storage import Patience, S3Options, S3OptionsError, default_folder
from .storage.profiles import ProfileError, from_profile
from .storage.s3 import ENDPOINT_VARIABLES, PROFILE_NAMES, REGION_VARIABLES

__all__ = ["FILE_NAME", "LOG_LEVELS", "ConfigError", "Loaded", "Origin", "Scalar", "SettingValue", "Settings"]

LOG_LEVELS = ("debug", "info", "warning", "error")
FILE_NAME = "streamer.toml"
"""The file that is looked for in the working folder."""

_PLAIN_NAMES = frozenset(
    {"listen_addr", "storage_backend", "local_path", "s3_bucket", "s3_endpoint", "s3_region", "jpeg_quality"}
)  # accepted without the prefix: names of the first design, and S3_ENDPOINT beside them
# What is set for other tools on the machine; weaker than the file, which is about this server.
_OTHER_NAMES = {"s3_endpoint": ENDPOINT_VARIABLES, "s3_region": REGION_VARIABLES}
_SECRET = re.compile("secret|token|password|access_key")

Scalar: TypeAlias = "bool | int | float | str"
S = TypeVar("S")


class ConfigError(Exception):
    """A setting that cannot work; the text names the setting, its value and what would be right.

    `setting` is its name, empty where the trouble is not with one setting.
    """

    def __init__(self, message: str, setting: str = "") -> None:
        super().__init__(message)
        self.setting = setting


class Origin(StrEnum):
    """Where a value came from, the strongest first."""

    COMMAND_LINE = "command line"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class SettingValue:
    """One setting as it is in force. `where`: the variable or the file, empty for the others.

    The value of a secret is not in here: `value` is then whether it is set.
    """

    name: str
    value: Scalar
    secret: bool
    origin: Origin
    where: str


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """Settings, with the origin of each in the order of the class; `file`: the configuration file that was read.

    `unknown_variables`: names in the environment that start with STREAMER_ and are no setting: a slip, or another program's.
    """

    settings: S
    values: tuple[SettingValue, ...]
    file: Path | None
    unknown_variables: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the server runs. Checked when made: raises ConfigError."""

    listen_addr: str = "0.0.0.0:3000"
    """Address and port; port 0 takes a free one; an IPv6 address stands in brackets."""
    storage_backend: str = "local"
    """Where the videos are: `local` or `s3`."""
    local_path: Path = Path("data")
    """Folder that holds the videos; in a file, seen from the folder that the file is in."""
    follow_symlinks: bool = False
    """Follow links that lead out of `local_path`."""
    s3_bucket: str = ""
    """Bucket that holds the videos."""
    s3_prefix: str = ""
    """Path in the bucket that the videos are below; nothing beside it can be reached."""
    s3_endpoint: str = ""
    """URL of the store, such as http://minio:9000; empty: Amazon S3."""
    s3_region: str = "us-east-1"
    """Region of the bucket; us-east-1 suits stores without regions."""
    s3_credentials: str = "auto"
    """`auto`: the keys below, else those of the environment or profile, else anonymous; `anonymous`; `instance`: the machine's role."""
    s3_access_key: str = ""
    """Access key."""
    s3_secret_key: str = ""
    """Secret key that belongs to it."""
    s3_session_token: str = ""
    """Session token, with temporary keys."""
    s3_connections: int = 16
    """Connections to the store that are kept open, and reads of frames that go side by side."""
    s3_connect_timeout: float = 5.0
    """Seconds until a connection to the store stands."""
    s3_read_timeout: float = 10.0
    """Seconds without a byte until an answer of the store counts as broken."""
    s3_tries: int = 5
    """Times that one read of the store is tried, each from the byte where the last one broke."""
    index_cache: str = "off"
    """Saved indexes in `index_folder`: `off`, `read`, or `write`, which also puts there what a video without one gave."""
    index_folder: Path = field(default_factory=default_folder)
    """Folder of saved indexes; the default is the one that `streamer index --save` fills."""
    index_beside: bool = False
    """Look for a saved index beside each video, `drive.mp4.ffindex`; where there is none it costs a request."""
    jpeg_quality: int = 80
    """Quality of the pictures, 1 to 100."""
    workers: int = field(default_factory=usable_cores)
    """Decode lanes (processes)."""
    log_level: str = "info"
    """What is logged: debug, info, warning or error."""
    limits: Limits = field(default_factory=Limits)
    """What one connection may ask for."""
    max_connections: int = 1024
    """WebSocket connections at a time; one more is answered with HTTP status 503."""
    videos_per_lane: int = 8
    """Videos that one lane keeps open with their decoders."""
    picture_bytes: int = 512 * 1024 * 1024
    """Memory for decoded pictures that one lane keeps, in equal parts for the videos it may have open."""
    cache_bytes: int = 64 * 1024 * 1024
    """Bytes of videos kept in memory, so that no lane reads what another has read just now."""
    gop_samples: int = 10_000
    """Samples that may be decoded for one frame, from the IRAP picture to it; more is answered gop_too_long."""
    gop_bytes: int = 1 << 30
    """Bytes of these samples."""
    open_timeout: float = 30.0
    """Seconds until opening a video is given up."""
    decode_timeout: float = 30.0
    """Seconds one frame may take in a lane, waiting for storage not counted; then the lane is replaced."""
    send_timeout: float = 20.0
    """Seconds until a client that does not read is cut."""
    drain_timeout: float = 10.0
    """Seconds that frames in the queue may take after SIGTERM."""

    def __post_init__(self) -> None:
        _ = self.address
        if self.storage_backend not in ("local", "s3"):
            raise ConfigError(
                f"storage_backend is {self.storage_backend!r}; it must be local or s3", "storage_backend"
            )
        self._check_range("s3_connections", self.s3_connections, 1, 1024)
        self._check_range("s3_tries", self.s3_tries, 1, 100)
        if self.storage_backend == "s3":
            _ = self.s3
        if self.index_cache not in ("off", "read", "write"):
            raise ConfigError(
                f"index_cache is {self.index_cache!r}; it must be off, read or write", "index_cache"
            )
        if self.index_cache != "off" and self.index_folder.parts[:1] == ("~",):
            raise ConfigError(
                f"index_folder is {str(self.index_folder)!r}, and whose home that is is not known; write the path out",
                "index_folder",
            )
        if self.log_level not in LOG_LEVELS:
            raise ConfigError(
                f"log_level is {self.log_level!r}; it must be one of {', '.join(LOG_LEVELS)}", "log_level"
            )
        self._check_range("jpeg_quality", self.jpeg_quality, 1, 100)
        self._check_range("workers", self.workers, 1, 256)
        self._check_range("max_connections", self.max_connections, 1, 1_000_000)
        self._check_range("videos_per_lane", self.videos_per_lane, 1, 1024)
        self._check_range("picture_bytes", self.picture_bytes, 0, 1 << 40)
        self._check_range("cache_bytes", self.cache_bytes, 0, 1 << 40)
        self._check_range("gop_samples", self.gop_samples, 1, 1 << 40)
        self._check_range("gop_bytes", self.gop_bytes, 1, 1 << 40)
        for name in (
            "open_timeout",
            "decode_timeout",
            "send_timeout",
            "drain_timeout",
            "s3_connect_timeout",
            "s3_read_timeout",
        ):
            self._check_range(name, getattr(self, name), 0.001, 86400)
        for limit in fields(Limits):
            self._check_range(limit.name, getattr(self.limits, limit.name), 1, 1 << 40)

    @staticmethod
    def _check_range(name: str, value: float, low: float, high: float) -> None:
        if not low <= value <= high:
            raise ConfigError(f"{name} is {value}; it must be from {low} to {high}", name)

    @property
    def s3(self) -> S3Options:
        """The settings of the back-end `s3`. Raises ConfigError."""
        try:
            return S3Options(
                bucket=self.s3_bucket,
                prefix=self.s3_prefix,
                endpoint=self.s3_endpoint,
                region=self.s3_region,
                credentials=cast(Any, self.s3_credentials),
                access_key=self.s3_access_key,
                secret_key=self.s3_secret_key,
                session_token=self.s3_session_token,
                patience=Patience(
                    connections=self.s3_connections,
                    connect_timeout=self.s3_connect_timeout,
                    read_timeout=self.s3_read_timeout,
                    tries=self.s3_tries,
                ),
            )
        except S3OptionsError as error:
            raise ConfigError(f"s3_{error.name}: {error}", f"s3_{error.name}") from None

    @property
    def address(self) -> tuple[str, int]:
        """`listen_addr` as host and port."""
        host, separator, port = self.listen_addr.rpartition(":")
        if not separator or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise ConfigError(
                f"listen_addr is {self.listen_addr!r}; it must be HOST:PORT, such as 0.0.0.0:3000",
                "listen_addr",
            )
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ConfigError(
                f"listen_addr is {self.listen_addr!r}; write an IPv6 address in brackets, such as [::]:3000",
                "listen_addr",
            )
        return host, int(port)

    @classmethod
    def load(
        cls,
        arguments: Mapping[str, Any] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        config: Path | None = None,
        folder: Path | None = None,
    ) -> Loaded[Self]:
        """Make settings from the command line, the environment, a file and the defaults, in this order of strength.

        - `arguments`: from the command line, by name; None counts as not given
        - `environment`: `STREAMER_<NAME>`, and the plain names of the first design (`LISTEN_ADDR`, ...); empty counts as not
          set; default `os.environ`
        - store and region, where nothing of these gives them: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL; AWS_REGION, AWS_DEFAULT_REGION;
          with the back-end `s3` the profile in ~/.aws/config at last
        - `config`: the file; default what STREAMER_CONFIG names, else `streamer.toml` in `folder` (the working folder) if there
          is one

        A secret (a name with secret, token, password or access_key in it) is taken from `STREAMER_<NAME>` or from the file that
        `STREAMER_<NAME>_FILE` names, and from nowhere else. Raises ConfigError.
        """
        variables = os.environ if environment is None else environment
        given = {name: value for name, value in (arguments or {}).items() if value is not None}
        settings = {setting.name: setting for setting in _settings_of(cls)}
        if strangers := given.keys() - settings.keys():
            raise TypeError(f"no settings: {', '.join(sorted(strangers))}")
        file = _find_file(variables, config, folder or Path())
        in_file = {} if file is None else _read_file(file, settings)
        values: dict[str, Any] = {}
        origins: dict[str, tuple[Origin, str]] = {}
        for name, setting in settings.items():
            if name in given:
                if setting.secret:
                    raise ConfigError(
                        f"{name} is secret and cannot stand on the command line, which others can see; "
                        f"set STREAMER_{name.upper()} or STREAMER_{name.upper()}_FILE",
                        name,
                    )
                values[name], origins[name] = given[name], (Origin.COMMAND_LINE, "")
            elif (found := _from_environment(setting, variables)) is not None:
                values[name], origins[name] = found[0], (Origin.ENVIRONMENT, found[1])
            elif name in in_file:
                values[name], origins[name] = in_file[name], (Origin.FILE, str(file))
            elif (found := _from_other_tools(name, variables)) is not None:
                values[name], origins[name] = found[0], (Origin.ENVIRONMENT, found[1])
        if values.get("storage_backend") == "s3":
            for name, called in PROFILE_NAMES.items():
                setting_name = f"s3_{name}"
                if setting_name not in values and (
                    in_profile := _from_profile(setting_name, called, variables)
                ):
                    values[setting_name], origins[setting_name] = in_profile[0], (Origin.FILE, in_profile[1])
        try:
            made = cls(**_grouped(cls, settings, values))
        except ConfigError as error:
            _, where = origins.get(error.setting, (Origin.DEFAULT, ""))
            raise ConfigError(f"{error} ({where})" if where else str(error), error.setting) from None
        return Loaded(
            settings=made,
            values=tuple(
                setting.described(made, *origins.get(name, (Origin.DEFAULT, "")))
                for name, setting in settings.items()
            ),
            file=file,
            unknown_variables=_unknown_variables(settings, variables),
        )


@dataclass(frozen=True, slots=True)
class _Setting:
    """One setting under its flat name; `group`: the field of the class that holds it, empty where it is one itself."""

    name: str
    kind: type
    group: str

    @property
    def secret(self) -> bool:
        return _SECRET.search(self.name) is not None

    def described(self, settings: object, origin: Origin, where: str) -> SettingValue:
        value = getattr(getattr(settings, self.group) if self.group else settings, self.name)
        if self.secret:
            value = bool(value)
        elif isinstance(value, Path):
            value = str(value)
        return SettingValue(self.name, value, self.secret, origin, where)


def _settings_of(cls: type) -> Iterator[_Setting]:
    """All settings of a class of settings, those of its groups (such as Limits) in the place of the group."""
    hints = get_type_hints(cls)
    for entry in fields(cls):
        kind = hints[entry.name]
        if is_dataclass(kind):
            inner = get_type_hints(kind)
            for member in fields(kind):
                yield _Setting(member.name, inner[member.name], entry.name)
        else:
            yield _Setting(entry.name, kind, "")


def _grouped(cls: type, settings: Mapping[str, _Setting], values: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for the class from values by their flat names."""
    hints = get_type_hints(cls)
    arguments: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        group = settings[name].group
        (groups.setdefault(group, {}) if group else arguments)[name] = value
    return arguments | {group: hints[group](**members) for group, members in groups.items()}


# The environment


def _from_environment(setting: _Setting, variables: Mapping[str, str]) -> tuple[Any, str] | None:
    """The value that the environment has for a setting, and the variable that it is in."""
    variable = f"STREAMER_{setting.name.upper()}"
    text = variables.get(variable, "")
    if setting.secret and (path := variables.get(f"{variable}_FILE", "")):
        if text:
            raise ConfigError(f"{variable} and {variable}_FILE are both set; set one of them", setting.name)
        variable = f"{variable}_FILE"
        try:
            text = Path(path).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise ConfigError(
                f"{variable} names {path}, which cannot be read: {reason}", setting.name
            ) from None
        if not text:
            raise ConfigError(f"{variable} names {path}, which is empty", setting.name)
    if not text and setting.name in _PLAIN_NAMES:
        variable = setting.name.upper()
        text = variables.get(variable, "")
    return (_from_text(setting, variable, text), variable) if text else None


def _from_other_tools(name: str, variables: Mapping[str, str]) -> tuple[str, str] | None:
    """The value that the tools of Amazon would take, and the variable that it is in."""
    return next(
        ((variables[other], other) for other in _OTHER_NAMES.get(name, ()) if variables.get(other)), None
    )


def _from_profile(name: str, called: str, variables: Mapping[str, str]) -> tuple[str, str] | None:
    """The value of a profile of ~/.aws/config, and that file."""
    try:
        found = from_profile(called, variables)
    except ProfileError as error:
        raise ConfigError(f"{name}: {error}", name) from None
    return None if found is None else (found[0], str(found[1]))


def _from_text(setting: _Setting, variable: str, text: str) -> Any:
    """Turn the text of an environment variable into the type of the setting."""
    shown = "hidden here" if setting.secret else repr(text)
    try:
        if setting.kind is int:
            return int(text)
        if setting.kind is float:
            return float(text)
    except ValueError:
        wanted = "a whole number" if setting.kind is int else "a number"
        raise ConfigError(f"{variable} is {shown}; it must be {wanted}", setting.name) from None
    if setting.kind is bool:
        if text.lower() not in ("0", "1", "true", "false", "yes", "no"):
            raise ConfigError(f"{variable} is {shown}; it must be true or false", setting.name)
        return text.lower() in ("1", "true", "yes")
    return setting.kind(text)


def _unknown_variables(settings: Mapping[str, _Setting], variables: Mapping[str, str]) -> tuple[str, ...]:
    known = {"STREAMER_CONFIG"}
    for name, setting in settings.items():
        known.add(f"STREAMER_{name.upper()}")
        if setting.secret:
            known.add(f"STREAMER_{name.upper()}_FILE")
    return tuple(sorted(name for name in variables if name.startswith("STREAMER_") and name not in known))


# The file


def _find_file(variables: Mapping[str, str], config: Path | None, folder: Path) -> Path | None:
    if config is not None:
        return config
    if named := variables.get("STREAMER_CONFIG", ""):
        return Path(named)
    found = folder / FILE_NAME
    return found if found.exists() else None


def _read_file(path: Path, settings: Mapping[str, _Setting]) -> dict[str, Any]:
    """The values in a configuration file, each checked for its type."""
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: the configuration file cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None
    values = {}
    for key, value in document.items():
        if key not in settings:
            raise ConfigError(f"{path}: {key} is no setting; {_nearest(key, settings)}", key)
        values[key] = _from_toml(settings[key], path, value)
    return values


def _nearest(key: str, settings: Mapping[str, _Setting]) -> str:
    allowed = [name for name, setting in settings.items() if not setting.secret]
    close = difflib.get_close_matches(key.lower().replace("-", "_"), allowed, 1)
    return f"did you mean {close[0]}?" if close else "`streamer config` lists all settings"


_WANTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number of seconds",
    str: "text in quotes",
    Path: "a path in quotes",
}


def _from_toml(setting: _Setting, path: Path, value: object) -> Any:
    if setting.secret:
        variable = f"STREAMER_{setting.name.upper()}"
        raise ConfigError(
            f"{path}: {setting.name} is secret and cannot stand in this file; set {variable} or {variable}_FILE, and change the "
            "secret if others can read the file",
            setting.name,
        )
    if setting.kind is float and type(value) is int:
        return float(value)
    if setting.kind is Path and type(value) is str:
        return path.parent / value
    if type(value) is not setting.kind:
        shown = "a table" if isinstance(value, dict) else repr(value)
        raise ConfigError(
            f"{path}: {setting.name} is {shown}; it must be {_WANTED[setting.kind]}", setting.name
        )
    return value
