"""The fuzz targets over their corpora, in which stands all that fuzzing ever found; a good input is taken, a bad one fails."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fuzz import box_mutator, targets

from ffbind.isobmff import read_index
from ffbind.sources import BytesSource

CORPUS = Path(__file__).resolve().parent / "corpus"
INPUTS = [path for name in targets.TARGETS for path in sorted((CORPUS / name).iterdir())]
SEEDS = [path for path in INPUTS if path.parent.name == "boxes" and not path.name.startswith("found-")]


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_inputs_of_the_corpus(path: Path) -> None:
    targets.TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_seeds_are_files_that_can_be_read(path: Path) -> None:
    assert len(read_index(BytesSource(path.read_bytes())).samples) in range(30, 51)


def some_bytes_changed(data: bytes, max_size: int, chance: random.Random) -> bytes:
    changed = bytearray(data[:max_size] or b"\0")
    changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("rounds", [40, pytest.param(4000, marks=pytest.mark.long)])
@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_files_changed_within_their_boxes(path: Path, rounds: int) -> None:
    """Also without atheris: an index or an error of ours, and the changes do reach the tables behind good boxes."""
    chance = random.Random(f"{path.name} {rounds}")
    errors = set()
    for _ in range(rounds):
        data = path.read_bytes()
        for _ in range(chance.randrange(1, 4)):
            data = box_mutator.mutate(
                data, 1 << 16, chance.getrandbits(32), lambda d, n: some_bytes_changed(d, n, chance)
            )
        targets.boxes(data)
        try:
            read_index(BytesSource(data), limits=targets.LIMITS)
        except targets.FFbindError as error:
            errors.add(str(error))
    assert len(errors) > rounds // 8


def test_boxes_are_put_together_as_they_were() -> None:
    data = (CORPUS / "boxes" / "with_sound").read_bytes()
    nodes, rest = box_mutator.parse(data)
    assert b"".join(node.to_bytes() for node in nodes) + rest == data
    assert sum(len(siblings) for siblings in box_mutator.all_lists(nodes)) > 40
