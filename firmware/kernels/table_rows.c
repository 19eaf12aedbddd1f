/* RELU, HARD_SWISH, LOGISTIC, QUANTIZE and whatever else maps one value to one value. */
#include "dft_table_rows.h"

#include "dft_runs.h"

void dft_table_rows(const void *params, const dft_event *event)
{
    const dft_table_rows_params *p = params;
    dft_table_run(p->table, event->in[0], event->out[0], p->n);
}
