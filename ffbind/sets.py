"""Which parameter sets a decoder needs that starts in mid-stream: sets in the samples are in force until others take their place.

Source: ITU-T H.265 7.4.2.4.2 (a set replaces the one of its type and id).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from .bitstream import Buffer, SampleHeader
from .native import lib
from .references import Step

__all__ = ["SetsInForce", "sets_by_beginning"]

_PARAMETER_SETS = (32, 33, 34)
_MOST_UNITS = 256  # gone over at the beginning of a sample

_Sets: TypeAlias = dict[tuple[int, int], bytes]  # by type and id


class SetsInForce:
    """Follows the samples of a stream in decode order, and collects the groups of sets that random access needs.

    Decoding may start at an IRAP picture with the sets of its group and those in the sample itself. Where that is not what a linear
    decode has by then, another group begins. One always does where a sequence starts with other sets, so that none has to begin at a
    CRA picture in the middle of it: a decoder starts anew with each group, which RASL pictures do not survive.
    """

    def __init__(self, known: Iterable[bytes] = ()) -> None:
        """`known`: sets from outside of the samples, in force from the beginning; those of other layers and SEI are left out."""
        self._sets: _Sets = {_key(unit): bytes(unit) for unit in known if _is_set(unit)}
        self._groups: list[_Sets] = [dict(self._sets)] if self._sets else []
        self._current = 0

    def __len__(self) -> int:
        """Count the groups so far; at least one."""
        return max(len(self._groups), 1)

    @property
    def groups(self) -> list[tuple[bytes, ...]]:
        """The groups so far, each in the order VPS, SPS, PPS; at least one."""
        return [tuple(sets[key] for key in sorted(sets)) for sets in self._groups or [self._sets]]

    def take(self, sample: Buffer, nal_length_size: int, header: SampleHeader, step: Step) -> int:
        """Take the next sample, whose headers were read; gives the number of its group."""
        own: _Sets = {}
        if header.has_parameter_sets:
            own = {_key(unit): unit for unit in _parameter_sets(sample, nal_length_size)}
            self._sets |= own
        if header.kind is not None and header.kind.is_irap and self._sets:
            group = self._groups[self._current] if self._groups else {}
            if (step.starts_sequence and group != self._sets) or {**group, **own} != self._sets:
                if self._sets not in self._groups:
                    self._groups.append(dict(self._sets))
                self._current = self._groups.index(self._sets)
        return self._current

    @property
    def current(self) -> int:
        """Number of the group of the last sample."""
        return self._current


def sets_by_beginning(beginning: Buffer, size: int, nal_length_size: int) -> bool | None:
    """Tell by the beginning of a sample of `size` bytes whether it brings parameter sets of the base layer.

    None where that does not show: where another NAL unit begins behind what is there, or their lengths do not add up.
    """
    view, at = memoryview(beginning), 0
    found = False
    for _ in range(_MOST_UNITS):
        begin = at + nal_length_size
        if begin + 2 > len(view):
            return None
        length = int.from_bytes(view[at:begin], "big")
        if length < 2:
            return None
        found |= _is_set(view[begin : begin + 2])
        at = begin + length
        if at >= size:
            return found if at == size else None
    return None


def _parameter_sets(sample: Buffer, nal_length_size: int) -> list[bytes]:
    """Give the VPS, SPS and PPS of the base layer in a sample whose headers were read, so that its lengths add up."""
    view, found, at = memoryview(sample), [], 0
    while at + nal_length_size < len(view):
        begin = at + nal_length_size
        length = int.from_bytes(view[at:begin], "big")
        at = begin + length
        if _is_set(view[begin:at]):
            found.append(bytes(view[begin:at]))
    return found


def _is_set(unit: Buffer) -> bool:
    """Tell a parameter set of the base layer."""
    return len(unit) >= 2 and unit[0] >> 1 in _PARAMETER_SETS and not unit[0] & 1 and not unit[1] >> 3


def _key(unit: Buffer) -> tuple[int, int]:
    return unit[0] >> 1 & 0x3F, int(lib.ffb_params_id(bytes(unit), len(unit)))
