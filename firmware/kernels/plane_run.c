/* Sums as planes: see dft_runs.h. Twin: m7/plane_run.S. */
#include "dft_requant.h"
#include "dft_runs.h"

/* slope · x / 2^8 rounded down, as SMLAW computes it. */
static inline int32_t term(int32_t slope, int32_t x)
{
    return (int32_t)((int64_t)slope * x >> 8);
}

void dft_plane_run(const dft_plane *p, const int8_t *a, const int8_t *b, int8_t *out, uint32_t n)
{
    for (; n > 0; n--) {
        int32_t v = p->offset + term(p->slope_a, *a++) + term(p->slope_b, *b++);
        *out++ = (int8_t)dft_saturate(v >> DFT_PLANE_BITS);
    }
}
