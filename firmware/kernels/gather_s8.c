/* GATHER along one dimension with constant indices. */
#include <string.h>

#include "dft_kernels.h"

void dft_gather_s8(const dft_gather *p, const int8_t *in, int8_t *out)
{
    for (uint32_t o = 0; o < p->outer; o++, in += p->axis_n * p->inner) {
        for (uint32_t i = 0; i < p->count; i++, out += p->inner) {
            const int8_t *x = in + p->indices[i] * p->inner;
            if (p->inner == 1u) {
                *out = *x;
            } else {
                memcpy(out, x, p->inner);
            }
        }
    }
}
