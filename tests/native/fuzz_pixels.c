/* Converts, turns and scales planes as the input says it: sizes, strides and depths that fit the buffers or do not. For libFuzzer.
 *
 * A call is refused, or it stays within the buffers: AddressSanitizer sees any access beyond them. */
#include <stdlib.h>
#include <string.h>

#include "convert.h"
#include "scale.h"

enum { ROOM = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What of the input is still unread; behind its end all is zero. */
typedef struct input {
    const uint8_t *at;
    size_t left;
} input;

static uint32_t number(input *in, size_t bytes)
{
    uint32_t value = 0;
    for (; bytes > 0 && in->left > 0; bytes--, in->left--)
        value = value << 8 | *in->at++;
    return value;
}

/* A size or a distance: mostly one that may fit, sometimes any. */
static int32_t extent(input *in)
{
    const uint32_t kind = number(in, 1);
    return kind < 250 ? (int32_t)(kind % 80) : (int32_t)number(in, 4);
}

static int64_t stride(input *in)
{
    const uint32_t kind = number(in, 1);
    if (kind < 240)
        return kind;
    return kind < 250 ? (int64_t)number(in, 2) : (int64_t)((uint64_t)number(in, 4) << 32 | number(in, 4));
}

/* A block of its own of at most ROOM bytes. */
static uint8_t *block(input *in, int64_t *size)
{
    *size = number(in, 2) % (ROOM + 1);
    uint8_t *made = malloc(*size ? (size_t)*size : 1);
    if (!made)
        abort();
    memset(made, (int)number(in, 1), (size_t)*size);
    return made;
}

static ffb_planes planes(input *in)
{
    static const int32_t depths[] = {8, 8, 9, 10, 12, 14, 16};
    ffb_planes p = {.count = number(in, 1) % 4 ? 3 : (int32_t)number(in, 1) - 1};
    p.width = extent(in);
    p.height = extent(in);
    const uint32_t depth = number(in, 1);
    p.depth = depth < 250 ? depths[depth % 7] : (int32_t)number(in, 4);
    const uint32_t subsampling = number(in, 1);
    p.log2_x = subsampling < 250 ? (int32_t)(subsampling & 1) : (int32_t)number(in, 4);
    p.log2_y = subsampling < 250 ? (int32_t)(subsampling >> 1 & 1) : (int32_t)number(in, 4);
    for (int i = 0; i < 3; i++) {
        p.stride[i] = stride(in);
        p.data[i] = block(in, &p.size[i]);
    }
    return p;
}

static void release(ffb_planes *p)
{
    for (int i = 0; i < 3; i++)
        free(p->data[i]);
}

static void convert(input *in)
{
    ffb_planes from = planes(in);
    ffb_fixed_matrix fixed = {.copy = (int32_t)(number(in, 1) & 1)};
    ffb_float_matrix floating = {0};
    for (int i = 0; i < 3; i++) {
        fixed.offset[i] = (uint16_t)number(in, 2);
        floating.offset[i] = (float)number(in, 2);
        for (int j = 0; j < 3; j++) {
            fixed.whole[i][j] = (uint16_t)number(in, 2);
            fixed.fraction[i][j] = (uint16_t)number(in, 2);
            floating.factor[i][j] = (float)number(in, 1) - 128;
        }
    }
    const int channels = (int)number(in, 1) % 5;
    const int rotation = (int)(number(in, 1) % 5) * 90, mirrored = (int)number(in, 1) & 1;
    const int64_t packed_stride = stride(in);
    int64_t size;
    uint8_t *packed = block(in, &size);
    ffb_convert_packed8(&from, &fixed, channels, rotation, mirrored, packed, packed_stride, size);
    ffb_convert_packed16(&from, &floating, channels, rotation, mirrored, (uint16_t *)packed, packed_stride, size);
    free(packed);
    ffb_planes to = planes(in);
    ffb_convert_planes(&from, &fixed, rotation, mirrored, &to);
    release(&to);
    release(&from);
}

static void scale(input *in)
{
    const int32_t width = extent(in), height = extent(in), columns = extent(in), rows = extent(in);
    const int depth = (int)number(in, 1) % 18;
    const int64_t from_stride = stride(in), to_stride = 64 * (int64_t)(number(in, 1) % 8);
    int64_t from_size, to_size;
    uint8_t *from = block(in, &from_size), *to = block(in, &to_size);
    ffb_scale_plane(from, from_stride, from_size, width, height, depth, to, to_stride, to_size, columns, rows);
    free(from);
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, size};
    switch (number(&in, 1) % 8) {
    case 0:
        scale(&in);
        break;
    default:
        convert(&in);
    }
    return 0;
}
