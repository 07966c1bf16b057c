/* Sequence and picture parameter sets (H.265 7.3.2.2, 7.3.2.3): what slice headers and planning need of them. */
#ifndef FFB_PARAMS_H
#define FFB_PARAMS_H

#include "bits.h"
#include "nal.h"

enum { FFB_MAX_SPS = 16, FFB_MAX_PPS = 64, FFB_MAX_RPS = 64, FFB_MAX_RPS_PICTURES = 16, FFB_MAX_LT_SPS = 32 };

/* One short-term reference picture set (H.265 7.4.8): negative deltas first, nearest first, then positive ones. */
typedef struct ffb_rps {
    int negative_count;
    int positive_count;
    int32_t delta_poc[2 * FFB_MAX_RPS_PICTURES];
    uint8_t used[2 * FFB_MAX_RPS_PICTURES];
} ffb_rps;

/* cdef */
/* What Python wants to know of an active SPS. Colour code points are those of ITU-T H.273, 2 where unspecified. */
typedef struct ffb_sps_facts {
    int32_t profile;
    int32_t chroma_format;
    int32_t width;            /* cropped */
    int32_t height;
    int32_t coded_width;
    int32_t coded_height;
    int32_t bit_depth;
    int32_t bit_depth_chroma;
    int32_t max_dec_pic_buffering;
    int32_t max_num_reorder;
    int32_t max_sub_layers;
    int32_t min_cb_size;      /* of the smallest coding blocks, in luma samples: 8 to 64 */
    int32_t ctb_size;         /* of coding tree blocks: 16, 32 or 64 */
    int32_t full_range;
    int32_t primaries;
    int32_t transfer;
    int32_t matrix;
    int32_t sar_width;
    int32_t sar_height;
} ffb_sps_facts;

typedef struct ffb_params ffb_params;

/* Returns an empty store, or NULL without memory. The caller owns it and frees it with ffb_params_free. */
ffb_params *ffb_params_new(void);
void ffb_params_free(ffb_params *params);

/* Forgets all sets. */
void ffb_params_clear(ffb_params *params);

/* Takes one VPS, SPS or PPS NAL unit (header included, no length prefix); other types are ignored. The bytes are only
 * read. Returns 0, or -1 when the set is malformed; the set of that id is then gone. */
int ffb_params_add(ffb_params *params, const uint8_t *nal, size_t size);

/* Fills `facts` from SPS `sps_id`, or from the one with the lowest id when it is -1. Returns 0, or -1 if there is none. */
int ffb_params_facts(const ffb_params *params, int sps_id, ffb_sps_facts *facts);

/* Reads the id of a VPS, SPS or PPS NAL unit: sets of the same type and id replace each other (H.265 7.4.2.4.2). Returns it, or
 * -1 for other types and malformed sets. */
int ffb_params_id(const uint8_t *nal, size_t size);

/* Reads how long a picture lasts by the VUI of SPS `sps_id`, or of the first that says so when it is -1: units / scale seconds
 * (H.265 E.3.1). Returns 0, or -1 where no SPS says. */
int ffb_params_timing(const ffb_params *params, int sps_id, uint32_t *units, uint32_t *scale);

/* Reads the size of the coding tree blocks of an SPS NAL unit: 16, 32 or 64. Returns it, or -1 when the SPS is malformed. */
int ffb_sps_ctb_size(const uint8_t *nal, size_t size);

/* Writes a copy of the SPS NAL unit in which every sps_max_num_reorder_pics and sps_max_latency_increase_plus1 is 0, so that
 * a decoder puts each picture out the moment its sample went in (H.265 C.5.2). All other bits stay as they are. `out`
 * belongs to the caller. Returns the size written, or -1 when the SPS is malformed or `capacity` is too small. */
int64_t ffb_sps_without_delay(const uint8_t *nal, size_t size, uint8_t *out, size_t capacity);
/* end cdef */

typedef struct ffb_sps {
    int valid;
    ffb_sps_facts facts;
    int separate_colour_plane;
    int log2_max_poc_lsb;
    int rps_count;
    ffb_rps rps[FFB_MAX_RPS];
    int long_term_present;
    int long_term_count;
    uint16_t long_term_poc_lsb[FFB_MAX_LT_SPS];
    uint8_t long_term_used[FFB_MAX_LT_SPS];
    uint32_t tick_units; /* of the VUI's timing; 0 where it has none */
    uint32_t tick_scale;
} ffb_sps;

typedef struct ffb_pps {
    int valid;
    int sps_id;
    int dependent_slices;
    int output_flag_present;
    int extra_slice_header_bits;
} ffb_pps;

struct ffb_params {
    ffb_sps sps[FFB_MAX_SPS];
    ffb_pps pps[FFB_MAX_PPS];
};

/* st_ref_pic_set(index), H.265 7.3.7, with `known` sets before it, `total` of them in the SPS. Returns 0 or -1. */
int ffb_rps_read(ffb_bits *bits, ffb_rps *rps, int index, const ffb_rps *known, int total);

#endif
