/* MEAN over height and width, row after row: sums grow in aux and become the output with the last row. */
#include "dft_mean_rows.h"

#include <stddef.h>
#include <string.h>

#define DFT_COLUMN_MAX 256u

static void take_row(const dft_mean_rows_params *p, const int8_t *in, int32_t *sums)
{
    for (uint32_t left = p->width; left > 0;) {
        uint32_t width = left < DFT_COLUMN_MAX ? left : DFT_COLUMN_MAX;
        dft_column_run(in, sums, width, p->channels);
        in += width * p->channels;
        left -= width;
    }
}

void dft_mean_rows(const void *params, const dft_event *event)
{
    const dft_mean_rows_params *p = params;
    int32_t *sums = event->aux;
    if (event->row == 0) {
        memset(sums, 0, p->channels * sizeof *sums);
    }
    take_row(p, event->in[0], sums);
    if (event->row + 1u == p->height) {
        dft_mean_run(&p->scale, sums, event->out[0], p->channels);
        if (p->table != NULL) {
            dft_table_run(p->table, event->out[0], event->out[0], p->channels);
        }
    }
}
