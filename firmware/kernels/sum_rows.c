/* ADD and SUB by rows: maps of one shape, or a map and a vector over its channels. */
#include "dft_sum_rows.h"

void dft_sum_rows(const void *params, const dft_event *event)
{
    const dft_sum_rows_params *p = params;
    const int8_t *a = event->in[0], *b = dft_second(&p->pair, p->constant, event);
    int8_t *out = event->out[0];
    for (uint32_t i = p->pair.runs; i > 0; i--, a += p->pair.run, b += p->pair.step, out += p->pair.run) {
        dft_plane_run(&p->plane, a, b, out, p->pair.run);
    }
    dft_fused(&p->pair, p->table, event);
}
