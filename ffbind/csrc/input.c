#include "input.h"

#include <errno.h>
#include <libavutil/mem.h>
#include <stdlib.h>
#include <string.h>

struct ffb_input {
    const uint8_t *data; /* borrowed; NULL for a source */
    void *handle;        /* borrowed; NULL for memory */
    int64_t size;
    int64_t position;
    int failure;              /* the first error of the source: it stays, so that it is never taken for the end */
    AVIOContext *io;          /* owned */
    AVFormatContext *format;  /* owned */
};

static int read_packet(void *opaque, uint8_t *buffer, int wanted)
{
    ffb_input *input = opaque;
    if (input->failure)
        return input->failure;
    int64_t left = input->size - input->position;
    if (left <= 0)
        return AVERROR_EOF;
    if (wanted > left)
        wanted = (int)left;
    int count = wanted;
    if (input->data) {
        memcpy(buffer, input->data + input->position, (size_t)wanted);
    } else {
        count = ffb_source_read(input->handle, input->position, buffer, wanted);
        if (count <= 0 || count > wanted) {
            /* Nothing where bytes must be is a failure, not an end. */
            input->failure = count < 0 ? count : AVERROR(EIO);
            return input->failure;
        }
    }
    input->position += count;
    return count;
}

static int64_t seek(void *opaque, int64_t offset, int whence)
{
    ffb_input *input = opaque;
    int64_t base;
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE)
        return input->size;
    if (whence == SEEK_SET)
        base = 0;
    else if (whence == SEEK_CUR)
        base = input->position;
    else if (whence == SEEK_END)
        base = input->size;
    else
        return AVERROR(EINVAL);
    if (offset < -base || offset > input->size - base)
        return AVERROR(EINVAL);
    input->position = base + offset;
    return input->position;
}

static ffb_input *open_input(const uint8_t *data, void *handle, int64_t size, int buffer_size)
{
    ffb_input *input = calloc(1, sizeof *input);
    uint8_t *buffer = av_malloc((size_t)buffer_size);
    if (input && buffer) {
        input->data = data;
        input->handle = handle;
        input->size = size;
        input->io = avio_alloc_context(buffer, buffer_size, 0, input, read_packet, NULL, seek);
        if (input->io)
            return input;
    }
    av_free(buffer);
    free(input);
    return NULL;
}

ffb_input *ffb_input_memory(const uint8_t *data, int64_t size, int buffer_size)
{
    return open_input(data, NULL, size, buffer_size);
}

ffb_input *ffb_input_source(void *handle, int64_t size, int buffer_size)
{
    return open_input(NULL, handle, size, buffer_size);
}

void ffb_input_close(ffb_input *input)
{
    if (!input)
        return;
    avformat_close_input(&input->format);
    if (input->io) {
        av_freep(&input->io->buffer); /* libavformat may have replaced the one we gave it */
        avio_context_free(&input->io);
    }
    free(input);
}

int ffb_input_failure(const ffb_input *input)
{
    return input->failure;
}

AVIOContext *ffb_input_io(ffb_input *input)
{
    return input->io;
}

static int refuse_open(struct AVFormatContext *format, AVIOContext **io, const char *url, int flags, AVDictionary **options)
{
    (void)format;
    (void)url;
    (void)flags;
    (void)options;
    *io = NULL;
    return AVERROR(EPERM);
}

int ffb_input_demux(ffb_input *input)
{
    if (input->format)
        return 0;
    /* Whatever was read before, what the bytes are is seen at their beginning. */
    int64_t start = avio_seek(input->io, 0, SEEK_SET);
    if (start < 0)
        return (int)start;
    AVFormatContext *format = avformat_alloc_context();
    AVDictionary *options = NULL;
    if (!format)
        return AVERROR(ENOMEM);
    format->pb = input->io;
    format->io_open = refuse_open;
    format->flags |= AVFMT_FLAG_CUSTOM_IO;
    int result = av_dict_set(&options, "protocol_whitelist", "none", 0);
    if (result >= 0)
        result = avformat_open_input(&format, NULL, NULL, &options); /* frees `format` on failure */
    else
        avformat_free_context(format);
    av_dict_free(&options);
    if (result < 0)
        return result;
    input->format = format;
    return 0;
}

AVFormatContext *ffb_input_format(ffb_input *input)
{
    return input->format;
}

const char *ffb_input_format_name(ffb_input *input)
{
    return input->format ? input->format->iformat->name : NULL;
}
