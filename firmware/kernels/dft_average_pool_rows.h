/* Rows of AVERAGE_POOL_2D. Filled by python/dftiny/kernels/pool_rows.py. */
#ifndef DFT_AVERAGE_POOL_ROWS_H
#define DFT_AVERAGE_POOL_ROWS_H

#include "dft_max_pool_rows.h"

/* scratch: int32[channels]. */
dft_row_kernel dft_average_pool_rows;

#endif
