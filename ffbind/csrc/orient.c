#include "orient.h"

#include <string.h>

#include <libavutil/error.h>

/* The eight orientations are a transposition or none, after or before turning the order of rows and columns. Rows are
 * turned around by negative strides, so that only two inner loops are left: a transposition, and a row backwards. With T
 * the transposition, V top to bottom and H left to right, a clockwise quarter turn is T after V, and H after T is T after V:
 *
 *     90: T V     270: V T     90 of mirrored: V T V     270 of mirrored: T
 *     180: V H    mirrored: H  180 of mirrored: V
 */

enum { BLOCK = 64, MAX_SIDE = 65536 };

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "transpose_8x8 takes the first sample of a row from the low byte: little-endian machines only"
#endif

static uint64_t load64(const uint8_t *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof(value));
    return value;
}

/* Exchanges the bits of `b` under `mask` with those of `a` under `mask << shift`. */
static inline void exchange(uint64_t *a, uint64_t *b, int shift, uint64_t mask)
{
    const uint64_t differing = ((*a >> shift) ^ *b) & mask;
    *a ^= differing << shift;
    *b ^= differing;
}

/* 8x8 bytes, as eight 64-bit rows: exchange of the off-diagonal 4x4 blocks, then 2x2, then single bytes. */
static void transpose_8x8(const uint8_t *in, int64_t in_stride, uint8_t *out, int64_t out_stride)
{
    uint64_t row[8];
    for (int i = 0; i < 8; i++)
        row[i] = load64(in + i * in_stride);
    for (int i = 0; i < 4; i++)
        exchange(&row[i], &row[i + 4], 32, UINT64_C(0x00000000FFFFFFFF));
    for (int i = 0; i < 8; i += 4) {
        exchange(&row[i], &row[i + 2], 16, UINT64_C(0x0000FFFF0000FFFF));
        exchange(&row[i + 1], &row[i + 3], 16, UINT64_C(0x0000FFFF0000FFFF));
    }
    for (int i = 0; i < 8; i += 2)
        exchange(&row[i], &row[i + 1], 8, UINT64_C(0x00FF00FF00FF00FF));
    for (int i = 0; i < 8; i++)
        memcpy(out + i * out_stride, &row[i], sizeof(row[i]));
}

static inline void transpose_each(const uint8_t *in, int64_t in_stride, int32_t width, int32_t height, uint8_t *out,
                                  int64_t out_stride, const int bytes)
{
    for (int32_t x = 0; x < width; x++)
        for (int32_t y = 0; y < height; y++)
            memcpy(out + x * out_stride + (int64_t)y * bytes, in + y * in_stride + (int64_t)x * bytes, (size_t)bytes);
}

static void transpose_bytes(const uint8_t *in, int64_t in_stride, int32_t width, int32_t height, uint8_t *out,
                            int64_t out_stride)
{
    const int32_t w = width & ~7, h = height & ~7;
    for (int32_t x = 0; x < w; x += 8)
        for (int32_t y = 0; y < h; y += 8)
            transpose_8x8(in + y * in_stride + x, in_stride, out + x * out_stride + y, out_stride);
    transpose_each(in + w, in_stride, width - w, h, out + w * out_stride, out_stride, 1);
    transpose_each(in + h * in_stride, in_stride, width, height - h, out + h, out_stride, 1);
}

/* Three bytes move fastest as four: each write runs a byte into the next sample, which is written after it. The last row and
 * column of the input, where that byte would be somebody else's, go three at a time. */
static void transpose_threes(const uint8_t *in, int64_t in_stride, int32_t width, int32_t height, uint8_t *out,
                             int64_t out_stride)
{
    for (int32_t x = 0; x + 1 < width; x++)
        for (int32_t y = 0; y + 1 < height; y++)
            memcpy(out + x * out_stride + 3 * (int64_t)y, in + y * in_stride + 3 * (int64_t)x, 4);
    const int64_t right = 3 * (int64_t)(width - 1), below = 3 * (int64_t)(height - 1);
    transpose_each(in + (height - 1) * in_stride, in_stride, width - 1, 1, out + below, out_stride, 3);
    transpose_each(in + right, in_stride, 1, height, out + (width - 1) * out_stride, out_stride, 3);
}

static void transpose(const uint8_t *in, int64_t in_stride, int32_t width, int32_t height, uint8_t *out, int64_t out_stride,
                      int bytes)
{
    for (int32_t top = 0; top < height; top += BLOCK) {
        const int32_t h = height - top < BLOCK ? height - top : BLOCK;
        for (int32_t left = 0; left < width; left += BLOCK) {
            const int32_t w = width - left < BLOCK ? width - left : BLOCK;
            const uint8_t *from = in + top * in_stride + (int64_t)left * bytes;
            uint8_t *to = out + left * out_stride + (int64_t)top * bytes;
            switch (bytes) {
            case 1: transpose_bytes(from, in_stride, w, h, to, out_stride); break;
            case 2: transpose_each(from, in_stride, w, h, to, out_stride, 2); break;
            case 3: transpose_threes(from, in_stride, w, h, to, out_stride); break;
            default: transpose_each(from, in_stride, w, h, to, out_stride, 6); break;
            }
        }
    }
}

static inline void backwards_each(const uint8_t *in, int32_t width, uint8_t *out, const int bytes)
{
    for (int32_t x = 0; x < width; x++)
        memcpy(out + (int64_t)(width - 1 - x) * bytes, in + (int64_t)x * bytes, (size_t)bytes);
}

static void backwards_bytes(const uint8_t *in, int32_t width, uint8_t *out)
{
    int32_t x = 0;
    for (; x + 8 <= width; x += 8) {
        const uint64_t turned = __builtin_bswap64(load64(in + x));
        memcpy(out + width - 8 - x, &turned, sizeof(turned));
    }
    backwards_each(in + x, width - x, out, 1);
}

/* As transpose_threes: from the end, so that the fourth byte of each write is written over by the next. */
static void backwards_threes(const uint8_t *in, int32_t width, uint8_t *out)
{
    for (int32_t x = width - 1; x > 0; x--)
        memcpy(out + 3 * (int64_t)(width - 1 - x), in + 3 * (int64_t)x, x == width - 1 ? 3 : 4);
    memcpy(out + 3 * (int64_t)(width - 1), in, 3);
}

static void backwards(const uint8_t *in, int32_t width, uint8_t *out, int bytes)
{
    switch (bytes) {
    case 1: backwards_bytes(in, width, out); break;
    case 2: backwards_each(in, width, out, 2); break;
    case 3: backwards_threes(in, width, out); break;
    default: backwards_each(in, width, out, 6); break;
    }
}

static int fits(int64_t row_bytes, int64_t rows, int64_t stride, int64_t size)
{
    if (rows == 1)
        return row_bytes <= size;
    return stride >= row_bytes && stride <= INT64_MAX / MAX_SIDE && (rows - 1) * stride + row_bytes <= size;
}

int ffb_orient(const uint8_t *in, int64_t in_stride, int64_t in_size, int32_t width, int32_t height, int bytes,
                  int rotation, int mirrored, uint8_t *out, int64_t out_stride, int64_t out_size)
{
    const int quarter = rotation == 90 || rotation == 270;
    if (!in || !out || width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE ||
        (bytes != 1 && bytes != 2 && bytes != 3 && bytes != 6) || (!quarter && rotation != 0 && rotation != 180))
        return AVERROR(EINVAL);
    const int32_t out_width = quarter ? height : width, out_height = quarter ? width : height;
    if (!fits((int64_t)width * bytes, height, in_stride, in_size) ||
        !fits((int64_t)out_width * bytes, out_height, out_stride, out_size))
        return AVERROR(EINVAL);

    /* Which sides start from their last row: see the table at the top. */
    const int in_from_below = rotation == 90 || rotation == 180;
    const int out_from_below = quarter && (rotation == 270) != (mirrored != 0);
    if (in_from_below) {
        in += (height - 1) * in_stride;
        in_stride = -in_stride;
    }
    if (out_from_below) {
        out += (out_height - 1) * out_stride;
        out_stride = -out_stride;
    }
    if (quarter) {
        transpose(in, in_stride, width, height, out, out_stride, bytes);
        return 0;
    }
    const int turn_rows = (rotation == 180) != (mirrored != 0);
    for (int32_t y = 0; y < height; y++) {
        if (turn_rows)
            backwards(in + y * in_stride, width, out + y * out_stride, bytes);
        else
            memcpy(out + y * out_stride, in + y * in_stride, (size_t)width * (size_t)bytes);
    }
    return 0;
}
