/* MUL with broadcasting (squeeze-and-excitation gates among others). */
#include "dft_broadcast.h"
#include "dft_requant.h"

static void mul_row(const void *params, const int8_t *a, const int8_t *b, int8_t *out)
{
    const dft_mul *p = params;
    uint32_t da = p->shape.a[3], db = p->shape.b[3];
    int32_t zp_a = p->zp_a, zp_b = p->zp_b;
    for (int8_t *end = out + p->shape.n[3]; out < end; a += da, b += db) {
        int32_t v = dft_requant((*a - zp_a) * (*b - zp_b), p->mult, p->left1, p->right);
        *out++ = dft_clamp(v + p->zp_out, p->act_min, p->act_max);
    }
}

void dft_mul_s8(const dft_mul *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    dft_walk(&p->shape, mul_row, p, a, b, out);
}
