/* Depthwise 3x3 over planes, Cortex-M7: what is around depthwise_planes.S. An event of two rows passes twice over a channel
 * with the same weights. Called by the row engine; kernels/depthwise_planes_rows.c is the portable twin. */
#include <stddef.h>

#include "dft_depthwise_planes_m7.h"

_Static_assert(sizeof(dft_depthwise_pass) == PASS_BYTES, "pass");
_Static_assert(offsetof(dft_depthwise_pass, gaps) == PASS_GAPS, "pass");
_Static_assert(offsetof(dft_depthwise_pass, out) == PASS_OUT, "pass");
_Static_assert(offsetof(dft_depthwise_planes, record) == PLANES_RECORD, "planes");
_Static_assert(offsetof(dft_depthwise_planes, table) == PLANES_TABLE, "planes");

/* A row of zero points, for one that lies outside the map. */
static const int8_t *zero_row(const dft_depthwise_rows_params *p, int16_t *to)
{
    for (uint32_t x = 0; x < p->columns; x++) {
        to[x] = p->in_zp;
    }
    return (const int8_t *)to;
}

/* `moved`: bytes by which a channel's outputs advance the rows. */
static void set_pass(const dft_depthwise_rows_params *p, const dft_event *event, uint32_t row, int32_t moved,
                     dft_depthwise_pass *to)
{
    const int8_t *const *in = event->in + row * p->stride_h;
    for (uint32_t k = 0; k < 3u; k++) {
        to->rows[k] = in[k] != 0 ? in[k] : zero_row(p, event->scratch);
        to->gaps[k] = (in[k] != 0 ? 2 * (int32_t)p->columns : 0) - moved;
    }
    to->out = event->out[row];
}

void dft_depthwise_planes_rows(const void *params, const dft_event *event)
{
    const dft_depthwise_rows_params *p = params;
    uint32_t step = 4u * p->stride_w, pairs = p->out_w / 2u, odd = p->out_w & 1u;
    dft_depthwise_planes job;
    for (uint32_t row = 0; row < event->rows; row++) {
        set_pass(p, event, row, (int32_t)(step * (pairs + odd)), &job.passes[row]);
    }
    job.record = p->records;
    job.record_end = p->records + (uint32_t)p->record * p->in_c;
    job.round = 2 * p->out_zp + 1;
    job.tiles = p->tiles;
    job.table = p->table != 0 ? p->table + 128 : 0;
    job.channels = p->in_c;
    job.span = step * pairs;
    job.pairs = pairs;
    job.odd = step * odd;
    job.passes_end = &job.passes[event->rows];
    if (p->kind == DFT_DEPTHWISE_PLANES_S1) {
        dft_depthwise_p1_run(&job);
    } else {
        dft_depthwise_p2_run(&job);
    }
}
