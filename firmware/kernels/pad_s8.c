/* PAD in up to four dimensions. Padding in front of a convolution is normally folded into its window; this is
 * for what remains. */
#include <stddef.h>
#include <string.h>

#include "dft_kernels.h"

static int8_t *fill(int8_t *out, const dft_pad *p, uint32_t n)
{
    int8_t *end = out + n;
    if (p->values == NULL) {
        memset(out, p->value, n);
        return end;
    }
    for (; out < end; out += p->in[3]) {
        memcpy(out, p->values, p->in[3]);
    }
    return end;
}

void dft_pad_s8(const dft_pad *p, const int8_t *in, int8_t *out)
{
    uint32_t n3 = p->before[3] + p->in[3] + p->after[3];
    uint32_t n2 = (p->before[2] + p->in[2] + p->after[2]) * n3;
    uint32_t n1 = (p->before[1] + p->in[1] + p->after[1]) * n2;
    out = fill(out, p, p->before[0] * n1);
    for (uint32_t i = 0; i < p->in[0]; i++) {
        out = fill(out, p, p->before[1] * n2);
        for (uint32_t j = 0; j < p->in[1]; j++) {
            out = fill(out, p, p->before[2] * n3);
            for (uint32_t k = 0; k < p->in[2]; k++, in += p->in[3]) {
                out = fill(out, p, p->before[3]);
                memcpy(out, in, p->in[3]);
                out = fill(out + p->in[3], p, p->after[3]);
            }
            out = fill(out, p, p->after[2] * n3);
        }
        out = fill(out, p, p->after[1] * n2);
    }
    (void)fill(out, p, p->after[0] * n1);
}
