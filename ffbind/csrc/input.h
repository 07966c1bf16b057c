/* Custom AVIOContext and a demuxer on top of it: bytes from memory, or from a callback, never from a path or a protocol. */
#ifndef FFB_INPUT_H
#define FFB_INPUT_H

#include <libavformat/avformat.h>
#include <stdint.h>

/* cdef */
typedef struct ffb_input ffb_input;

/* Opens an AVIOContext that reads `size` bytes at `data`. No Python, no copy: `data` must outlive the input.
 * Returns NULL without memory. The caller owns the input and closes it with ffb_input_close. */
ffb_input *ffb_input_memory(const uint8_t *data, int64_t size, int buffer_size);

/* The same over ffb_source_read(handle, ...), for an object of `size` bytes. `handle` must outlive the input. */
ffb_input *ffb_input_source(void *handle, int64_t size, int buffer_size);

/* Frees the AVIOContext with its buffer, and the demuxer if one was opened. */
void ffb_input_close(ffb_input *input);

/* The AVERROR that the source's first failure came to, 0 while there was none. libavformat may take it for the end. */
int ffb_input_failure(const ffb_input *input);

/* The AVIOContext, borrowed. */
AVIOContext *ffb_input_io(ffb_input *input);

/* Lets libavformat find out what the bytes are. It can open nothing besides: no protocol, no file that the bytes name.
 * Returns 0 or an AVERROR. */
int ffb_input_demux(ffb_input *input);

/* The demuxer, borrowed; NULL before ffb_input_demux succeeded. */
AVFormatContext *ffb_input_format(ffb_input *input);
const char *ffb_input_format_name(ffb_input *input);
/* end cdef */

/* Defined in Python (ffbind/avio.py): reads up to `size` bytes at `position` into `buffer`, returns how many, or an AVERROR.
 * Called with the GIL held. */
int ffb_source_read(void *handle, int64_t position, uint8_t *buffer, int size);

#endif
