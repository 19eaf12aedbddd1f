/* MAXIMUM and MINIMUM by rows; all three tensors share one quantisation. */
#include "dft_minimum_rows.h"

typedef void extremum_run(const int8_t *a, const int8_t *b, int8_t *out, uint32_t n);

static inline void rows(const dft_extremum_rows_params *p, const dft_event *event, extremum_run *run)
{
    const int8_t *a = event->in[0], *b = dft_second(&p->pair, p->constant, event);
    int8_t *out = event->out[0];
    for (uint32_t i = p->pair.runs; i > 0; i--, a += p->pair.run, b += p->pair.step, out += p->pair.run) {
        run(a, b, out, p->pair.run);
    }
    dft_fused(&p->pair, p->table, event);
}

void dft_maximum_rows(const void *params, const dft_event *event)
{
    rows(params, event, dft_maximum_run);
}

void dft_minimum_rows(const void *params, const dft_event *event)
{
    rows(params, event, dft_minimum_run);
}
