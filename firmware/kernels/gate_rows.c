/* MUL of a map and a vector over its channels, by rows. The vector becomes factors once, with the first row. */
#include "dft_gate_rows.h"

static void make_factors(const dft_gate_rows_params *p, const int8_t *vector, int16_t *factors)
{
    uint32_t channels = p->pair.run;
    for (uint32_t i = 0; i < p->period; i += channels) {
        for (uint32_t c = 0; c < channels; c++) {
            *factors++ = (int16_t)(2 * (vector[c] - p->product.zp_b));
        }
    }
}

void dft_gate_rows(const void *params, const dft_event *event)
{
    const dft_gate_rows_params *p = params;
    if (event->row == 0) {
        make_factors(p, dft_second(&p->pair, p->constant, event), event->aux);
    }
    uint32_t n = p->pair.runs * p->pair.run;
    dft_gate_run(&p->product, event->in[0], event->aux, event->out[0], n, p->period);
    dft_fused(&p->pair, p->table, event);
}
