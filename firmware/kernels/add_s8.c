/* ADD and SUB with broadcasting: both inputs are raised by 2^20, brought to a common scale, added and rescaled,
 * each step rounded as TFLM rounds it. */
#include <stdbool.h>

#include "dft_broadcast.h"
#include "dft_requant.h"

#define DFT_ADD_LEFT1 21u /* TFLite's fixed left shift of 20, and the doubling */

static inline void sum_row(const dft_add *p, const int8_t *a, const int8_t *b, int8_t *out, bool minus)
{
    uint32_t da = p->shape.a[3], db = p->shape.b[3];
    for (int8_t *end = out + p->shape.n[3]; out < end; a += da, b += db) {
        int32_t va = dft_requant(*a - p->zp_a, p->mult_a, DFT_ADD_LEFT1, p->right_a);
        int32_t vb = dft_requant(*b - p->zp_b, p->mult_b, DFT_ADD_LEFT1, p->right_b);
        int32_t v = dft_requant(minus ? va - vb : va + vb, p->mult_out, 1u, p->right_out);
        *out++ = dft_clamp(v + p->zp_out, p->act_min, p->act_max);
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
