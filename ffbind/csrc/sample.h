/* What one sample (access unit) is: picture kind, order count, references, read from NAL and slice headers. */
#ifndef FFB_SAMPLE_H
#define FFB_SAMPLE_H

#include "params.h"

/* cdef */
enum {
    FFB_SAMPLE_HAS_SETS = 1,     /* carries VPS, SPS or PPS */
    FFB_SAMPLE_EOS_BEFORE = 2,   /* end of sequence or bitstream in front of the picture */
    FFB_SAMPLE_EOS_AFTER = 4,    /* ... behind it */
    FFB_SAMPLE_OUTPUT = 8,       /* pic_output_flag, 1 where absent */
    FFB_SAMPLE_NO_FIRST = 16,    /* slices, but not the first one of the picture */
    FFB_SAMPLE_TWO_PICTURES = 32, /* more than one first slice */
    FFB_SAMPLE_LASTING_SEI = 64, /* SEI that later pictures are shown by (alternative transfer characteristics) */
    FFB_SAMPLE_MANY_SLICES = 128, /* more than one slice segment */
    FFB_SAMPLE_HASH = 256        /* an SEI with a hash of the picture */
};
enum { FFB_MAX_REFERENCES = 65 };
enum {
    FFB_REFERENCE_USED = 1,      /* in a Curr list: the picture itself is predicted from it */
    FFB_REFERENCE_LONG = 2,      /* long term */
    FFB_REFERENCE_LSB = 4        /* long term, named by the low bits of its order count alone: value is the lsb */
};
enum { FFB_SAMPLE_OK = 0, FFB_SAMPLE_BAD_NAL = -1, FFB_SAMPLE_BAD_SETS = -2, FFB_SAMPLE_BAD_SLICE = -3 };

typedef struct ffb_sample {
    int32_t nal_type;            /* of the picture's slices; -1 where the sample holds no picture of the base layer */
    int32_t temporal_id;
    int32_t flags;
    int32_t sps_id;
    int32_t poc_lsb;             /* slice_pic_order_cnt_lsb, 0 for IDR */
    int32_t log2_max_poc_lsb;
    int32_t reference_count;
    int32_t reference[65];       /* difference of picture order counts, or an lsb (FFB_REFERENCE_LSB) */
    uint8_t reference_flags[65];
} ffb_sample;

/* Reads kinds only, no parameter sets needed: nal_type, temporal_id and flags. The sample is only read.
 * Returns FFB_SAMPLE_OK or FFB_SAMPLE_BAD_NAL. */
int ffb_sample_kind(const uint8_t *data, size_t size, int length_size, ffb_sample *sample);

/* Reads everything. Parameter sets in front of the picture are taken into `params`, as a decoder would.
 * Returns one of FFB_SAMPLE_*. */
int ffb_sample_read(ffb_params *params, const uint8_t *data, size_t size, int length_size, ffb_sample *sample);
/* end cdef */

#endif
