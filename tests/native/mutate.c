/* Runs a libFuzzer target without libFuzzer: over the inputs of files as they are, then over changed ones: bits and bytes flipped,
 * pieces cut, doubled and put in from other inputs.
 *
 * Usage: mutate ROUNDS FILE... Each file is one input of the fuzz target. Ends with 0, or aborts. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 15 };

typedef struct piece {
    uint8_t *data;
    size_t size;
} piece;

static uint64_t state = 88172645463325252u;

static size_t below(size_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return limit ? (size_t)(state >> 16) % limit : 0;
}

static piece load(const char *path)
{
    piece p = {malloc(ROOM), 0};
    FILE *file = fopen(path, "rb");
    if (!file || !p.data) {
        perror(path);
        exit(2);
    }
    p.size = fread(p.data, 1, ROOM, file);
    fclose(file);
    return p;
}

/* Headers stand at the front: half of all changes go there. */
static size_t place(size_t size)
{
    return below(below(2) && size > 200 ? 200 : size);
}

static size_t change(uint8_t *data, size_t size, const piece *other)
{
    for (size_t n = 1 + below(6); n > 0 && size > 1; n--) {
        const size_t at = place(size);
        size_t length = 1 + below(40);
        switch (below(6)) {
        case 0:
            data[at] ^= (uint8_t)(1u << below(8));
            break;
        case 1:
            data[at] = (uint8_t)below(256);
            break;
        case 2:
            memset(data + at, below(2) ? 0 : 255, length < size - at ? length : size - at);
            break;
        case 3:
            length = length < size - at ? length : size - at;
            memmove(data + at, data + at + length, size - at - length);
            size -= length;
            break;
        case 4:
            if (size + length <= ROOM) {
                memmove(data + at + length, data + at, size - at);
                size += length;
            }
            break;
        default:
            length = length < other->size ? length : other->size;
            if (at + length <= size)
                memcpy(data + at, other->data + place(other->size - length + 1), length);
        }
    }
    return size;
}

int main(int argc, char **argv)
{
    const long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    const int count = argc - 2;
    if (count < 1)
        return 2;
    piece *pieces = calloc((size_t)count, sizeof *pieces);
    uint8_t *work = malloc(ROOM);
    if (!pieces || !work)
        return 2;
    for (int i = 0; i < count; i++) {
        pieces[i] = load(argv[2 + i]);
        LLVMFuzzerTestOneInput(pieces[i].data, pieces[i].size);
    }
    for (long n = 0; n < rounds; n++) {
        const piece *from = &pieces[below((size_t)count)];
        memcpy(work, from->data, from->size);
        LLVMFuzzerTestOneInput(work, change(work, from->size, &pieces[below((size_t)count)]));
    }
    for (int i = 0; i < count; i++)
        free(pieces[i].data);
    free(pieces);
    free(work);
    return 0;
}
