#include "buffers.h"

#include <libavutil/imgutils.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

enum {
    ALIGNMENT = 64,             /* of each plane: the longest vectors of libavcodec */
    PADDING = 2 * ALIGNMENT,    /* behind each plane, which libavcodec may read beyond its end */
    HUGE_PAGE = 2 * 1024 * 1024 /* what is larger starts at a multiple of it, so that the system can map much of it at once */
};

/* Stands in front of the planes, in their buffer. */
typedef struct buffer {
    ffb_buffers *owner;  /* holds a share of it while it is in use */
    struct buffer *next; /* of the unused */
    size_t size;         /* of all */
} buffer;

struct ffb_buffers {
    pthread_mutex_t lock;
    pid_t process;       /* that made it */
    buffer *unused;      /* the last one that came back is the first; owned */
    int64_t unused_bytes;
    int64_t bytes;       /* of all buffers */
    int64_t limit;       /* of unused_bytes */
    int64_t shares;      /* the maker's, those of decoders, and one for each buffer in use */
};

_Static_assert(sizeof(buffer) <= ALIGNMENT, "the first plane is aligned");

/* ------------------------------------------------------------------------------------------------------------------
 * Memory of the system
 * ---------------------------------------------------------------------------------------------------------------- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif

#ifdef SANITIZED /* which watches over the ends of what malloc gives, and of nothing else */
static buffer *map(size_t size)
{
    void *start = NULL;
    if (posix_memalign(&start, ALIGNMENT, size) != 0)
        return NULL;
    buffer *mapped = start;
    mapped->size = size;
    return mapped;
}

static void unmap(buffer *mapped)
{
    free(mapped);
}
#else
/* Maps pages, which come back to the system as soon as they are freed: malloc would keep some of them. Returns NULL without memory. */
static buffer *map(size_t size)
{
    const size_t spare = size >= HUGE_PAGE ? HUGE_PAGE : 0;
    uint8_t *start = mmap(NULL, size + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    if (spare) {
        const size_t in_front = (HUGE_PAGE - ((uintptr_t)start & (HUGE_PAGE - 1))) & (HUGE_PAGE - 1);
        if (in_front > 0)
            munmap(start, in_front);
        start += in_front;
        if (spare > in_front)
            munmap(start + size, spare - in_front);
#ifdef MADV_HUGEPAGE
        madvise(start, size, MADV_HUGEPAGE);
#endif
    }
    buffer *mapped = (buffer *)(void *)start;
    mapped->size = size;
    return mapped;
}

static void unmap(buffer *mapped)
{
    munmap(mapped, mapped->size);
}
#endif

static size_t whole_pages(size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The store
 * ---------------------------------------------------------------------------------------------------------------- */

/* Takes unused buffers beyond `limit` out of the store, with the lock held: those unused for longest. Returns them. */
static buffer *take_beyond(ffb_buffers *buffers, int64_t limit)
{
    int64_t kept = 0;
    buffer **place = &buffers->unused;
    while (*place && kept + (int64_t)(*place)->size <= limit) {
        kept += (int64_t)(*place)->size;
        place = &(*place)->next;
    }
    buffer *gone = *place;
    *place = NULL;
    buffers->bytes -= buffers->unused_bytes - kept;
    buffers->unused_bytes = kept;
    return gone;
}

static void unmap_all(buffer *first)
{
    while (first) {
        buffer *next = first->next;
        unmap(first);
        first = next;
    }
}

ffb_buffers *ffb_buffers_new(int64_t limit)
{
    ffb_buffers *buffers = calloc(1, sizeof *buffers);
    if (!buffers)
        return NULL;
    if (pthread_mutex_init(&buffers->lock, NULL) != 0) {
        free(buffers);
        return NULL;
    }
    buffers->process = getpid();
    buffers->limit = limit;
    buffers->shares = 1;
    return buffers;
}

void ffb_buffers_retain(ffb_buffers *buffers)
{
    pthread_mutex_lock(&buffers->lock);
    buffers->shares++;
    pthread_mutex_unlock(&buffers->lock);
}

void ffb_buffers_release(ffb_buffers *buffers)
{
    pthread_mutex_lock(&buffers->lock);
    const int is_last = --buffers->shares == 0;
    pthread_mutex_unlock(&buffers->lock);
    if (!is_last)
        return;
    unmap_all(buffers->unused);
    pthread_mutex_destroy(&buffers->lock);
    free(buffers);
}

void ffb_buffers_close(ffb_buffers *buffers)
{
    /* A child of the process may have got the lock held by a thread that it does not have. */
    if (!buffers || buffers->process != getpid())
        return;
    pthread_mutex_lock(&buffers->lock);
    buffers->limit = 0;
    buffer *gone = take_beyond(buffers, 0);
    pthread_mutex_unlock(&buffers->lock);
    unmap_all(gone);
    ffb_buffers_release(buffers);
}

int64_t ffb_buffers_bytes(ffb_buffers *buffers)
{
    pthread_mutex_lock(&buffers->lock);
    const int64_t bytes = buffers->bytes;
    pthread_mutex_unlock(&buffers->lock);
    return bytes;
}

/* Takes an unused buffer of this size, or maps one. Returns NULL without memory. */
static buffer *take(ffb_buffers *buffers, size_t size)
{
    pthread_mutex_lock(&buffers->lock);
    buffer **place = &buffers->unused;
    while (*place && (*place)->size != size)
        place = &(*place)->next;
    buffer *taken = *place;
    if (taken) {
        *place = taken->next;
        buffers->unused_bytes -= (int64_t)size;
        buffers->shares++;
    }
    pthread_mutex_unlock(&buffers->lock);
    if (taken)
        return taken;
    taken = map(size);
    if (!taken)
        return NULL;
    taken->owner = buffers;
    pthread_mutex_lock(&buffers->lock);
    buffers->bytes += (int64_t)size;
    buffers->shares++;
    pthread_mutex_unlock(&buffers->lock);
    return taken;
}

/* Gives a buffer back: AVBuffer's `free`. */
static void give_back(void *opaque, uint8_t *data)
{
    buffer *returned = opaque;
    ffb_buffers *buffers = returned->owner;
    (void)data;
    if (buffers->process != getpid()) { /* this process's copy, as long as nobody takes the lock */
        unmap(returned);
        return;
    }
    pthread_mutex_lock(&buffers->lock);
    returned->next = buffers->unused;
    buffers->unused = returned;
    buffers->unused_bytes += (int64_t)returned->size;
    buffer *gone = buffers->unused_bytes > buffers->limit ? take_beyond(buffers, buffers->limit) : NULL;
    pthread_mutex_unlock(&buffers->lock);
    unmap_all(gone);
    ffb_buffers_release(buffers);
}

int ffb_buffers_get(ffb_buffers *buffers, AVCodecContext *context, AVFrame *frame)
{
    int width = frame->width, height = frame->height;
    int alignments[AV_NUM_DATA_POINTERS];
    int lines[4];
    ptrdiff_t steps[4];
    size_t sizes[4];
    avcodec_align_dimensions2(context, &width, &height, alignments);
    int result = av_image_fill_linesizes(lines, frame->format, width);
    if (result < 0)
        return result;
    for (int i = 0; i < 4; i++) {
        const int alignment = alignments[i] > ALIGNMENT ? alignments[i] : ALIGNMENT;
        if (lines[i] > INT32_MAX - alignment)
            return AVERROR(EINVAL);
        steps[i] = lines[i] = (lines[i] + alignment - 1) / alignment * alignment;
    }
    result = av_image_fill_plane_sizes(sizes, frame->format, height, steps);
    if (result < 0)
        return result;
    size_t offsets[4], total = ALIGNMENT;
    for (int i = 0; i < 4; i++) {
        offsets[i] = total;
        if (sizes[i] > SIZE_MAX / 8)
            return AVERROR(EINVAL);
        if (sizes[i] > 0)
            total += (sizes[i] + PADDING + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    total = whole_pages(total);
    buffer *taken = take(buffers, total);
    if (!taken)
        return AVERROR(ENOMEM);
    frame->buf[0] = av_buffer_create((uint8_t *)taken, total, give_back, taken, 0);
    if (!frame->buf[0]) {
        give_back(taken, NULL);
        return AVERROR(ENOMEM);
    }
    for (int i = 0; i < 4 && sizes[i] > 0; i++) {
        frame->data[i] = (uint8_t *)taken + offsets[i];
        frame->linesize[i] = lines[i];
    }
    frame->extended_data = frame->data;
    return 0;
}

uint8_t *ffb_buffers_first_plane(const AVFrame *frame)
{
    return frame->buf[0]->data + ALIGNMENT;
}
