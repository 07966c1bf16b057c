#include "convert.h"

#include <stdlib.h>
#include <string.h>

#include <libavutil/error.h>

/* A row at a time, so that all that a row needs stays in the first-level cache, and each loop is one that the compiler
 * turns into vector instructions: 16-bit lanes, no branches, no calls.
 *
 * What planes 1 and 2 contribute to an output is computed once per chroma row ("mix", at chroma width), widened to luma
 * width by replication, and added to what plane 0 contributes ("finish"). */

enum { MAX_SIDE = 65536 };

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

static const void *row_of(const ffb_planes *p, int plane, int32_t y)
{
    return (const uint8_t *)p->data[plane] + y * p->stride[plane];
}

static uint8_t *row_to(const ffb_planes *p, int plane, int32_t y)
{
    return (uint8_t *)p->data[plane] + y * p->stride[plane];
}

/* ---- 8-bit results: fixed point -------------------------------------------------------------------------------- */

/* The types say what the compiler needs to see: unsigned 16-bit products whose high half is wanted are one instruction, and
 * so are a shift by a constant, a minimum and a maximum of signed 16-bit values. */

/* value * (whole + fraction / 65536), modulo 65536. */
static inline uint16_t scaled(uint16_t value, uint16_t whole, uint16_t fraction)
{
    const uint16_t high = (uint16_t)(((uint32_t)value * fraction) >> 16);
    return (uint16_t)((uint16_t)((uint32_t)value * whole) + high);
}

static inline uint8_t clip8(uint16_t value)
{
    int16_t whole = (int16_t)value;
    whole = (int16_t)(whole >> 5);
    whole = whole < 0 ? 0 : whole;
    whole = whole > 255 ? 255 : whole;
    return (uint8_t)whole;
}

/* To 13 bits; `up` is 1 << (16 - depth). */
static inline uint16_t lift_u8(uint8_t value, uint16_t up)
{
    (void)up;
    return (uint16_t)(value << 5);
}

static inline uint16_t lift_u16(uint16_t value, uint16_t up)
{
    const uint16_t high = (uint16_t)((uint32_t)value * up);
    return (uint16_t)(high >> 3);
}

#define DEFINE_ROWS(TYPE, NAME)                                                                                        \
    static void mix_##NAME(const TYPE *restrict p1, const TYPE *restrict p2, int32_t width, uint16_t up,               \
                           const uint16_t *whole, const uint16_t *fraction, uint16_t offset, uint16_t *restrict out)   \
    {                                                                                                                  \
        const uint16_t w1 = whole[1], w2 = whole[2], f1 = fraction[1], f2 = fraction[2];                               \
        for (int32_t x = 0; x < width; x++) {                                                                          \
            const uint16_t a = scaled(lift_##NAME(p1[x], up), w1, f1), b = scaled(lift_##NAME(p2[x], up), w2, f2);     \
            out[x] = (uint16_t)(a + b + offset);                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    static void finish_##NAME(const TYPE *restrict p0, const uint16_t *restrict mixed, int32_t width, uint16_t up,     \
                              uint16_t whole, uint16_t fraction, uint8_t *restrict out)                                \
    {                                                                                                                  \
        for (int32_t x = 0; x < width; x++) {                                                                          \
            const uint16_t a = scaled(lift_##NAME(p0[x], up), whole, fraction);                                        \
            out[x] = clip8((uint16_t)(a + mixed[x]));                                                                  \
        }                                                                                                              \
    }

DEFINE_ROWS(uint8_t, u8)
DEFINE_ROWS(uint16_t, u16)

static void clip_row(const uint16_t *restrict mixed, int32_t width, uint8_t *restrict out)
{
    for (int32_t x = 0; x < width; x++)
        out[x] = clip8(mixed[x]);
}

static void widen16(const uint16_t *restrict in, int32_t width, uint16_t *restrict out)
{
    const int32_t pairs = width >> 1;
    for (int32_t x = 0; x < pairs; x++) {
        out[2 * x] = in[x];
        out[2 * x + 1] = in[x];
    }
    if (width & 1)
        out[width - 1] = in[pairs];
}

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
static void mix_fixed(const fixed_rows *r, int i, int32_t cy, uint16_t *out)
{
    const ffb_fixed_matrix *m = r->matrix;
    const void *p1 = row_of(r->in, 1, cy), *p2 = row_of(r->in, 2, cy);
    if (r->in->depth > 8)
        mix_u16(p1, p2, r->chroma_width, r->up, m->whole[i], m->fraction[i], m->offset[i], out);
    else
        mix_u8(p1, p2, r->chroma_width, r->up, m->whole[i], m->fraction[i], m->offset[i], out);
}

static void mix_and_widen_fixed(const fixed_rows *r, int i, int32_t cy)
{
    if (r->in->log2_x) {
        mix_fixed(r, i, cy, r->narrow);
        widen16(r->narrow, r->in->width, r->wide[i]);
    } else {
        mix_fixed(r, i, cy, r->wide[i]);
    }
}

static void finish_fixed(const fixed_rows *r, int i, int32_t y, uint8_t *out)
{
    const uint16_t whole = r->matrix->whole[i][0], fraction = r->matrix->fraction[i][0];
    const void *p0 = row_of(r->in, 0, y);
    if (r->in->depth > 8)
        finish_u16(p0, r->wide[i], r->in->width, r->up, whole, fraction, out);
    else
        finish_u8(p0, r->wide[i], r->in->width, r->up, whole, fraction, out);
}

static void copy_planes(const ffb_planes *in, const ffb_planes *out)
{
    for (int i = 0; i < in->count; i++) {
        const int32_t w = i ? chroma_size(in->width, in->log2_x) : in->width;
        const int32_t h = i ? chroma_size(in->height, in->log2_y) : in->height;
        for (int32_t y = 0; y < h; y++)
            memcpy(row_to(out, i, y), row_of(in, i, y), (size_t)w);
    }
}

int ffb_convert_planes(const ffb_planes *in, const ffb_fixed_matrix *matrix, const ffb_planes *out)
{
    if (check_planes(in) < 0 || check_planes(out) < 0 || in->count != out->count || in->width != out->width ||
        in->height != out->height || out->depth != 8 || in->log2_x != out->log2_x || in->log2_y != out->log2_y)
        return AVERROR(EINVAL);
    if (matrix->copy) {
        if (in->depth != 8)
            return AVERROR(EINVAL);
        copy_planes(in, out);
        return 0;
    }
    const int subsampled = in->log2_x || in->log2_y;
    for (int i = 1; subsampled && i < 3; i++)
        if (matrix->whole[i][0] || matrix->fraction[i][0])
            return AVERROR(EINVAL);

    fixed_rows rows;
    void *block = start_fixed(&rows, in, matrix);
    if (!block)
        return AVERROR(ENOMEM);
    for (int32_t y = 0; y < in->height; y++) {
        if (in->count == 3 && !(y & ((1 << in->log2_y) - 1))) {
            const int32_t cy = y >> in->log2_y;
            mix_and_widen_fixed(&rows, 0, cy);
            for (int i = 1; i < 3; i++) {
                if (subsampled) {
                    mix_fixed(&rows, i, cy, rows.narrow);
                    clip_row(rows.narrow, rows.chroma_width, row_to(out, i, cy));
                } else {
                    mix_fixed(&rows, i, cy, rows.wide[i]);
                    finish_fixed(&rows, i, y, row_to(out, i, y));
                }
            }
        }
        finish_fixed(&rows, 0, y, row_to(out, 0, y));
    }
    free(block);
    return 0;
}

int ffb_convert_packed8(const ffb_planes *in, const ffb_fixed_matrix *matrix, int channels, uint8_t *out,
                           int64_t stride, int64_t size)
{
    if (check_planes(in) < 0 || (channels != 1 && channels != 3) || !out ||
        !fits((int64_t)in->width * channels, in->height, stride, size))
        return AVERROR(EINVAL);

    fixed_rows rows;
    void *block = start_fixed(&rows, in, matrix);
    uint8_t *planar = malloc(3 * (size_t)in->width);
    if (!block || !planar) {
        free(block);
        free(planar);
        return AVERROR(ENOMEM);
    }
    for (int32_t y = 0; y < in->height; y++) {
        uint8_t *to = out + y * stride;
        if (in->count == 3 && !(y & ((1 << in->log2_y) - 1)))
            for (int i = 0; i < channels; i++)
                mix_and_widen_fixed(&rows, i, y >> in->log2_y);
        if (channels == 1) {
            finish_fixed(&rows, 0, y, to);
            continue;
        }
        uint8_t *const a = planar, *const b = planar + in->width, *const c = planar + 2 * (size_t)in->width;
        finish_fixed(&rows, 0, y, a);
        finish_fixed(&rows, 1, y, b);
        finish_fixed(&rows, 2, y, c);
        for (int32_t x = 0; x < in->width; x++) {
            to[3 * x] = a[x];
            to[3 * x + 1] = b[x];
            to[3 * x + 2] = c[x];
        }
    }
    free(block);
    free(planar);
    return 0;
}

/* ---- 16-bit results: floating point ----------------------------------------------------------------------------- */

#define DEFINE_FLOAT_ROWS(TYPE, NAME)                                                                                  \
    static void mix_float_##NAME(const TYPE *restrict p1, const TYPE *restrict p2, int32_t width,                      \
                                 const float *factor, float offset, float *restrict out)                               \
    {                                                                                                                  \
        const float f1 = factor[1], f2 = factor[2];                                                                    \
        for (int32_t x = 0; x < width; x++)                                                                            \
            out[x] = (float)p1[x] * f1 + (float)p2[x] * f2 + offset;                                                   \
    }                                                                                                                  \
    static void finish_float_##NAME(const TYPE *restrict p0, const float *restrict mixed, int32_t width, float factor, \
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

static void widen_float(float *row, int32_t width)
{
    /* In place, from the end: value x goes to 2x and 2x + 1, which no later step reads. */
    for (int32_t x = width - 1; x >= 0; x--)
        row[x] = row[x >> 1];
}

int ffb_convert_packed16(const ffb_planes *in, const ffb_float_matrix *matrix, int channels, uint16_t *out,
                            int64_t stride, int64_t size)
{
    if (check_planes(in) < 0 || (channels != 1 && channels != 3) || !out || !aligned(out, in->height > 1 ? stride : 0, 2) ||
        !fits((int64_t)in->width * channels * 2, in->height, stride, size))
        return AVERROR(EINVAL);

    const size_t width = (size_t)in->width;
    const int32_t chroma_width = chroma_size(in->width, in->log2_x);
    float *mixed = malloc(3 * width * sizeof(*mixed));
    uint16_t *planar = malloc(3 * width * sizeof(*planar));
    if (!mixed || !planar) {
        free(mixed);
        free(planar);
        return AVERROR(ENOMEM);
    }
    for (int i = 0; i < 3; i++)
        for (size_t x = 0; x < width; x++)
            mixed[(size_t)i * width + x] = matrix->offset[i];

    for (int32_t y = 0; y < in->height; y++) {
        const void *p0 = row_of(in, 0, y);
        uint16_t *to = (uint16_t *)((uint8_t *)out + y * stride);
        const int32_t cy = y >> in->log2_y;
        const int fresh = in->count == 3 && !(y & ((1 << in->log2_y) - 1));
        for (int i = 0; i < channels; i++) {
            float *row = mixed + (size_t)i * width;
            if (fresh) {
                const void *p1 = row_of(in, 1, cy), *p2 = row_of(in, 2, cy);
                if (in->depth > 8)
                    mix_float_u16(p1, p2, chroma_width, matrix->factor[i], matrix->offset[i], row);
                else
                    mix_float_u8(p1, p2, chroma_width, matrix->factor[i], matrix->offset[i], row);
                if (in->log2_x)
                    widen_float(row, in->width);
            }
            uint16_t *finished = channels == 1 ? to : planar + (size_t)i * width;
            if (in->depth > 8)
                finish_float_u16(p0, row, in->width, matrix->factor[i][0], finished);
            else
                finish_float_u8(p0, row, in->width, matrix->factor[i][0], finished);
        }
        for (size_t x = 0; channels == 3 && x < width; x++) {
            to[3 * x] = planar[x];
            to[3 * x + 1] = planar[width + x];
            to[3 * x + 2] = planar[2 * width + x];
        }
    }
    free(mixed);
    free(planar);
    return 0;
}
