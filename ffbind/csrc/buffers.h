/* Memory of decoded pictures, shared by decoders: what one has done with serves the next.
 *
 * A picture's planes lie in one buffer. Buffers that nobody uses any more are kept, up to a limit; what exceeds it goes back to the
 * system at once. So a decoder that stands still takes memory for the pictures that it refers to and no others, and a new one finds
 * memory that was touched before, which spares a page fault for each 4 KB.
 */
#ifndef FFB_BUFFERS_H
#define FFB_BUFFERS_H

#include <libavcodec/avcodec.h>
#include <stddef.h>
#include <stdint.h>

/* cdef */
typedef struct ffb_buffers ffb_buffers;

/* Returns a store that keeps `limit` bytes of unused buffers at most, or NULL without memory. The caller owns it and frees it with
 * ffb_buffers_close. */
ffb_buffers *ffb_buffers_new(int64_t limit);

/* Gives up the caller's share: no unused buffers are kept any more. Decoders opened with it and pictures that came out of them stay
 * valid. In a child of the process that made it, nothing. */
void ffb_buffers_close(ffb_buffers *buffers);

/* Bytes of all its buffers: those of decoders and pictures, and the unused. */
int64_t ffb_buffers_bytes(ffb_buffers *buffers);
/* end cdef */

/* Takes a share of the store for a decoder, which gives it up by ffb_buffers_release. */
void ffb_buffers_retain(ffb_buffers *buffers);
void ffb_buffers_release(ffb_buffers *buffers);

/* Gives a frame whose size and format are set memory for its planes: AVCodecContext.get_buffer2. May be called from several threads at
 * once. Returns 0 or an AVERROR; the frame owns the buffer. What is in it is undefined. */
int ffb_buffers_get(ffb_buffers *buffers, AVCodecContext *context, AVFrame *frame);

/* Where the first plane of such a frame begins, whatever libavcodec has cropped since. Borrowed from the frame. */
uint8_t *ffb_buffers_first_plane(const AVFrame *frame);

#endif
