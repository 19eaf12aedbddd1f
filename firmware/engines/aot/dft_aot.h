/* What every generated model shares: taking the lent regions, the state between calls, the op hook.
 * Called by the generated dft_model.c only. */
#ifndef DFT_AOT_H
#define DFT_AOT_H

#include <stdint.h>

#include "dft/engine.h"
#include "dft_rows.h"

#define DFT_AOT_REGIONS_MAX 4u
#define DFT_NO_REGION 0xFFu /* an input that is taken row by row lies nowhere */

/* A tensor's place: index into `needs`, offset in that region. */
typedef struct dft_aot_place {
    uint32_t region;
    uint32_t offset;
    uint32_t bytes;
} dft_aot_place;

typedef struct dft_aot_model {
    const dft_region_need *needs;
    uint32_t needs_n; /* at most DFT_AOT_REGIONS_MAX */
    dft_aot_place in;
    dft_aot_place out;
    void (*run)(int8_t *const *base); /* base[i]: start of the region for needs[i] */
} dft_aot_model;

/* Finds every needed region by name; DFT_ERR_REGION when one is missing, too small or misaligned. */
dft_status dft_aot_open(const dft_aot_model *model, const dft_region *regions, uint32_t n, dft_tensor *in,
                        dft_tensor *out);
dft_status dft_aot_invoke(void);
uint32_t dft_aot_memory_used(void);
void dft_aot_set_hook(dft_op_hook hook);
void dft_aot_set_probe(dft_probe probe);
/* Called by generated code behind every operator. */
void dft_aot_done(uint32_t op);
/* Called by dft_run.c with each row that is complete, while somebody wants to see them. */
extern dft_probe dft_aot_probe;

/* An input taken row by row: asks the reader set by dft_aot_set_reader for one row. A row kernel. */
typedef struct dft_input_rows {
    uint32_t row_bytes;
} dft_input_rows;
dft_row_kernel dft_aot_input_row;
void dft_aot_set_reader(dft_row_reader reader, void *context);

#endif
