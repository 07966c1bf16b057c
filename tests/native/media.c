/* Drives input.c and decode.c over a file, with libav behind them: memory that ends where the file ends, sources that read
 * little, fail or claim to have read too much, samples that are damaged.
 *
 * Usage: media ROUNDS FILE. Ends with 0, or aborts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "input.h"

static uint64_t state = 88172645463325252u;

static uint32_t below(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % limit;
}

static void require(int truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "failed: %s\n", what);
        abort();
    }
}

/* What the callback reads from, as the Python side would hold it. */
typedef struct source {
    const uint8_t *data;
    int64_t size;
    int left; /* reads before it misbehaves */
    int misbehaviour;
} source;

enum { FAILS, READS_NOTHING, CLAIMS_TOO_MUCH };

int ffb_source_read(void *handle, int64_t position, uint8_t *buffer, int size)
{
    source *s = handle;
    require(position >= 0 && size > 0 && position + size <= s->size, "a read within the source");
    if (s->left-- <= 0) {
        if (s->misbehaviour == FAILS)
            return AVERROR_EXTERNAL;
        if (s->misbehaviour == READS_NOTHING)
            return 0;
        memset(buffer, 0xee, (size_t)size);
        return size + 1 + (int)below(1 << 20);
    }
    const int count = 1 + (int)below((uint32_t)size);
    memcpy(buffer, s->data + position, (size_t)count);
    return count;
}

static uint8_t *copy_of(const uint8_t *data, size_t size)
{
    uint8_t *block = malloc(size ? size : 1);
    require(block != NULL, "memory");
    memcpy(block, data, size);
    return block;
}

/* Decodes a sample from a block of exactly its size, `changes` bytes of it changed. Returns 1 when a picture came out. */
static int decode(ffb_decoder *decoder, const AVPacket *packet, int64_t tag, int changes)
{
    uint8_t *sample = copy_of(packet->data, (size_t)packet->size);
    size_t size = (size_t)packet->size;
    if (changes && below(3) == 0)
        size = below((uint32_t)size + 1);
    for (int i = 0; i < changes && size > 0; i++)
        sample[below(below(2) && size > 60 ? 60 : (uint32_t)size)] = (uint8_t)below(256);
    AVFrame *picture = NULL;
    int64_t picture_tag = -1;
    int result = changes && below(4) == 0 ? ffb_decoder_pass_over(decoder, sample, size, 4)
                                          : ffb_decoder_decode(decoder, sample, size, 4, tag, &picture, &picture_tag);
    require(changes || !picture || picture_tag == tag, "the picture of this sample");
    if (changes && result == FFB_DECODE_OK && below(3) == 0) {
        av_frame_free(&picture);
        result = ffb_decoder_pump(decoder, &picture, &picture_tag);
        require(!picture || picture_tag <= tag, "a picture of an earlier sample");
    }
    require(changes || result == FFB_DECODE_OK, "a good sample");
    require(result == FFB_DECODE_OK || !picture, "a picture, or an error");
    const int shown = picture != NULL;
    av_frame_free(&picture);
    free(sample);
    return result == FFB_DECODE_OK ? shown : -1;
}

static ffb_decoder *open_decoder(ffb_buffers *buffers, const AVCodecParameters *parameters, int threads)
{
    int error = 0;
    ffb_decoder *decoder = ffb_decoder_open(buffers, 1 << 20, threads, &error);
    require(decoder != NULL, "a decoder");
    /* hvcC, ISO/IEC 14496-15 8.3.3.1: arrays of parameter sets behind 23 bytes. */
    const uint8_t *at = parameters->extradata + 23, *end = parameters->extradata + parameters->extradata_size;
    for (int arrays = parameters->extradata[22]; arrays > 0 && end - at >= 3; arrays--) {
        int units = at[1] << 8 | at[2];
        for (at += 3; units > 0 && end - at >= 2; units--) {
            const int size = at[0] << 8 | at[1];
            require(size <= end - at - 2, "a parameter set within hvcC");
            uint8_t *unit = copy_of(at + 2, (size_t)size);
            require(ffb_decoder_add_nal(decoder, unit, (size_t)size) == FFB_DECODE_OK, "a good parameter set");
            free(unit);
            at += 2 + size;
        }
    }
    return decoder;
}

/* Reads and decodes until the end or an error. Returns packets read, or an AVERROR. */
static int read_all(ffb_input *input, ffb_buffers *buffers, int changes, int *pictures)
{
    int result = ffb_input_demux(input);
    if (result < 0)
        return result;
    AVFormatContext *format = ffb_input_format(input);
    AVPacket *packet = av_packet_alloc();
    require(packet != NULL, "memory");
    const AVCodecParameters *parameters = format->streams[0]->codecpar;
    ffb_decoder *decoder = NULL;
    int count = 0;
    while ((result = av_read_frame(format, packet)) >= 0) {
        count++;
        if (!decoder && parameters->extradata_size > 23)
            decoder = open_decoder(buffers, parameters, changes ? 1 + (int)below(3) : 1);
        int shown = decoder && packet->size ? decode(decoder, packet, count, changes) : 0;
        if (shown < 0) { /* fit only to be closed */
            ffb_decoder_close(decoder);
            decoder = NULL;
        } else {
            *pictures += shown;
        }
        if (changes && decoder && below(20) == 0)
            ffb_decoder_flush(decoder);
        av_packet_unref(packet);
    }
    av_packet_free(&packet);
    ffb_decoder_close(decoder);
    require(ffb_input_failure(input) <= 0, "a failure is an AVERROR");
    return ffb_input_failure(input) < 0 ? ffb_input_failure(input) : result == AVERROR_EOF ? count : result;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    const long rounds = strtol(argv[1], NULL, 10);
    FILE *file = fopen(argv[2], "rb");
    uint8_t *whole = malloc(1 << 20);
    if (!file || !whole)
        return 2;
    const int64_t size = (int64_t)fread(whole, 1, 1 << 20, file);
    fclose(file);
    uint8_t *data = copy_of(whole, (size_t)size); /* a block that ends where the file ends */
    free(whole);
    av_log_set_level(AV_LOG_QUIET);

    ffb_buffers *buffers = ffb_buffers_new(1 << 18); /* not for all pictures */
    require(buffers != NULL, "buffers");
    int pictures = 0;
    ffb_input *input = ffb_input_memory(data, size, 1 << 16);
    require(input != NULL, "an input");
    require(read_all(input, buffers, 0, &pictures) > 10 && pictures > 10, "packets and pictures");
    ffb_input_close(input);
    const int all = pictures;

    for (long n = 0; n < rounds; n++) {
        source s = {data, size, 1 << 30, FAILS};
        input = ffb_input_source(&s, size, 1 << (9 + below(8)));
        require(input != NULL, "an input");
        pictures = 0;
        const int count = read_all(input, buffers, 0, &pictures);
        require(count > 10 && pictures == all, "the same through a source");
        ffb_input_close(input);

        for (int misbehaviour = FAILS; misbehaviour <= CLAIMS_TOO_MUCH; misbehaviour++) {
            source bad = {data, size, (int)below(12), misbehaviour};
            input = ffb_input_source(&bad, size, 4096);
            require(input != NULL, "an input");
            require(read_all(input, buffers, 0, &pictures) < 0, "a failing source is an error, not the end");
            require(ffb_input_failure(input) == (misbehaviour == FAILS ? AVERROR_EXTERNAL : AVERROR(EIO)), "its error");
            ffb_input_close(input);
        }

        uint8_t *changed = copy_of(data, (size_t)size);
        const int64_t cut = below(2) ? size : (int64_t)below((uint32_t)size + 1);
        for (uint32_t changes = below(30); changes > 0; changes--)
            changed[size - 1 - (int64_t)below(6000 < size ? 6000 : (uint32_t)size)] = (uint8_t)below(256);
        uint8_t *shorter = copy_of(changed, (size_t)cut);
        input = ffb_input_memory(shorter, cut, 1 << 16);
        require(input != NULL, "an input");
        if (ffb_input_demux(input) == 0 && ffb_input_format(input)->nb_streams > 0)
            (void)ffb_input_format_name(input);
        ffb_input_close(input);
        free(shorter);
        free(changed);

        input = ffb_input_memory(data, size, 1 << 16);
        require(input != NULL, "an input");
        read_all(input, buffers, 1 + (int)below(4), &pictures);
        ffb_input_close(input);
    }
    ffb_input_close(NULL);
    ffb_decoder_close(NULL);
    const int64_t unused = ffb_buffers_bytes(buffers);
    require(unused > 0 && unused <= 1 << 18, "unused buffers within the limit, and no others");
    ffb_buffers_close(buffers);
    ffb_buffers_close(NULL);
    free(data);
    return 0;
}
