/* Turning and mirroring of a plane or an interleaved picture, cache-blocked. */
#ifndef FFB_ORIENT_H
#define FFB_ORIENT_H

#include <stdint.h>

/* cdef */
/* Writes the width x height samples at `in`, mirrored left to right first where `mirrored` is not 0, then turned clockwise
 * by `rotation` (0, 90, 180, 270), to `out`. A sample is `bytes` bytes: 1, 2, 3 or 6. Strides are bytes between rows, at
 * least a row; sizes are the bytes that may be touched. The two must not overlap; both stay the caller's. After a turn by 90
 * or 270 out has `width` rows of `height` samples. 0, or AVERROR(EINVAL) where an argument does not fit. */
int ffb_orient(const uint8_t *in, int64_t in_stride, int64_t in_size, int32_t width, int32_t height, int bytes,
                  int rotation, int mirrored, uint8_t *out, int64_t out_stride, int64_t out_size);
/* end cdef */

#endif
