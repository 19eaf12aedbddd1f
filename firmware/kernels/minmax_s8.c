/* MAXIMUM and MINIMUM with broadcasting; all three tensors share one quantisation. */
#include "dft_broadcast.h"

static void maximum_row(const void *params, const int8_t *a, const int8_t *b, int8_t *out)
{
    const dft_broadcast *p = params;
    for (int8_t *end = out + p->n[3]; out < end; a += p->a[3], b += p->b[3]) {
        *out++ = *a > *b ? *a : *b;
    }
}

static void minimum_row(const void *params, const int8_t *a, const int8_t *b, int8_t *out)
{
    const dft_broadcast *p = params;
    for (int8_t *end = out + p->n[3]; out < end; a += p->a[3], b += p->b[3]) {
        *out++ = *a < *b ? *a : *b;
    }
}

void dft_maximum_s8(const dft_broadcast *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    dft_walk(p, maximum_row, p, a, b, out);
}

void dft_minimum_s8(const dft_broadcast *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    dft_walk(p, minimum_row, p, a, b, out);
}
