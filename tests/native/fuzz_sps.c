/* Rewrites one SPS NAL unit as the decoder does and reads both. For libFuzzer, and for mutate.c.
 *
 * The input is the NAL unit. Aborts where the copy says anything else than the original; AddressSanitizer sees any access beyond
 * the bytes, which lie in blocks of exactly their size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "params.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_at(int truth, int line)
{
    if (!truth) {
        fprintf(stderr, "fuzz_sps.c:%d does not hold\n", line);
        abort();
    }
}

#define require(truth) require_at(truth, __LINE__)

static uint8_t *block(size_t size)
{
    uint8_t *made = malloc(size ? size : 1);
    require(made != NULL);
    return made;
}

/* The same into blocks of less than what is needed, and of just as much. */
static void rewrite_tightly(const uint8_t *sps, size_t size, const uint8_t *out, int64_t written)
{
    for (int64_t less = 0; less <= 3 && less <= written; less++) {
        uint8_t *tight = block((size_t)(written - less));
        int64_t again = ffb_sps_without_delay(sps, size, tight, (size_t)(written - less));
        require(less ? again == -1 : again == written && !memcmp(out, tight, (size_t)written));
        free(tight);
    }
}

/* What both say must be the same but for the delay that is gone. */
static void compare(const uint8_t *sps, size_t size, const uint8_t *out, size_t written)
{
    ffb_params *before = ffb_params_new(), *after = ffb_params_new();
    require(before && after);
    /* A damaged SPS may be read on into zeros behind its end, which the rewritten one does not have. */
    if (ffb_params_add(before, sps, size) == 0 && ffb_params_add(after, out, written) == 0) {
        ffb_sps_facts a = {0}, b = {0};
        require(ffb_params_facts(before, -1, &a) == 0 && ffb_params_facts(after, -1, &b) == 0);
        require(ffb_sps_ctb_size(sps, size) == a.ctb_size && ffb_sps_ctb_size(out, written) == a.ctb_size);
        a.max_num_reorder = 0;
        require(!memcmp(&a, &b, sizeof a));
    }
    ffb_params_free(before);
    ffb_params_free(after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ffb_nal nal;
    if (!ffb_nal_open(data, size, &nal) || nal.type != FFB_NAL_SPS || nal.layer_id != 0)
        return -1; /* not worth keeping in the corpus */
    uint8_t *sps = block(size);
    memcpy(sps, data, size);
    const size_t room = 2 * size + 16;
    uint8_t *out = block(room);
    const int64_t written = ffb_sps_without_delay(sps, size, out, room);
    if (written >= 0) {
        require((size_t)written <= size + size / 2 + 16); /* what decode.c sets aside */
        rewrite_tightly(sps, size, out, written);
        uint8_t *twice = block(room);
        require(ffb_sps_without_delay(out, (size_t)written, twice, room) == written && !memcmp(out, twice, (size_t)written));
        free(twice);
        compare(sps, size, out, (size_t)written);
    }
    free(out);
    free(sps);
    return 0;
}
