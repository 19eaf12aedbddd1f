/* MUL of maps of one shape, by rows. */
#include "dft_mul_rows.h"

void dft_mul_rows(const void *params, const dft_event *event)
{
    const dft_mul_rows_params *p = params;
    const int8_t *b = dft_second(&p->pair, p->constant, event);
    dft_product_run(&p->product, event->in[0], b, event->out[0], p->pair.runs * p->pair.run);
    dft_fused(&p->pair, p->table, event);
}
