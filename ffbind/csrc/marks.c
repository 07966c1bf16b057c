#include "marks.h"

#include <stddef.h>
#include <string.h>

enum { MARK_AT = 4, MARK_ROWS = 4, MARK_BYTES = 4 };
static const uint8_t MARK[MARK_ROWS][MARK_BYTES] = {
    {0x5b, 0xe1, 0x07, 0x9c}, {0xd2, 0x36, 0xa9, 0x4f}, {0x18, 0xf5, 0x60, 0xbd}, {0xc7, 0x2a, 0x83, 0x71}};

static uint8_t *line_at(const ffb_plane *plane, int y)
{
    return plane->data + (ptrdiff_t)y * plane->stride;
}

void ffb_mark(const ffb_plane *plane, int step)
{
    for (int y = MARK_AT; y + MARK_ROWS <= plane->height; y += step) {
        for (int x = MARK_AT; x + MARK_BYTES <= plane->width; x += step) {
            uint8_t *at = line_at(plane, y) + (ptrdiff_t)x * plane->bytes_per_value;
            for (int row = 0; row < MARK_ROWS; row++)
                memcpy(at + (ptrdiff_t)row * plane->stride, MARK[row], MARK_BYTES);
        }
    }
}

/* All first rows of marks on a line are compared without a branch, for speed: hardly ever is one of them there. */
int ffb_has_mark(const ffb_plane *plane, int step)
{
    uint32_t first;
    memcpy(&first, MARK[0], MARK_BYTES);
    for (int y = MARK_AT; y + MARK_ROWS <= plane->height; y += step) {
        const uint8_t *line = line_at(plane, y);
        int any = 0;
        for (int x = MARK_AT; x + MARK_BYTES <= plane->width; x += step) {
            uint32_t found;
            memcpy(&found, line + (ptrdiff_t)x * plane->bytes_per_value, MARK_BYTES);
            any |= found == first;
        }
        for (int x = MARK_AT; any && x + MARK_BYTES <= plane->width; x += step) {
            const uint8_t *at = line + (ptrdiff_t)x * plane->bytes_per_value;
            int same = 1;
            for (int row = 0; row < MARK_ROWS; row++)
                same &= memcmp(at + (ptrdiff_t)row * plane->stride, MARK[row], MARK_BYTES) == 0;
            if (same)
                return 1;
        }
    }
    return 0;
}
