#include "picture.h"

#include <libavutil/pixdesc.h>
#include <string.h>

int ffb_picture_describe(const AVFrame *frame, ffb_picture *picture)
{
    memset(picture, 0, sizeof *picture);
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
    if (!format || (format->flags & (AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_BE)))
        return -1;
    int planes = av_pix_fmt_count_planes(frame->format);
    int bytes = (format->comp[0].depth + 7) / 8;
    if (planes != format->nb_components || planes < 1 || planes > 4 || bytes > 2 || format->comp[0].shift != 0)
        return -1;
    picture->width = frame->width;
    picture->height = frame->height;
    picture->planes = planes;
    picture->bytes_per_value = bytes;
    picture->bit_depth = format->comp[0].depth;
    picture->full_range = frame->color_range == AVCOL_RANGE_JPEG;
    picture->primaries = (int32_t)frame->color_primaries;
    picture->transfer = (int32_t)frame->color_trc;
    picture->matrix = (int32_t)frame->colorspace;
    for (int i = 0; i < planes; i++) {
        int chroma = (i == 1 || i == 2) && !(format->flags & AV_PIX_FMT_FLAG_RGB);
        int shift_x = chroma ? format->log2_chroma_w : 0;
        int shift_y = chroma ? format->log2_chroma_h : 0;
        if (format->comp[i].step != bytes || frame->linesize[i] < 0 || !frame->data[i])
            return -1;
        picture->plane_width[i] = AV_CEIL_RSHIFT(frame->width, shift_x);
        picture->plane_height[i] = AV_CEIL_RSHIFT(frame->height, shift_y);
        picture->stride[i] = frame->linesize[i];
        picture->data[i] = frame->data[i];
        if (picture->stride[i] < (int64_t)picture->plane_width[i] * bytes)
            return -1;
    }
    for (int i = 0; i < AV_NUM_DATA_POINTERS && frame->buf[i]; i++)
        picture->buffer_bytes += (int64_t)frame->buf[i]->size;
    strncpy(picture->pixel_format, format->name, sizeof picture->pixel_format - 1);
    return 0;
}
