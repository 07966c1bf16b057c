"""`streamer serve`: the WebSocket server on the terminal."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from ffbind.report import FFmpeg, describe_ffmpeg, libjpeg_turbo_version, package_version
from streamer.config import LOG_LEVELS, Settings
from streamer.server import ServerInfo
from streamer.server import serve as run_server

from .console import err, examples, facts

__all__ = ["EXAMPLES", "command"]

EXAMPLES = examples(
    "streamer serve --local-path videos                            on port 3000 of every interface",
    "streamer serve --listen-addr 127.0.0.1:0 --local-path videos  on a free port of this machine only",
    "STREAMER_LOCAL_PATH=/srv/videos streamer serve --workers 4    settings by environment too",
)


def command(
    listen_addr: Annotated[
        str | None,
        typer.Option(
            "--listen-addr",
            metavar="HOST:PORT",
            help="Where to listen; port 0 takes a free one.",
            show_default="0.0.0.0:3000",
        ),
    ] = None,
    storage_backend: Annotated[
        str | None,
        typer.Option("--storage-backend", help="Where the videos are: local or s3.", show_default="local"),
    ] = None,
    local_path: Annotated[
        Path | None,
        typer.Option("--local-path", help="Folder with the videos, for local.", show_default="./data"),
    ] = None,
    s3_bucket: Annotated[
        str | None, typer.Option("--s3-bucket", help="Bucket with the videos, for s3.", show_default='""')
    ] = None,
    s3_region: Annotated[
        str | None, typer.Option("--s3-region", help="Region of the bucket.", show_default="us-east-1")
    ] = None,
    s3_endpoint: Annotated[
        str | None, typer.Option("--s3-endpoint", metavar="URL", help="The store.", show_default="Amazon S3")
    ] = None,
    s3_prefix: Annotated[
        str | None, typer.Option("--s3-prefix", help="Path in the bucket to serve.", show_default='""')
    ] = None,
    index_cache: Annotated[
        str | None,
        typer.Option(
            "--index-cache", help="Saved indexes in --index-folder: off, read, write.", show_default="off"
        ),
    ] = None,
    index_folder: Annotated[
        Path | None,
        typer.Option(
            "--index-folder", help="Folder of saved indexes.", show_default="~/.cache/bucket-streamer/index"
        ),
    ] = None,
    index_beside: Annotated[
        bool | None,
        typer.Option("--index-beside/--no-index-beside", help="Look for an index beside each video."),
    ] = None,
    jpeg_quality: Annotated[
        int | None,
        typer.Option("--jpeg-quality", help="Quality of the pictures, 1 to 100.", show_default="80"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Decode processes.", show_default="one a core")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", help=f"{', '.join(LOG_LEVELS)}.", show_default="info")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Settings as TOML.", show_default="streamer.toml", readable=False
        ),
    ] = None,
) -> int:
    """Serve a folder or a bucket of videos over WebSocket until SIGTERM or Ctrl-C.

    Each option can also stand in a file, streamer.toml in the working folder or that of --config, and has an
    environment variable: STREAMER_LISTEN_ADDR for --listen-addr, and so on. The command line wins over the
    environment, which wins over the file. `streamer config` shows all settings and where each came from.

    What is served is printed to standard output once the server listens; the log goes to standard error.
    """
    settings = Settings.load(
        {
            "listen_addr": listen_addr,
            "storage_backend": storage_backend,
            "local_path": local_path,
            "s3_bucket": s3_bucket,
            "s3_region": s3_region,
            "s3_endpoint": s3_endpoint,
            "s3_prefix": s3_prefix,
            "index_cache": index_cache,
            "index_folder": index_folder,
            "index_beside": index_beside,
            "jpeg_quality": jpeg_quality,
            "workers": workers,
            "log_level": log_level,
        },
        config=config,
    ).settings
    _log_to_stderr(settings.log_level)
    ffmpeg = (
        describe_ffmpeg()
    )  # before anything is started: with an FFmpeg that cannot be used, nothing will work
    return run_server(settings, ready=lambda info: _announce(settings, info, ffmpeg))


def _announce(settings: Settings, info: ServerInfo, ffmpeg: FFmpeg) -> None:
    everywhere = info.host in ("0.0.0.0", "::")
    facts(
        [
            ("WebSocket", info.url + (", on every interface" if everywhere else "")),
            ("Health", info.url.replace("ws:", "http:", 1).removesuffix("/ws") + "/health"),
            ("Videos", info.videos),
            ("Decoding", f"{info.lanes} processes"),
            ("FFmpeg", str(ffmpeg)),
            ("JPEG", f"quality {settings.jpeg_quality}, libjpeg-turbo {libjpeg_turbo_version()}"),
        ],
        title=f"streamer {package_version()}",
    )


def _log_to_stderr(level: str) -> None:
    handler: logging.Handler
    if err.is_terminal:
        from rich.logging import RichHandler

        handler = RichHandler(console=err, show_path=False, log_time_format="%H:%M:%S")
        form = "%(message)s"
    else:
        handler = logging.StreamHandler(sys.stderr)
        form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(level=level.upper(), format=form, handlers=[handler])
