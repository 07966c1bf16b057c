#include "nal.h"

int ffb_nal_open(const uint8_t *data, size_t size, ffb_nal *nal)
{
    if (size < 2 || (data[0] & 0x80) || (data[1] & 7) == 0)
        return 0;
    nal->data = data;
    nal->size = size;
    nal->type = (data[0] >> 1) & 0x3f;
    nal->layer_id = ((data[0] & 1) << 5) | (data[1] >> 3);
    nal->temporal_id = (data[1] & 7) - 1;
    return 1;
}

ffb_nal_walk ffb_nal_walk_of(const uint8_t *sample, size_t size, int length_size)
{
    ffb_nal_walk walk = {sample, sample + size, length_size};
    return walk;
}

int ffb_nal_next(ffb_nal_walk *walk, ffb_nal *nal)
{
    while (walk->at < walk->end) {
        size_t left = (size_t)(walk->end - walk->at);
        size_t length = 0;
        if (walk->length_size < 1 || walk->length_size > 4 || left < (size_t)walk->length_size)
            return -1;
        for (int i = 0; i < walk->length_size; i++)
            length = (length << 8) | *walk->at++;
        left -= (size_t)walk->length_size;
        if (length > left)
            return -1;
        const uint8_t *data = walk->at;
        walk->at += length;
        if (length == 0) /* padding that some muxers leave; it holds nothing */
            continue;
        return ffb_nal_open(data, length, nal) ? 1 : -1;
    }
    return 0;
}

int ffb_nal_is_slice(int type)
{
    return (type >= 0 && type <= FFB_NAL_RASL_R) || (type >= FFB_NAL_BLA_W_LP && type <= FFB_NAL_CRA);
}

/* The next byte of a payload, emulation prevention bytes left out (H.265 7.3.1.1); -1 behind the last. */
typedef struct {
    const ffb_nal *nal;
    size_t at;
    int zeros;
} payload_cursor;

static payload_cursor payload_of(const ffb_nal *nal)
{
    return (payload_cursor){nal, 2, 0}; /* behind the header */
}

static int next_byte(payload_cursor *cursor)
{
    const ffb_nal *nal = cursor->nal;
    if (cursor->zeros >= 2 && cursor->at < nal->size && nal->data[cursor->at] == 3) {
        cursor->at++;
        cursor->zeros = 0;
    }
    if (cursor->at >= nal->size)
        return -1;
    const int byte = nal->data[cursor->at++];
    cursor->zeros = byte == 0 ? cursor->zeros + 1 : 0;
    return byte;
}

size_t ffb_nal_payload(const ffb_nal *nal, uint8_t *rbsp, size_t capacity)
{
    payload_cursor cursor = payload_of(nal);
    size_t written = 0;
    int byte;
    while (written < capacity && (byte = next_byte(&cursor)) >= 0)
        rbsp[written++] = (uint8_t)byte;
    return written;
}

/* One of the two numbers in front of an SEI message, H.265 7.3.5: bytes of 255 and one below, added up; -1 at the end. */
static int64_t sei_number(payload_cursor *cursor)
{
    int64_t number = 0;
    int byte;
    while ((byte = next_byte(cursor)) == 0xff)
        number += 0xff;
    return byte < 0 ? -1 : number + byte;
}

int ffb_nal_sei_has(const ffb_nal *nal, int type)
{
    payload_cursor cursor = payload_of(nal);
    for (;;) {
        const int64_t found = sei_number(&cursor);
        int64_t size = sei_number(&cursor);
        if (size < 0)
            return 0;
        if (found == type)
            return 1;
        while (size > 0 && next_byte(&cursor) >= 0)
            size--;
    }
}
