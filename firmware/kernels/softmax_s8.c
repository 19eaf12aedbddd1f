/* SOFTMAX over the last dimension, output at scale 1/256 and zero point -128: gemmlowp's fixed-point softmax with
 * 12 integer bits of accumulation, its exponentials from a table made offline. */
#include "dft_kernels.h"

/* round(a * b / 2^31); never both INT32_MIN. */
static int32_t high_mul(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

static int32_t shift_left_saturating(int32_t x, uint32_t n)
{
    int64_t wide = (int64_t)x * (int64_t)(1u << n);
    wide = wide > INT32_MAX ? INT32_MAX : wide;
    return (int32_t)(wide < INT32_MIN ? INT32_MIN : wide);
}

/* 1 / (1 + x), Q0.31: Newton-Raphson from 48/17 - 32/17 d (gemmlowp's one_over_one_plus_x_for_x_in_0_1). */
static int32_t reciprocal_of_one_plus(int32_t x)
{
    int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) >> 1);
    int32_t y = 1515870810 + high_mul(half, -1010580540);
    for (int i = 0; i < 3; i++) {
        int32_t rest = (1 << 29) - high_mul(half, y);
        y += shift_left_saturating(high_mul(y, rest), 2);
    }
    return shift_left_saturating(y, 1);
}

static uint32_t leading_zeros(uint32_t x)
{
    uint32_t n = 0;
    for (; (x & 0x80000000u) == 0; x <<= 1) {
        n++;
    }
    return n;
}

static void row(const dft_softmax *p, const int8_t *in, int8_t *out)
{
    int32_t max = INT8_MIN;
    uint32_t total = 0; /* Q12.19; at least exp(0), so never 0 */
    for (uint32_t i = 0; i < p->n; i++) {
        max = in[i] > max ? in[i] : max;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        total += ((uint32_t)p->exp_table[max - in[i]] + 2048u) >> 12;
    }
    uint32_t headroom = leading_zeros(total);
    int32_t scale = reciprocal_of_one_plus((int32_t)((total << headroom) & 0x7FFFFFFFu));
    uint32_t shift = 35u - headroom;
    shift = shift > 31u ? 31u : shift;
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t e = (uint32_t)high_mul(p->exp_table[max - in[i]], scale);
        int32_t v = (int32_t)((e + ((1u << shift) >> 1)) >> shift) - 128;
        out[i] = (int8_t)(v > INT8_MAX ? INT8_MAX : v);
    }
}

void dft_softmax_s8(const dft_softmax *p, const int8_t *in, int8_t *out)
{
    for (uint32_t r = 0; r < p->rows; r++, in += p->n, out += p->n) {
        row(p, in, out);
    }
}
