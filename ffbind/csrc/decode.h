/* A persistent HEVC decoder fed with samples: the send and receive loop of libavcodec, without the GIL. */
#ifndef FFB_DECODE_H
#define FFB_DECODE_H

#include <libavcodec/avcodec.h>
#include <stddef.h>
#include <stdint.h>

#include "buffers.h"

/* cdef */
enum {
    FFB_DECODE_OK = 0,
    FFB_DECODE_BAD_SAMPLE = 1,  /* the sample's NAL structure does not hold together */
    FFB_DECODE_WRONG_PICTURE = 2, /* libavcodec put out a picture of another sample */
    FFB_DECODE_DAMAGED = 3      /* libavcodec marked the picture as damaged, or left parts of it undecoded */
};

typedef struct ffb_decoder ffb_decoder;

/* Opens libavcodec's HEVC decoder with a limit of `max_pixels` per picture; its pictures lie in `buffers`, of which it takes a share.
 * With one thread it runs in the caller's and gives each picture at once; with more, that many samples are decoded side by side (frame
 * threads, which are bit-exact; slice threads are not, docs/ffmpeg.md) and a picture comes out `threads - 1` samples later, or by
 * ffb_decoder_pump.
 * Returns NULL and an AVERROR in `error` when that fails. The caller owns the decoder. */
ffb_decoder *ffb_decoder_open(ffb_buffers *buffers, int64_t max_pixels, int threads, int *error);

/* Frees everything. In a child of the process that opened it, nothing: the decoder's threads are not there to be waited for, and its
 * memory is the child's only as a copy. */
void ffb_decoder_close(ffb_decoder *decoder);

/* Puts one NAL unit (no length prefix) in front of the next sample: parameter sets of a sample entry. SPS are
 * rewritten so that there is no output delay. The bytes are copied. Returns 0 or an AVERROR. */
int ffb_decoder_add_nal(ffb_decoder *decoder, const uint8_t *nal, size_t size);

/* Keeps what a sample that is not decoded carries for later ones (parameter sets, end of sequence), to go in front of the
 * next sample. The bytes are copied. Returns FFB_DECODE_OK, FFB_DECODE_BAD_SAMPLE or an AVERROR. */
int ffb_decoder_pass_over(ffb_decoder *decoder, const uint8_t *sample, size_t size, int length_size);

/* Takes one sample. `picture` becomes a new frame that the caller owns and `picture_tag` the tag of the sample it belongs to: this
 * one, or with several threads an earlier one. NULL where none came out: not yet, or because the stream shows none for it.
 * The sample is copied. Returns FFB_DECODE_* or an AVERROR, with several threads that of an earlier sample maybe; after anything but
 * FFB_DECODE_OK the decoder is fit only for ffb_decoder_close. */
int ffb_decoder_decode(ffb_decoder *decoder, const uint8_t *sample, size_t size, int length_size, int64_t tag, AVFrame **picture,
                       int64_t *picture_tag);

/* Moves the pictures in work on by one place, without a sample and without losing references: as ffb_decoder_decode otherwise.
 * After `threads` calls every sample's picture has come out. */
int ffb_decoder_pump(ffb_decoder *decoder, AVFrame **picture, int64_t *picture_tag);

/* Forgets references and state, before an IRAP that decoding restarts at. Parameter sets stay, those that wait in front too. */
void ffb_decoder_flush(ffb_decoder *decoder);

/* Drops the NAL units that wait in front of the next sample. */
void ffb_decoder_drop_front(ffb_decoder *decoder);
/* end cdef */

#endif
