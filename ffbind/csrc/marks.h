/* Marks in the memory of a new picture, to see afterwards whether all of it was decoded.
 *
 * Where damage makes a slice end early, libavcodec reports nothing and leaves the rest of the picture as the buffer was: parts of other
 * pictures, or nothing. A slice ends between two coding tree blocks, so in each of them 4 rows of 4 bytes of the first plane are marked,
 * out of reach of the deblocking of neighbours (3 samples, H.265 8.7.2.5.7). A mark that is still whole after decoding stands where
 * nothing was decoded; that a picture looks like one has a chance of 2^-128.
 */
#ifndef FFB_MARKS_H
#define FFB_MARKS_H

#include <stdint.h>

/* A plane, uncropped; borrowed. */
typedef struct ffb_plane {
    uint8_t *data;
    int stride;
    int width;           /* in samples, a multiple of 8 */
    int height;          /* likewise */
    int bytes_per_value; /* 1 or 2 */
} ffb_plane;

/* Marks every block of `step` x `step` samples: the size of coding tree blocks, or a power of two below. */
void ffb_mark(const ffb_plane *plane, int step);

/* Tells whether a whole mark is left. `step` is that of ffb_mark, or a power of two below. */
int ffb_has_mark(const ffb_plane *plane, int step);

#endif
