/* The byte stream format (H.265 annex B): where start codes stand, and access units turned into length-prefixed samples. */
#ifndef FFB_ANNEXB_H
#define FFB_ANNEXB_H

#include <stddef.h>
#include <stdint.h>

/* cdef */
/* Finds the start codes (00 00 01) that lie in data[from, size) and writes the position of each one's first zero to `found`,
 * ascending. Returns how many there are, `capacity` at most; when it is reached, go on from behind the last one. The bytes
 * are only read. */
size_t ffb_annexb_find(const uint8_t *data, size_t size, size_t from, int64_t *found, size_t capacity);

/* Writes the NAL units between start codes one after the other, each behind its length in 4 bytes (ISO/IEC 14496-15), without
 * the zeros around them. `out` belongs to the caller; size + size / 4 + 1 bytes are always enough. Returns the size written,
 * or -1 where the bytes do not begin with a start code (zeros may stand before it) or `capacity` is too small. */
int64_t ffb_annexb_unwrap(const uint8_t *data, size_t size, uint8_t *out, size_t capacity);
/* end cdef */

#endif
