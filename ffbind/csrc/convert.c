#include "convert.h"

#include <stdlib.h>
#include <string.h>

#include <libavutil/error.h>

#include "orient.h"
#include "variants.h"

/* A row at a time, so that all that a row needs stays in the first-level cache, and each loop is one that the compiler
 * turns into vector instructions: 16-bit lanes, no branches, no calls.
 *
 * What planes 1 and 2 contribute to an output is computed once per chroma row ("mix", at chroma width), widened to luma
 * width by replication, and added to what plane 0 contributes ("finish").
 *
 * Where a picture is turned, finished rows are gathered in a band that stays in the second-level cache and put into place from
 * there: the whole picture is never written twice. */

enum { MAX_SIDE = 65536, CACHE_LINE = 64 };

static int32_t chroma_size(int32_t luma, int32_t log2)
{
    return (luma + (1 << log2) - 1) >> log2;
}

/* True when `rows` rows of `row_bytes` bytes, `stride` apart, lie within `size` bytes. */
static int fits(int64_t row_bytes, int64_t rows, int64_t stride, int64_t size)
{
    if (rows == 1)
        return row_bytes <= size;
    return stride >= row_bytes && stride <= INT64_MAX / MAX_SIDE && (rows - 1) * stride + row_bytes <= size;
}

/* True when uint16_t samples may be read there: rows that begin at an odd address are undefined behaviour in C. */
static int aligned(const void *data, int64_t stride, int64_t bytes)
{
    return (intptr_t)data % bytes == 0 && stride % bytes == 0;
}

static int check_planes(const ffb_planes *p)
{
    if ((p->count != 1 && p->count != 3) || p->depth < 8 || p->depth > 16 || p->width < 1 || p->height < 1 ||
        p->width > MAX_SIDE || p->height > MAX_SIDE || p->log2_x < 0 || p->log2_x > 1 || p->log2_y < 0 || p->log2_y > 1)
        return AVERROR(EINVAL);
    const int64_t bytes = p->depth > 8 ? 2 : 1;
    for (int i = 0; i < p->count; i++) {
        const int64_t w = i ? chroma_size(p->width, p->log2_x) : p->width;
        const int64_t h = i ? chroma_size(p->height, p->log2_y) : p->height;
        if (!p->data[i] || !fits(w * bytes, h, p->stride[i], p->size[i]) || !aligned(p->data[i], h > 1 ? p->stride[i] : 0, bytes))
            return AVERROR(EINVAL);
    }
    return 0;
}

FFB_INLINE const void *row_of(const ffb_planes *p, int plane, int32_t y)
{
    return (const uint8_t *)p->data[plane] + y * p->stride[plane];
}

static int is_quarter(int rotation)
{
    return rotation == 90 || rotation == 270;
}

/* ---- Rows on their way to where they are shown ------------------------------------------------------------------- */

/* One plane, or an interleaved picture, of `width` x `height` samples before it is turned. Its rows go straight to the output where
 * nothing is turned, and to `band` otherwise, a few at a time. */
typedef struct sink {
    ffb_turn turn;
    int turned;
    uint8_t *band; /* owned; NULL where nothing is turned */
    int64_t band_stride;
    int32_t rows;  /* that the band holds at most */
    int32_t first; /* row that it begins with */
} sink;

/* Rows that are put into place together: as many as fill two or three cache lines where the picture is turned by 90 degrees, 2 (a row of
 * chroma) otherwise. */
static int32_t band_rows(int rotation, int bytes)
{
    const int32_t filling = 2 * CACHE_LINE;
    return !is_quarter(rotation) ? 2 : bytes == 1 ? filling : bytes == 2 ? filling / 2 : filling / 4;
}

/* 0 where there is no memory. `out` stays the caller's. */
static int sink_open(sink *s, ffb_turn turn, int32_t rows)
{
    *s = (sink){.turn = turn, .rows = rows, .turned = turn.rotation != 0 || turn.mirrored};
    if (!s->turned)
        return 1;
    /* An odd number of cache lines, so that rows one below the other do not all fall into the same few places of the cache. */
    s->band_stride = (((int64_t)turn.width * turn.bytes + CACHE_LINE - 1) / CACHE_LINE | 1) * CACHE_LINE;
    s->band = malloc((size_t)(rows * s->band_stride));
    return s->band != NULL;
}

static void sink_close(sink *s)
{
    free(s->band);
}

/* Where row y is to be written. */
FFB_INLINE uint8_t *sink_row(const sink *s, int32_t y)
{
    if (!s->turned)
        return s->turn.out + y * s->turn.out_stride;
    const int32_t left = s->turn.height - s->first;
    ffb_turn_expect(&s->turn, s->first, left < s->rows ? left : s->rows, y - s->first);
    return s->band + (y - s->first) * s->band_stride;
}

/* Puts the rows written since the last call into place; the next one to come is `end`. */
static void sink_flush(sink *s, int32_t end)
{
    if (s->turned)
        ffb_turn_rows(&s->turn, s->band, s->band_stride, s->first, end - s->first);
    s->first = end;
}

/* ---- 8-bit results: fixed point -------------------------------------------------------------------------------- */

/* The types say what the compiler needs to see: unsigned 16-bit products whose high half is wanted are one instruction, and
 * so are a shift by a constant, a minimum and a maximum of signed 16-bit values. */

/* value * (whole + fraction / 65536), modulo 65536. */
FFB_INLINE uint16_t scaled(uint16_t value, uint16_t whole, uint16_t fraction)
{
    const uint16_t high = (uint16_t)(((uint32_t)value * fraction) >> 16);
    return (uint16_t)((uint16_t)((uint32_t)value * whole) + high);
}

FFB_INLINE uint8_t clip8(uint16_t value)
{
    int16_t whole = (int16_t)value;
    whole = (int16_t)(whole >> 5);
    whole = whole < 0 ? 0 : whole;
    whole = whole > 255 ? 255 : whole;
    return (uint8_t)whole;
}

/* To 13 bits; `up` is 1 << (16 - depth). */
FFB_INLINE uint16_t lift_u8(uint8_t value, uint16_t up)
{
    (void)up;
    return (uint16_t)(value << 5);
}

FFB_INLINE uint16_t lift_u16(uint16_t value, uint16_t up)
{
    const uint16_t high = (uint16_t)((uint32_t)value * up);
    return (uint16_t)(high >> 3);
}

#define DEFINE_ROWS(TYPE, NAME)                                                                                        \
    FFB_INLINE void mix_##NAME(const TYPE *restrict p1, const TYPE *restrict p2, int32_t width, uint16_t up,           \
                               const uint16_t *whole, const uint16_t *fraction, uint16_t offset,                       \
                               uint16_t *restrict out)                                                                 \
    {                                                                                                                  \
        const uint16_t w1 = whole[1], w2 = whole[2], f1 = fraction[1], f2 = fraction[2];                               \
        for (int32_t x = 0; x < width; x++) {                                                                          \
            const uint16_t a = scaled(lift_##NAME(p1[x], up), w1, f1), b = scaled(lift_##NAME(p2[x], up), w2, f2);     \
            out[x] = (uint16_t)(a + b + offset);                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    FFB_INLINE void finish_##NAME(const TYPE *restrict p0, const uint16_t *restrict mixed, int32_t width, uint16_t up, \
                                  uint16_t whole, uint16_t fraction, uint8_t *restrict out)                            \
    {                                                                                                                  \
        for (int32_t x = 0; x < width; x++) {                                                                          \
            const uint16_t a = scaled(lift_##NAME(p0[x], up), whole, fraction);                                        \
            out[x] = clip8((uint16_t)(a + mixed[x]));                                                                  \
        }                                                                                                              \
    }

DEFINE_ROWS(uint8_t, u8)
DEFINE_ROWS(uint16_t, u16)

FFB_INLINE void clip_row(const uint16_t *restrict mixed, int32_t width, uint8_t *restrict out)
{
    for (int32_t x = 0; x < width; x++)
        out[x] = clip8(mixed[x]);
}

/* Each value twice: what a chroma row of half the width gives to every pixel. */
#define DEFINE_WIDEN(TYPE, NAME)                                                                                       \
    FFB_INLINE void widen_##NAME(const TYPE *restrict in, int32_t width, TYPE *restrict out)                            \
    {                                                                                                                  \
        const size_t pairs = (size_t)width >> 1;                                                                       \
        for (size_t x = 0; x < pairs; x++) {                                                                           \
            out[2 * x] = in[x];                                                                                        \
            out[2 * x + 1] = in[x];                                                                                    \
        }                                                                                                              \
        if (width & 1)                                                                                                 \
            out[width - 1] = in[pairs];                                                                                \
    }

DEFINE_WIDEN(uint16_t, u16)
DEFINE_WIDEN(float, float)

/* What a conversion holds while it runs: a view of the input and row buffers that the caller owns. */
typedef struct fixed_rows {
    const ffb_planes *in;
    const ffb_fixed_matrix *matrix;
    uint16_t up;
    int32_t chroma_width;
    uint16_t *narrow;  /* chroma_width values */
    uint16_t *wide[3]; /* width values each, per output */
} fixed_rows;

/* Gives one block with all row buffers; the caller frees it. NULL: no memory. */
static void *start_fixed(fixed_rows *r, const ffb_planes *in, const ffb_fixed_matrix *matrix)
{
    r->in = in;
    r->matrix = matrix;
    r->up = (uint16_t)(1u << (16 - in->depth));
    r->chroma_width = chroma_size(in->width, in->log2_x);
    const size_t length = ((size_t)in->width + 63) & ~(size_t)63;
    uint16_t *block = malloc(4 * length * sizeof(*block));
    if (!block)
        return NULL;
    r->narrow = block;
    for (int i = 0; i < 3; i++) {
        r->wide[i] = block + (size_t)(i + 1) * length;
        if (in->count == 1)
            for (int32_t x = 0; x < in->width; x++)
                r->wide[i][x] = matrix->offset[i];
    }
    return block;
}

/* What planes 1 and 2 give to output i in chroma row cy, at chroma width. */
FFB_INLINE void mix_fixed(const fixed_rows *r, int i, int32_t cy, uint16_t *out)
{
    const ffb_fixed_matrix *m = r->matrix;
    const void *p1 = row_of(r->in, 1, cy), *p2 = row_of(r->in, 2, cy);
    if (r->in->depth > 8)
        mix_u16(p1, p2, r->chroma_width, r->up, m->whole[i], m->fraction[i], m->offset[i], out);
    else
        mix_u8(p1, p2, r->chroma_width, r->up, m->whole[i], m->fraction[i], m->offset[i], out);
}

FFB_INLINE void mix_and_widen_fixed(const fixed_rows *r, int i, int32_t cy)
{
    if (r->in->log2_x) {
        mix_fixed(r, i, cy, r->narrow);
        widen_u16(r->narrow, r->in->width, r->wide[i]);
    } else {
        mix_fixed(r, i, cy, r->wide[i]);
    }
}

FFB_INLINE void finish_fixed(const fixed_rows *r, int i, int32_t y, uint8_t *out)
{
    const uint16_t whole = r->matrix->whole[i][0], fraction = r->matrix->fraction[i][0];
    const void *p0 = row_of(r->in, 0, y);
    if (r->in->depth > 8)
        finish_u16(p0, r->wide[i], r->in->width, r->up, whole, fraction, out);
    else
        finish_u8(p0, r->wide[i], r->in->width, r->up, whole, fraction, out);
}

/* Rows that are shown as they are, turned or not. */
static void copy_plane(const ffb_planes *in, int plane, const ffb_turn *turn)
{
    const int32_t rows = band_rows(turn->rotation, 1);
    for (int32_t y = 0; y < turn->height; y += rows)
        ffb_turn_rows(turn, row_of(in, plane, y), in->stride[plane], y, turn->height - y < rows ? turn->height - y : rows);
}

FFB_INLINE int ffb_convert_planes_any(const ffb_planes *in, const ffb_fixed_matrix *matrix, int rotation, int mirrored,
                                      const ffb_planes *out)
{
    const int quarter = is_quarter(rotation);
    if (check_planes(in) < 0 || check_planes(out) < 0 || !ffb_turn_exists(rotation) || in->count != out->count ||
        in->width != (quarter ? out->height : out->width) || in->height != (quarter ? out->width : out->height) ||
        out->depth != 8 || in->log2_x != (quarter ? out->log2_y : out->log2_x) ||
        in->log2_y != (quarter ? out->log2_x : out->log2_y) || (matrix->copy && in->depth != 8))
        return AVERROR(EINVAL);
    const int subsampled = in->log2_x || in->log2_y;
    for (int i = 1; subsampled && !matrix->copy && i < 3; i++)
        if (matrix->whole[i][0] || matrix->fraction[i][0])
            return AVERROR(EINVAL);

    ffb_turn turns[3];
    for (int i = 0; i < in->count; i++) {
        turns[i] = (ffb_turn){.out = out->data[i],
                              .out_stride = out->stride[i],
                              .width = i ? chroma_size(in->width, in->log2_x) : in->width,
                              .height = i ? chroma_size(in->height, in->log2_y) : in->height,
                              .bytes = 1,
                              .rotation = rotation,
                              .mirrored = mirrored};
        if (matrix->copy)
            copy_plane(in, i, &turns[i]);
    }
    if (matrix->copy)
        return 0;

    fixed_rows rows = {0};
    void *block = start_fixed(&rows, in, matrix);
    const int32_t together = band_rows(rotation, 1);
    sink sinks[3] = {0};
    int result = block ? 0 : AVERROR(ENOMEM);
    for (int i = 0; i < in->count; i++)
        if (!sink_open(&sinks[i], turns[i], i ? together >> in->log2_y : together))
            result = AVERROR(ENOMEM);
    for (int32_t y = 0; y < in->height && result == 0; y++) {
        if (in->count == 3 && !(y & ((1 << in->log2_y) - 1))) {
            const int32_t cy = y >> in->log2_y;
            mix_and_widen_fixed(&rows, 0, cy);
            for (int i = 1; i < 3; i++) {
                if (subsampled) {
                    mix_fixed(&rows, i, cy, rows.narrow);
                    clip_row(rows.narrow, rows.chroma_width, sink_row(&sinks[i], cy));
                } else {
                    mix_fixed(&rows, i, cy, rows.wide[i]);
                    finish_fixed(&rows, i, y, sink_row(&sinks[i], y));
                }
            }
        }
        finish_fixed(&rows, 0, y, sink_row(&sinks[0], y));
        if ((y + 1) % together == 0 || y + 1 == in->height)
            for (int i = 0; i < in->count; i++)
                sink_flush(&sinks[i], i ? chroma_size(y + 1, in->log2_y) : y + 1);
    }
    for (int i = 0; i < in->count; i++)
        sink_close(&sinks[i]);
    free(block);
    return result;
}

FFB_VARIANTS(int, ffb_convert_planes,
             (const ffb_planes *in, const ffb_fixed_matrix *matrix, int rotation, int mirrored, const ffb_planes *out),
             (in, matrix, rotation, mirrored, out))

/* True when the picture, turned, fits `size` bytes of rows `stride` apart, of samples of `bytes` bytes. */
static int packed_fits(const ffb_planes *in, int rotation, int64_t bytes, int64_t stride, int64_t size)
{
    const int quarter = is_quarter(rotation);
    return ffb_turn_exists(rotation) &&
           fits((quarter ? in->height : in->width) * bytes, quarter ? in->width : in->height, stride, size);
}

static ffb_turn packed_turn(const ffb_planes *in, int bytes, int rotation, int mirrored, void *out, int64_t stride)
{
    return (ffb_turn){.out = out,
                      .out_stride = stride,
                      .width = in->width,
                      .height = in->height,
                      .bytes = bytes,
                      .rotation = rotation,
                      .mirrored = mirrored};
}

/* Three rows of `width` values to one of `width` triples. Nothing overlaps and no index wraps around, which compilers have to know to
 * use vectors: Python has extensions compiled with -fwrapv, so `3 * x` must not be an int. */
#define DEFINE_INTERLEAVE(TYPE, NAME)                                                                                  \
    FFB_INLINE void interleave_##NAME(const TYPE *restrict a, const TYPE *restrict b, const TYPE *restrict c,              \
                                  int32_t width, TYPE *restrict out)                                                   \
    {                                                                                                                  \
        for (size_t x = 0; x < (size_t)width; x++) {                                                                   \
            out[3 * x] = a[x];                                                                                         \
            out[3 * x + 1] = b[x];                                                                                     \
            out[3 * x + 2] = c[x];                                                                                     \
        }                                                                                                              \
    }

DEFINE_INTERLEAVE(uint8_t, u8)
DEFINE_INTERLEAVE(uint16_t, u16)

FFB_INLINE int ffb_convert_packed8_any(const ffb_planes *in, const ffb_fixed_matrix *matrix, int channels, int rotation,
                                       int mirrored, uint8_t *out, int64_t stride, int64_t size)
{
    if (check_planes(in) < 0 || (channels != 1 && channels != 3) || !out || !packed_fits(in, rotation, channels, stride, size))
        return AVERROR(EINVAL);

    fixed_rows rows = {0};
    void *block = start_fixed(&rows, in, matrix);
    uint8_t *planar = malloc(3 * (size_t)in->width);
    const int32_t together = band_rows(rotation, channels);
    sink s;
    int result = sink_open(&s, packed_turn(in, channels, rotation, mirrored, out, stride), together) && block && planar
                     ? 0
                     : AVERROR(ENOMEM);
    for (int32_t y = 0; y < in->height && result == 0; y++) {
        uint8_t *to = sink_row(&s, y);
        if (in->count == 3 && !(y & ((1 << in->log2_y) - 1)))
            for (int i = 0; i < channels; i++)
                mix_and_widen_fixed(&rows, i, y >> in->log2_y);
        if (channels == 1) {
            finish_fixed(&rows, 0, y, to);
        } else {
            uint8_t *const a = planar, *const b = planar + in->width, *const c = planar + 2 * (size_t)in->width;
            finish_fixed(&rows, 0, y, a);
            finish_fixed(&rows, 1, y, b);
            finish_fixed(&rows, 2, y, c);
            interleave_u8(a, b, c, in->width, to);
        }
        if ((y + 1) % together == 0 || y + 1 == in->height)
            sink_flush(&s, y + 1);
    }
    sink_close(&s);
    free(block);
    free(planar);
    return result;
}

FFB_VARIANTS(int, ffb_convert_packed8,
             (const ffb_planes *in, const ffb_fixed_matrix *matrix, int channels, int rotation, int mirrored, uint8_t *out,
              int64_t stride, int64_t size),
             (in, matrix, channels, rotation, mirrored, out, stride, size))

/* ---- 16-bit results: floating point ----------------------------------------------------------------------------- */

#define DEFINE_FLOAT_ROWS(TYPE, NAME)                                                                                  \
    FFB_INLINE void mix_float_##NAME(const TYPE *restrict p1, const TYPE *restrict p2, int32_t width,                      \
                                 const float *factor, float offset, float *restrict out)                               \
    {                                                                                                                  \
        const float f1 = factor[1], f2 = factor[2];                                                                    \
        for (int32_t x = 0; x < width; x++)                                                                            \
            out[x] = (float)p1[x] * f1 + (float)p2[x] * f2 + offset;                                                   \
    }                                                                                                                  \
    FFB_INLINE void finish_float_##NAME(const TYPE *restrict p0, const float *restrict mixed, int32_t width, float factor, \
                                    uint16_t *restrict out)                                                            \
    {                                                                                                                  \
        for (int32_t x = 0; x < width; x++) {                                                                          \
            /* Clipped as integers: comparisons of floats keep compilers from using vectors. */                         \
            int32_t value = (int32_t)((float)p0[x] * factor + mixed[x] + 0.5f);                                        \
            value = value < 0 ? 0 : value;                                                                             \
            value = value > 65535 ? 65535 : value;                                                                     \
            out[x] = (uint16_t)value;                                                                                  \
        }                                                                                                              \
    }

DEFINE_FLOAT_ROWS(uint8_t, u8)
DEFINE_FLOAT_ROWS(uint16_t, u16)

FFB_INLINE int ffb_convert_packed16_any(const ffb_planes *in, const ffb_float_matrix *matrix, int channels, int rotation,
                                        int mirrored, uint16_t *out, int64_t stride, int64_t size)
{
    if (check_planes(in) < 0 || (channels != 1 && channels != 3) || !out ||
        !packed_fits(in, rotation, 2 * (int64_t)channels, stride, size) ||
        !aligned(out, (is_quarter(rotation) ? in->width : in->height) > 1 ? stride : 0, 2))
        return AVERROR(EINVAL);

    const size_t width = (size_t)in->width;
    const int32_t chroma_width = chroma_size(in->width, in->log2_x);
    float *mixed = malloc(4 * width * sizeof(*mixed)); /* a row for each output, and one at chroma width */
    uint16_t *planar = malloc(3 * width * sizeof(*planar));
    const int32_t together = band_rows(rotation, 2 * channels);
    sink s;
    int result = sink_open(&s, packed_turn(in, 2 * channels, rotation, mirrored, out, stride), together) && mixed && planar
                     ? 0
                     : AVERROR(ENOMEM);
    for (int i = 0; i < 3 && result == 0; i++)
        for (size_t x = 0; x < width; x++)
            mixed[(size_t)i * width + x] = matrix->offset[i];

    for (int32_t y = 0; y < in->height && result == 0; y++) {
        const void *p0 = row_of(in, 0, y);
        uint16_t *to = (uint16_t *)sink_row(&s, y);
        const int32_t cy = y >> in->log2_y;
        const int fresh = in->count == 3 && !(y & ((1 << in->log2_y) - 1));
        for (int i = 0; i < channels; i++) {
            float *row = mixed + (size_t)i * width;
            if (fresh) {
                const void *p1 = row_of(in, 1, cy), *p2 = row_of(in, 2, cy);
                float *const narrow = in->log2_x ? mixed + 3 * width : row;
                if (in->depth > 8)
                    mix_float_u16(p1, p2, chroma_width, matrix->factor[i], matrix->offset[i], narrow);
                else
                    mix_float_u8(p1, p2, chroma_width, matrix->factor[i], matrix->offset[i], narrow);
                if (in->log2_x)
                    widen_float(narrow, in->width, row);
            }
            uint16_t *finished = channels == 1 ? to : planar + (size_t)i * width;
            if (in->depth > 8)
                finish_float_u16(p0, row, in->width, matrix->factor[i][0], finished);
            else
                finish_float_u8(p0, row, in->width, matrix->factor[i][0], finished);
        }
        if (channels == 3)
            interleave_u16(planar, planar + width, planar + 2 * width, in->width, to);
        if ((y + 1) % together == 0 || y + 1 == in->height)
            sink_flush(&s, y + 1);
    }
    sink_close(&s);
    free(mixed);
    free(planar);
    return result;
}

FFB_VARIANTS(int, ffb_convert_packed16,
             (const ffb_planes *in, const ffb_float_matrix *matrix, int channels, int rotation, int mirrored, uint16_t *out,
              int64_t stride, int64_t size),
             (in, matrix, channels, rotation, mirrored, out, stride, size))
