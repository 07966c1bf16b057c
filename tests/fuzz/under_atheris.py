"""Runs a target of targets.py under atheris, libFuzzer with the coverage of Python: `python -m fuzz.under_atheris TARGET`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["ffbind", "streamer.messages"]):
    from fuzz import targets

from fuzz import box_mutator


def _change_boxes(data: bytes, max_size: int, seed: int) -> bytes:
    return box_mutator.mutate(data, max_size, seed, atheris.Mutate)


def main() -> None:
    """Run until the time is over or something is found."""
    name = sys.argv.pop(1)
    options = {"custom_mutator": _change_boxes} if name == "boxes" else {}
    atheris.Setup(sys.argv, targets.TARGETS[name], **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
