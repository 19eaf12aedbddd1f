/* A copy of up to four dimensions that reads with strides and writes in order: TRANSPOSE, slices, blocks of pixels.
 * Positions are numbers, because a stride may be negative and a pointer in front of the input is none. */
#include <string.h>

#include "dft_kernels.h"

static void copy_run(const int8_t *in, int32_t at, uint32_t n, int32_t stride, int8_t *out)
{
    if (stride == 1) {
        memcpy(out, in + at, n);
        return;
    }
    for (const int8_t *end = out + n; out < end; at += stride) {
        *out++ = in[at];
    }
}

void dft_transpose_s8(const dft_transpose *p, const int8_t *in, int8_t *out)
{
    int32_t ai = (int32_t)p->first;
    for (uint32_t i = 0; i < p->n[0]; i++, ai += p->stride[0]) {
        int32_t aj = ai;
        for (uint32_t j = 0; j < p->n[1]; j++, aj += p->stride[1]) {
            int32_t ak = aj;
            for (uint32_t k = 0; k < p->n[2]; k++, ak += p->stride[2], out += p->n[3]) {
                copy_run(in, ak, p->n[3], p->stride[3], out);
            }
        }
    }
}
