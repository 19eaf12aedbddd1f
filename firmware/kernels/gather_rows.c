/* GATHER by rows: channels of each pixel, or pixels of the row, in another order. */
#include "dft_gather_rows.h"

#include <stddef.h>
#include <string.h>

#include "dft_runs.h"

void dft_gather_rows(const void *params, const dft_event *event)
{
    const dft_gather_rows_params *p = params;
    const int8_t *in = event->in[0];
    int8_t *out = event->out[0];
    for (uint32_t i = p->runs; i > 0; i--, in += p->run, out += p->count * p->piece) {
        if (p->piece == 1u) {
            dft_gather_run(p->indices, in, out, p->count);
            continue;
        }
        for (uint32_t k = 0; k < p->count; k++) {
            memcpy(out + k * p->piece, in + p->indices[k] * p->piece, p->piece);
        }
    }
    if (p->table != NULL) {
        dft_table_run(p->table, event->out[0], event->out[0], p->runs * p->count * p->piece);
    }
}
