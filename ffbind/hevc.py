"""Names of H.265 that the rest of the library speaks: NAL unit types as picture kinds.

Source: ITU-T H.265, table 7-1.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Kind"]


class Kind(IntEnum):
    """What a sample is, by the NAL unit type of its slices (ITU-T H.265 table 7-1); UNKNOWN until bytes were read."""

    TRAIL_N = 0
    TRAIL_R = 1
    TSA_N = 2
    TSA_R = 3
    STSA_N = 4
    STSA_R = 5
    RADL_N = 6
    RADL_R = 7
    RASL_N = 8
    RASL_R = 9
    RSV_VCL_N10 = 10
    RSV_VCL_R11 = 11
    RSV_VCL_N12 = 12
    RSV_VCL_R13 = 13
    RSV_VCL_N14 = 14
    RSV_VCL_R15 = 15
    BLA_W_LP = 16
    BLA_W_RADL = 17
    BLA_N_LP = 18
    IDR_W_RADL = 19
    IDR_N_LP = 20
    CRA = 21
    RSV_IRAP_VCL22 = 22
    RSV_IRAP_VCL23 = 23
    UNKNOWN = 255

    @property
    def is_irap(self) -> bool:
        """Intra random access point: decoding can start here (H.265 3.70)."""
        return 16 <= self <= 23

    @property
    def is_idr(self) -> bool:
        """IDR picture: nothing before it is referenced by anything after it."""
        return self in (Kind.IDR_W_RADL, Kind.IDR_N_LP)

    @property
    def is_bla(self) -> bool:
        """Broken link access: as a CRA whose RASL pictures are never decodable."""
        return 16 <= self <= 18

    @property
    def is_rasl(self) -> bool:
        """Random access skipped leading picture: needs pictures from before its associated IRAP."""
        return self in (Kind.RASL_N, Kind.RASL_R)

    @property
    def is_radl(self) -> bool:
        """Random access decodable leading picture: needs nothing from before its associated IRAP."""
        return self in (Kind.RADL_N, Kind.RADL_R)

    @property
    def is_sublayer_nonref(self) -> bool:
        """Not referenced by pictures of the same temporal sub-layer (H.265 table 7-1: even types up to 14)."""
        return self <= 14 and self % 2 == 0
