/* Drives convert.c, orient.c and scale.c over random sizes with buffers that are exactly as large as they are said to be, so
 * that AddressSanitizer sees any access beyond them; checks where turned samples go, and that impossible arguments are refused.
 *
 * Usage: pixels ROUNDS. Prints a digest of what the conversions gave and ends with 0, or aborts. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert.h"
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

/* What all conversions gave, mixed: the same for the same rounds, whatever the processor. */
static uint64_t digest = 14695981039346656037u;

static void take(const uint8_t *data, int64_t size)
{
    for (int64_t i = 0; i < size; i++)
        digest = (digest ^ data[i]) * 1099511628211u;
}

typedef struct turned {
    int rotation, mirrored, width, height; /* size before */
} turned;

/* Samples of `bytes` bytes, upright in `out`, as they were in `in`. */
static void compare(const turned *t, const uint8_t *in, int64_t stride, const uint8_t *out, int64_t out_stride, int bytes)
{
    for (int n = 0; n < 20; n++) {
        const int x = (int)below((uint32_t)t->width), y = (int)below((uint32_t)t->height);
        const int mx = t->mirrored ? t->width - 1 - x : x;
        const int to_x = t->rotation == 0    ? mx
                         : t->rotation == 90 ? t->height - 1 - y
                         : t->rotation == 180 ? t->width - 1 - mx
                                              : y;
        const int to_y = t->rotation == 0 ? y : t->rotation == 90 ? mx : t->rotation == 180 ? t->height - 1 - y : t->width - 1 - mx;
        require(!memcmp(in + y * stride + x * bytes, out + to_y * out_stride + to_x * bytes, (size_t)bytes), "a sample");
    }
}

static void packed(const ffb_planes *in, const ffb_fixed_matrix *fixed, const ffb_float_matrix *floating, int channels, turned t)
{
    const int quarter = t.rotation % 180 != 0, columns = quarter ? t.height : t.width, rows = quarter ? t.width : t.height;
    for (int bytes = 1; bytes <= 2; bytes++) {
        const int sample = channels * bytes;
        const int64_t flat_stride = (int64_t)t.width * sample, flat_size = flat_stride * t.height;
        const int64_t stride = columns * sample + bytes * (int)below(4), size = (rows - 1) * stride + columns * sample;
        uint8_t *flat = filled(flat_size), *out = filled(size);
        int done, shorter, four, odd;
        if (bytes == 1) {
            require(ffb_convert_packed8(in, fixed, channels, 0, 0, flat, flat_stride, flat_size) == 0, "packed8 as it is");
            done = ffb_convert_packed8(in, fixed, channels, t.rotation, t.mirrored, out, stride, size);
            shorter = ffb_convert_packed8(in, fixed, channels, t.rotation, t.mirrored, out, stride, size - 1);
            four = ffb_convert_packed8(in, fixed, 2, t.rotation, t.mirrored, out, stride, size);
            odd = ffb_convert_packed8(in, fixed, channels, 45, t.mirrored, out, stride, size);
        } else {
            uint16_t *deep = (uint16_t *)out;
            require(ffb_convert_packed16(in, floating, channels, 0, 0, (uint16_t *)flat, flat_stride, flat_size) == 0, "packed16");
            done = ffb_convert_packed16(in, floating, channels, t.rotation, t.mirrored, deep, stride, size);
            shorter = ffb_convert_packed16(in, floating, channels, t.rotation, t.mirrored, deep, stride, size - 1);
            four = ffb_convert_packed16(in, floating, 2, t.rotation, t.mirrored, deep, stride, size);
            odd = ffb_convert_packed16(in, floating, channels, 45, t.mirrored, deep, stride, size);
        }
        require(done == 0, "packed");
        require(shorter < 0 && four < 0 && odd < 0, "packed: a byte too little, two channels, 45 degrees");
        compare(&t, flat, flat_stride, out, stride, sample);
        take(out, size);
        free(flat);
        free(out);
    }
}

static void convert(void)
{
    static const int depths[] = {8, 9, 10, 12, 14, 16};
    const int count = below(4) ? 3 : 1, width = 1 + (int)below(150), height = 1 + (int)below(150);
    const int depth = depths[below(6)], log2_x = count == 3 && below(2), log2_y = count == 3 && below(2);
    const turned t = {(int)below(4) * 90, (int)below(2), width, height};
    const int quarter = t.rotation % 180 != 0;
    ffb_planes in = planes(count, width, height, depth, log2_x, log2_y, (int)below(5));
    ffb_planes flat = planes(count, width, height, 8, log2_x, log2_y, 0);
    ffb_planes out = quarter ? planes(count, height, width, 8, log2_y, log2_x, (int)below(5))
                             : planes(count, width, height, 8, log2_x, log2_y, (int)below(5));
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
    require(ffb_convert_planes(&in, &fixed, 0, 0, &flat) == 0, "convert_planes as it is");
    require(ffb_convert_planes(&in, &fixed, t.rotation, t.mirrored, &out) == 0, "convert_planes");
    for (int i = 0; i < count; i++) {
        const turned plane = {t.rotation, t.mirrored, i ? (width + log2_x) >> log2_x : width, i ? (height + log2_y) >> log2_y : height};
        compare(&plane, flat.data[i], flat.stride[i], out.data[i], out.stride[i], 1);
        take(flat.data[i], flat.size[i]);
    }
    for (int channels = 1; channels <= 3; channels += 2)
        packed(&in, &fixed, &floating, channels, t);

    require(ffb_convert_planes(&in, &fixed, 45, t.mirrored, &out) < 0, "45 degrees");
    if (width != height)
        require(ffb_convert_planes(&in, &fixed, (t.rotation + 90) % 360, t.mirrored, &out) < 0, "another turn than that of out");
    in.size[count - 1]--;
    require(ffb_convert_planes(&in, &fixed, t.rotation, t.mirrored, &out) < 0, "a plane a byte too small");
    in.size[count - 1]++;
    out.size[0]--;
    require(ffb_convert_planes(&in, &fixed, t.rotation, t.mirrored, &out) < 0, "an output a byte too small");
    out.size[0]++;
    const int32_t wrong[] = {0, -1, INT32_MAX, INT32_MIN};
    const int32_t kept = in.width, kept_out = out.width;
    in.width = out.width = wrong[below(4)];
    require(ffb_convert_planes(&in, &fixed, t.rotation, t.mirrored, &out) < 0, "an impossible width");
    in.width = kept;
    out.width = kept_out;
    if (height > 1) {
        const int64_t strides[] = {-in.stride[0], 0, INT64_MAX, INT64_MIN};
        in.stride[0] = strides[below(4)];
        require(ffb_convert_planes(&in, &fixed, t.rotation, t.mirrored, &out) < 0, "an impossible stride");
    }
    release(&in);
    release(&flat);
    release(&out);
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
        scale();
    }
    printf("%016" PRIx64 "\n", digest);
    return 0;
}
