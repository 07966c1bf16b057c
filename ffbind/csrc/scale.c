#include "scale.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/error.h>
#include <libavutil/pixfmt.h>
#include <libswscale/swscale.h>

/* Every plane goes through libswscale as a grey picture of its own: chroma then keeps its layout and RGB planes are not
 * converted to YUV and back, which libswscale would do with a whole planar RGB picture. */

enum { MAX_SIDE = 65536, VECTOR = 64 };

static enum AVPixelFormat grey_format(int depth)
{
    switch (depth) {
    case 8: return AV_PIX_FMT_GRAY8;
    case 9: return AV_PIX_FMT_GRAY9;
    case 10: return AV_PIX_FMT_GRAY10;
    case 12: return AV_PIX_FMT_GRAY12;
    case 14: return AV_PIX_FMT_GRAY14;
    case 16: return AV_PIX_FMT_GRAY16;
    default: return AV_PIX_FMT_NONE;
    }
}

/* A copy whose rows are followed by readable bytes, since vector code may read a whole vector at the end of a row.
 * The caller frees it. */
static uint8_t *padded_copy(const uint8_t *in, int64_t in_stride, int64_t row_bytes, int32_t height, int64_t stride)
{
    uint8_t *copy = calloc((size_t)height + 1, (size_t)stride);
    for (int32_t y = 0; copy && y < height; y++)
        memcpy(copy + y * stride, in + y * in_stride, (size_t)row_bytes);
    return copy;
}

int ffb_scale_plane(const uint8_t *in, int64_t in_stride, int64_t in_size, int32_t in_width, int32_t in_height, int depth,
                       uint8_t *out, int64_t out_stride, int64_t out_size, int32_t out_width, int32_t out_height)
{
    const enum AVPixelFormat format = grey_format(depth);
    if (!in || !out || format == AV_PIX_FMT_NONE || in_width < 1 || in_height < 1 || in_width > MAX_SIDE ||
        in_height > MAX_SIDE || out_width < 1 || out_height < 1 || out_width > MAX_SIDE || out_height > MAX_SIDE)
        return AVERROR(EINVAL);
    const int64_t bytes = depth > 8 ? 2 : 1, row_bytes = in_width * bytes;
    if (in_height > 1 && (in_stride < row_bytes || in_stride > INT_MAX))
        return AVERROR(EINVAL);
    if ((in_height - 1) * (in_height > 1 ? in_stride : 0) + row_bytes > in_size || out_stride > INT_MAX ||
        out_stride % VECTOR || out_stride < out_width * bytes || out_stride * out_height + VECTOR > out_size)
        return AVERROR(EINVAL);

    const int64_t copy_stride = (row_bytes + 2 * VECTOR - 1) / VECTOR * VECTOR;
    uint8_t *copy = padded_copy(in, in_stride, row_bytes, in_height, copy_stride);
    if (!copy)
        return AVERROR(ENOMEM);

    const int smaller = (int64_t)out_width * out_height < (int64_t)in_width * in_height;
    const int flags = (smaller ? SWS_AREA : SWS_BICUBIC) | SWS_ACCURATE_RND | SWS_BITEXACT;
    int result = AVERROR(ENOMEM);
    struct SwsContext *context =
        sws_getContext(in_width, in_height, format, out_width, out_height, format, flags, NULL, NULL, NULL);
    if (context) {
        const uint8_t *const from[4] = {copy};
        const int from_stride[4] = {(int)copy_stride};
        uint8_t *const to[4] = {out};
        const int to_stride[4] = {(int)out_stride};
        const int rows = sws_scale(context, from, from_stride, 0, in_height, to, to_stride);
        result = rows < 0 ? rows : rows == out_height ? 0 : AVERROR_EXTERNAL;
        sws_freeContext(context);
    }
    free(copy);
    return result;
}
