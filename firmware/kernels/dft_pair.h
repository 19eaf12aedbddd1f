/* Rows of operators with two operands: how the second one lies. Private to kernels/. */
#ifndef DFT_PAIR_H
#define DFT_PAIR_H

#include <stddef.h>

#include "dft_rows.h"
#include "dft_runs.h"

/* A row is `runs` runs of `run` bytes of the first operand; the second operand moves on by `step` bytes a run: `run`
 * where it is a row of the same shape, 0 where it is a vector over channels and a run is a pixel. */
typedef struct dft_pair {
    uint32_t runs, run, step;
    uint32_t constant_step; /* a constant operand moves on by as much a row */
} dft_pair;

/* The second operand of this event: a constant or what the engine gives. */
static inline const int8_t *dft_second(const dft_pair *pair, const int8_t *constant, const dft_event *event)
{
    return constant == NULL ? event->in2 : constant + event->row * pair->constant_step;
}

/* The function fused behind an operator, where there is one. */
static inline void dft_fused(const dft_pair *pair, const int8_t *table, const dft_event *event)
{
    if (table != NULL) {
        dft_table_run(table, event->out[0], event->out[0], pair->runs * pair->run);
    }
}

#endif
