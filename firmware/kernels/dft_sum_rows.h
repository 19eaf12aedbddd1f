/* Rows of ADD and SUB as planes. Filled by python/dftiny/kernels/sum_rows.py. */
#ifndef DFT_SUM_ROWS_H
#define DFT_SUM_ROWS_H

#include "dft_pair.h"

typedef struct dft_sum_rows_params {
    dft_pair pair;
    dft_plane plane;
    const int8_t *constant; /* the second operand, or null */
    const int8_t *table;    /* [256] in the order −128…127 behind the sum, or null */
} dft_sum_rows_params;

dft_row_kernel dft_sum_rows;

#endif
