#include "sample.h"

#include <string.h>

/* Enough for every field of a slice header up to the long-term reference pictures. */
enum { HEADER_BYTES = 768 };

static unsigned bits_for(unsigned count)
{
    unsigned bits = 0;
    while (bits < 31 && (1u << bits) < count)
        bits++;
    return bits;
}

static int add_reference(ffb_sample *sample, int32_t value, int flags)
{
    if (sample->reference_count >= FFB_MAX_REFERENCES)
        return -1;
    sample->reference[sample->reference_count] = value;
    sample->reference_flags[sample->reference_count] = (uint8_t)flags;
    sample->reference_count++;
    return 0;
}

/* Long-term part of slice_segment_header(), H.265 7.3.6.1 and 7-52. */
static int read_long_term(ffb_bits *bits, const ffb_sps *sps, ffb_sample *sample)
{
    uint32_t from_sps = sps->long_term_count > 0 ? ffb_ue(bits) : 0;
    uint32_t own = ffb_ue(bits);
    if (bits->overrun || from_sps > (uint32_t)sps->long_term_count || own > 33 || from_sps + own > 33)
        return -1;
    uint32_t cycle = 0;
    for (uint32_t i = 0; i < from_sps + own; i++) {
        int32_t lsb;
        int used;
        if (i < from_sps) {
            uint32_t index = ffb_u(bits, bits_for((unsigned)sps->long_term_count));
            if (index >= (uint32_t)sps->long_term_count)
                return -1;
            lsb = sps->long_term_poc_lsb[index];
            used = sps->long_term_used[index];
        } else {
            lsb = (int32_t)ffb_u(bits, (unsigned)sps->log2_max_poc_lsb);
            used = (int)ffb_bit(bits);
        }
        int flags = FFB_REFERENCE_LONG | (used ? FFB_REFERENCE_USED : 0);
        int has_msb = ffb_bit(bits) != 0;
        if (i == 0 || i == from_sps)
            cycle = 0;
        if (has_msb) {
            uint32_t delta = ffb_ue(bits);
            if (delta > 1u << 24 || cycle > 1u << 24)
                return -1;
            cycle += delta;
        }
        int64_t value = lsb;
        if (has_msb)
            value = (int64_t)lsb - sample->poc_lsb - (int64_t)cycle * (1 << sps->log2_max_poc_lsb);
        if (value < INT32_MIN / 2 || add_reference(sample, (int32_t)value, has_msb ? flags : flags | FFB_REFERENCE_LSB) < 0)
            return -1;
    }
    return bits->overrun ? -1 : 0;
}

/* slice_segment_header() of a picture's first slice, up to the reference pictures. Returns FFB_SAMPLE_OK or _BAD_SLICE. */
static int read_first_slice(const ffb_params *params, const ffb_nal *nal, ffb_sample *sample)
{
    uint8_t rbsp[HEADER_BYTES];
    ffb_bits bits = ffb_bits_of(rbsp, ffb_nal_payload(nal, rbsp, sizeof rbsp));
    ffb_bit(&bits); /* first_slice_segment_in_pic_flag */
    if (nal->type >= FFB_NAL_BLA_W_LP && nal->type <= FFB_NAL_LAST_IRAP)
        ffb_bit(&bits); /* no_output_of_prior_pics_flag */
    uint32_t pps_id = ffb_ue(&bits);
    if (bits.overrun || pps_id >= FFB_MAX_PPS || !params->pps[pps_id].valid)
        return FFB_SAMPLE_BAD_SLICE;
    const ffb_pps *pps = &params->pps[pps_id];
    const ffb_sps *sps = &params->sps[pps->sps_id];
    if (!sps->valid)
        return FFB_SAMPLE_BAD_SLICE;
    sample->sps_id = pps->sps_id;
    sample->log2_max_poc_lsb = sps->log2_max_poc_lsb;
    ffb_skip(&bits, (size_t)pps->extra_slice_header_bits);
    if (ffb_ue(&bits) > 2) /* slice_type */
        return FFB_SAMPLE_BAD_SLICE;
    if (pps->output_flag_present && !ffb_bit(&bits))
        sample->flags &= ~FFB_SAMPLE_OUTPUT;
    if (sps->separate_colour_plane)
        ffb_skip(&bits, 2);
    if (nal->type == FFB_NAL_IDR_W_RADL || nal->type == FFB_NAL_IDR_N_LP)
        return bits.overrun ? FFB_SAMPLE_BAD_SLICE : FFB_SAMPLE_OK;

    sample->poc_lsb = (int32_t)ffb_u(&bits, (unsigned)sps->log2_max_poc_lsb);
    ffb_rps own;
    const ffb_rps *rps = &own;
    if (!ffb_bit(&bits)) {
        if (ffb_rps_read(&bits, &own, sps->rps_count, sps->rps, sps->rps_count) < 0)
            return FFB_SAMPLE_BAD_SLICE;
    } else {
        uint32_t index = ffb_u(&bits, bits_for((unsigned)sps->rps_count));
        if (index >= (uint32_t)sps->rps_count)
            return FFB_SAMPLE_BAD_SLICE;
        rps = &sps->rps[index];
    }
    for (int i = 0; i < rps->negative_count + rps->positive_count; i++) {
        if (add_reference(sample, rps->delta_poc[i], rps->used[i] ? FFB_REFERENCE_USED : 0) < 0)
            return FFB_SAMPLE_BAD_SLICE;
    }
    if (sps->long_term_present && read_long_term(&bits, sps, sample) < 0)
        return FFB_SAMPLE_BAD_SLICE;
    return bits.overrun ? FFB_SAMPLE_BAD_SLICE : FFB_SAMPLE_OK;
}

/* One walk for both entry points; `params` is NULL when only kinds are wanted. */
static int walk_sample(ffb_params *params, const uint8_t *data, size_t size, int length_size, ffb_sample *sample)
{
    memset(sample, 0, sizeof *sample);
    sample->nal_type = -1;
    sample->flags = FFB_SAMPLE_OUTPUT;
    int result = FFB_SAMPLE_OK;
    int step;
    ffb_nal nal;
    ffb_nal_walk walk = ffb_nal_walk_of(data, size, length_size);
    while ((step = ffb_nal_next(&walk, &nal)) == 1) {
        if (nal.layer_id > 0)
            continue;
        if (nal.type == FFB_NAL_VPS || nal.type == FFB_NAL_SPS || nal.type == FFB_NAL_PPS) {
            sample->flags |= FFB_SAMPLE_HAS_SETS;
            if (params && ffb_params_add(params, nal.data, nal.size) < 0)
                result = FFB_SAMPLE_BAD_SETS;
        } else if (nal.type == FFB_NAL_SEI_PREFIX) {
            if (ffb_nal_sei_has(&nal, FFB_SEI_ALTERNATIVE_TRANSFER))
                sample->flags |= FFB_SAMPLE_LASTING_SEI;
            if (ffb_nal_sei_has(&nal, FFB_SEI_DRAFT_HASH))
                sample->flags |= FFB_SAMPLE_HASH;
        } else if (nal.type == FFB_NAL_SEI_SUFFIX) {
            if (ffb_nal_sei_has(&nal, FFB_SEI_HASH))
                sample->flags |= FFB_SAMPLE_HASH;
        } else if (nal.type == FFB_NAL_EOS || nal.type == FFB_NAL_EOB) {
            sample->flags |= sample->nal_type < 0 ? FFB_SAMPLE_EOS_BEFORE : FFB_SAMPLE_EOS_AFTER;
        } else if (ffb_nal_is_slice(nal.type)) {
            int first = nal.size > 2 && (nal.data[2] & 0x80);
            if (sample->nal_type >= 0) {
                sample->flags |= first ? FFB_SAMPLE_TWO_PICTURES : FFB_SAMPLE_MANY_SLICES;
                continue;
            }
            sample->nal_type = nal.type;
            sample->temporal_id = nal.temporal_id;
            if (!first)
                sample->flags |= FFB_SAMPLE_NO_FIRST;
            else if (params && result == FFB_SAMPLE_OK)
                result = read_first_slice(params, &nal, sample);
        }
    }
    return step < 0 ? FFB_SAMPLE_BAD_NAL : result;
}

int ffb_sample_kind(const uint8_t *data, size_t size, int length_size, ffb_sample *sample)
{
    return walk_sample(NULL, data, size, length_size, sample);
}

int ffb_sample_read(ffb_params *params, const uint8_t *data, size_t size, int length_size, ffb_sample *sample)
{
    return walk_sample(params, data, size, length_size, sample);
}
