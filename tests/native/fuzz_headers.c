/* Reads one sample as the library does: kinds, headers with parameter sets, SPS rewriting. For libFuzzer, and for headers.c.
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

/* Rewrites one SPS into blocks of every size up to what is needed, and reads both. */
static void rewrite(const ffb_nal *nal)
{
    uint8_t *sps = copy_of(nal->data, nal->size);
    size_t room = 2 * nal->size + 16;
    uint8_t *out = malloc(room);
    require(out != NULL);
    int64_t written = ffb_sps_without_delay(sps, nal->size, out, room);
    if (written >= 0) {
        require((size_t)written <= nal->size + nal->size / 2 + 16); /* what decode.c sets aside */
        for (int64_t less = 0; less <= 3 && less <= written; less++) {
            uint8_t *tight = malloc((size_t)(written - less) + 1);
            require(tight != NULL);
            int64_t again = ffb_sps_without_delay(sps, nal->size, tight, (size_t)(written - less));
            require(less ? again == -1 : again == written && !memcmp(out, tight, (size_t)written));
            free(tight);
        }
        uint8_t *twice = malloc(room);
        require(twice != NULL);
        require(ffb_sps_without_delay(out, (size_t)written, twice, room) == written && !memcmp(out, twice, (size_t)written));
        free(twice);

        ffb_params *before = ffb_params_new(), *after = ffb_params_new();
        require(before && after);
        /* A damaged SPS may be read on into zeros behind its end, which the rewritten one does not have. */
        if (ffb_params_add(before, sps, nal->size) == 0 && ffb_params_add(after, out, (size_t)written) == 0) {
            ffb_sps_facts a = {0}, b = {0};
            require(ffb_params_facts(before, -1, &a) == 0 && ffb_params_facts(after, -1, &b) == 0);
            a.max_num_reorder = 0;
            require(!memcmp(&a, &b, sizeof a));
        }
        ffb_params_free(before);
        ffb_params_free(after);
    }
    free(out);
    free(sps);
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
        if (nal.type == FFB_NAL_SPS && nal.layer_id == 0)
            rewrite(&nal);
    }
    ffb_params_free(params);
    free(sample);
    return 0;
}
