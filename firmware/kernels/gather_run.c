/* Channels in another order: see dft_runs.h. Twin: m7/gather_run.S. */
#include "dft_runs.h"

void dft_gather_run(const uint16_t *indices, const int8_t *in, int8_t *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i] = in[indices[i]];
    }
}
