/* Rows of CONCATENATION of two maps along the channels or along the width. Filled by
 * python/dftiny/kernels/layout_rows.py. */
#ifndef DFT_CONCAT_ROWS_H
#define DFT_CONCAT_ROWS_H

#include "dft_rows.h"

/* A row is `runs` times `run_a` bytes of the first operand and `run_b` of the second. */
typedef struct dft_concat_rows_params {
    uint32_t runs, run_a, run_b;
    const int8_t *table; /* [256] in the order −128…127 behind the operator, or null */
} dft_concat_rows_params;

dft_row_kernel dft_concat_rows;

#endif
