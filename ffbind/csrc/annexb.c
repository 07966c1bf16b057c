#include "annexb.h"

#include <string.h>

/* First byte of the next start code in [at, end), or NULL. */
static const uint8_t *next_code(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 3)
        return NULL;
    const uint8_t *one = at + 2;
    while ((one = memchr(one, 1, (size_t)(end - one))) != NULL) {
        if (one[-1] == 0 && one[-2] == 0)
            return one - 2;
        if (++one == end)
            break;
    }
    return NULL;
}

size_t ffb_annexb_find(const uint8_t *data, size_t size, size_t from, int64_t *found, size_t capacity)
{
    size_t count = 0;
    if (from > size)
        return 0;
    const uint8_t *code = data + from, *end = data + size;
    while (count < capacity && (code = next_code(code, end)) != NULL) {
        found[count++] = code - data;
        code += 3;
    }
    return count;
}

int64_t ffb_annexb_unwrap(const uint8_t *data, size_t size, uint8_t *out, size_t capacity)
{
    const uint8_t *end = data + size, *code = next_code(data, end);
    size_t written = 0;
    if (!code)
        return -1;
    for (const uint8_t *zero = data; zero < code; zero++) {
        if (*zero)
            return -1;
    }
    while (code) {
        const uint8_t *nal = code + 3, *next = next_code(nal, end), *stop = next ? next : end;
        while (stop > nal && stop[-1] == 0) /* trailing_zero_8bits, or the zero_byte of the next start code */
            stop--;
        const size_t length = (size_t)(stop - nal);
        if (length > UINT32_MAX || capacity - written < 4 || capacity - written - 4 < length)
            return -1;
        if (length > 0) {
            for (int i = 0; i < 4; i++)
                out[written++] = (uint8_t)(length >> (24 - 8 * i));
            memcpy(out + written, nal, length);
            written += length;
        }
        code = next;
    }
    return (int64_t)written;
}
