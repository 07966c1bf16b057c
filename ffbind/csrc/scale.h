/* Resizing of one plane by libswscale. */
#ifndef FFB_SCALE_H
#define FFB_SCALE_H

#include <stdint.h>

/* cdef */
/* Scales the plane at `in` (in_width x in_height samples of `depth` bits: uint8_t at 8, uint16_t with the value in the low
 * bits at 9, 10, 12, 14 and 16) to out_width x out_height at `out`: area average where it gets smaller, bicubic otherwise,
 * rounded accurately, the same on every machine. Strides are bytes between rows. libswscale works on whole vectors and may
 * write up to the end of a row's stride: `out_stride` must be a multiple of 64 and out_size at least
 * out_stride * out_height + 64. Nothing is kept. 0, or a negative AVERROR. */
int ffb_scale_plane(const uint8_t *in, int64_t in_stride, int64_t in_size, int32_t in_width, int32_t in_height, int depth,
                       uint8_t *out, int64_t out_stride, int64_t out_size, int32_t out_width, int32_t out_height);
/* end cdef */

#endif
