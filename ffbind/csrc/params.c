#include "params.h"

#include <stdlib.h>
#include <string.h>

/* Parameter sets larger than this are refused: real ones take some hundred bytes. */
enum { FFB_MAX_SET_BYTES = 1 << 16 };

ffb_params *ffb_params_new(void)
{
    return calloc(1, sizeof(ffb_params));
}

void ffb_params_free(ffb_params *params)
{
    free(params);
}

void ffb_params_clear(ffb_params *params)
{
    memset(params, 0, sizeof *params);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Reference picture sets
 * ---------------------------------------------------------------------------------------------------------------- */

/* H.265 7-61 and 7-62: a set predicted from another one. */
static int rps_predict(ffb_bits *bits, ffb_rps *rps, const ffb_rps *from)
{
    int negative = ffb_bit(bits) != 0;
    uint32_t magnitude = ffb_ue(bits) + 1;
    if (bits->overrun || magnitude > 1u << 15)
        return -1;
    int32_t delta_rps = negative ? -(int32_t)magnitude : (int32_t)magnitude;
    int count = from->negative_count + from->positive_count;
    uint8_t used[2 * FFB_MAX_RPS_PICTURES + 1];
    uint8_t use_delta[2 * FFB_MAX_RPS_PICTURES + 1];
    for (int j = 0; j <= count; j++) {
        used[j] = (uint8_t)ffb_bit(bits);
        use_delta[j] = used[j] ? 1 : (uint8_t)ffb_bit(bits);
    }
    if (bits->overrun)
        return -1;

    /* Candidates in the order in which the standard visits them for the negative list; reversed for the positive one. */
    int32_t candidate[2 * FFB_MAX_RPS_PICTURES + 1];
    int flag_at[2 * FFB_MAX_RPS_PICTURES + 1];
    for (int side = 0; side < 2; side++) {
        int wanted_sign = side == 0 ? -1 : 1;
        int n = 0;
        if (side == 0) {
            for (int j = from->positive_count - 1; j >= 0; j--) {
                flag_at[n] = from->negative_count + j;
                candidate[n++] = from->delta_poc[from->negative_count + j] + delta_rps;
            }
        } else {
            for (int j = from->negative_count - 1; j >= 0; j--) {
                flag_at[n] = j;
                candidate[n++] = from->delta_poc[j] + delta_rps;
            }
        }
        flag_at[n] = count;
        candidate[n++] = delta_rps;
        if (side == 0) {
            for (int j = 0; j < from->negative_count; j++) {
                flag_at[n] = j;
                candidate[n++] = from->delta_poc[j] + delta_rps;
            }
        } else {
            for (int j = 0; j < from->positive_count; j++) {
                flag_at[n] = from->negative_count + j;
                candidate[n++] = from->delta_poc[from->negative_count + j] + delta_rps;
            }
        }
        int kept = 0;
        int base = side == 0 ? 0 : rps->negative_count;
        for (int k = 0; k < n; k++) {
            if (!use_delta[flag_at[k]] || (wanted_sign < 0 ? candidate[k] >= 0 : candidate[k] <= 0))
                continue;
            if (kept == FFB_MAX_RPS_PICTURES)
                return -1;
            rps->delta_poc[base + kept] = candidate[k];
            rps->used[base + kept] = used[flag_at[k]];
            kept++;
        }
        if (side == 0)
            rps->negative_count = kept;
        else
            rps->positive_count = kept;
    }
    return 0;
}

int ffb_rps_read(ffb_bits *bits, ffb_rps *rps, int index, const ffb_rps *known, int total)
{
    memset(rps, 0, sizeof *rps);
    if (index != 0 && ffb_bit(bits)) {
        uint32_t back = index == total ? ffb_ue(bits) + 1 : 1;
        if (bits->overrun || back > (uint32_t)index)
            return -1;
        return rps_predict(bits, rps, &known[index - (int)back]);
    }
    uint32_t negative_count = ffb_ue(bits);
    uint32_t positive_count = ffb_ue(bits);
    if (bits->overrun || negative_count > FFB_MAX_RPS_PICTURES || positive_count > FFB_MAX_RPS_PICTURES)
        return -1;
    rps->negative_count = (int)negative_count;
    rps->positive_count = (int)positive_count;
    for (int side = 0, k = 0; side < 2; side++) {
        int32_t delta = 0;
        int count = side == 0 ? rps->negative_count : rps->positive_count;
        for (int i = 0; i < count; i++, k++) {
            uint32_t step = ffb_ue(bits);
            if (step > 1u << 15)
                return -1;
            delta += side == 0 ? -(int32_t)(step + 1) : (int32_t)(step + 1);
            rps->delta_poc[k] = delta;
            rps->used[k] = (uint8_t)ffb_bit(bits);
        }
    }
    return bits->overrun ? -1 : 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * SPS
 * ---------------------------------------------------------------------------------------------------------------- */

/* profile_tier_level(1, max_sub_layers_minus1), H.265 7.3.3. Returns general_profile_idc. */
static int profile_tier_level(ffb_bits *bits, unsigned max_sub_layers_minus1)
{
    ffb_skip(bits, 3);
    int profile = (int)ffb_u(bits, 5);
    ffb_skip(bits, 32 + 48 + 8);
    uint32_t has_profile[8] = {0}, has_level[8] = {0};
    for (unsigned i = 0; i < max_sub_layers_minus1; i++) {
        has_profile[i] = ffb_bit(bits);
        has_level[i] = ffb_bit(bits);
    }
    if (max_sub_layers_minus1 > 0)
        ffb_skip(bits, 2 * (8 - max_sub_layers_minus1));
    for (unsigned i = 0; i < max_sub_layers_minus1; i++)
        ffb_skip(bits, (has_profile[i] ? 88 : 0) + (has_level[i] ? 8 : 0));
    return profile;
}

/* scaling_list_data(), H.265 7.3.4: only stepped over. */
static void skip_scaling_lists(ffb_bits *bits)
{
    for (unsigned size_id = 0; size_id < 4; size_id++) {
        for (unsigned matrix_id = 0; matrix_id < 6; matrix_id += size_id == 3 ? 3 : 1) {
            if (!ffb_bit(bits)) {
                ffb_ue(bits);
                continue;
            }
            unsigned coefficients = size_id == 0 ? 16 : 64;
            if (size_id > 1)
                ffb_se(bits);
            for (unsigned i = 0; i < coefficients && !bits->overrun; i++)
                ffb_se(bits);
        }
    }
}

/* The first part of vui_parameters(), H.265 E.2.1: sample aspect ratio and colour. */
static void read_vui(ffb_bits *bits, ffb_sps_facts *facts)
{
    /* H.265 table E.1; index 0 is unspecified. */
    static const uint8_t aspect[17][2] = {{1, 1},   {1, 1},   {12, 11}, {10, 11}, {16, 11}, {40, 33}, {24, 11}, {20, 11}, {32, 11},
                                          {80, 33}, {18, 11}, {15, 11}, {64, 33}, {160, 99}, {4, 3},  {3, 2},   {2, 1}};
    if (ffb_bit(bits)) {
        uint32_t idc = ffb_u(bits, 8);
        if (idc == 255) {
            facts->sar_width = (int32_t)ffb_u(bits, 16);
            facts->sar_height = (int32_t)ffb_u(bits, 16);
        } else if (idc < 17) {
            facts->sar_width = aspect[idc][0];
            facts->sar_height = aspect[idc][1];
        }
        if (facts->sar_width == 0 || facts->sar_height == 0)
            facts->sar_width = facts->sar_height = 1;
    }
    if (ffb_bit(bits))
        ffb_bit(bits);
    if (ffb_bit(bits)) {
        ffb_skip(bits, 3);
        facts->full_range = (int32_t)ffb_bit(bits);
        if (ffb_bit(bits)) {
            facts->primaries = (int32_t)ffb_u(bits, 8);
            facts->transfer = (int32_t)ffb_u(bits, 8);
            facts->matrix = (int32_t)ffb_u(bits, 8);
        }
    }
}

/* The next part of vui_parameters(), up to the time between pictures. Left at 0 where the SPS ends before: decoders do not need
 * it, and such streams exist. Takes a copy of the reader. */
static void read_timing(ffb_bits bits, ffb_sps *sps)
{
    if (ffb_bit(&bits)) { /* chroma_loc_info_present_flag */
        ffb_ue(&bits);
        ffb_ue(&bits);
    }
    ffb_skip(&bits, 3);
    if (ffb_bit(&bits)) { /* default_display_window_flag */
        for (int i = 0; i < 4; i++)
            ffb_ue(&bits);
    }
    if (ffb_bit(&bits)) {
        uint32_t units = ffb_u(&bits, 32), scale = ffb_u(&bits, 32);
        if (!bits.overrun && units > 0 && scale > 0) {
            sps->tick_units = units;
            sps->tick_scale = scale;
        }
    }
}

/* The sub-layer ordering information of an SPS: where its bits stand, for the rewrite. */
typedef struct ordering_span {
    size_t first_bit;
    size_t end_bit;
    int entries;
} ordering_span;

/* Reads seq_parameter_set_rbsp() up to and with the sub-layer ordering information. Returns the SPS id, or -1. */
static int sps_head(ffb_bits *bits, ffb_sps *sps, ordering_span *span)
{
    ffb_sps_facts *facts = &sps->facts;
    ffb_skip(bits, 4);
    unsigned max_sub_layers_minus1 = ffb_u(bits, 3);
    ffb_skip(bits, 1);
    if (max_sub_layers_minus1 > 6)
        return -1;
    facts->max_sub_layers = (int32_t)max_sub_layers_minus1 + 1;
    facts->profile = profile_tier_level(bits, max_sub_layers_minus1);
    uint32_t id = ffb_ue(bits);
    uint32_t chroma_format = ffb_ue(bits);
    if (bits->overrun || id >= FFB_MAX_SPS || chroma_format > 3)
        return -1;
    facts->chroma_format = (int32_t)chroma_format;
    sps->separate_colour_plane = chroma_format == 3 && ffb_bit(bits);
    uint32_t width = ffb_ue(bits);
    uint32_t height = ffb_ue(bits);
    if (bits->overrun || width == 0 || height == 0 || width > 1u << 16 || height > 1u << 16)
        return -1;
    facts->coded_width = facts->width = (int32_t)width;
    facts->coded_height = facts->height = (int32_t)height;
    if (ffb_bit(bits)) {
        uint32_t unit_x = chroma_format == 1 || chroma_format == 2 ? 2 : 1;
        uint32_t unit_y = chroma_format == 1 ? 2 : 1;
        uint32_t left = ffb_ue(bits), right = ffb_ue(bits), top = ffb_ue(bits), bottom = ffb_ue(bits);
        if (bits->overrun || left > width || right > width || top > height || bottom > height)
            return -1;
        if (unit_x * (left + right) >= width || unit_y * (top + bottom) >= height)
            return -1;
        facts->width -= (int32_t)(unit_x * (left + right));
        facts->height -= (int32_t)(unit_y * (top + bottom));
    }
    uint32_t depth = ffb_ue(bits), depth_chroma = ffb_ue(bits), log2_lsb = ffb_ue(bits);
    if (bits->overrun || depth > 8 || depth_chroma > 8 || log2_lsb > 12)
        return -1;
    facts->bit_depth = (int32_t)depth + 8;
    facts->bit_depth_chroma = (int32_t)depth_chroma + 8;
    sps->log2_max_poc_lsb = (int)log2_lsb + 4;

    span->entries = ffb_bit(bits) ? (int)max_sub_layers_minus1 + 1 : 1;
    span->first_bit = bits->position;
    for (int i = 0; i < span->entries; i++) {
        uint32_t buffering = ffb_ue(bits), reorder = ffb_ue(bits);
        ffb_ue(bits);
        if (buffering > 15 || reorder > buffering)
            return -1;
        facts->max_dec_pic_buffering = (int32_t)buffering + 1;
        facts->max_num_reorder = (int32_t)reorder;
    }
    span->end_bit = bits->position;
    return bits->overrun ? -1 : (int)id;
}

/* Reads log2_min_luma_coding_block_size_minus3 and log2_diff_max_min_luma_coding_block_size (H.265 7.4.3.2.1). Returns 0 or -1. */
static int block_sizes(ffb_bits *bits, ffb_sps_facts *facts)
{
    const uint32_t smallest = ffb_ue(bits), difference = ffb_ue(bits);
    if (bits->overrun || smallest > 3 || difference > 3 || smallest + difference < 1 || smallest + difference > 3)
        return -1;
    facts->min_cb_size = 8 << smallest;
    facts->ctb_size = 8 << (smallest + difference);
    return 0;
}

/* Reads the rest of what is needed: reference picture sets, long-term pictures, VUI. Returns 0 or -1. */
static int sps_tail(ffb_bits *bits, ffb_sps *sps)
{
    ffb_sps_facts *facts = &sps->facts;
    if (block_sizes(bits, facts) < 0)
        return -1;
    for (int i = 0; i < 4; i++) /* transform block sizes, hierarchy depths */
        ffb_ue(bits);
    if (ffb_bit(bits) && ffb_bit(bits))
        skip_scaling_lists(bits);
    ffb_skip(bits, 2); /* amp, sao */
    if (ffb_bit(bits)) {
        ffb_skip(bits, 8);
        ffb_ue(bits);
        ffb_ue(bits);
        ffb_skip(bits, 1);
    }
    uint32_t rps_count = ffb_ue(bits);
    if (bits->overrun || rps_count > FFB_MAX_RPS)
        return -1;
    sps->rps_count = (int)rps_count;
    for (int i = 0; i < sps->rps_count; i++) {
        if (ffb_rps_read(bits, &sps->rps[i], i, sps->rps, sps->rps_count) < 0)
            return -1;
    }
    sps->long_term_present = (int)ffb_bit(bits);
    if (sps->long_term_present) {
        uint32_t count = ffb_ue(bits);
        if (bits->overrun || count > FFB_MAX_LT_SPS)
            return -1;
        sps->long_term_count = (int)count;
        for (int i = 0; i < sps->long_term_count; i++) {
            sps->long_term_poc_lsb[i] = (uint16_t)ffb_u(bits, (unsigned)sps->log2_max_poc_lsb);
            sps->long_term_used[i] = (uint8_t)ffb_bit(bits);
        }
    }
    ffb_skip(bits, 2); /* temporal mvp, strong intra smoothing */
    if (bits->overrun)
        return -1;
    facts->primaries = facts->transfer = facts->matrix = 2;
    facts->sar_width = facts->sar_height = 1;
    if (ffb_bit(bits)) {
        read_vui(bits, facts);
        read_timing(*bits, sps);
    }
    return bits->overrun ? -1 : 0;
}

static int add_sps(ffb_params *params, const ffb_nal *nal)
{
    uint8_t *rbsp = malloc(nal->size);
    ffb_sps *sps = calloc(1, sizeof *sps);
    int id = -1;
    if (rbsp && sps) {
        ffb_bits bits = ffb_bits_of(rbsp, ffb_nal_payload(nal, rbsp, nal->size));
        ordering_span span;
        id = sps_head(&bits, sps, &span);
        if (id >= 0) {
            sps->valid = sps_tail(&bits, sps) == 0;
            params->sps[id] = *sps;
            if (!sps->valid)
                id = -1;
        }
    }
    free(sps);
    free(rbsp);
    return id < 0 ? -1 : 0;
}

int ffb_sps_ctb_size(const uint8_t *data, size_t size)
{
    ffb_nal nal;
    if (!ffb_nal_open(data, size, &nal) || nal.type != FFB_NAL_SPS || size > FFB_MAX_SET_BYTES)
        return -1;
    uint8_t *rbsp = malloc(size);
    ffb_sps *sps = calloc(1, sizeof *sps);
    int result = -1;
    if (rbsp && sps) {
        ffb_bits bits = ffb_bits_of(rbsp, ffb_nal_payload(&nal, rbsp, size));
        ordering_span span;
        if (sps_head(&bits, sps, &span) >= 0 && block_sizes(&bits, &sps->facts) == 0)
            result = sps->facts.ctb_size;
    }
    free(sps);
    free(rbsp);
    return result;
}

static int add_pps(ffb_params *params, const ffb_nal *nal)
{
    uint8_t rbsp[16];
    ffb_bits bits = ffb_bits_of(rbsp, ffb_nal_payload(nal, rbsp, sizeof rbsp));
    uint32_t id = ffb_ue(&bits);
    uint32_t sps_id = ffb_ue(&bits);
    if (bits.overrun || id >= FFB_MAX_PPS)
        return -1;
    ffb_pps *pps = &params->pps[id];
    pps->sps_id = (int)sps_id;
    pps->dependent_slices = (int)ffb_bit(&bits);
    pps->output_flag_present = (int)ffb_bit(&bits);
    pps->extra_slice_header_bits = (int)ffb_u(&bits, 3);
    pps->valid = !bits.overrun && sps_id < FFB_MAX_SPS;
    return pps->valid ? 0 : -1;
}

int ffb_params_add(ffb_params *params, const uint8_t *data, size_t size)
{
    ffb_nal nal;
    if (!ffb_nal_open(data, size, &nal) || size > FFB_MAX_SET_BYTES)
        return -1;
    if (nal.layer_id > 0)
        return 0;
    if (nal.type == FFB_NAL_SPS)
        return add_sps(params, &nal);
    if (nal.type == FFB_NAL_PPS)
        return add_pps(params, &nal);
    return 0;
}

int ffb_params_id(const uint8_t *data, size_t size)
{
    enum { HEAD_BYTES = 256 }; /* more than there can be in front of an id */
    uint8_t rbsp[HEAD_BYTES];
    ffb_nal nal;
    if (!ffb_nal_open(data, size, &nal))
        return -1;
    ffb_bits bits = ffb_bits_of(rbsp, ffb_nal_payload(&nal, rbsp, sizeof rbsp));
    uint32_t id = FFB_MAX_PPS;
    if (nal.type == FFB_NAL_VPS) {
        id = ffb_u(&bits, 4);
    } else if (nal.type == FFB_NAL_SPS) {
        ffb_skip(&bits, 4);
        unsigned max_sub_layers_minus1 = ffb_u(&bits, 3);
        ffb_skip(&bits, 1);
        if (max_sub_layers_minus1 <= 6) {
            profile_tier_level(&bits, max_sub_layers_minus1);
            id = ffb_ue(&bits);
        }
    } else if (nal.type == FFB_NAL_PPS) {
        id = ffb_ue(&bits);
    }
    return bits.overrun || id >= FFB_MAX_PPS ? -1 : (int)id;
}

int ffb_params_timing(const ffb_params *params, int sps_id, uint32_t *units, uint32_t *scale)
{
    for (int id = 0; id < FFB_MAX_SPS; id++) {
        const ffb_sps *sps = &params->sps[id];
        if (sps->valid && (sps_id == -1 || sps_id == id) && sps->tick_units > 0) {
            *units = sps->tick_units;
            *scale = sps->tick_scale;
            return 0;
        }
    }
    return -1;
}

int ffb_params_facts(const ffb_params *params, int sps_id, ffb_sps_facts *facts)
{
    for (int id = 0; id < FFB_MAX_SPS; id++) {
        if (params->sps[id].valid && (sps_id == -1 || sps_id == id)) {
            *facts = params->sps[id].facts;
            return 0;
        }
    }
    return -1;
}

/* ------------------------------------------------------------------------------------------------------------------
 * SPS rewrite
 * ---------------------------------------------------------------------------------------------------------------- */

/* Writes bits into a NAL unit, putting emulation prevention bytes in as it goes (H.265 7.4.2). Borrows `out`. */
typedef struct escaping_writer {
    uint8_t *out;
    size_t size;
    size_t capacity;
    unsigned zeros;
    unsigned partial;
    unsigned partial_bits;
    int overflow;
} escaping_writer;

static void put_byte(escaping_writer *writer, uint8_t byte)
{
    if (writer->zeros >= 2 && byte <= 3) {
        if (writer->size < writer->capacity)
            writer->out[writer->size++] = 3;
        else
            writer->overflow = 1;
        writer->zeros = 0;
    }
    if (writer->size < writer->capacity)
        writer->out[writer->size++] = byte;
    else
        writer->overflow = 1;
    writer->zeros = byte == 0 ? writer->zeros + 1 : 0;
}

static void put_bit(escaping_writer *writer, uint32_t bit)
{
    writer->partial = (writer->partial << 1) | bit;
    if (++writer->partial_bits == 8) {
        put_byte(writer, (uint8_t)writer->partial);
        writer->partial = writer->partial_bits = 0;
    }
}

static void copy_bits(escaping_writer *writer, const uint8_t *rbsp, size_t from, size_t to)
{
    ffb_bits bits = ffb_bits_of(rbsp, (to + 7) / 8);
    bits.position = from;
    while (bits.position < to)
        put_bit(writer, ffb_bit(&bits));
}

int64_t ffb_sps_without_delay(const uint8_t *data, size_t size, uint8_t *out, size_t capacity)
{
    ffb_nal nal;
    if (!ffb_nal_open(data, size, &nal) || nal.type != FFB_NAL_SPS || size > FFB_MAX_SET_BYTES || capacity < 2)
        return -1;
    uint8_t *rbsp = malloc(size);
    ffb_sps *sps = calloc(1, sizeof *sps);
    int64_t written = -1;
    if (!rbsp || !sps)
        goto done;

    size_t payload = ffb_nal_payload(&nal, rbsp, size);
    ffb_bits bits = ffb_bits_of(rbsp, payload);
    ordering_span span;
    if (sps_head(&bits, sps, &span) < 0)
        goto done;
    /* rbsp_trailing_bits: the last 1 bit is the stop bit; zero bytes behind it are not part of the RBSP. */
    while (payload > 0 && rbsp[payload - 1] == 0)
        payload--;
    if (payload == 0)
        goto done;
    size_t stop = payload * 8;
    while (!((rbsp[(stop - 1) >> 3] >> (7 - ((stop - 1) & 7))) & 1))
        stop--;
    if (stop <= span.end_bit)
        goto done;

    out[0] = data[0];
    out[1] = data[1];
    escaping_writer writer = {.out = out, .size = 2, .capacity = capacity};
    copy_bits(&writer, rbsp, 0, span.first_bit);
    bits.position = span.first_bit;
    for (int i = 0; i < span.entries; i++) {
        size_t from = bits.position;
        ffb_ue(&bits);
        copy_bits(&writer, rbsp, from, bits.position);
        ffb_ue(&bits);
        ffb_ue(&bits);
        put_bit(&writer, 1); /* ue(0): sps_max_num_reorder_pics */
        put_bit(&writer, 1); /* ue(0): sps_max_latency_increase_plus1 */
    }
    copy_bits(&writer, rbsp, span.end_bit, stop);
    while (writer.partial_bits != 0)
        put_bit(&writer, 0);
    if (!writer.overflow)
        written = (int64_t)writer.size;

done:
    free(sps);
    free(rbsp);
    return written;
}
