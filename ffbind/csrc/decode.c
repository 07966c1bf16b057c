#include "decode.h"

#include <libavutil/mem.h>
#include <libavutil/pixdesc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "marks.h"
#include "nal.h"
#include "params.h"

/* Sizes of coding tree blocks, H.265 7.4.3.2.1. */
enum { SMALLEST_CTB = 16, LARGEST_CTB = 64 };

struct ffb_decoder {
    pid_t process;           /* that opened it */
    AVCodecContext *context; /* owned */
    AVPacket *packet;        /* owned */
    uint8_t *front;          /* owned: NAL units that go in front of the next sample, each behind a 4-byte length */
    size_t front_size;
    size_t front_capacity;
    ffb_buffers *buffers;    /* a share of it */
    _Atomic int mark_step;   /* size of the smallest coding tree blocks so far */
};

/* An hvcC record without parameter sets and with 4-byte lengths (ISO/IEC 14496-15 8.3.3.1): it only tells the decoder how
 * NAL units are framed. Parameter sets go in with the samples. */
static const uint8_t FRAMING[23] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0, 0xfc, 0xfc, 0xf8, 0xf8, 0, 0, 3, 0};

/* ------------------------------------------------------------------------------------------------------------------
 * Memory of pictures
 * ---------------------------------------------------------------------------------------------------------------- */

/* The first plane of a picture, whose coded size is that of `context`. */
static ffb_plane first_plane(const AVCodecContext *context, const AVFrame *frame)
{
    const AVPixFmtDescriptor *about = av_pix_fmt_desc_get(frame->format);
    const ffb_plane plane = {ffb_buffers_first_plane(frame), frame->linesize[0], context->coded_width, context->coded_height,
                             about && about->comp[0].depth > 8 ? 2 : 1};
    return plane;
}

/* Called by libavcodec for each new picture, with frame threads from several of its threads at once. */
static int get_marked_buffer(AVCodecContext *context, AVFrame *frame, int flags)
{
    ffb_decoder *decoder = context->opaque;
    (void)flags;
    int result = ffb_buffers_get(decoder->buffers, context, frame);
    if (result < 0)
        return result;
    const ffb_plane plane = first_plane(context, frame);
    ffb_mark(&plane, atomic_load(&decoder->mark_step));
    return 0;
}

/* The context's coded size is that of the picture that came out last, whichever thread decoded it. */
static int is_incomplete(ffb_decoder *decoder, const AVFrame *frame)
{
    const ffb_plane plane = first_plane(decoder->context, frame);
    return ffb_has_mark(&plane, atomic_load(&decoder->mark_step));
}

/* Takes note of an SPS that goes to libavcodec: marks get as near to each other as its coding tree blocks, and stay so. */
static void note_blocks(ffb_decoder *decoder, const ffb_nal *nal)
{
    const int size = ffb_sps_ctb_size(nal->data, nal->size);
    const int step = size < 0 ? SMALLEST_CTB : size;
    if (step < atomic_load(&decoder->mark_step))
        atomic_store(&decoder->mark_step, step);
}

ffb_decoder *ffb_decoder_open(ffb_buffers *buffers, int64_t max_pixels, int threads, int *error)
{
    *error = AVERROR(ENOMEM);
    const AVCodec *codec = avcodec_find_decoder_by_name("hevc");
    ffb_decoder *decoder = calloc(1, sizeof *decoder);
    if (!codec || !decoder) {
        if (!codec)
            *error = AVERROR_DECODER_NOT_FOUND;
        free(decoder);
        return NULL;
    }
    ffb_buffers_retain(buffers);
    decoder->buffers = buffers;
    atomic_init(&decoder->mark_step, LARGEST_CTB);
    decoder->process = getpid();
    decoder->packet = av_packet_alloc();
    decoder->context = avcodec_alloc_context3(codec);
    AVCodecContext *context = decoder->context;
    if (!decoder->packet || !context)
        goto fail;
    context->extradata = av_mallocz(sizeof FRAMING + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!context->extradata)
        goto fail;
    memcpy(context->extradata, FRAMING, sizeof FRAMING);
    context->extradata_size = (int)sizeof FRAMING;
    context->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK;
    context->flags |= AV_CODEC_FLAG_UNALIGNED; /* crop to the sample, not to the next aligned address */
    context->thread_count = threads;
    context->thread_type = FF_THREAD_FRAME;
#if LIBAVCODEC_VERSION_MAJOR < 60 /* deprecated there already; later versions take it for granted */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    context->thread_safe_callbacks = 1;
#pragma GCC diagnostic pop
#endif
    context->opaque = decoder;
    context->get_buffer2 = get_marked_buffer;
    context->max_pixels = max_pixels;
    context->log_level_offset = 64; /* this decoder's messages only: errors reach the caller as errors */
    *error = avcodec_open2(context, codec, NULL);
    if (*error < 0)
        goto fail;
    return decoder;

fail:
    ffb_decoder_close(decoder);
    return NULL;
}

void ffb_decoder_close(ffb_decoder *decoder)
{
    if (!decoder || decoder->process != getpid())
        return;
    avcodec_free_context(&decoder->context);
    av_packet_free(&decoder->packet);
    ffb_buffers_release(decoder->buffers);
    free(decoder->front);
    free(decoder);
}

void ffb_decoder_flush(ffb_decoder *decoder)
{
    avcodec_flush_buffers(decoder->context);
}

void ffb_decoder_drop_front(ffb_decoder *decoder)
{
    decoder->front_size = 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * From sample to packet
 * ---------------------------------------------------------------------------------------------------------------- */

/* What the base layer's pictures depend on. Access unit delimiters, filler, reserved and unspecified types are left out, and
 * every other layer. */
static int nal_is_wanted(const ffb_nal *nal, int with_slices)
{
    if (nal->layer_id > 0)
        return 0;
    if (ffb_nal_is_slice(nal->type))
        return with_slices;
    return (nal->type >= FFB_NAL_VPS && nal->type <= FFB_NAL_PPS) || nal->type == FFB_NAL_EOS || nal->type == FFB_NAL_EOB ||
           (nal->type == FFB_NAL_SEI_PREFIX && (with_slices || ffb_nal_sei_has(nal, FFB_SEI_ALTERNATIVE_TRANSFER))) ||
           (nal->type == FFB_NAL_SEI_SUFFIX && with_slices);
}

/* True where a start code or a run of zeros interrupts a NAL unit, which H.265 7.4.2 forbids: libavcodec would end the unit there and
 * go on decoding what happens to lie behind. Zeros at the very end are left by some writers and mean nothing. */
static int nal_is_interrupted(const ffb_nal *nal)
{
    const uint8_t *at = nal->data;
    const uint8_t *end = nal->data + nal->size;
    while (end > at && end[-1] == 0)
        end--;
    while (end - at >= 3) {
        const uint8_t *zero = memchr(at, 0, (size_t)(end - at - 2));
        if (!zero)
            return 0;
        if (zero[1] == 0 && zero[2] <= 2)
            return 1;
        at = zero + 1;
    }
    return 0;
}

/* Space that `nal` may take at most behind its length: a rewritten SPS can need more emulation prevention. */
static size_t nal_space(const ffb_nal *nal)
{
    return 4 + nal->size + (nal->type == FFB_NAL_SPS ? nal->size / 2 + 16 : 0);
}

/* Writes `nal` behind a 4-byte length. Returns the bytes written, or -1. `out` has nal_space(nal) bytes. */
static int64_t nal_put(ffb_decoder *decoder, const ffb_nal *nal, uint8_t *out)
{
    int64_t size = (int64_t)nal->size;
    if (nal->type == FFB_NAL_SPS) {
        note_blocks(decoder, nal);
        size = ffb_sps_without_delay(nal->data, nal->size, out + 4, nal_space(nal) - 4);
        if (size < 0)
            return -1;
    } else {
        memcpy(out + 4, nal->data, nal->size);
    }
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)((uint64_t)size >> (24 - 8 * i));
    return 4 + size;
}

static int front_put(ffb_decoder *decoder, const ffb_nal *nal)
{
    size_t needed = decoder->front_size + nal_space(nal);
    if (needed > decoder->front_capacity) {
        uint8_t *grown = realloc(decoder->front, 2 * needed);
        if (!grown)
            return AVERROR(ENOMEM);
        decoder->front = grown;
        decoder->front_capacity = 2 * needed;
    }
    int64_t written = nal_put(decoder, nal, decoder->front + decoder->front_size);
    if (written < 0)
        return FFB_DECODE_BAD_SAMPLE;
    decoder->front_size += (size_t)written;
    return FFB_DECODE_OK;
}

int ffb_decoder_add_nal(ffb_decoder *decoder, const uint8_t *data, size_t size)
{
    ffb_nal nal;
    if (!ffb_nal_open(data, size, &nal))
        return FFB_DECODE_BAD_SAMPLE;
    return nal_is_wanted(&nal, 0) ? front_put(decoder, &nal) : FFB_DECODE_OK;
}

int ffb_decoder_pass_over(ffb_decoder *decoder, const uint8_t *sample, size_t size, int length_size)
{
    ffb_nal nal;
    int step;
    int result = FFB_DECODE_OK;
    ffb_nal_walk walk = ffb_nal_walk_of(sample, size, length_size);
    while ((step = ffb_nal_next(&walk, &nal)) == 1 && result == FFB_DECODE_OK) {
        if (nal_is_wanted(&nal, 0))
            result = front_put(decoder, &nal);
    }
    return step < 0 ? FFB_DECODE_BAD_SAMPLE : result;
}

/* Fills decoder->packet with what waits in front and the sample's NAL units. What stands behind the last slice and is not of this
 * picture (7.4.2.4.4) waits in front of the next one, where it means the same:
 * - an end of sequence, which libavcodec forgets in a packet without slices, as ffb_decoder_pump sends them
 * - parameter sets and SEI: with frame threads libavcodec copies them to the next thread as soon as the picture has begun, so a unit
 *   read after that would be changed while it is copied
 * Returns FFB_DECODE_* or an AVERROR. */
static int fill_packet(ffb_decoder *decoder, const uint8_t *sample, size_t size, int length_size)
{
    ffb_nal nal;
    int step;
    int slices = 0;
    size_t space = decoder->front_size;
    ffb_nal_walk walk = ffb_nal_walk_of(sample, size, length_size);
    while ((step = ffb_nal_next(&walk, &nal)) == 1) {
        if (!nal_is_wanted(&nal, 1))
            continue;
        if (ffb_nal_is_slice(nal.type) && nal_is_interrupted(&nal))
            return FFB_DECODE_BAD_SAMPLE;
        slices += ffb_nal_is_slice(nal.type);
        space += nal_space(&nal);
    }
    if (step < 0 || space > INT32_MAX / 2)
        return FFB_DECODE_BAD_SAMPLE;
    int result = av_new_packet(decoder->packet, (int)space);
    if (result < 0)
        return result;

    uint8_t *out = decoder->packet->data;
    if (decoder->front_size > 0)
        memcpy(out, decoder->front, decoder->front_size);
    size_t used = decoder->front_size;
    decoder->front_size = 0;
    const int has_picture = slices > 0;
    walk = ffb_nal_walk_of(sample, size, length_size);
    while (ffb_nal_next(&walk, &nal) == 1) {
        if (!nal_is_wanted(&nal, 1))
            continue;
        const int is_slice = ffb_nal_is_slice(nal.type);
        slices -= is_slice; /* still to come */
        if (has_picture && slices == 0 && !is_slice && nal.type != FFB_NAL_SEI_SUFFIX) {
            result = nal_is_wanted(&nal, 0) ? front_put(decoder, &nal) : FFB_DECODE_OK;
            if (result == FFB_DECODE_OK)
                continue;
        } else {
            int64_t written = nal_put(decoder, &nal, out + used);
            if (written >= 0) {
                used += (size_t)written;
                continue;
            }
            result = FFB_DECODE_BAD_SAMPLE;
        }
        av_packet_unref(decoder->packet);
        return result;
    }
    av_shrink_packet(decoder->packet, (int)used);
    return FFB_DECODE_OK;
}

/* ------------------------------------------------------------------------------------------------------------------
 * From packet to picture
 * ---------------------------------------------------------------------------------------------------------------- */

/* Gives decoder->packet to libavcodec and takes the picture that comes out, if one does. */
static int exchange(ffb_decoder *decoder, AVFrame **picture, int64_t *picture_tag)
{
    int result = avcodec_send_packet(decoder->context, decoder->packet);
    av_packet_unref(decoder->packet);
    if (result < 0)
        return result;

    AVFrame *frame = av_frame_alloc();
    if (!frame)
        return AVERROR(ENOMEM);
    result = avcodec_receive_frame(decoder->context, frame);
    if (result < 0) {
        av_frame_free(&frame);
        return result == AVERROR(EAGAIN) ? FFB_DECODE_OK : result;
    }
    if (frame->decode_error_flags || (frame->flags & AV_FRAME_FLAG_CORRUPT) || is_incomplete(decoder, frame)) {
        av_frame_free(&frame);
        return FFB_DECODE_DAMAGED;
    }
    /* One sample, one picture: anything more is a picture of another sample. */
    AVFrame *extra = av_frame_alloc();
    int second = extra ? avcodec_receive_frame(decoder->context, extra) : AVERROR(ENOMEM);
    av_frame_free(&extra);
    if (second != AVERROR(EAGAIN)) {
        av_frame_free(&frame);
        return second == 0 ? FFB_DECODE_WRONG_PICTURE : second;
    }
    *picture_tag = frame->pts;
    *picture = frame;
    return FFB_DECODE_OK;
}

int ffb_decoder_decode(ffb_decoder *decoder, const uint8_t *sample, size_t size, int length_size, int64_t tag, AVFrame **picture,
                       int64_t *picture_tag)
{
    *picture = NULL;
    int result = fill_packet(decoder, sample, size, length_size);
    if (result != FFB_DECODE_OK)
        return result;
    /* The tag travels as time stamp, which libavcodec hands on untouched: the one sure way to know whose picture it is. */
    decoder->packet->pts = decoder->packet->dts = tag;
    return exchange(decoder, picture, picture_tag);
}

int ffb_decoder_pump(ffb_decoder *decoder, AVFrame **picture, int64_t *picture_tag)
{
    /* An access unit delimiter (H.265 7.3.2.5) and nothing else, behind a 4-byte length. */
    static const uint8_t DELIMITER[7] = {0, 0, 0, 3, 0x46, 0x01, 0x50};
    *picture = NULL;
    int result = av_new_packet(decoder->packet, (int)sizeof DELIMITER);
    if (result < 0)
        return result;
    memcpy(decoder->packet->data, DELIMITER, sizeof DELIMITER);
    return exchange(decoder, picture, picture_tag);
}
