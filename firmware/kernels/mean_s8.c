/* MEAN over neighbouring dimensions: four outputs at a time run down the input, so that every row of it is
 * touched in order. */
#include "dft_kernels.h"
#include "dft_requant.h"

static inline int8_t finish(const dft_mean *p, int32_t sum)
{
    int32_t v = dft_requant(sum + p->offset, p->mult, p->left1, p->right) + p->out_zp;
    return dft_clamp(v, INT8_MIN, INT8_MAX);
}

static void block(const dft_mean *p, const int8_t *in, int8_t *out)
{
    uint32_t inner = p->inner, i = 0;
    for (; i + 4u <= inner; i += 4) {
        const int8_t *x = in + i;
        int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (uint32_t r = p->reduce; r > 0; r--, x += inner) {
            s0 += x[0];
            s1 += x[1];
            s2 += x[2];
            s3 += x[3];
        }
        out[i] = finish(p, s0);
        out[i + 1] = finish(p, s1);
        out[i + 2] = finish(p, s2);
        out[i + 3] = finish(p, s3);
    }
    for (; i < inner; i++) {
        const int8_t *x = in + i;
        int32_t s = 0;
        for (uint32_t r = p->reduce; r > 0; r--, x += inner) {
            s += *x;
        }
        out[i] = finish(p, s);
    }
}

void dft_mean_s8(const dft_mean *p, const int8_t *in, int8_t *out)
{
    for (uint32_t o = 0; o < p->outer; o++, in += p->reduce * p->inner, out += p->inner) {
        block(p, in, out);
    }
}
