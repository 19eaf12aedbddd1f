/* Any function of one int8 value (RELU, RELU6, HARD_SWISH, LOGISTIC, QUANTIZE, …) as a table that the oracle
 * filled when the code was generated. `out` may be `in`. */
#include "dft_kernels.h"

void dft_lut_s8(const dft_lut *p, const int8_t *in, int8_t *out)
{
    const int8_t *table = p->table;
    const uint8_t *x = (const uint8_t *)in;
    uint32_t n = p->n;
    for (; n >= 4; n -= 4, x += 4, out += 4) {
        int8_t y0 = table[x[0]], y1 = table[x[1]], y2 = table[x[2]], y3 = table[x[3]];
        out[0] = y0;
        out[1] = y1;
        out[2] = y2;
        out[3] = y3;
    }
    for (; n > 0; n--) {
        *out++ = table[*x++];
    }
}
