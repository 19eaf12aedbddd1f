/* Rows of MUL where both operands change from value to value. Filled by python/dftiny/kernels/product_rows.py. */
#ifndef DFT_MUL_ROWS_H
#define DFT_MUL_ROWS_H

#include "dft_pair.h"

typedef struct dft_mul_rows_params {
    dft_pair pair;
    dft_product product;
    const int8_t *constant; /* the second operand, or null */
    const int8_t *table;    /* [256] in the order −128…127 behind the product, or null */
} dft_mul_rows_params;

dft_row_kernel dft_mul_rows;

#endif
