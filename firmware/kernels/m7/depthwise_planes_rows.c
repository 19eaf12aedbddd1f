/* Depthwise 3x3 over planes, Cortex-M7: what is around depthwise_planes.S. Four channels at a time; their results are
 * collected in the scratch memory. Called by the row engine; kernels/depthwise_planes_rows.c is the portable twin. */
#include <stddef.h>

#include "dft_depthwise_m7.h"
#include "dft_depthwise_planes_rows.h"

_Static_assert(offsetof(dft_depthwise_quad, step) == 112, "quad");
_Static_assert(offsetof(dft_depthwise_quad, turned) == 116, "quad");

#define DFT_NOINLINE __attribute__((noinline)) /* smaller, and called for the last channels only */
#define LANES 4u
#define COLUMN 8u /* bytes, and of results below it */

const dft_depthwise_method dft_depthwise_method_p1 = {
    .run = dft_depthwise_p1_run, .store = dft_depthwise_p1_store, .outputs = 2, .tile = 16, .results = 8};
const dft_depthwise_method dft_depthwise_method_p2 = {
    .run = dft_depthwise_p2_run, .store = dft_depthwise_p2_store, .outputs = 4, .tile = 64, .results = 16};

/* Zero points in a row that lies outside of the map. */
static void fill_row(int16_t *to, int16_t value, uint32_t n)
{
    for (const int16_t *end = to + 4u * n; to != end; to += 4) {
        *to = value;
    }
}

/* The planes, in which no row is missing any more. */
static int8_t *planes_of(const dft_depthwise_rows_params *p, const dft_event *event)
{
    uint32_t first = event->row * p->stride_h, n = 3u + (event->rows - 1u) * p->stride_h;
    /* The pointers to rows of the map are equal, and one of the first output row's is such. */
    uintptr_t found = (uintptr_t)event->in[0] | (uintptr_t)event->in[1] | (uintptr_t)event->in[2];
    int8_t *planes = (int8_t *)found; /* to be read, but for rows that nobody has written */
    for (uint32_t k = 0; k < n; k++) {
        if (event->in[k] == 0) {
            fill_row((int16_t *)planes + ((first + k) & 3u), p->in_zp, (uint32_t)p->in_c * p->columns);
        }
    }
    return planes;
}

/* Results of fewer channels than a word has bytes. */
static DFT_NOINLINE void store_some(const dft_depthwise_quad *q, uint32_t rows, uint32_t column, uint32_t lanes)
{
    for (uint32_t row = 0; row < rows; row++) {
        const uint8_t *from = q->results + 4u * row;
        int8_t *to = q->out[row] + q->out_channel;
        for (uint32_t x = 0; x < q->out_w; x++, from += column, to += q->out_channels) {
            for (uint32_t lane = lanes; lane-- > 0;) {
                to[lane] = (int8_t)from[lane];
            }
        }
    }
}

static void set_quad(const dft_depthwise_rows_params *p, const dft_event *event, dft_depthwise_quad *q)
{
    q->out_channels = p->in_c;
    q->out_channel = 0;
    q->out_w = p->out_w;
    q->out[0] = event->out[0];
    q->out[1] = event->out[event->rows > 1u ? 1 : 0];
    q->table = p->table != 0 ? p->table + 128 : 0;
    q->record = p->records;
    q->round = 2 * p->out_zp + 1;
    q->tiles = p->tiles - p->first_tile; /* by shift - 1 */
    q->results = event->scratch;
    q->step = COLUMN * p->columns;
    q->turned = event->row * p->stride_h & 2u;
    q->plane = (uint8_t *)planes_of(p, event);
}

void dft_depthwise_planes_rows(const void *params, const dft_event *event)
{
    const dft_depthwise_rows_params *p = params;
    dft_depthwise_quad q;
    const dft_depthwise_method *m = p->method;
    uint32_t tile = m->tile, under = (p->out_w + m->outputs - 1u) / m->outputs * tile;
    set_quad(p, event, &q);
    for (uint32_t left = p->in_c, lanes; left > 0; left -= lanes, q.out_channel += lanes) {
        lanes = left < LANES ? left : LANES;
        q.plane_end = q.plane + lanes * q.step;
        q.end = (uint32_t)(uintptr_t)q.plane + under;
        q.result = (int32_t)((uint32_t)(uintptr_t)q.results - (uint32_t)(uintptr_t)q.plane - tile);
        m->run(&q);
        q.plane = q.plane_end;
        if (lanes == LANES) {
            m->store(&q);
        } else {
            store_some(&q, event->rows, m->results, lanes);
        }
    }
}
