/* TRANSPOSE of up to four dimensions: the output is written in order. */
#include "dft_kernels.h"

void dft_transpose_s8(const dft_transpose *p, const int8_t *in, int8_t *out)
{
    for (uint32_t i = 0; i < p->n[0]; i++, in += p->stride[0]) {
        const int8_t *xj = in;
        for (uint32_t j = 0; j < p->n[1]; j++, xj += p->stride[1]) {
            const int8_t *xk = xj;
            for (uint32_t k = 0; k < p->n[2]; k++, xk += p->stride[2]) {
                const int8_t *x = xk;
                for (uint32_t m = 0; m < p->n[3]; m++, x += p->stride[3]) {
                    *out++ = *x;
                }
            }
        }
    }
}
