/* Products with prepared factors: see dft_runs.h. Twin: m7/gate_run.S. */
#include "dft_requant.h"
#include "dft_runs.h"

void dft_factor_run(const int8_t *b, int32_t zp, int16_t *factors, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        factors[i] = (int16_t)(2 * (b[i] - zp));
    }
}

void dft_gate_run(const dft_product *p, const int8_t *a, const int16_t *factors, int8_t *out, uint32_t n,
                  uint32_t period)
{
    for (uint32_t i = 0; i < n; i++) {
        int32_t twice = (a[i] - p->zp_a) * factors[i % period];
        out[i] = (int8_t)dft_output(twice, p->mult, p->round, 0u, p->right);
    }
}
