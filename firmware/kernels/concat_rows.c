/* CONCATENATION of two maps, by rows. */
#include "dft_concat_rows.h"

#include <stddef.h>
#include <string.h>

#include "dft_runs.h"

/* The first operand may lie at the end of the output: then its pixels move towards the start, or not at all. */
static void move(int8_t *to, const int8_t *from, uint32_t n)
{
    if (to <= from && from < to + n) {
        memmove(to, from, n);
    } else {
        memcpy(to, from, n);
    }
}

void dft_concat_rows(const void *params, const dft_event *event)
{
    const dft_concat_rows_params *p = params;
    const int8_t *a = event->in[0], *b = event->in2;
    int8_t *out = event->out[0];
    for (uint32_t i = p->runs; i > 0; i--, a += p->run_a, b += p->run_b) {
        move(out, a, p->run_a);
        memcpy(out + p->run_a, b, p->run_b);
        out += p->run_a + p->run_b;
    }
    if (p->table != NULL) {
        dft_table_run(p->table, event->out[0], event->out[0], p->runs * (p->run_a + p->run_b));
    }
}
