/* Engine: int8 in, int8 out. It neither prints, allocates nor reads a clock; memory is lent by the caller.
 * Exactly one engine is linked, as `dft_the_engine`. Called by main.c and app.c only. */
#ifndef DFT_ENGINE_H
#define DFT_ENGINE_H

#include <stdint.h>

#include "dft/status.h"

/* A piece of memory lent to the engine; the name is the region's name in spec/targets. */
typedef struct dft_region {
    const char *name;
    uint8_t *base;
    uint32_t bytes;
} dft_region;

typedef struct dft_region_need {
    const char *name;
    uint32_t bytes;
    uint32_t align;
} dft_region_need;

/* An int8 tensor at an edge of the engine, in memory that the engine was lent. */
typedef struct dft_tensor {
    int8_t *data;
    uint32_t bytes;
} dft_tensor;

/* Called after each operator when set (op = index in the model); used to take ticks per operator. */
typedef void (*dft_op_hook)(uint32_t op);

/* Writes `bytes` of input row `row` to `to`; rows are asked for once each, in order, but for rows at the end that no
 * window covers. For engines generated to take their input row by row, whose `open` gives an input without data. */
typedef void (*dft_row_reader)(void *context, uint32_t row, int8_t *to, uint32_t bytes);

/* Called with each row of an operator's output when it is complete. */
typedef void (*dft_probe)(uint32_t op, uint32_t row, const int8_t *bytes);

typedef struct dft_engine {
    const char *name;              /* "aot", "echo", … at most 15 characters */
    const uint8_t *bundle_digest;  /* 32 bytes */
    const dft_region_need *needs;
    uint32_t needs_n;
    uint32_t ops_n;
    dft_status (*open)(const dft_region *regions, uint32_t n, dft_tensor *in, dft_tensor *out);
    dft_status (*invoke)(void);
    uint32_t (*memory_used)(void); /* bytes of the lent regions in use */
    void (*set_hook)(dft_op_hook hook);
    void (*set_reader)(dft_row_reader reader, void *context); /* null: the input is written before invoke */
    void (*set_probe)(dft_probe probe); /* null where nothing shows its rows */
} dft_engine;

extern const dft_engine dft_the_engine;

#endif
