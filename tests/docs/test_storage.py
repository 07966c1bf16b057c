"""What the page on storage shows in Python is run as it stands there, against MinIO."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from stores import ACCESS_KEY, SECRET_KEY, Store

import ffbind

ROOT = Path(__file__).resolve().parents[2]


def test_python_of_the_page(minio: Store, clip: Callable[[str], Path], tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "storage.md").read_text(), flags=re.DOTALL)
    video = clip("large.mp4")
    admin = minio.admin()
    admin.make_bucket(bucket_name="videos")
    admin.fput_object(bucket_name="videos", object_name="drive.mp4", file_path=str(video))
    program = block + "\nfrom pathlib import Path\nPath('frame.jpg').write_bytes(jpeg)\n"
    variables = {
        "AWS_ENDPOINT_URL": minio.endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "PYTHONPATH": str(ROOT),
    }
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, **variables}, check=True)
    with ffbind.open(video) as opened:
        assert (tmp_path / "frame.jpg").read_bytes() == opened[120].to_jpeg()
