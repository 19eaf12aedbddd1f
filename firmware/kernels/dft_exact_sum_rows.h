/* Rows of ADD and SUB where no plane gives TFLM's bits: its arithmetic step by step. Filled by
 * python/dftiny/kernels/sum_rows.py. */
#ifndef DFT_EXACT_SUM_ROWS_H
#define DFT_EXACT_SUM_ROWS_H

#include "dft_pair.h"

typedef struct dft_exact_sum_rows_params {
    dft_pair pair;
    int32_t mult_a, mult_b, mult_out;
    int16_t zp_a, zp_b, zp_out;
    uint8_t right_a, right_b, right_out;
    int8_t sign_a, sign_b; /* 1 or −1 */
    const int8_t *constant;
    const int8_t *table;
} dft_exact_sum_rows_params;

dft_row_kernel dft_exact_sum_rows;

#endif
