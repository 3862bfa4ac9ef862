/* The functions of the contract as a core module exports them, by the canonical ABI. Only in WebAssembly.
 *
 * The world is in a custom section, as wit-bindgen leaves it, so that `wasm-tools component new` and everything else
 * that makes components knows what these exports mean.
 */
#ifndef TIDEMARK_EXPORTS_H
#define TIDEMARK_EXPORTS_H
#ifdef __wasm__

#include "component_type.h"
#include "module.h"

#define TM_EXPORT(name) __attribute__((export_name(name)))
#define TM_EXPORT_FUNCTION(name) TM_EXPORT("tidemark:metric/metric@1.0.0#" name)
#define TM_EXPORT_DONE(name) TM_EXPORT("cabi_post_tidemark:metric/metric@1.0.0#" name)

/* The host asks for memory here before it passes something in. */
TM_EXPORT("cabi_realloc") void *tm_realloc(void *old, size_t old_size, size_t alignment, size_t size) {
    return tm_grow(old, old_size, size, alignment);
}

static tm_folded *tm_answer(tm_folded folded) {
    tm_folded *answer = tm_allocate(sizeof folded, 8);
    *answer = folded;
    return answer;
}

TM_EXPORT_FUNCTION("describe") tm_text *tm_export_describe(void) {
    tm_description metric = tm_description_of_metric();
    tm_text *answer = tm_allocate(sizeof *answer, 8);
    *answer = tm_describe(&metric);
    return answer;
}

/* result<_, string> */
typedef struct {
    uint8_t is_error;
    tm_text error;
} tm_configure_result;

TM_EXPORT_FUNCTION("configure") tm_configure_result *tm_export_configure(const char *json, size_t length) {
    const char *mistake = tm_configure((tm_text){json, length});
    tm_configure_result *answer = tm_allocate(sizeof *answer, 8);
    *answer = (tm_configure_result){0};
    if (mistake != NULL) *answer = (tm_configure_result){1, tm_text_of(mistake)};
    return answer;
}

TM_EXPORT_FUNCTION("update") tm_folded *tm_export_update(const tm_batch *batch) {
    return tm_answer(tm_handle(batch, TM_UPDATE));
}

typedef struct {
    tm_batch batch;
    uint8_t reason;
} tm_close_arguments;

TM_EXPORT_FUNCTION("close") tm_folded *tm_export_close(const tm_close_arguments *arguments) {
    return tm_answer(tm_handle(&arguments->batch, arguments->reason));
}

/* Byte strings, flattened. */
#define TM_FLAT(name) uint32_t *name##_ends, size_t name##_count, char *name##_bytes, size_t name##_length
#define TM_UNFLATTENED(name) \
    &(tm_byte_strings) { \
        {name##_ends, name##_count}, {name##_bytes, name##_length} \
    }

TM_EXPORT_FUNCTION("merge") tm_folded *tm_export_merge(TM_FLAT(left), TM_FLAT(right)) {
    return tm_answer(tm_merge(TM_UNFLATTENED(left), TM_UNFLATTENED(right)));
}

TM_EXPORT_FUNCTION("migrate") tm_folded *tm_export_migrate(TM_FLAT(states), uint32_t version) {
    return tm_answer(tm_migrate(TM_UNFLATTENED(states), version));
}

/* The host has read an answer. */
TM_EXPORT_DONE("describe") void tm_done_describe(const void *answer) { (void)answer, tm_free_all(); }
TM_EXPORT_DONE("configure") void tm_done_configure(const void *answer) { (void)answer, tm_free_all(); }
TM_EXPORT_DONE("update") void tm_done_update(const void *answer) { (void)answer, tm_free_all(); }
TM_EXPORT_DONE("close") void tm_done_close(const void *answer) { (void)answer, tm_free_all(); }
TM_EXPORT_DONE("merge") void tm_done_merge(const void *answer) { (void)answer, tm_free_all(); }
TM_EXPORT_DONE("migrate") void tm_done_migrate(const void *answer) { (void)answer, tm_free_all(); }

/* What printf and its kin would ask the host for, so that snprintf can be used and a module still imports nothing:
 * output goes nowhere. Other functions of the C library that need a system, such as time(), remain imports, and are
 * refused. */
int32_t __imported_wasi_snapshot_preview1_fd_close(int32_t file) { return (void)file, 0; }

int32_t __imported_wasi_snapshot_preview1_fd_seek(int32_t file, int64_t offset, int32_t whence, int32_t result) {
    return (void)file, (void)offset, (void)whence, (void)result, 8; /* not a file */
}

int32_t __imported_wasi_snapshot_preview1_fd_write(int32_t file, int32_t parts, int32_t count, int32_t result) {
    return (void)file, (void)parts, (void)count, (void)result, 8;
}

#endif
#endif
