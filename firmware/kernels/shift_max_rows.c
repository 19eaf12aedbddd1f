/* Shift-Max by rows, portable: pixel by pixel, in the general form. */
#include "dft_shift_max_rows.h"

void dft_shift_max_rows(const void *params, const dft_event *event)
{
    const dft_shift_max *p = params;
    for (uint32_t r = 0; r < event->rows; r++) {
        const int8_t *pixel = event->in[r];
        int8_t *out = event->out[r];
        for (uint32_t x = 0; x < p->width; x++, pixel += p->in_c) {
            for (uint32_t c = 0; c < p->out_c; c++) {
                *out++ = dft_shift_output(p, event, pixel, c);
            }
        }
    }
}
