/* What a decoded picture looks like: planes, depth, colour. */
#ifndef FFB_PICTURE_H
#define FFB_PICTURE_H

#include <libavutil/frame.h>
#include <stdint.h>

/* cdef */
typedef struct ffb_picture {
    int32_t width;              /* cropped */
    int32_t height;
    int32_t planes;
    int32_t bytes_per_value;    /* 1 or 2 */
    int32_t bit_depth;
    int32_t full_range;         /* ITU-T H.273, 2 where unspecified */
    int32_t primaries;
    int32_t transfer;
    int32_t matrix;
    int32_t plane_width[4];
    int32_t plane_height[4];
    int64_t stride[4];          /* bytes */
    const uint8_t *data[4];     /* into the frame, valid as long as the frame is */
    int64_t buffer_bytes;       /* what the frame's buffers take */
    char pixel_format[32];
} ffb_picture;

/* Describes `frame` without taking a reference. Returns 0, or -1 for a layout of samples that HEVC decoding does not make
 * (packed, hardware, palette, negative strides). */
int ffb_picture_describe(const AVFrame *frame, ffb_picture *picture);
/* end cdef */

#endif
