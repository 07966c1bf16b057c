"""What a video may cost: one value, checked before memory is taken or work is begun, so that a file cannot claim either."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import LimitError

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a video is refused with LimitError. The defaults are beyond what cameras and encoders make.

    >>> patient = Limits(gop_samples=1_000_000)
    """

    header_bytes: int = 256 << 20
    """Bytes of moov, and of all moof boxes together."""
    samples: int = 5_000_000
    """46 hours at 30 frames a second. Reading the table takes some 150 bytes of memory a sample."""
    boxes: int = 1_000_000
    """Boxes at the top level."""
    fragment_boxes: int = 5_000_000
    """Boxes inside all moof boxes together."""
    tracks: int = 256
    sample_entries: int = 256
    edits: int = 10_000
    edit_work: int = 10_000_000
    """Samples visited by all edits of an edit list together."""
    pixels: int = 8192 * 8192
    """Samples of the luma plane of a coded picture; H.265 level 6.2 ends at 35 651 584."""
    sample_bytes: int = 256 << 20
    """Bytes of one sample, which is read whole."""
    gop_samples: int = 100_000
    """Samples that are decoded for one frame: from the IRAP picture to it, or from where the decoder stands already."""
    gop_bytes: int = 4 << 30
    """Bytes of these samples."""

    def check(self, value: int, limit: int, what: str) -> None:
        """Refuse a file that has `value` of something; LimitError where that is above `limit`."""
        if value > limit:
            raise LimitError(
                f"the file has {value} {what}, more than the {limit} that are read; cut it into parts",
                code="unsupported_codec",
            )

    def check_picture(self, width: int, height: int) -> None:
        """Refuse coded pictures of more than `pixels`."""
        if width * height > self.pixels:
            raise LimitError(
                f"pictures of {width}x{height} are larger than the limit of {self.pixels} pixels; make them smaller first, or raise "
                "the limit `pixels`"
            )

    def check_sample(self, offset: int, size: int) -> None:
        """Refuse a sample of more than `sample_bytes`."""
        if size > self.sample_bytes:
            raise LimitError(
                f"the sample at offset {offset} has {size} bytes, more than the limit of {self.sample_bytes}; if that is true and "
                "not damage, raise the limit `sample_bytes`",
                code="gop_too_long",
            )

    def check_run(self, offset: int, samples: int, size: int) -> None:
        """Refuse a frame, whose sample is at `offset`, that takes decoding so many samples of `size` bytes in all."""
        for value, limit, what, name in (
            (samples, self.gop_samples, "samples", "gop_samples"),
            (size, self.gop_bytes, "bytes", "gop_bytes"),
        ):
            if value > limit:
                raise LimitError(
                    f"sample at offset {offset}: it takes decoding {value} {what} from an IRAP picture on, more than the limit of "
                    f"{limit}; encode the video with key frames in shorter distances, or raise the limit `{name}`",
                    code="gop_too_long",
                )
