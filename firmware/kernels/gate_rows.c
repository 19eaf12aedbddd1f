/* MUL of a map and a vector over its channels, by rows. The vector becomes factors first, for as many pixels as make
 * a multiple of 8 channels. */
#include "dft_gate_rows.h"

void dft_gate_rows(const void *params, const dft_event *event)
{
    const dft_gate_rows_params *p = params;
    const int8_t *vector = dft_second(&p->pair, p->constant, event);
    int16_t *factors = event->scratch;
    for (uint32_t i = 0; i < p->period; i += p->pair.run) {
        dft_factor_run(vector, p->product.zp_b, factors + i, p->pair.run);
    }
    uint32_t n = p->pair.runs * p->pair.run;
    dft_gate_run(&p->product, event->in[0], factors, event->out[0], n, p->period);
    dft_fused(&p->pair, p->table, event);
}
