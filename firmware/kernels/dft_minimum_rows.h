/* Rows of MINIMUM. Filled by python/dftiny/kernels/extremum_rows.py. */
#ifndef DFT_MINIMUM_ROWS_H
#define DFT_MINIMUM_ROWS_H

#include "dft_maximum_rows.h"

dft_row_kernel dft_minimum_rows;

#endif
