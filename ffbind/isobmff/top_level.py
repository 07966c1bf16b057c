"""The boxes at the top level of a file: moov and every moof, found with few reads wherever they stand.

Source: ISO/IEC 14496-12, 4.2 (object structure), 8.2.1 (moov), 8.8 (movie fragments).
"""

from __future__ import annotations

from dataclasses import dataclass

from ffbind.errors import NotVideoError
from ffbind.fetching import FetchingSource
from ffbind.limits import Limits
from ffbind.sources import Source, read_exactly

from .boxes import corrupt, find, name_of, read_header
from .hints import FragmentHints

__all__ = ["FIRST_BOXES", "TopLevel", "Window", "bytes_of_use", "walk_top_level"]

# What may stand first in a file of this family (ISO/IEC 14496-12 table 1, QuickTime's older atoms).
FIRST_BOXES = frozenset(
    b"ftyp moov mdat free skip wide pnot uuid styp sidx ssix moof mfra meta prft emsg pdin udta junk".split()
)
_STILL_BRANDS = frozenset(b"heic heix heim heis avif mif1 jpeg".split())
_WINDOW = 64 << 10
_TAIL = (
    4 << 20
)  # what is read where moov stands behind the media: all that is left, if it is no more than this
_NEXT_HEADERS = 64  # read with moov, so that it is known what stands behind it
_FIRST_SAMPLE = (
    256 << 10
)  # read with moov of a source that is far, where media may follow: a camera's key frame
_BOXES_OF_USE = 32  # looked at for moov or mdat, in what is read before more is known


@dataclass(frozen=True, slots=True)
class TopLevel:
    """What stands at the top level: payload of moov, payloads of all moof with their place in the file.

    `brand`: the major brand of ftyp, empty without one; `first`: places of the first moov, mdat and sidx; `places`: where the walk
    ended with the first moof, those behind it that sidx or mfra name, ascending.
    """

    moov: memoryview
    moofs: list[tuple[int, memoryview]]
    brand: bytes
    first: dict[bytes, int]
    places: tuple[int, ...] = ()


class Window:
    """Reads pieces of a source in ascending order through one buffer, so that few reads reach the source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._start = 0
        self._data = memoryview(b"")
        self.ahead = _WINDOW  # bytes of one read at least

    def holds(self, offset: int, length: int) -> bool:
        """Tell whether a piece is in the buffer."""
        return self._start <= offset <= offset + length <= self._start + len(self._data)

    def read(self, offset: int, length: int, whole: int = 0) -> memoryview:
        """Read `length` bytes, all of which lie within the source; what has to be read is `whole` bytes, as far as there are any."""
        if not self.holds(offset, length):
            whole = max(length, min(max(self.ahead, whole), self._source.size - offset))
            self._data = read_exactly(self._source, offset, whole)
            self._start = offset
        return self._data[offset - self._start : offset - self._start + length]


def bytes_of_use(head: bytes | bytearray | memoryview) -> int:
    """Say how many bytes from its start opening a file and its first frame take, as far as its first bytes tell.

    More than they are where only those that follow can tell. A table in front counts, with a key frame behind it; a table behind
    the media does not. What is no ISO-BMFF file is read whole or not at all, so its first bytes do for telling which it is.
    """
    position = 0
    for _ in range(_BOXES_OF_USE):
        if len(head) - position < 16:
            return max(position + 16, _WINDOW)
        length, box_type, _ = read_header(head, position)
        if position == 0 and box_type not in FIRST_BOXES:
            return _WINDOW
        if box_type == b"moov":
            return max(position + length + _FIRST_SAMPLE, _WINDOW)
        if box_type == b"mdat" or length < 8:
            break
        position += length
    return max(position + _FIRST_SAMPLE, _WINDOW)


def walk_top_level(source: Source, limits: Limits, *, lazily: bool = False) -> TopLevel:
    """Find and read moov and all moof boxes. NotVideoError where the bytes are no ISO-BMFF file.

    A file whose moov announces no fragments (mvex, 8.8.1) is read no further than moov. Of one with fragments, on a source that is far,
    the places that its sidx or mfra name, or that a look into it shows, are fetched side by side; they are hints: what stands there is
    found by walking. `lazily`: where they are more than are fetched at once, the walk ends with the first moof and names them.

    A last box that reaches beyond the end of the file is normal for mdat (a copy cut short): only the samples
    in the missing part are lost. A cut moof was never finished by its writer: the fragments before it count.
    """
    size = source.size
    window = Window(source)
    moov: memoryview | None = None
    moofs: list[tuple[int, memoryview]] = []
    moof_bytes = 0
    brand = b""
    first: dict[bytes, int] = {}
    hints = FragmentHints(source, limits) if isinstance(source, FetchingSource) else None
    fragmented = True
    position = count = 0
    while size - position >= 8:
        header_bytes = min(16, size - position)
        if not fragmented and not window.holds(position, header_bytes):
            break
        head = window.read(position, header_bytes, _TAIL if b"mdat" in first and moov is None else 0)
        length, box_type, header = read_header(head)
        if length == 0 and header == 8:
            length = size - position
        if position == 0 and (box_type not in FIRST_BOXES or length < header):
            break
        if length < header:
            if moov is not None:
                break
            raise corrupt(
                f"box {name_of(box_type)} at byte {position} says {length} bytes, less than its header"
            )
        count += 1
        limits.check(count, limits.boxes, "boxes at the top level")
        whole = length <= size - position
        if box_type in (b"moov", b"mdat", b"sidx"):
            first.setdefault(box_type, position)
        if box_type == b"moov" and moov is None:
            if not whole:
                raise corrupt(
                    f"box moov at byte {position} says {length} bytes, the file ends after {size - position}"
                )
            limits.check(length, limits.header_bytes, "bytes of moov")
            follows = _FIRST_SAMPLE if hints is not None and b"mdat" not in first else _NEXT_HEADERS
            moov = window.read(position, length, length + follows)[header:]
            fragmented = b"mvex" in find(moov, "moov")
        elif box_type == b"moof" and whole:
            moof_bytes += length
            limits.check(moof_bytes, limits.header_bytes, "bytes of moof boxes")
            moofs.append((position, window.read(position, length)[header:]))
            if lazily and hints is not None and moov is not None and len(moofs) == 1:
                places = hints.behind(position)
                if len(places) > hints.at_once:
                    return TopLevel(moov, moofs, brand, first, tuple(places))
            ahead = None if hints is None else hints.fetch(position, length)
            if ahead is not None:
                window.ahead = ahead
        elif box_type == b"sidx" and whole and hints is not None:
            hints.take_sidx(position + length, window.read(position, length)[header:])
        elif box_type == b"ftyp" and whole and length >= header + 4 and position == 0:
            brand = bytes(window.read(position + header, 4))
        position += length
    if hints is not None:
        hints.end()
    if moov is not None:
        return TopLevel(moov, moofs, brand, first)
    if size == 0:
        raise NotVideoError("the file is empty; copy or record it again")
    if count == 0:
        raise NotVideoError(
            f"not an MP4 or MOV file: its {size} bytes do not start with a box of ISO/IEC 14496-12; "
            "give an MP4 or MOV file"
        )
    if brand in _STILL_BRANDS:
        raise NotVideoError(f"a still image (brand {name_of(brand)}), not a video; give an MP4 or MOV file")
    if moofs:
        raise corrupt(
            "it has fragments (moof) but no moov box", "put the initialization segment in front of them"
        )
    raise corrupt("it has no moov box, so its recording or copy was never finished")
