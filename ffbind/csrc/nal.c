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

size_t ffb_nal_payload(const ffb_nal *nal, uint8_t *rbsp, size_t capacity)
{
    size_t written = 0;
    unsigned zeros = 0;
    for (size_t i = 2; i < nal->size && written < capacity; i++) {
        uint8_t byte = nal->data[i];
        if (zeros >= 2 && byte == 3) {
            zeros = 0;
            continue;
        }
        zeros = byte == 0 ? zeros + 1 : 0;
        rbsp[written++] = byte;
    }
    return written;
}

/* Reads one of the two numbers in front of an SEI message, H.265 7.3.5: bytes of 255 and one below, added up. */
static size_t sei_number(const uint8_t *rbsp, size_t end, size_t *at)
{
    size_t number = 0;
    while (*at < end && rbsp[*at] == 0xff) {
        number += 0xff;
        (*at)++;
    }
    return *at < end ? number + rbsp[(*at)++] : number;
}

int ffb_nal_sei_lasts(const ffb_nal *nal)
{
    uint8_t rbsp[1024];
    const size_t end = ffb_nal_payload(nal, rbsp, sizeof rbsp);
    size_t at = 0;
    while (at + 2 < end) { /* the last byte holds the stop bit */
        const size_t type = sei_number(rbsp, end, &at);
        const size_t size = sei_number(rbsp, end, &at);
        if (type == FFB_SEI_ALTERNATIVE_TRANSFER)
            return 1;
        at += size;
    }
    return 0;
}
