"""Settings of the server: one typed value, checked once, from defaults, environment or command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .connection import Limits

__all__ = ["LOG_LEVELS", "ConfigError", "Settings", "available_cores"]

LOG_LEVELS = ("debug", "info", "warning", "error")

_PLAIN_NAMES = frozenset(
    {"listen_addr", "storage_backend", "local_path", "s3_bucket", "s3_region", "jpeg_quality"}
)  # names of the first design, accepted without the prefix


class ConfigError(Exception):
    """A setting that cannot work; the text names the setting, its value and what would be right."""


def available_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the server runs. Checked when made: raises ConfigError."""

    listen_addr: str = "0.0.0.0:3000"
    """Address and port; port 0 takes a free one; an IPv6 address stands in brackets."""
    storage_backend: str = "local"
    local_path: Path = Path("data")
    """Folder that holds the videos."""
    follow_symlinks: bool = False
    """Follow links that lead out of `local_path`."""
    s3_bucket: str = ""
    s3_region: str = "us-east-1"
    jpeg_quality: int = 80
    workers: int = field(default_factory=available_cores)
    """Decode lanes (processes)."""
    log_level: str = "info"
    limits: Limits = field(default_factory=Limits)
    """What one connection may ask for."""
    max_connections: int = 1024
    """WebSocket connections at a time; one more is answered with HTTP status 503."""
    videos_per_lane: int = 8
    """Videos that one lane keeps open with their decoders."""
    picture_bytes: int = 512 * 1024 * 1024
    """Memory for decoded pictures that one lane keeps, in equal parts for the videos it may have open."""
    cache_bytes: int = 64 * 1024 * 1024
    """Bytes of videos kept in memory so that neighbouring reads are one."""
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
        if self.storage_backend == "s3":
            raise ConfigError("storage_backend s3 is not part of this version; use local with local_path")
        if self.storage_backend != "local":
            raise ConfigError(f"storage_backend is {self.storage_backend!r}; it must be local")
        if self.log_level not in LOG_LEVELS:
            raise ConfigError(f"log_level is {self.log_level!r}; it must be one of {', '.join(LOG_LEVELS)}")
        self._check_range("jpeg_quality", self.jpeg_quality, 1, 100)
        self._check_range("workers", self.workers, 1, 256)
        self._check_range("max_connections", self.max_connections, 1, 1_000_000)
        self._check_range("videos_per_lane", self.videos_per_lane, 1, 1024)
        self._check_range("picture_bytes", self.picture_bytes, 0, 1 << 40)
        self._check_range("cache_bytes", self.cache_bytes, 0, 1 << 40)
        for name in ("open_timeout", "decode_timeout", "send_timeout", "drain_timeout"):
            self._check_range(name, getattr(self, name), 0.001, 86400)
        for limit in fields(Limits):
            self._check_range(limit.name, getattr(self.limits, limit.name), 1, 1 << 40)

    @staticmethod
    def _check_range(name: str, value: float, low: float, high: float) -> None:
        if not low <= value <= high:
            raise ConfigError(f"{name} is {value}; it must be from {low} to {high}")

    @property
    def address(self) -> tuple[str, int]:
        """`listen_addr` as host and port."""
        host, separator, port = self.listen_addr.rpartition(":")
        if not separator or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise ConfigError(
                f"listen_addr is {self.listen_addr!r}; it must be HOST:PORT, such as 0.0.0.0:3000"
            )
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ConfigError(
                f"listen_addr is {self.listen_addr!r}; write an IPv6 address in brackets, such as [::]:3000"
            )
        return host, int(port)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Make settings from `STREAMER_<NAME>` and the plain names of the first design (`LISTEN_ADDR`, ...).

        `overrides` win over the environment, which wins over the defaults; an override that is None does not
        count. An empty variable counts as not set. Raises ConfigError.
        """
        values = os.environ if environment is None else environment
        chosen: dict[str, Any] = {}
        limits: dict[str, int] = {}
        limit_names = {entry.name for entry in fields(Limits)}
        for name in [*(entry.name for entry in fields(cls) if entry.name != "limits"), *sorted(limit_names)]:
            variable = f"STREAMER_{name.upper()}"
            text = values.get(variable, "")
            if not text and name in _PLAIN_NAMES:
                variable = name.upper()
                text = values.get(variable, "")
            if not text:
                continue
            if name in limit_names:
                limits[name] = _convert(name, variable, text)
            else:
                chosen[name] = _convert(name, variable, text)
        if limits:
            chosen["limits"] = Limits(**limits)
        chosen.update({name: value for name, value in overrides.items() if value is not None})
        return cls(**chosen)


_INTEGERS = frozenset(
    {
        "jpeg_quality",
        "workers",
        "max_connections",
        "videos_per_lane",
        "picture_bytes",
        "cache_bytes",
        *(f.name for f in fields(Limits)),
    }
)
_SECONDS = frozenset({"open_timeout", "decode_timeout", "send_timeout", "drain_timeout"})
_SWITCHES = frozenset({"follow_symlinks"})


def _convert(name: str, variable: str, text: str) -> Any:
    """Turn the text of an environment variable into the type of the setting."""
    try:
        if name in _INTEGERS:
            return int(text)
        if name in _SECONDS:
            return float(text)
    except ValueError:
        raise ConfigError(f"{variable} is {text!r}; it must be a number") from None
    if name in _SWITCHES:
        if text.lower() not in ("0", "1", "true", "false", "yes", "no"):
            raise ConfigError(f"{variable} is {text!r}; it must be true or false")
        return text.lower() in ("1", "true", "yes")
    return Path(text) if name == "local_path" else text
