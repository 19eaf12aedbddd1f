/* The three outer loops of an elementwise operator with broadcasting: `row` does the innermost dimension.
 * Private to kernels/. */
#ifndef DFT_BROADCAST_H
#define DFT_BROADCAST_H

#include "dft_kernels.h"

typedef void (*dft_row)(const void *params, const int8_t *a, const int8_t *b, int8_t *out);

static inline void dft_walk(const dft_broadcast *s, dft_row row, const void *params, const int8_t *a,
                            const int8_t *b, int8_t *out)
{
    for (uint32_t i = 0; i < s->n[0]; i++, a += s->a[0], b += s->b[0]) {
        const int8_t *aj = a, *bj = b;
        for (uint32_t j = 0; j < s->n[1]; j++, aj += s->a[1], bj += s->b[1]) {
            const int8_t *ak = aj, *bk = bj;
            for (uint32_t k = 0; k < s->n[2]; k++, ak += s->a[2], bk += s->b[2], out += s->n[3]) {
                row(params, ak, bk, out);
            }
        }
    }
}

#endif
