#include "orient.h"

#include <string.h>

#include "variants.h"

/* The eight orientations are a transposition or none, after or before turning the order of rows and columns. Rows are
 * turned around by negative strides, so that only two inner loops are left: a transposition, and a row backwards. With T
 * the transposition, V top to bottom and H left to right, a clockwise quarter turn is T after V, and H after T is T after V:
 *
 *     90: T V     270: V T     90 of mirrored: V T V     270 of mirrored: T
 *     180: V H    mirrored: H  180 of mirrored: V
 */

enum { TILE = 16, CACHE_LINE = 64 };

/* ---- Transposition ----------------------------------------------------------------------------------------------- */

typedef uint8_t tile_row __attribute__((vector_size(TILE)));

/* The first halves of two rows, a sample of each in turn, and the second halves: an instruction each on x86-64 and arm64. */
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (tile_row){__VA_ARGS__})
#endif
#define FIRST_HALVES(a, b) SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define SECOND_HALVES(a, b) SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

/* 16x16 bytes. Taking row i and row i + 8 in turn moves the place of each sample, y * 16 + x as 8 bits, around by one bit; four
 * times that exchanges y and x. */
FFB_INLINE void transpose_tile(const uint8_t *in, int64_t in_stride, uint8_t *out, int64_t out_stride)
{
    tile_row rows[TILE], mixed[TILE];
    for (int i = 0; i < TILE; i++)
        memcpy(&rows[i], in + i * in_stride, TILE);
    for (int twice = 0; twice < 2; twice++) {
        for (int i = 0; i < TILE / 2; i++) {
            mixed[2 * i] = FIRST_HALVES(rows[i], rows[i + TILE / 2]);
            mixed[2 * i + 1] = SECOND_HALVES(rows[i], rows[i + TILE / 2]);
        }
        for (int i = 0; i < TILE / 2; i++) {
            rows[2 * i] = FIRST_HALVES(mixed[i], mixed[i + TILE / 2]);
            rows[2 * i + 1] = SECOND_HALVES(mixed[i], mixed[i + TILE / 2]);
        }
    }
    for (int i = 0; i < TILE; i++)
        memcpy(out + i * out_stride, &rows[i], TILE);
}

FFB_INLINE void transpose_each(const uint8_t *in, int64_t in_stride, int32_t width, int32_t height, uint8_t *out,
                               int64_t out_stride, const int bytes)
{
    for (int32_t x = 0; x < width; x++)
        for (int32_t y = 0; y < height; y++)
            memcpy(out + x * out_stride + (int64_t)y * bytes, in + y * in_stride + (int64_t)x * bytes, (size_t)bytes);
}

/* Where the size is no multiple of the tile's the last tiles overlap the ones before. */
FFB_INLINE void transpose_bytes(const uint8_t *in, int64_t in_stride, int32_t width, int32_t height, uint8_t *out,
                                int64_t out_stride)
{
    if (width < TILE || height < TILE) {
        transpose_each(in, in_stride, width, height, out, out_stride, 1);
        return;
    }
    for (int32_t x = 0; x < width; x += TILE) {
        x = x < width - TILE ? x : width - TILE;
        for (int32_t y = 0; y < height; y += TILE) {
            y = y < height - TILE ? y : height - TILE;
            transpose_tile(in + y * in_stride + x, in_stride, out + x * out_stride + y, out_stride);
        }
    }
}

/* Three bytes move fastest as four: each write runs a byte into the next sample, which is written after it. The last row and
 * column of the input, where that byte would be somebody else's, go three at a time. */
FFB_INLINE void transpose_threes(const uint8_t *in, int64_t in_stride, int32_t width, int32_t height, uint8_t *out,
                                 int64_t out_stride)
{
    for (int32_t x = 0; x + 1 < width; x++)
        for (int32_t y = 0; y + 1 < height; y++)
            memcpy(out + x * out_stride + 3 * (int64_t)y, in + y * in_stride + 3 * (int64_t)x, 4);
    const int64_t right = 3 * (int64_t)(width - 1), below = 3 * (int64_t)(height - 1);
    transpose_each(in + (height - 1) * in_stride, in_stride, width - 1, 1, out + below, out_stride, 3);
    transpose_each(in + right, in_stride, 1, height, out + (width - 1) * out_stride, out_stride, 3);
}

FFB_INLINE void transpose(const uint8_t *in, int64_t in_stride, int32_t width, int32_t height, uint8_t *out, int64_t out_stride,
                          int bytes)
{
    switch (bytes) {
    case 1: transpose_bytes(in, in_stride, width, height, out, out_stride); break;
    case 2: transpose_each(in, in_stride, width, height, out, out_stride, 2); break;
    case 3: transpose_threes(in, in_stride, width, height, out, out_stride); break;
    default: transpose_each(in, in_stride, width, height, out, out_stride, 6); break;
    }
}

/* ---- A row backwards --------------------------------------------------------------------------------------------- */

FFB_INLINE void backwards_each(const uint8_t *in, int32_t width, uint8_t *out, const int bytes)
{
    for (int32_t x = 0; x < width; x++)
        memcpy(out + (int64_t)(width - 1 - x) * bytes, in + (int64_t)x * bytes, (size_t)bytes);
}

FFB_INLINE void backwards_bytes(const uint8_t *in, int32_t width, uint8_t *out)
{
    int32_t x = 0;
    for (; x + 8 <= width; x += 8) {
        uint64_t eight;
        memcpy(&eight, in + width - 8 - x, sizeof(eight));
        eight = __builtin_bswap64(eight);
        memcpy(out + x, &eight, sizeof(eight));
    }
    backwards_each(in, width - x, out + x, 1);
}

/* As transpose_threes: from the end, so that the fourth byte of each write is written over by the next. */
FFB_INLINE void backwards_threes(const uint8_t *in, int32_t width, uint8_t *out)
{
    for (int32_t x = width - 1; x > 0; x--)
        memcpy(out + 3 * (int64_t)(width - 1 - x), in + 3 * (int64_t)x, x == width - 1 ? 3 : 4);
    memcpy(out + 3 * (int64_t)(width - 1), in, 3);
}

FFB_INLINE void backwards(const uint8_t *in, int32_t width, uint8_t *out, int bytes)
{
    switch (bytes) {
    case 1: backwards_bytes(in, width, out); break;
    case 2: backwards_each(in, width, out, 2); break;
    case 3: backwards_threes(in, width, out); break;
    default: backwards_each(in, width, out, 6); break;
    }
}

/* ---- Rows into place --------------------------------------------------------------------------------------------- */

int ffb_turn_exists(int rotation)
{
    return rotation == 0 || rotation == 90 || rotation == 180 || rotation == 270;
}

static int is_quarter(const ffb_turn *turn)
{
    return turn->rotation == 90 || turn->rotation == 270;
}

/* Asks for `size` bytes to be brought into the second-level cache. */
static void expect(const uint8_t *at, int64_t size)
{
    for (int64_t i = 0; i < size + CACHE_LINE - 1; i += CACHE_LINE)
        __builtin_prefetch(at + (i < size ? i : size - 1), 1, 2);
}

void ffb_turn_expect(const ffb_turn *turn, int32_t first, int32_t count, int32_t part)
{
    if (is_quarter(turn)) {
        const int32_t column = turn->rotation == 90 ? turn->height - first - count : first;
        const int32_t end = (int32_t)((int64_t)turn->width * (part + 1) / count);
        for (int32_t row = (int32_t)((int64_t)turn->width * part / count); row < end; row++)
            expect(turn->out + row * turn->out_stride + (int64_t)column * turn->bytes, (int64_t)count * turn->bytes);
    } else {
        const int32_t row = turn->rotation == 180 ? turn->height - 1 - first - part : first + part;
        expect(turn->out + row * turn->out_stride, (int64_t)turn->width * turn->bytes);
    }
}

FFB_INLINE void ffb_turn_rows_any(const ffb_turn *turn, const uint8_t *rows, int64_t stride, int32_t first, int32_t count)
{
    const int rotation = turn->rotation, mirrored = turn->mirrored != 0, bytes = turn->bytes;
    uint8_t *out = turn->out;
    int64_t out_stride = turn->out_stride;
    /* Which sides start from their last row: see the table at the top. */
    if (rotation == 90 || rotation == 180) {
        rows += (count - 1) * stride;
        stride = -stride;
        first = turn->height - first - count;
    }
    if (is_quarter(turn)) {
        if ((rotation == 270) != mirrored) {
            out += (turn->width - 1) * out_stride;
            out_stride = -out_stride;
        }
        transpose(rows, stride, turn->width, count, out + (int64_t)first * bytes, out_stride, bytes);
        return;
    }
    for (int32_t y = 0; y < count; y++) {
        uint8_t *to = out + (first + y) * out_stride;
        if ((rotation == 180) != mirrored)
            backwards(rows + y * stride, turn->width, to, bytes);
        else
            memcpy(to, rows + y * stride, (size_t)turn->width * (size_t)bytes);
    }
}

FFB_VARIANTS(void, ffb_turn_rows, (const ffb_turn *turn, const uint8_t *rows, int64_t stride, int32_t first, int32_t count),
             (turn, rows, stride, first, count))
