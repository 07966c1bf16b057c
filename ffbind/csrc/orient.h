/* Turning and mirroring of a plane or an interleaved picture, some rows at a time, on their way into the output. */
#ifndef FFB_ORIENT_H
#define FFB_ORIENT_H

#include <stdint.h>

/* Where the rows of a picture of width x height samples go that is mirrored left to right first, where `mirrored` is not 0, then
 * turned clockwise by `rotation`. A sample is `bytes` bytes: 1, 2, 3 or 6. `out` is borrowed: rows of `height` samples after a
 * turn by 90 or 270 degrees, of `width` otherwise, `out_stride` bytes apart. */
typedef struct ffb_turn {
    uint8_t *out;
    int64_t out_stride;
    int32_t width;
    int32_t height;
    int bytes;
    int rotation;
    int mirrored;
} ffb_turn;

/* True for 0, 90, 180 and 270. */
int ffb_turn_exists(int rotation);

/* Puts `count` rows, which begin `stride` bytes apart at `rows`, into place: `first` is the picture's row that they begin with.
 * Nothing is checked: rows, picture and output must be as large as they are said to be. Bytes of the output that are not these
 * rows' stay as they are. */
void ffb_turn_rows(const ffb_turn *turn, const uint8_t *rows, int64_t stride, int32_t first, int32_t count);

/* Asks for the memory that part `part` of these rows, 0 to count - 1, will be written to, so that it is at hand when
 * ffb_turn_rows comes: lines of a turned picture lie where no processor foresees them. Best called while the rows are made. */
void ffb_turn_expect(const ffb_turn *turn, int32_t first, int32_t count, int32_t part);

#endif
