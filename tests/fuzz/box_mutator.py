"""Changes a file in the middle of its boxes and puts the sizes around the change right, so that the change is reached.

Bytes changed blindly mostly break the size of a box near the top, and a reader sees nothing but that.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

__all__ = ["Node", "all_lists", "mutate", "parse"]

_CONTAINERS = frozenset(
    (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"mvex", b"moof", b"traf", b"udta")
)
# Bytes of fields in front of the boxes in these (ISO/IEC 14496-12 8.5.2, 8.7.2, 12.1.3).
_WITH_FIELDS = {b"stsd": 8, b"dref": 8, b"hvc1": 78, b"hev1": 78, b"dvh1": 78, b"encv": 78}
_WORDS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 2**31 - 1, 2**31, 2**32 - 1)
_DEEPEST = 12


@dataclass
class Node:
    """A box: fields in front, and boxes or nothing behind. `said` is the size in its header where that is none of its contents."""

    type: bytes
    fields: bytes
    boxes: list[Node] = field(default_factory=list)
    said: int | None = None

    def to_bytes(self) -> bytes:
        """The box with what is in it, its size put right."""
        payload = self.fields + b"".join(box.to_bytes() for box in self.boxes)
        size = 8 + len(payload) if self.said is None else self.said
        return struct.pack(">I4s", size & 0xFFFFFFFF, self.type) + payload


def parse(data: bytes, depth: int = 0) -> tuple[list[Node], bytes]:
    """Give boxes as far as they hold together, and the bytes behind them."""
    nodes: list[Node] = []
    position = 0
    while len(data) - position >= 8:
        size, box_type = struct.unpack_from(">I4s", data, position)
        if not 8 <= size <= len(data) - position:
            break
        payload = data[position + 8 : position + size]
        front = 0 if box_type in _CONTAINERS else _WITH_FIELDS.get(box_type, len(payload))
        node = Node(box_type, payload[:front])
        if depth < _DEEPEST:
            node.boxes, rest = parse(payload[front:], depth + 1)
        else:
            rest = payload[front:]
        if rest and not node.boxes:
            node.fields += rest
        elif rest:
            node.boxes.append(Node(b"free", rest))
        nodes.append(node)
        position += size
    return nodes, data[position:]


def all_lists(nodes: list[Node]) -> list[list[Node]]:
    """Every list of boxes that stand side by side, and that holds at least one."""
    lists = [nodes] if nodes else []
    for node in nodes:
        lists += all_lists(node.boxes)
    return lists


def _change_fields(node: Node, chance: random.Random, mutate_bytes: Callable[[bytes, int], bytes]) -> None:
    if len(node.fields) >= 4 and chance.random() < 0.6:
        size = chance.choice((1, 2, 4, 4, 4, 8))
        at = chance.randrange(0, max(1, len(node.fields) - size + 1))
        at -= at % min(size, 4)
        word = chance.choice(_WORDS) if chance.random() < 0.7 else chance.getrandbits(32)
        new = (word % (1 << 8 * size)).to_bytes(size, "big")
        node.fields = node.fields[:at] + new + node.fields[at + size :]
    else:
        node.fields = mutate_bytes(node.fields, len(node.fields) + 16)


def mutate(data: bytes, max_size: int, seed: int, mutate_bytes: Callable[[bytes, int], bytes]) -> bytes:
    """Change a file by a few steps. `mutate_bytes(data, max_size)` changes plain bytes, where that is what is wanted."""
    chance = random.Random(seed)
    nodes, rest = parse(data)
    if not nodes or chance.random() < 0.1:
        return mutate_bytes(data, max_size)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        siblings = chance.choice(all_lists(nodes))
        at = chance.randrange(len(siblings))
        step = chance.random()
        if step < 0.7:
            _change_fields(siblings[at], chance, mutate_bytes)
        elif step < 0.77:
            siblings.insert(chance.randrange(len(siblings) + 1), deepcopy(siblings[at]))
        elif step < 0.84 and len(siblings) > 1:
            del siblings[at]
        elif step < 0.9:
            # A copy: a box may come into itself.
            siblings[at] = deepcopy(chance.choice(chance.choice(all_lists(nodes))))
        elif step < 0.95:
            siblings[at].said = chance.choice(_WORDS)
        else:
            siblings[at].type = chance.choice(chance.choice(all_lists(nodes))).type
    return (b"".join(node.to_bytes() for node in nodes) + rest)[:max_size]
