"""Everything that can go wrong, as one tree.

Each error says what happened, why, and what to do next in its text; `code` is a short stable word for programs
(the streamer puts it on the wire as it is).

    FFbindError
    ├── ArgumentError                 an argument that cannot be meant: format, size, quality (also a ValueError)
    ├── NotVideoError                 not a video file, or a file without a video track
    ├── UnsupportedError              a video, but not one that can be shown exactly
    │   ├── EncryptedError            the track is encrypted
    │   └── LimitError                larger than a limit: pixels, samples, boxes, bytes of one GOP
    ├── CorruptError                  damaged container or damaged picture data
    ├── UndecodableError              a picture that no decoder could show (RASL without its references)
    │   └── NotShownError             a picture that the stream marks as never shown (pic_output_flag = 0)
    ├── NeedsEarlierIrapError         decodable, but only from bytes that cannot be reached from here
    ├── OffsetError                   a byte offset that is not a sample
    │   ├── NotIrapError              irap_offset is a sample, but not an IRAP picture
    │   └── BeforeIrapError           the sample comes before irap_offset in decode order
    ├── FrameIndexError               an index outside the video (also an IndexError)
    ├── FrameTimeError                a time at which no frame is on screen (also a ValueError)
    ├── SourceError                   the bytes could not be read (also an OSError)
    │   └── SourceChangedError        the file or object was replaced after it was opened
    ├── IndexMismatchError            a VideoIndex that belongs to other bytes
    ├── DecoderError                  libavcodec failed for a reason other than the data (memory, threads)
    ├── NativeError                   the compiled part or its FFmpeg cannot be used here (also an ImportError)
    ├── ClosedError                   use after close()
    └── ForkedError                   use of an object in a process forked after it was made
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "ArgumentError",
    "BeforeIrapError",
    "ClosedError",
    "CorruptError",
    "DecoderError",
    "EncryptedError",
    "FFbindError",
    "ForkedError",
    "FrameIndexError",
    "FrameTimeError",
    "IndexMismatchError",
    "LimitError",
    "NativeError",
    "NeedsEarlierIrapError",
    "NotIrapError",
    "NotShownError",
    "NotVideoError",
    "OffsetError",
    "SourceChangedError",
    "SourceError",
    "UndecodableError",
    "UnsupportedError",
]


class FFbindError(Exception):
    """Base of every error that ffbind raises on purpose."""

    code: ClassVar[str] = "internal"


class ArgumentError(FFbindError, ValueError):
    """An argument that cannot be meant: an unknown format, a size or a quality outside what is possible."""

    code = "internal"


class NotVideoError(FFbindError):
    """The bytes are not a video, or hold no video track."""

    code = "not_video"


class UnsupportedError(FFbindError):
    """A video, but one that ffbind cannot show exactly: another codec, another container, an unusual stream."""

    code = "unsupported_codec"


class EncryptedError(UnsupportedError):
    """The video track is encrypted (ISO/IEC 23001-7); ffbind has no keys and asks for none."""

    code = "encrypted"


class LimitError(UnsupportedError):
    """Larger than a limit that keeps memory and time bounded."""

    code = "picture_too_large"

    def __init__(self, message: str, code: str = "picture_too_large") -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]


class CorruptError(FFbindError):
    """Damage was found in the container or in the picture data that this frame depends on."""

    code = "corrupt_sample"


class UndecodableError(FFbindError):
    """No decoder could show this picture: its references are not in the stream (H.265 8.3.3)."""

    code = "undecodable"


class NotShownError(UndecodableError):
    """The stream says that this picture is decoded but never output (pic_output_flag equal to 0)."""

    code = "not_shown"


class NeedsEarlierIrapError(FFbindError):
    """The picture can be decoded, but from an earlier IRAP whose bytes cannot be reached here.

    `irap_offset` is the byte offset of that IRAP sample where it is known, otherwise None.
    """

    code = "needs_earlier_irap"

    def __init__(self, message: str, irap_offset: int | None = None) -> None:
        super().__init__(message)
        self.irap_offset = irap_offset


class OffsetError(FFbindError):
    """No sample of the video track starts at this byte offset."""

    code = "bad_offset"


class NotIrapError(OffsetError):
    """`irap_offset` is the offset of a sample that is not an IRAP picture in the bitstream."""

    code = "not_irap"


class BeforeIrapError(OffsetError):
    """The sample comes before `irap_offset` in decode order, so it cannot be decoded from there."""

    code = "before_irap"


class FrameIndexError(FFbindError, IndexError):
    """A frame index outside the video."""

    code = "bad_offset"


class FrameTimeError(FFbindError, ValueError):
    """A time at which no frame of the video is on screen."""

    code = "bad_offset"


class SourceError(FFbindError, OSError):
    """The bytes of the video could not be read."""

    code = "storage_unavailable"

    def __str__(self) -> str:
        # An OSError with a number would say "[Errno 2] No such file: 'clip.mp4'".
        return f"{self.filename}: {self.strerror}" if self.filename is not None else super().__str__()


class SourceChangedError(SourceError):
    """The file or object was replaced after it was opened; old and new bytes are never mixed."""

    code = "video_changed"


class IndexMismatchError(FFbindError):
    """A VideoIndex that was made from other bytes (size or identity differ)."""

    code = "video_changed"


class DecoderError(FFbindError):
    """libavcodec failed for a reason that is not the data: out of memory, no threads, a missing decoder."""

    code = "decode_failed"


class NativeError(FFbindError, ImportError):
    """ffbind's compiled part cannot be loaded, or the FFmpeg that came with it is not one it works with."""

    code = "internal"


class ClosedError(FFbindError, ValueError):
    """The object was closed."""

    code = "internal"


class ForkedError(FFbindError, RuntimeError):
    """A decoder belongs to the process that opened it; after fork(), open the video again in the child."""

    code = "internal"
