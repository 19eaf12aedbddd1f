/* Sums of channels and their means: see dft_runs.h. Twin: m7/column_run.S. */
#include "dft_requant.h"
#include "dft_runs.h"

void dft_column_run(const int8_t *in, int32_t *sums, uint32_t width, uint32_t channels)
{
    for (; width > 0; width--) {
        for (uint32_t c = 0; c < channels; c++) {
            sums[c] += *in++;
        }
    }
}

void dft_mean_run(const dft_mean_scale *p, const int32_t *sums, int8_t *out, uint32_t n)
{
    for (; n > 0; n--) {
        *out++ = (int8_t)dft_output(*sums++ + p->offset, p->mult, p->round, 1u, p->right);
    }
}
