/* SUM, REDUCE_MAX and REDUCE_MIN over any dimensions, and MEAN over dimensions that are not neighbours: for each output
 * two loops over what it takes together. */
#include "dft_kernels.h"
#include "dft_requant.h"

typedef int32_t join(int32_t so_far, int32_t x);

static inline int32_t plus(int32_t so_far, int32_t x)
{
    return so_far + x;
}

static inline int32_t larger(int32_t so_far, int32_t x)
{
    return x > so_far ? x : so_far;
}

static inline int32_t smaller(int32_t so_far, int32_t x)
{
    return x < so_far ? x : so_far;
}

static inline __attribute__((always_inline)) int32_t together(const dft_reduce *p, const int8_t *in, int32_t value, join *with)
{
    for (uint32_t i = 0; i < p->m[0]; i++, in += p->m_stride[0]) {
        const int8_t *x = in;
        for (uint32_t j = 0; j < p->m[1]; j++, x += p->m_stride[1]) {
            value = with(value, *x);
        }
    }
    return value;
}

void dft_sum_s8(const dft_reduce *p, const int8_t *in, int8_t *out)
{
    for (uint32_t i = 0; i < p->n[0]; i++) {
        for (uint32_t j = 0; j < p->n[1]; j++) {
            int32_t sum = together(p, in + i * p->stride[0] + j * p->stride[1], p->offset, plus);
            int32_t v = dft_requant(sum, p->mult, p->left1, p->right) + p->out_zp;
            *out++ = dft_clamp(v, INT8_MIN, INT8_MAX);
        }
    }
}

void dft_reduce_max_s8(const dft_reduce *p, const int8_t *in, int8_t *out)
{
    for (uint32_t i = 0; i < p->n[0]; i++) {
        for (uint32_t j = 0; j < p->n[1]; j++) {
            *out++ = (int8_t)together(p, in + i * p->stride[0] + j * p->stride[1], INT8_MIN, larger);
        }
    }
}

void dft_reduce_min_s8(const dft_reduce *p, const int8_t *in, int8_t *out)
{
    for (uint32_t i = 0; i < p->n[0]; i++) {
        for (uint32_t j = 0; j < p->n[1]; j++) {
            *out++ = (int8_t)together(p, in + i * p->stride[0] + j * p->stride[1], INT8_MAX, smaller);
        }
    }
}
