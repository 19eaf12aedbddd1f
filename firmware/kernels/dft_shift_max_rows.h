/* Shift-Max by rows: out = max over branches of (c1 * x[i1] +- c2 * x[i2]), with i channel shuffles of one map and c
 * vectors; every product and every sum is rounded to int8 as the MUL, ADD and SUB it was made from. Parameters of
 * both twins, and the products in their general form. Private to kernels/. */
#ifndef DFT_SHIFT_MAX_ROWS_H
#define DFT_SHIFT_MAX_ROWS_H

#include "dft_requant.h"
#include "dft_rows.h"

/* Code of m7/ for one branch of one row, where there is one. */
struct shift_pass;
typedef void dft_shift_pass(const struct shift_pass *pass);
#if defined(__ARM_FEATURE_DSP)
#define DFT_SHIFT_PASS(name) dft_shift_##name
#define DFT_SHIFT_PAIR(a, b) extern dft_shift_pass dft_shift_first_##a##_##b, dft_shift_larger_##a##_##b;
#define DFT_SHIFT_DECLARE(a)                                                                                       \
    DFT_SHIFT_PAIR(a, 4) DFT_SHIFT_PAIR(a, 5) DFT_SHIFT_PAIR(a, 6) DFT_SHIFT_PAIR(a, 7)                            \
    DFT_SHIFT_PAIR(a, 8) DFT_SHIFT_PAIR(a, 9) DFT_SHIFT_PAIR(a, 10) DFT_SHIFT_PAIR(a, 11)
DFT_SHIFT_DECLARE(4)
DFT_SHIFT_DECLARE(5)
DFT_SHIFT_DECLARE(6)
DFT_SHIFT_DECLARE(7)
DFT_SHIFT_DECLARE(8)
DFT_SHIFT_DECLARE(9)
DFT_SHIFT_DECLARE(10)
DFT_SHIFT_DECLARE(11)
#else
#define DFT_SHIFT_PASS(name) 0
#endif

/* Index 0 and 1: the first and the second product. `left1` as in dft_channel, right shifts as in dft_add. */
typedef struct dft_shift_branch {
    int32_t mult[2], mult_in[2], mult_out;
    int32_t slope[2], start[2], sum_slope; /* of the fast form, see m7/shift_max_rows.c */
    dft_shift_pass *pass;                  /* null: the general form */
    uint8_t left1[2], right[2], right_in[2], right_out, minus;
    int16_t zp_c[2], zp_p[2], zp_out;
    int8_t low_p[2], high_p[2], low, high;
} dft_shift_branch;

/* `event->in[0]` is a row of the map, in2 and more[0..2] are the vectors of coefficients, branch by branch. */
typedef struct dft_shift_max {
    uint16_t width, in_c, out_c;
    uint16_t branches;
    uint16_t chunk; /* channels at a time, see m7/shift_max_rows.c; or 0 */
    int16_t zp_x;
    dft_shift_branch branch[2];
    const uint16_t *indices; /* [2 * branches][out_c]: the channel of the map */
    const int8_t *fixes[4];  /* each [256]; these and `sums` are null where the general form is used */
    const int32_t *sums;     /* [branches][256] */
} dft_shift_max;

/* Product `k` of branch `b`: int8 as MUL gives it. `c`: the coefficient. */
static inline int32_t dft_shift_product(const dft_shift_max *p, const dft_shift_branch *b, uint32_t k, int32_t x,
                                        int32_t c)
{
    int32_t v = dft_requant((x - p->zp_x) * (c - b->zp_c[k]), b->mult[k], b->left1[k], b->right[k]);
    return dft_clamp(v + b->zp_p[k], b->low_p[k], b->high_p[k]);
}

#define DFT_SHIFT_LEFT1 21u /* TFLite's fixed left shift of 20 in sums, and the doubling */

/* The sum or difference of two products: int8 as ADD or SUB gives it. */
static inline int32_t dft_shift_sum(const dft_shift_branch *b, int32_t first, int32_t second)
{
    int32_t v = dft_requant(first - b->zp_p[0], b->mult_in[0], DFT_SHIFT_LEFT1, b->right_in[0]);
    int32_t w = dft_requant(second - b->zp_p[1], b->mult_in[1], DFT_SHIFT_LEFT1, b->right_in[1]);
    v = dft_requant(b->minus != 0 ? v - w : v + w, b->mult_out, 1u, b->right_out);
    return dft_clamp(v + b->zp_out, b->low, b->high);
}

static inline const int8_t *dft_shift_coefficients(const dft_event *event, uint32_t term)
{
    return term == 0 ? event->in2 : event->more[term - 1];
}

/* Output channel `c` of one pixel, in the general form. */
static inline int8_t dft_shift_output(const dft_shift_max *p, const dft_event *event, const int8_t *pixel, uint32_t c)
{
    int32_t best = INT8_MIN;
    for (uint32_t i = 0; i < p->branches; i++) {
        const dft_shift_branch *b = &p->branch[i];
        int32_t product[2];
        for (uint32_t k = 0; k < 2u; k++) {
            uint32_t term = 2u * i + k;
            int32_t x = pixel[p->indices[term * p->out_c + c]];
            product[k] = dft_shift_product(p, b, k, x, dft_shift_coefficients(event, term)[c]);
        }
        int32_t v = dft_shift_sum(b, product[0], product[1]);
        best = v > best ? v : best;
    }
    return (int8_t)best;
}

dft_row_kernel dft_shift_max_rows;

#endif
