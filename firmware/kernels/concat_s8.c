/* CONCATENATION, one operand a call; operands of another quantisation went through a table first. */
#include <string.h>

#include "dft_kernels.h"

void dft_concat_s8(const dft_concat *p, const int8_t *in, int8_t *out)
{
    out += p->out_offset;
    for (uint32_t r = 0; r < p->rows; r++, in += p->run, out += p->out_stride) {
        memcpy(out, in, p->run);
    }
}
