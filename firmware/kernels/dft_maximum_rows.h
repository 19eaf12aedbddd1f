/* Rows of MAXIMUM; its parameters serve MINIMUM too. Filled by python/dftiny/kernels/extremum_rows.py. */
#ifndef DFT_MAXIMUM_ROWS_H
#define DFT_MAXIMUM_ROWS_H

#include "dft_pair.h"

typedef struct dft_extremum_rows_params {
    dft_pair pair;
    const int8_t *constant; /* the second operand, or null */
    const int8_t *table;    /* [256] in the order −128…127 behind the operator, or null */
} dft_extremum_rows_params;

dft_row_kernel dft_maximum_rows;

#endif
