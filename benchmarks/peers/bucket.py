"""Objects in a bucket as peers open them: by a file object of s3fs, or by URL. Endpoint and keys come from the environment."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["Files", "url_of"]


def url_of(path: str) -> str:
    """Give the URL of `s3://bucket/key` in a bucket that everybody may read."""
    return f"{os.environ['AWS_ENDPOINT_URL']}/{path.removeprefix('s3://')}"


class Files:
    """File objects of s3fs with blocks of `block` bytes in its default cache, `readahead`, which keeps what it read last."""

    def __init__(self, block: int) -> None:
        import s3fs  # in the peers' environment only, which url_of is used outside of

        self._open: Any = None
        self._system = s3fs.S3FileSystem(default_block_size=block, default_cache_type="readahead")

    def open(self, path: str) -> Any:
        """Open an object, until `close`; what is known of it from before is forgotten."""
        self._system.invalidate_cache()
        self._open = self._system.open(path, "rb")
        return self._open

    def close(self) -> None:
        """Close what is open; nothing may be."""
        if self._open is not None:
            self._open.close()
            self._open = None

    @staticmethod
    def versions() -> dict[str, str]:
        """Give the versions of s3fs and fsspec."""
        import fsspec
        import s3fs

        return {"s3fs": s3fs.__version__, "fsspec": fsspec.__version__}
