/* PRELU: what is negative is multiplied with a slope of its own, by broadcasting. */
#include "dft_broadcast.h"
#include "dft_requant.h"

static void prelu_row(const void *params, const int8_t *x, const int8_t *slope, int8_t *out)
{
    const dft_prelu *p = params;
    for (const int8_t *end = out + p->shape.n[3]; out < end; x += p->shape.a[3], slope += p->shape.b[3]) {
        int32_t value = *x - p->zp, v;
        if (value >= 0) {
            v = dft_requant(value, p->mult, p->left1, p->right);
        } else {
            v = dft_requant(value * (*slope - p->zp_slope), p->mult_negative, p->left1_negative, p->right_negative);
        }
        *out++ = dft_clamp(v + p->zp_out, INT8_MIN, INT8_MAX);
    }
}

void dft_prelu_s8(const dft_prelu *p, const int8_t *x, const int8_t *slope, int8_t *out)
{
    dft_walk(&p->shape, prelu_row, p, x, slope, out);
}
