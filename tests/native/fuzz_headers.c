/* Reads one sample as the library does: kinds, and headers with parameter sets. For libFuzzer, and for mutate.c.
 *
 * The first byte of the input tells the size of NAL unit lengths, the rest is the sample. Aborts where answers contradict each
 * other; AddressSanitizer sees any access beyond the bytes, which lie in blocks of exactly their size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_at(int truth, int line)
{
    if (!truth) {
        fprintf(stderr, "fuzz_headers.c:%d does not hold\n", line);
        abort();
    }
}

#define require(truth) require_at(truth, __LINE__)

static uint8_t *copy_of(const uint8_t *data, size_t size)
{
    uint8_t *block = malloc(size ? size : 1);
    require(block != NULL);
    memcpy(block, data, size);
    return block;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const int length_size = data[0] & 7;
    const size_t sample_size = size - 1;
    uint8_t *sample = copy_of(data + 1, sample_size);

    ffb_sample kind, header;
    int walked = ffb_sample_kind(sample, sample_size, length_size, &kind);
    ffb_params *params = ffb_params_new();
    require(params != NULL);
    for (int twice = 0; twice < 2; twice++) {
        int read = ffb_sample_read(params, sample, sample_size, length_size, &header);
        require((read == FFB_SAMPLE_BAD_NAL) == (walked == FFB_SAMPLE_BAD_NAL));
        require(header.nal_type == kind.nal_type && header.temporal_id == kind.temporal_id);
        require(header.reference_count >= 0 && header.reference_count <= FFB_MAX_REFERENCES);
        require(read != FFB_SAMPLE_OK || header.nal_type >= 0 || header.reference_count == 0);
    }
    ffb_params_clear(params);

    ffb_nal nal;
    ffb_nal_walk walk = ffb_nal_walk_of(sample, sample_size, length_size);
    while (ffb_nal_next(&walk, &nal) == 1) {
        require(nal.size >= 2 && nal.data >= sample && nal.data + nal.size <= sample + sample_size);
        uint8_t *alone = copy_of(nal.data, nal.size);
        const int id = ffb_params_id(alone, nal.size);
        require(id >= -1 && id < FFB_MAX_PPS);
        ffb_params_add(params, alone, nal.size);
        uint32_t units, scale;
        require(ffb_params_timing(params, -1, &units, &scale) < 0 || (units > 0 && scale > 0));
        free(alone);
    }
    ffb_params_free(params);
    free(sample);
    return 0;
}
