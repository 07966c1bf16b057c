"""Real S3 servers on loopback, for tests and benchmarks: MinIO and versitygw, as binaries on PATH or as `./dev` built them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minio import Minio

__all__ = ["binary", "client", "publish", "serve"]

_START_SECONDS = 60


def binary(name: str) -> str | None:
    """Find `minio` or `versitygw`: named by TEST_MINIO or TEST_VERSITYGW, or on PATH; None where there is none."""
    return os.environ.get(f"TEST_{name.upper()}") or shutil.which(name)


def client(endpoint: str, access_key: str, secret_key: str) -> Minio:
    """Make a client that may write, for `http://HOST:PORT`."""
    return Minio(
        endpoint=endpoint.removeprefix("http://"),
        access_key=access_key,
        secret_key=secret_key,
        secure=False,
        region="us-east-1",
    )


def publish(client: Minio, bucket: str) -> None:
    """Let everybody read the objects of a bucket, and nobody list them."""
    policy = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},'
        f'"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::{bucket}/*"]}}]}}'
    )
    client.set_bucket_policy(bucket_name=bucket, policy=policy)


@contextmanager
def serve(program: str, folder: Path, *, access_key: str, secret_key: str) -> Iterator[str]:
    """Start a server with its data in a folder; give its endpoint, `http://127.0.0.1:PORT`, and end it with the block.

    `program`: path of a binary, MinIO's where its name starts with `minio`, else versitygw's. RuntimeError with its log where it does
    not start.
    """
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    if Path(program).name.startswith("minio"):
        command = [program, "server", str(data), "--address", f"127.0.0.1:{port}", "--quiet"]
        command += ["--console-address", "127.0.0.1:0"]
    else:
        command = [program, "--port", f"127.0.0.1:{port}", "posix", str(data)]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "MINIO_ROOT_USER": access_key,
        "MINIO_ROOT_PASSWORD": secret_key,
        "MINIO_UPDATE": "off",
        "ROOT_ACCESS_KEY": access_key,
        "ROOT_SECRET_KEY": secret_key,
    }
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait(process, endpoint, log)
        yield endpoint
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], endpoint: str, log: Path) -> None:
    """Wait until the server answers anything but that it is still starting."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"the store ended at once: {log.read_text()}")
        try:
            with urllib.request.urlopen(endpoint, timeout=5):
                return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 503:
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError(f"the store does not answer: {log.read_text()}")
        time.sleep(0.05)
