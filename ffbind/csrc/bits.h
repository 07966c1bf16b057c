/* A bounds-checked bit reader over an RBSP (H.265 7.2), header only.
 *
 * Reading past the end returns zeros and sets `overrun`; the caller looks at it once, after the last read. The reader
 * borrows its bytes: whoever made it keeps them alive.
 */
#ifndef FFB_BITS_H
#define FFB_BITS_H

#include <stddef.h>
#include <stdint.h>

typedef struct ffb_bits {
    const uint8_t *data;
    size_t bit_count;
    size_t position; /* in bits, never beyond bit_count */
    int overrun;
} ffb_bits;

static inline ffb_bits ffb_bits_of(const uint8_t *data, size_t size)
{
    ffb_bits bits = {data, size * 8, 0, 0};
    return bits;
}

static inline uint32_t ffb_bit(ffb_bits *bits)
{
    if (bits->position >= bits->bit_count) {
        bits->overrun = 1;
        return 0;
    }
    uint32_t value = (bits->data[bits->position >> 3] >> (7 - (bits->position & 7))) & 1u;
    bits->position++;
    return value;
}

/* u(n), n from 0 to 32. */
static inline uint32_t ffb_u(ffb_bits *bits, unsigned count)
{
    uint32_t value = 0;
    while (count-- > 0)
        value = (value << 1) | ffb_bit(bits);
    return value;
}

static inline void ffb_skip(ffb_bits *bits, size_t count)
{
    if (count > bits->bit_count - bits->position) {
        bits->position = bits->bit_count;
        bits->overrun = 1;
    } else {
        bits->position += count;
    }
}

/* ue(v), H.265 9.2; a code longer than 32 bits counts as an overrun. */
static inline uint32_t ffb_ue(ffb_bits *bits)
{
    unsigned zeros = 0;
    while (!ffb_bit(bits)) {
        if (bits->overrun || ++zeros > 31) {
            bits->overrun = 1;
            return 0;
        }
    }
    return ((1u << zeros) - 1u) + ffb_u(bits, zeros);
}

/* se(v), H.265 9.2.2. */
static inline int32_t ffb_se(ffb_bits *bits)
{
    uint32_t code = ffb_ue(bits);
    return (code & 1) ? (int32_t)(code / 2 + 1) : -(int32_t)(code / 2);
}

#endif
