/* Memory of one call: taken piece by piece, given back all at once when the host has read the answer. It holds what the
 * host passes in, what the metric allocates and what goes back, and knows nothing of any of them.
 */
#ifndef TIDEMARK_MEMORY_H
#define TIDEMARK_MEMORY_H

#include "each.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct tm_chunk {
    struct tm_chunk *before;
    size_t size;
} tm_chunk;

/* The chunk in use and what is free of it; the size of all chunks of this call, and of the last one with several. */
static struct {
    tm_chunk *chunk;
    char *next, *end;
    size_t total, wanted;
} tm_memory;

#define TM_LEAST_CHUNK 65536

TM_COLD_FUNCTION void tm_add_chunk(size_t least) {
    /* As much again as there is, so that a call of any size needs few chunks, and the next one of its size just one. */
    size_t size = least + sizeof(tm_chunk) + 16;
    if (size < tm_memory.total) size = tm_memory.total;
    if (size < tm_memory.wanted) size = tm_memory.wanted;
    if (size < TM_LEAST_CHUNK) size = TM_LEAST_CHUNK;
    tm_chunk *chunk = malloc(size);
    /* The host takes a trap for a call that was too large, and splits it. */
    if (chunk == NULL) __builtin_trap();
    *chunk = (tm_chunk){.before = tm_memory.chunk, .size = size};
    tm_memory.chunk = chunk;
    tm_memory.next = (char *)(chunk + 1);
    tm_memory.end = (char *)chunk + size;
    tm_memory.total += size;
}

/* `bytes` of memory that live until the end of the call; not initialised. `alignment` is a power of two up to 16. */
TM_FUNCTION void *tm_allocate(size_t bytes, size_t alignment) {
    char *start = (char *)(((uintptr_t)tm_memory.next + alignment - 1) & ~(uintptr_t)(alignment - 1));
    if (tm_memory.next == NULL || start > tm_memory.end || bytes > (size_t)(tm_memory.end - start)) {
        if (bytes > SIZE_MAX / 4) __builtin_trap();
        tm_add_chunk(bytes);
        start = (char *)(((uintptr_t)tm_memory.next + alignment - 1) & ~(uintptr_t)(alignment - 1));
    }
    tm_memory.next = start + bytes;
    return start;
}

/* The memory at `old` with room for `bytes`: the same place if nothing was allocated since, a copy otherwise. */
TM_FUNCTION void *tm_grow(void *old, size_t old_bytes, size_t bytes, size_t alignment) {
    if (old_bytes != 0 && (char *)old + old_bytes == tm_memory.next && bytes >= old_bytes
        && bytes - old_bytes <= (size_t)(tm_memory.end - tm_memory.next)) {
        tm_memory.next += bytes - old_bytes;
        return old;
    }
    void *grown = tm_allocate(bytes, alignment);
    if (old_bytes != 0) memcpy(grown, old, old_bytes < bytes ? old_bytes : bytes);
    return grown;
}

/* Ends the call. What one chunk was enough for keeps it. */
TM_COLD_FUNCTION void tm_free_all(void) {
    if (tm_memory.chunk != NULL && tm_memory.chunk->before == NULL) {
        tm_memory.next = (char *)(tm_memory.chunk + 1);
        return;
    }
    while (tm_memory.chunk != NULL) {
        tm_chunk *before = tm_memory.chunk->before;
        free(tm_memory.chunk);
        tm_memory.chunk = before;
    }
    tm_memory.next = tm_memory.end = NULL;
    tm_memory.wanted = tm_memory.total;
    tm_memory.total = 0;
}

/* Bytes that grow at the end. */
typedef struct {
    char *bytes;
    size_t length, capacity;
} tm_buffer;

TM_COLD_FUNCTION void tm_grow_buffer(tm_buffer *buffer, size_t bytes) {
    size_t capacity = buffer->capacity * 2 + bytes + 64;
    buffer->bytes = tm_grow(buffer->bytes, buffer->capacity, capacity, 8);
    buffer->capacity = capacity;
}

/* Room for `bytes` more at the end of `buffer`, which counts them as written. */
TM_FUNCTION void *tm_extend(tm_buffer *buffer, size_t bytes) {
    if (bytes > buffer->capacity - buffer->length) tm_grow_buffer(buffer, bytes);
    buffer->length += bytes;
    return buffer->bytes + buffer->length - bytes;
}

TM_FUNCTION void tm_append(tm_buffer *buffer, const void *bytes, size_t length) {
    if (length != 0) memcpy(tm_extend(buffer, length), bytes, length);
}

#endif
