"""Names that people know for numbers: profiles of H.265, colour code points of H.273."""

from __future__ import annotations

__all__ = ["MATRICES", "PRIMARIES", "PROFILES", "TRANSFERS", "name_code_point", "name_profile"]

# ITU-T H.265 annex A, F, G, I: general_profile_idc.
PROFILES = {
    1: "Main",
    2: "Main 10",
    3: "Main Still Picture",
    4: "Format Range Extensions",
    5: "High Throughput",
    6: "Multiview Main",
    7: "Scalable Main",
    8: "3D Main",
    9: "Screen Content Coding",
    10: "Scalable Format Range Extensions",
    11: "High Throughput Screen Content Coding",
}

# ITU-T H.273 table 2.
PRIMARIES = {
    1: "BT.709",
    4: "BT.470 M",
    5: "BT.470 BG",
    6: "SMPTE 170M",
    7: "SMPTE 240M",
    8: "generic film",
    9: "BT.2020",
    10: "CIE 1931 XYZ",
    11: "DCI-P3",
    12: "Display P3",
    22: "EBU 3213-E",
}

# ITU-T H.273 table 3.
TRANSFERS = {
    1: "BT.709",
    4: "gamma 2.2",
    5: "gamma 2.8",
    6: "SMPTE 170M",
    7: "SMPTE 240M",
    8: "linear",
    9: "logarithmic 100:1",
    10: "logarithmic 316:1",
    11: "xvYCC",
    12: "BT.1361",
    13: "sRGB",
    14: "BT.2020 10 bits",
    15: "BT.2020 12 bits",
    16: "PQ (SMPTE ST 2084)",
    17: "SMPTE ST 428-1",
    18: "HLG (ARIB STD-B67)",
}

# ITU-T H.273 table 4.
MATRICES = {
    0: "identity (RGB)",
    1: "BT.709",
    4: "FCC",
    5: "BT.470 BG",
    6: "SMPTE 170M",
    7: "SMPTE 240M",
    8: "YCgCo",
    9: "BT.2020",
    10: "BT.2020 constant luminance",
    11: "SMPTE ST 2085",
    12: "derived from primaries",
    13: "derived from primaries, constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}


def name_profile(number: int) -> str:
    """Name a general_profile_idc."""
    return PROFILES.get(number, f"profile {number}")


def name_code_point(number: int, table: dict[int, str]) -> str:
    """Name a code point of H.273 by its table; 2 is 'unspecified' in each.

    >>> name_code_point(9, PRIMARIES)
    'BT.2020'
    """
    return "unspecified" if number == 2 else table.get(number, f"reserved ({number})")
