/* NAL units of a length-prefixed sample (ISO/IEC 14496-15 4.3.3), and their payload without emulation prevention. */
#ifndef FFB_NAL_H
#define FFB_NAL_H

#include <stddef.h>
#include <stdint.h>

/* NAL unit types used here, H.265 table 7-1. */
enum {
    FFB_NAL_RASL_N = 8,
    FFB_NAL_RASL_R = 9,
    FFB_NAL_BLA_W_LP = 16,
    FFB_NAL_IDR_W_RADL = 19,
    FFB_NAL_IDR_N_LP = 20,
    FFB_NAL_CRA = 21,
    FFB_NAL_LAST_IRAP = 23,
    FFB_NAL_LAST_VCL = 31,
    FFB_NAL_VPS = 32,
    FFB_NAL_SPS = 33,
    FFB_NAL_PPS = 34,
    FFB_NAL_EOS = 36,
    FFB_NAL_EOB = 37,
    FFB_NAL_SEI_PREFIX = 39,
    FFB_NAL_SEI_SUFFIX = 40
};

/* SEI payload types, H.265 D.2.1:
 * - alternative transfer characteristics (D.3.38) hold for later pictures too, until the sequence ends, and change how they look
 * - the decoded picture hash (D.3.19) stands in a suffix SEI; in a prefix SEI as an early draft had it, which libavcodec takes too */
enum { FFB_SEI_ALTERNATIVE_TRANSFER = 147, FFB_SEI_HASH = 132, FFB_SEI_DRAFT_HASH = 256 };

/* One NAL unit, header included. A view: the bytes belong to the sample's owner. */
typedef struct ffb_nal {
    const uint8_t *data;
    size_t size;
    int type;
    int layer_id;
    int temporal_id;
} ffb_nal;

/* Where a walk through a sample stands. Borrows the sample. */
typedef struct ffb_nal_walk {
    const uint8_t *at;
    const uint8_t *end;
    int length_size;
} ffb_nal_walk;

/* Reads the two header bytes of a NAL unit into `nal`. Returns 1, or 0 when they are not a valid header. */
int ffb_nal_open(const uint8_t *data, size_t size, ffb_nal *nal);

/* Starts a walk; `length_size` is 1, 2 or 4 (3 is read as well). */
ffb_nal_walk ffb_nal_walk_of(const uint8_t *sample, size_t size, int length_size);

/* Steps to the next NAL unit. Returns 1 and fills `nal`; 0 at the end; -1 when a length does not fit or a header is bad. */
int ffb_nal_next(ffb_nal_walk *walk, ffb_nal *nal);

/* True for the VCL NAL unit types that a decoder of the base layer acts on (not the reserved ones). */
int ffb_nal_is_slice(int type);

/* Copies at most `capacity` bytes of the payload behind the NAL header into `rbsp`, emulation prevention bytes removed
 * (H.265 7.3.1.1). Returns the number of bytes written. `rbsp` belongs to the caller. */
size_t ffb_nal_payload(const ffb_nal *nal, uint8_t *rbsp, size_t capacity);

/* Tells whether an SEI NAL unit holds a message of a payload type (H.265 D.2.1). The unit is only read. */
int ffb_nal_sei_has(const ffb_nal *nal, int type);

#endif
