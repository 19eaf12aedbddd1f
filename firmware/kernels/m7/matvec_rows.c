/* Matrix by vector, by rows, for Cortex-M7: the vector is widened once, then all channels go over it in fours. Called
 * by the row engine; kernels/matvec_rows.c is the portable twin. */
#include <stddef.h>

#include "dft_matvec_m7.h"
#include "dft_matvec_rows.h"

_Static_assert(offsetof(dft_matvec_job, records) == JOB_RECORDS, "job");
_Static_assert(offsetof(dft_matvec_job, x) == JOB_X, "job");
_Static_assert(offsetof(dft_matvec_job, end) == JOB_END, "job");
_Static_assert(offsetof(dft_matvec_job, odd) == JOB_ODD, "job");
_Static_assert(offsetof(dft_matvec_job, out) == JOB_OUT, "job");
_Static_assert(offsetof(dft_matvec_job, round) == JOB_ROUND, "job");
_Static_assert(offsetof(dft_matvec_job, table) == JOB_TABLE, "job");
_Static_assert(offsetof(dft_matvec_job, count) == JOB_COUNT, "job");

/* Quads of x; the bytes behind the last one are zeros, not what lies behind the row. */
static void widen(int32_t *to, const int8_t *x, uint32_t n)
{
    uint32_t whole = n / 4u;
    if (whole > 0) {
        dft_matvec_widen(to, x, whole);
    }
    if (n % 4u != 0) {
        int8_t rest[4] = {0};
        for (uint32_t i = 0; i < n % 4u; i++) {
            rest[i] = x[whole * 4u + i];
        }
        dft_matvec_widen(to + whole * 2u, rest, 1);
    }
}

void dft_matvec_rows(const void *params, const dft_event *event)
{
    const dft_matvec_rows_params *p = params;
    uint32_t quads = (p->in_n + 3u) / 4u;
    int32_t *x = event->scratch;
    for (uint32_t vector = 0; vector < p->vectors; vector++) {
        dft_matvec_job job = {
            .weights = p->weights,
            .records = p->records,
            .x = x,
            .end = x + 2u * quads,
            .odd = quads & 1u,
            .out = event->out[0] + vector * p->out_n,
            .round = p->round,
            .table = p->table == 0 ? 0 : p->table + 128,
            .count = p->out_n / 4u,
        };
        widen(x, event->in[0] + vector * p->in_n, p->in_n);
        if (job.count > 0) {
            dft_matvec_run(&job);
        }
        if (p->out_n % 4u != 0) {
            int8_t rest[4], *out = job.out;
            job.out = rest;
            job.count = 1;
            dft_matvec_run(&job);
            for (uint32_t i = 0; i < p->out_n % 4u; i++) {
                out[i] = rest[i];
            }
        }
    }
}
