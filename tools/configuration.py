"""Prints the table of all settings in docs/configuration.md, from the docstrings in the code; --write puts it into the page."""

from __future__ import annotations

import argparse
import ast
import re
import sys
from itertools import pairwise
from pathlib import Path

from streamer.config import Settings

__all__ = ["main", "table"]

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "configuration.md"
_PLACE = re.compile(r"(?<=<!-- settings -->\n).*?(?=<!-- end of settings -->)", re.DOTALL)
_CLASSES = {"Settings": ROOT / "streamer" / "config.py", "Limits": ROOT / "streamer" / "connection.py"}

# Defaults that are not the same for everybody.
_DEPENDING = {"workers": "one a core", "index_folder": "`~/.cache/bucket-streamer/index`"}


def _docstrings(name: str, path: Path) -> dict[str, str]:
    """Give the docstring under each attribute of a class, as one line."""
    module = ast.parse(path.read_text())
    (body,) = [node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == name]
    found = {}
    for node, below in pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            said = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            if not said:
                raise SystemExit(f"{path}: {node.target.id} of {name} has no docstring")
            found[node.target.id] = " ".join(str(below.value.value).split())  # type: ignore[attr-defined]
    return found


def table() -> str:
    """Give the table, one row a setting in the order of the class."""
    said: dict[str, str] = {}
    for name, path in _CLASSES.items():
        said |= _docstrings(name, path)
    rows = ["| setting | default | |", "|---|---|---|"]
    for value in Settings.load(environment={}, folder=ROOT / "nowhere").values:
        default = _DEPENDING.get(value.name) or (f"`{value.value}`" if value.value != "" else "")
        if isinstance(value.value, bool):
            default = f"`{str(value.value).lower()}`"
        rows.append(f"| `{value.name}` | {default} | {said[value.name]} |")
    return "\n".join(rows) + "\n"


def main() -> int:
    """Print the table, or write it into the page; the status is 1 where the page had another one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/configuration.md")
    if not parser.parse_args().write:
        print(table(), end="")
        return 0
    before = PAGE.read_text()
    after = _PLACE.sub(lambda _: table(), before)
    PAGE.write_text(after)
    return int(before != after)


if __name__ == "__main__":
    sys.exit(main())
