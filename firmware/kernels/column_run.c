/* Sums of channels: see dft_runs.h. Twin: m7/column_run.S. */
#include "dft_runs.h"

void dft_column_run(const int8_t *in, int32_t *sums, uint32_t width, uint32_t channels)
{
    for (; width > 0; width--) {
        for (uint32_t c = 0; c < channels; c++) {
            sums[c] += *in++;
        }
    }
}
