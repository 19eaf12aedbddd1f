/* CONV_2D of one pixel a row, by rows. Called by the row engine. */
#include "dft_matvec_window_rows.h"

#include <string.h>

/* The vector lies in the upper half of the scratch memory: the M7's dft_matvec_rows reads four bytes of it before it writes
 * eight, so it may write from the lower half on. */
void dft_matvec_window_rows(const void *params, const dft_event *event)
{
    const dft_matvec_rows_params *p = params;
    uint32_t n = p->in_n / p->window;
    int8_t *x = (int8_t *)event->scratch + (p->in_n + 3u) / 4u * 4u, *to = x;
    for (uint32_t k = 0; k < p->window; k++, to += n) {
        if (event->in[k] == 0) {
            memset(to, p->in_zp, n);
        } else {
            memcpy(to, event->in[k], n);
        }
    }
    dft_event vector;
    vector.in[0] = x;
    vector.out[0] = event->out[0];
    vector.scratch = event->scratch;
    dft_matvec_rows(p, &vector);
}
