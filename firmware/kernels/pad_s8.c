/* PAD in up to four dimensions. Padding in front of a convolution is normally folded into its window; this is
 * for what remains. */
#include <string.h>

#include "dft_kernels.h"

static int8_t *fill(int8_t *out, int8_t value, uint32_t n)
{
    memset(out, value, n);
    return out + n;
}

void dft_pad_s8(const dft_pad *p, const int8_t *in, int8_t *out)
{
    uint32_t n3 = p->before[3] + p->in[3] + p->after[3];
    uint32_t n2 = (p->before[2] + p->in[2] + p->after[2]) * n3;
    uint32_t n1 = (p->before[1] + p->in[1] + p->after[1]) * n2;
    out = fill(out, p->value, p->before[0] * n1);
    for (uint32_t i = 0; i < p->in[0]; i++) {
        out = fill(out, p->value, p->before[1] * n2);
        for (uint32_t j = 0; j < p->in[1]; j++) {
            out = fill(out, p->value, p->before[2] * n3);
            for (uint32_t k = 0; k < p->in[2]; k++, in += p->in[3]) {
                out = fill(out, p->value, p->before[3]);
                memcpy(out, in, p->in[3]);
                out = fill(out + p->in[3], p->value, p->after[3]);
            }
            out = fill(out, p->value, p->after[2] * n3);
        }
        out = fill(out, p->value, p->after[1] * n2);
    }
    (void)fill(out, p->value, p->after[0] * n1);
}
