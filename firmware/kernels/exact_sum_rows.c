/* ADD and SUB by rows where no plane gives TFLM's bits: both inputs are raised by 2^20, brought to a common scale,
 * added and rescaled, each step rounded as TFLM rounds it. */
#include "dft_exact_sum_rows.h"

#include "dft_requant.h"

#define DFT_SUM_LEFT1 21u /* TFLite's fixed left shift of 20, and the doubling */

static DFT_NOINLINE void sum_run(const dft_exact_sum_rows_params *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    for (uint32_t n = p->pair.run; n > 0; n--) {
        int32_t va = dft_requant(*a++ - p->zp_a, p->mult_a, DFT_SUM_LEFT1, p->right_a);
        int32_t vb = dft_requant(*b++ - p->zp_b, p->mult_b, DFT_SUM_LEFT1, p->right_b);
        int32_t v = dft_requant(va * p->sign_a + vb * p->sign_b, p->mult_out, 1u, p->right_out);
        *out++ = (int8_t)dft_saturate(v + p->zp_out);
    }
}

void dft_exact_sum_rows(const void *params, const dft_event *event)
{
    const dft_exact_sum_rows_params *p = params;
    const int8_t *a = event->in[0], *b = dft_second(&p->pair, p->constant, event);
    int8_t *out = event->out[0];
    for (uint32_t i = p->pair.runs; i > 0; i--, a += p->pair.run, b += p->pair.step, out += p->pair.run) {
        sum_run(p, a, b, out);
    }
    dft_fused(&p->pair, p->table, event);
}
