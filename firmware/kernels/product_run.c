/* Products, requantised: see dft_runs.h. Twin: m7/product_run.S. */
#include "dft_requant.h"
#include "dft_runs.h"

void dft_product_run(const dft_product *p, const int8_t *a, const int8_t *b, int8_t *out, uint32_t n)
{
    for (; n > 0; n--) {
        int32_t product = (*a++ - p->zp_a) * (*b++ - p->zp_b);
        *out++ = (int8_t)dft_output(product, p->mult, p->round, 1u, p->right);
    }
}
