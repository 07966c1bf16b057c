/* From decoded planes to 8- or 16-bit samples of another range, colour matrix and depth, upright, in one pass.
 *
 * Source of the formulas: ITU-T H.273, clause 8.3 (matrix coefficients and range). Which 3x3 matrix does what is decided
 * by the caller (ffbind/color.py derives it); the code here only multiplies, rounds and clips.
 */
#ifndef FFB_CONVERT_H
#define FFB_CONVERT_H

#include <stdint.h>

/* cdef */
/* One or three planes of a picture, all borrowed from the caller for the length of a call.
 *
 * `depth` bits per sample: 8 means uint8_t, 9 to 16 means uint16_t with the value in the low bits. Planes 1 and 2 are
 * ((width + (1 << log2_x) - 1) >> log2_x) samples wide, and as high by log2_y. `stride` is the distance between two rows
 * in bytes, `size` the number of bytes that may be touched from `data` on: nothing beyond it is read or written. Rows of
 * uint16_t begin at even addresses. */
typedef struct ffb_planes {
    void *data[3];
    int64_t stride[3];
    int64_t size[3];
    int32_t count;
    int32_t width;
    int32_t height;
    int32_t depth;
    int32_t log2_x;
    int32_t log2_y;
} ffb_planes;

/* A 3x3 matrix and an offset in fixed point. Samples are brought to 13 bits, then
 *     out[i] = (offset[i] + sum over j of in[j] * (whole[i][j] + fraction[i][j] / 65536)) / 32
 * rounded down and clipped to 0..255; the caller puts the half for rounding into `offset`. All is modulo 65536, so negative
 * numbers are written as such: a factor of -0.25 is whole 65535, fraction 49152. Every out[i] * 32 must lie in
 * -32768..32767 for all samples of the depth. `copy` says that it is the identity for 8-bit samples: rows are copied. */
typedef struct ffb_fixed_matrix {
    uint16_t whole[3][3];
    uint16_t fraction[3][3];
    uint16_t offset[3];
    int32_t copy;
} ffb_fixed_matrix;

/* The same in floating point: samples stay as they are, the result is rounded to nearest and clipped to 0..65535. */
typedef struct ffb_float_matrix {
    float factor[3][3];
    float offset[3];
} ffb_float_matrix;

/* A picture is converted, mirrored left to right where `mirrored` is not 0, then turned clockwise by `rotation` (0, 90, 180 or 270).
 * Input and output must not overlap. 0, or a negative AVERROR: EINVAL where an argument does not fit, ENOMEM. */

/* Plane by plane: out has in's count, size and chroma layout as they are after turning, at depth 8. With subsampled chroma
 * planes 1 and 2 must not depend on plane 0 (factors zero). */
int ffb_convert_planes(const ffb_planes *in, const ffb_fixed_matrix *matrix, int rotation, int mirrored,
                       const ffb_planes *out);

/* Interleaved: `channels` (1 or 3) samples a pixel, chroma replicated to full size. `out` is the rows of the turned picture,
 * `stride` bytes apart, of which `size` bytes in all may be written. */
int ffb_convert_packed8(const ffb_planes *in, const ffb_fixed_matrix *matrix, int channels, int rotation, int mirrored,
                        uint8_t *out, int64_t stride, int64_t size);
int ffb_convert_packed16(const ffb_planes *in, const ffb_float_matrix *matrix, int channels, int rotation, int mirrored,
                         uint16_t *out, int64_t stride, int64_t size);
/* end cdef */

#endif
