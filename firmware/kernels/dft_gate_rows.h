/* Rows of a map times a vector over its channels, as squeeze-and-excitation does. Filled by
 * python/dftiny/kernels/product_rows.py. */
#ifndef DFT_GATE_ROWS_H
#define DFT_GATE_ROWS_H

#include "dft_pair.h"

/* scratch: int16[period], the factors of as many pixels as make a multiple of 8 channels. */
typedef struct dft_gate_rows_params {
    dft_pair pair;
    dft_product product;
    uint32_t period;
    const int8_t *constant; /* the vector, or null */
    const int8_t *table;    /* [256] in the order −128…127 behind the product, or null */
} dft_gate_rows_params;

dft_row_kernel dft_gate_rows;

#endif
