"""What the numbers of a picture mean: colour as H.273 code points.

Source: ITU-T H.273 (colour primaries table 2, transfer characteristics table 3, matrix coefficients table 4).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Color"]


@dataclass(frozen=True, slots=True)
class Color:
    """Colour description in ITU-T H.273 code points; 2 means unspecified.

    `full_range` says that luma runs over all values (0-255 at 8 bits) instead of the limited range (16-235).
    """

    primaries: int
    transfer: int
    matrix: int
    full_range: bool
