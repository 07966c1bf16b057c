"""Encode a clip with the x265 inside PyAV: `python encode.py INPUT OPTION=VALUE... OUTPUT`. Runs where only `av` is installed."""

from __future__ import annotations

import sys

import av
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

__all__ = ["encode"]


def encode(source: str, options: dict[str, str], target: str) -> None:
    """Encode the video of `source` to an MP4 file, BT.709, with the options of libx265 given."""
    with av.open(source) as reader, av.open(target, "w", format="mp4") as writer:
        shown = reader.streams.video[0]
        made = writer.add_stream("libx265", rate=shown.average_rate, options=options)
        made.width, made.height, made.pix_fmt = shown.width, shown.height, "yuv420p"
        made.codec_context.codec_tag = "hvc1"
        made.codec_context.colorspace = Colorspace.ITU709
        made.codec_context.color_primaries = ColorPrimaries.BT709
        made.codec_context.color_trc = ColorTrc.BT709
        made.codec_context.color_range = ColorRange.MPEG
        packets = []
        for frame in reader.decode(shown):
            frame.pict_type = av.video.frame.PictureType.NONE
            packets += made.encode(frame)
        packets += made.encode(None)
        # libavcodec derives decoding times from the reordering that x265 announces, which is too little with temporal layers
        # (pts < dts): they are counted here, late by as much as the most reordered picture needs.
        stamps = sorted(packet.pts for packet in packets)
        late = max(stamp - packet.pts for stamp, packet in zip(stamps, packets, strict=True))
        for stamp, packet in zip(stamps, packets, strict=True):
            packet.dts = stamp - late
            writer.mux(packet)


if __name__ == "__main__":
    encode(sys.argv[1], dict(option.split("=", 1) for option in sys.argv[2:-1]), sys.argv[-1])
