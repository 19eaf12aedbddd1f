/* MUL with broadcasting (squeeze-and-excitation gates among others). */
#include "dft_broadcast.h"
#include "dft_requant.h"

/* Parameters in locals: a store to int8_t might otherwise change them, for all the compiler knows. */
static DFT_NOINLINE void mul_row(const void *params, const int8_t *a, const int8_t *b, int8_t *out)
{
    const dft_mul *p = params;
    uint32_t da = p->shape.a[3], db = p->shape.b[3], left1 = p->left1, right = p->right;
    int32_t zp_a = p->zp_a, zp_b = p->zp_b, mult = p->mult, round = p->round;
    int32_t low = p->act_min, high = p->act_max;
    for (const int8_t *end = out + p->shape.n[3]; out < end; a += da, b += db) {
        int32_t v = dft_output((*a - zp_a) * (*b - zp_b), mult, round, left1, right);
        *out++ = dft_clamp(v, low, high);
    }
}

void dft_mul_s8(const dft_mul *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    dft_walk(&p->shape, mul_row, p, a, b, out);
}
