/* Start codes in random bytes that are rich in zeros and ones, in blocks of exact size, against the definition byte by byte.
 *
 * Usage: annexb ROUNDS. Ends with 0, or aborts; AddressSanitizer sees any access beyond the bytes. */
#include "annexb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require_at(int truth, int line)
{
    if (!truth) {
        fprintf(stderr, "annexb.c:%d does not hold\n", line);
        abort();
    }
}

#define require(truth) require_at(truth, __LINE__)

static uint64_t state = 88172645463325252u;

static size_t below(size_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state >> 16) % limit;
}

static int is_code(const uint8_t *data, size_t size, size_t at)
{
    return at + 3 <= size && data[at] == 0 && data[at + 1] == 0 && data[at + 2] == 1;
}

static void find(const uint8_t *data, size_t size)
{
    int64_t *all = malloc((size + 1) * sizeof *all);
    require(all != NULL);
    size_t count = ffb_annexb_find(data, size, 0, all, size + 1), next = 0;
    for (size_t at = 0; at < size; at++) {
        if (is_code(data, size, at)) {
            require(next < count && all[next] == (int64_t)at);
            next++;
        }
    }
    require(next == count);
    /* In small helpings, and from behind the end. */
    size_t from = 0, seen = 0;
    for (;;) {
        int64_t few[2];
        size_t got = ffb_annexb_find(data, size, from, few, 2);
        for (size_t i = 0; i < got; i++)
            require(few[i] == all[seen++]);
        if (got < 2)
            break;
        from = (size_t)few[1] + 3;
    }
    require(seen == count);
    require(ffb_annexb_find(data, size, size + 1, all, size) == 0);
    free(all);
}

/* What unwrapping gives by the definition, or -1; `out` has room. */
static int64_t expected(const uint8_t *data, size_t size, uint8_t *out)
{
    size_t at = 0, written = 0;
    while (at < size && !is_code(data, size, at)) {
        if (data[at++])
            return -1;
    }
    if (at == size)
        return -1;
    while (at < size) {
        size_t begin = at + 3, end = begin;
        while (end < size && !is_code(data, size, end))
            end++;
        at = end;
        while (end > begin && data[end - 1] == 0)
            end--;
        if (end == begin)
            continue;
        for (int i = 3; i >= 0; i--)
            out[written++] = (uint8_t)((end - begin) >> (8 * i));
        memcpy(out + written, data + begin, end - begin);
        written += end - begin;
    }
    return (int64_t)written;
}

static void unwrap(const uint8_t *data, size_t size)
{
    const size_t room = size + size / 4 + 1;
    uint8_t *out = malloc(room), *wanted = malloc(2 * size + 8);
    require(out && wanted);
    const int64_t length = expected(data, size, wanted);
    require(ffb_annexb_unwrap(data, size, out, room) == length);
    require(length < 0 || !memcmp(out, wanted, (size_t)length));
    for (size_t less = 1; less < 6 && length >= (int64_t)less; less++) {
        uint8_t *tight = malloc((size_t)length - less + 1);
        require(tight != NULL);
        require(ffb_annexb_unwrap(data, size, tight, (size_t)length - less) == -1);
        free(tight);
    }
    free(wanted);
    free(out);
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : 1000;
    while (rounds-- > 0) {
        const size_t size = below(below(2) ? 12 : 200);
        uint8_t *data = malloc(size ? size : 1);
        require(data != NULL);
        for (size_t i = 0; i < size; i++) {
            const size_t kind = below(8);
            data[i] = (uint8_t)(kind < 4 ? 0 : kind < 6 ? 1 : below(256));
        }
        find(data, size);
        unwrap(data, size);
        free(data);
    }
    return 0;
}
