/* ADD and SUB with broadcasting: both inputs are raised by 2^20, brought to a common scale, added and rescaled,
 * each step rounded as TFLM rounds it. */
#include <stdbool.h>

#include "dft_broadcast.h"
#include "dft_requant.h"

#define DFT_ADD_LEFT1 21u /* TFLite's fixed left shift of 20, and the doubling */

static inline __attribute__((always_inline)) void sum_row(const dft_add *p, const int8_t *a, const int8_t *b, int8_t *out, bool minus)
{
    uint32_t da = p->shape.a[3], db = p->shape.b[3];
    uint32_t right_a = p->right_a, right_b = p->right_b, right = p->right_out;
    int32_t zp_a = p->zp_a, zp_b = p->zp_b, zp_out = p->zp_out, mult = p->mult_out;
    int32_t mult_a = p->mult_a, mult_b = p->mult_b, low = p->act_min, high = p->act_max;
    for (const int8_t *end = out + p->shape.n[3]; out < end; a += da, b += db) {
        int32_t va = dft_requant(*a - zp_a, mult_a, DFT_ADD_LEFT1, right_a);
        int32_t vb = dft_requant(*b - zp_b, mult_b, DFT_ADD_LEFT1, right_b);
        int32_t v = dft_requant(minus ? va - vb : va + vb, mult, 1u, right);
        *out++ = dft_clamp(dft_saturate(v + zp_out), low, high);
    }
}

static void add_row(const void *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    sum_row(p, a, b, out, false);
}

static void sub_row(const void *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    sum_row(p, a, b, out, true);
}

void dft_add_s8(const dft_add *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    dft_walk(&p->shape, add_row, p, a, b, out);
}

void dft_sub_s8(const dft_add *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    dft_walk(&p->shape, sub_row, p, a, b, out);
}
