/* Rows of any function of one int8 value. Filled by python/dftiny/kernels/table_rows.py. */
#ifndef DFT_TABLE_ROWS_H
#define DFT_TABLE_ROWS_H

#include "dft_rows.h"

typedef struct dft_table_rows_params {
    uint32_t n;          /* bytes of a row */
    const int8_t *table; /* [256] in the order −128…127 */
} dft_table_rows_params;

dft_row_kernel dft_table_rows;

#endif
