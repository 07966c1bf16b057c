"""What machine this is, in words, for the results of a run."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

__all__ = ["describe"]


def describe() -> str:
    """Name the processor, its cores and the system."""
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return f"{found[1] if found else platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
