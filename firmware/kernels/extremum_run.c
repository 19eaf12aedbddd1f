/* Larger or smaller of two values: see dft_runs.h. Twin: m7/extremum_run.S. */
#include "dft_runs.h"

void dft_maximum_run(const int8_t *a, const int8_t *b, int8_t *out, uint32_t n)
{
    for (; n > 0; n--, a++, b++) {
        *out++ = *a > *b ? *a : *b;
    }
}

void dft_minimum_run(const int8_t *a, const int8_t *b, int8_t *out, uint32_t n)
{
    for (; n > 0; n--, a++, b++) {
        *out++ = *a < *b ? *a : *b;
    }
}
