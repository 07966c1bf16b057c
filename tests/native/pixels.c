/* Drives convert.c, orient.c and scale.c over random sizes with buffers that are exactly as large as they are said to be, so
 * that AddressSanitizer sees any access beyond them; and checks that impossible arguments are refused.
 *
 * Usage: pixels ROUNDS. Ends with 0, or aborts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert.h"
#include "orient.h"
#include "scale.h"

static uint64_t state = 88172645463325252u;

static uint32_t below(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % limit;
}

static void require(int truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "failed: %s\n", what);
        abort();
    }
}

static uint8_t *filled(int64_t size)
{
    uint8_t *block = malloc((size_t)size);
    require(block != NULL, "memory");
    for (int64_t i = 0; i < size; i++)
        block[i] = (uint8_t)below(256);
    return block;
}

/* Planes in blocks of their own that end with the last sample of the last row. */
static ffb_planes planes(int count, int width, int height, int depth, int log2_x, int log2_y, int padding)
{
    ffb_planes p = {.count = count, .width = width, .height = height, .depth = depth, .log2_x = log2_x, .log2_y = log2_y};
    for (int i = 0; i < count; i++) {
        const int64_t w = i ? (width + (1 << log2_x) - 1) >> log2_x : width;
        const int64_t h = i ? (height + (1 << log2_y) - 1) >> log2_y : height, bytes = depth > 8 ? 2 : 1;
        p.stride[i] = (w + padding) * bytes;
        p.size[i] = (h - 1) * p.stride[i] + w * bytes;
        p.data[i] = filled(p.size[i]);
    }
    return p;
}

static void release(ffb_planes *p)
{
    for (int i = 0; i < p->count; i++)
        free(p->data[i]);
}

static void convert(void)
{
    static const int depths[] = {8, 9, 10, 12, 14, 16};
    const int count = below(4) ? 3 : 1, width = 1 + (int)below(70), height = 1 + (int)below(20);
    const int depth = depths[below(6)], log2_x = count == 3 && below(2), log2_y = count == 3 && below(2);
    ffb_planes in = planes(count, width, height, depth, log2_x, log2_y, (int)below(5));
    ffb_planes out = planes(count, width, height, 8, log2_x, log2_y, (int)below(5));
    ffb_fixed_matrix fixed = {0};
    ffb_float_matrix floating = {0};
    for (int i = 0; i < 3; i++) {
        fixed.offset[i] = (uint16_t)below(65536);
        floating.offset[i] = (float)below(65536);
        for (int j = 0; j < 3; j++) {
            fixed.whole[i][j] = (uint16_t)(i && !j ? 0 : below(65536));
            fixed.fraction[i][j] = (uint16_t)(i && !j ? 0 : below(65536));
            floating.factor[i][j] = (float)below(256) - 128;
        }
    }
    fixed.copy = depth == 8 && below(2);
    require(ffb_convert_planes(&in, &fixed, &out) == 0, "convert_planes");
    for (int channels = 1; channels <= 3; channels += 2) {
        const int64_t stride = (int64_t)width * channels + (int)below(4), size = (height - 1) * stride + width * channels;
        uint8_t *packed = filled(size);
        require(ffb_convert_packed8(&in, &fixed, channels, packed, stride, size) == 0, "packed8");
        require(ffb_convert_packed8(&in, &fixed, channels, packed, stride, size - 1) < 0, "packed8: a byte too little");
        require(ffb_convert_packed8(&in, &fixed, 2, packed, stride, size) < 0, "packed8: two channels");
        free(packed);
        uint16_t *deep = (uint16_t *)filled(2 * size);
        require(ffb_convert_packed16(&in, &floating, channels, deep, 2 * stride, 2 * size) == 0, "packed16");
        require(ffb_convert_packed16(&in, &floating, channels, deep, 2 * stride, 2 * size - 1) < 0, "packed16: too little");
        free(deep);
    }
    in.size[count - 1]--;
    require(ffb_convert_planes(&in, &fixed, &out) < 0, "a plane a byte too small");
    in.size[count - 1]++;
    out.size[0]--;
    require(ffb_convert_planes(&in, &fixed, &out) < 0, "an output a byte too small");
    out.size[0]++;
    const int32_t wrong[] = {0, -1, INT32_MAX, INT32_MIN};
    const int32_t kept = in.width;
    in.width = out.width = wrong[below(4)];
    require(ffb_convert_planes(&in, &fixed, &out) < 0, "an impossible width");
    in.width = out.width = kept;
    if (height > 1) {
        const int64_t strides[] = {-in.stride[0], 0, INT64_MAX, INT64_MIN};
        in.stride[0] = strides[below(4)];
        require(ffb_convert_planes(&in, &fixed, &out) < 0, "an impossible stride");
    }
    release(&in);
    release(&out);
}

static void orient(void)
{
    static const int sizes[] = {1, 2, 3, 6};
    const int bytes = sizes[below(4)], width = 1 + (int)below(150), height = 1 + (int)below(150);
    const int rotation = (int)below(4) * 90, mirrored = (int)below(2), quarter = rotation % 180 != 0;
    const int64_t stride = width * bytes + (int)below(9), size = (height - 1) * stride + width * bytes;
    const int columns = quarter ? height : width, rows = quarter ? width : height;
    const int64_t out_stride = columns * bytes + (int)below(9), out_size = (rows - 1) * out_stride + columns * bytes;
    uint8_t *in = filled(size), *out = filled(out_size);
    require(ffb_orient(in, stride, size, width, height, bytes, rotation, mirrored, out, out_stride, out_size) == 0, "orient");
    for (int n = 0; n < 20; n++) {
        const int x = (int)below((uint32_t)width), y = (int)below((uint32_t)height), mx = mirrored ? width - 1 - x : x;
        const int to_x = rotation == 0 ? mx : rotation == 90 ? height - 1 - y : rotation == 180 ? width - 1 - mx : y;
        const int to_y = rotation == 0 ? y : rotation == 90 ? mx : rotation == 180 ? height - 1 - y : width - 1 - mx;
        require(!memcmp(in + y * stride + x * bytes, out + to_y * out_stride + to_x * bytes, (size_t)bytes), "a sample");
    }
    require(ffb_orient(in, stride, size - 1, width, height, bytes, rotation, mirrored, out, out_stride, out_size) < 0, "in");
    require(ffb_orient(in, stride, size, width, height, bytes, rotation, mirrored, out, out_stride, out_size - 1) < 0, "out");
    require(ffb_orient(in, stride, size, width, height, 4, rotation, mirrored, out, out_stride, out_size) < 0, "bytes");
    require(ffb_orient(in, stride, size, width, height, bytes, 45, mirrored, out, out_stride, out_size) < 0, "45 degrees");
    free(in);
    free(out);
}

static void scale(void)
{
    static const int depths[] = {8, 10, 12, 16};
    const int depth = depths[below(4)], bytes = depth > 8 ? 2 : 1;
    const int width = 1 + (int)below(100), height = 1 + (int)below(60), columns = 1 + (int)below(150), rows = 1 + (int)below(60);
    const int64_t stride = (width + (int)below(5)) * bytes, size = (height - 1) * stride + width * bytes;
    const int64_t out_stride = (columns * bytes + 63) / 64 * 64, out_size = out_stride * rows + 64;
    uint8_t *in = filled(size), *out = filled(out_size);
    require(ffb_scale_plane(in, stride, size, width, height, depth, out, out_stride, out_size, columns, rows) == 0, "scale");
    require(ffb_scale_plane(in, stride, size - 1, width, height, depth, out, out_stride, out_size, columns, rows) < 0, "in");
    require(ffb_scale_plane(in, stride, size, width, height, depth, out, out_stride, out_size - 1, columns, rows) < 0, "out");
    require(ffb_scale_plane(in, stride, size, width, height, 11, out, out_stride, out_size, columns, rows) < 0, "11 bits");
    free(in);
    free(out);
}

int main(int argc, char **argv)
{
    const long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 100;
    for (long n = 0; n < rounds; n++) {
        convert();
        orient();
        scale();
    }
    return 0;
}
