/* Rows of MAX_POOL_2D; its parameters serve AVERAGE_POOL_2D too. Filled by python/dftiny/kernels/pool_rows.py. */
#ifndef DFT_MAX_POOL_ROWS_H
#define DFT_MAX_POOL_ROWS_H

#include "dft_rows.h"

typedef struct dft_pool_rows_params {
    uint16_t in_w, out_w, channels;
    uint16_t kernel_h, kernel_w;
    uint16_t stride_w, pad_left;
    const int8_t *table; /* [256] in the order −128…127 behind the pool, or null */
} dft_pool_rows_params;

/* scratch: int8[in_w * channels]. */
dft_row_kernel dft_max_pool_rows;

#endif
