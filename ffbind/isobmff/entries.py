"""Sample entries: what `stsd` says about the codec, hvcC, colour, pixel aspect and Dolby Vision.

Source: ISO/IEC 14496-12 8.5.2 and 12.1, ISO/IEC 14496-15 8.3.3 (hvcC), ISO/IEC 23001-7 (encryption),
Dolby Vision Streams Within the ISO Base Media File Format 3.1 (dvcC, dvvC).
"""

from __future__ import annotations

from ffbind.color import Color
from ffbind.errors import EncryptedError, UnsupportedError
from ffbind.index import SampleEntry
from ffbind.limits import Limits

from .boxes import Box, Fields, children, corrupt, find, name_of

__all__ = ["DescribedEntry", "parse_hvcc", "read_stsd"]

_HEVC = frozenset((b"hvc1", b"hev1", b"dvh1", b"dvhe"))
_ENCRYPTED = frozenset((b"encv", b"drmi"))
_CODECS = {
    b"avc1": "H.264",
    b"avc2": "H.264",
    b"avc3": "H.264",
    b"avc4": "H.264",
    b"dva1": "H.264 with Dolby Vision",
    b"dvav": "H.264 with Dolby Vision",
    b"av01": "AV1",
    b"dav1": "AV1 with Dolby Vision",
    b"vp08": "VP8",
    b"vp09": "VP9",
    b"vvc1": "H.266",
    b"vvi1": "H.266",
    b"hvc2": "HEVC with extractors",
    b"hev2": "HEVC with extractors",
    b"lhv1": "layered HEVC without its base layer",
    b"lhe1": "layered HEVC without its base layer",
    b"mp4v": "MPEG-4 part 2 or MPEG-2",
    b"s263": "H.263",
    b"jpeg": "Motion JPEG",
    b"mjpa": "Motion JPEG",
    b"apch": "ProRes",
    b"apcn": "ProRes",
    b"apcs": "ProRes",
    b"apco": "ProRes",
    b"ap4h": "ProRes",
    b"ap4x": "ProRes",
}
# Bytes of VisualSampleEntry before its child boxes: 8 of SampleEntry, 70 of its own (ISO/IEC 14496-12
# 12.1.3).
_VISUAL_ENTRY = 78
_MAX_PARAMETER_SETS = 1024


class DescribedEntry:
    """A sample entry, or why samples that use it cannot be shown; `data_reference` counts from 1."""

    __slots__ = ("data_reference", "entry", "error")

    def __init__(
        self, data_reference: int, entry: SampleEntry | None, error: UnsupportedError | None
    ) -> None:
        self.data_reference = data_reference
        self.entry = entry
        self.error = error


def read_stsd(stsd: Box, limits: Limits) -> list[DescribedEntry]:
    """Read all sample entries; one that is not HEVC carries its error, raised only when a sample uses it."""
    fields = stsd.fields()
    fields.version_and_flags()
    count = fields.unsigned(4)
    limits.check(count, limits.sample_entries, "sample entries")
    entries: list[DescribedEntry] = []
    for box in children(fields.rest(), "stsd"):
        if len(entries) == count:
            break
        entries.append(_describe(box))
    if len(entries) < count:
        raise corrupt(f"stsd promises {count} sample entries and holds {len(entries)}")
    return entries


def _describe(box: Box) -> DescribedEntry:
    fields = box.fields()
    fields.take(6)
    data_reference = fields.unsigned(2)
    if box.type in _HEVC:
        return DescribedEntry(data_reference, _read_hevc_entry(box), None)
    if box.type in _ENCRYPTED:
        original = name_of(_original_format(box))
        return DescribedEntry(
            data_reference,
            None,
            EncryptedError(
                f"the video track is encrypted ({box.name}, {original} inside); decrypt it first, "
                "ffbind has no keys"
            ),
        )
    codec = _CODECS.get(box.type)
    named = f"{codec} ({box.name})" if codec else f"in the format {box.name}"
    return DescribedEntry(
        data_reference,
        None,
        UnsupportedError(f"the video is {named}; ffbind shows HEVC (H.265) only, convert it first"),
    )


def _original_format(box: Box) -> bytes:
    """Read the format before encryption: sinf/frma (ISO/IEC 14496-12 8.12.2)."""
    if len(box.payload) < _VISUAL_ENTRY:
        return b"????"
    sinf = find(box.payload[_VISUAL_ENTRY:], box.name).get(b"sinf")
    frma = None if sinf is None else find(sinf.payload, "sinf").get(b"frma")
    return b"????" if frma is None else bytes(frma.payload[:4])


def _read_hevc_entry(box: Box) -> SampleEntry:
    fields = box.fields()
    fields.take(24)
    width, height = fields.unsigned(2), fields.unsigned(2)
    fields.take(_VISUAL_ENTRY - 28)
    boxes: dict[bytes, Box] = {}
    color: Color | None = None
    for child in children(fields.rest(), box.name):
        boxes.setdefault(child.type, child)
        # Several colr boxes may stand side by side (nclx and an ICC profile).
        if child.type == b"colr" and color is None:
            color = _read_colr(child.fields())
    if b"hvcC" not in boxes:
        raise corrupt(f"sample entry {box.name} has no hvcC box, so the length of its NAL units is not known")
    nal_length_size, parameter_sets = _read_hvcc(boxes[b"hvcC"].fields())
    dolby_vision = boxes.get(b"dvcC") or boxes.get(b"dvvC") or boxes.get(b"dvwC")
    return SampleEntry(
        fourcc=box.name,
        nal_length_size=nal_length_size,
        parameter_sets=parameter_sets,
        width=width,
        height=height,
        color=color,
        pixel_aspect=_read_pasp(boxes[b"pasp"].fields()) if b"pasp" in boxes else (1, 1),
        dolby_vision_profile=None if dolby_vision is None else _read_dolby_vision(dolby_vision.fields()),
    )


def parse_hvcc(record: bytes | bytearray | memoryview) -> tuple[int, tuple[bytes, ...]]:
    """Read an hvcC record on its own: bytes of a NAL length, NAL units of its arrays in their order."""
    return _read_hvcc(Fields(memoryview(record), "hvcC"))


def _read_hvcc(fields: Fields) -> tuple[int, tuple[bytes, ...]]:
    """Read HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 8.3.3.1.2)."""
    fields.take(21)
    length_size = (fields.unsigned(1) & 3) + 1
    if length_size == 3:
        raise corrupt("hvcC says NAL lengths of 3 bytes; only 1, 2 and 4 exist")
    units: list[bytes] = []
    for _ in range(fields.unsigned(1)):
        fields.take(1)
        count = fields.unsigned(2)
        if len(units) + count > _MAX_PARAMETER_SETS:
            raise corrupt(f"hvcC holds more than {_MAX_PARAMETER_SETS} NAL units")
        for _ in range(count):
            unit = bytes(fields.take(fields.unsigned(2)))
            if unit:
                units.append(unit)
    return length_size, tuple(units)


def _read_colr(fields: Fields) -> Color | None:
    """Read colour as code points (nclx; QuickTime's nclc has no range flag); ICC profiles say none."""
    kind = bytes(fields.take(4))
    if kind not in (b"nclx", b"nclc"):
        return None
    primaries, transfer, matrix = fields.unsigned(2), fields.unsigned(2), fields.unsigned(2)
    # Some writers leave the range byte of nclx out.
    full_range = kind == b"nclx" and fields.left > 0 and bool(fields.unsigned(1) & 0x80)
    return Color(primaries, transfer, matrix, full_range)


def _read_pasp(fields: Fields) -> tuple[int, int]:
    horizontal, vertical = fields.unsigned(4), fields.unsigned(4)
    return (horizontal, vertical) if horizontal and vertical else (1, 1)


def _read_dolby_vision(fields: Fields) -> int:
    fields.take(2)
    return fields.unsigned(1) >> 1
