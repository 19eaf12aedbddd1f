/* Rows of a MEAN over height and width: an event takes up one row, the last one writes the result. Filled by
 * python/dftiny/kernels/mean_rows.py. */
#ifndef DFT_MEAN_ROWS_H
#define DFT_MEAN_ROWS_H

#include "dft_rows.h"
#include "dft_runs.h"

/* aux: int32[channels], sums so far. */
typedef struct dft_mean_rows_params {
    uint16_t height, width;
    uint32_t channels;
    dft_mean_scale scale;
    const int8_t *table; /* [256] in the order −128…127 behind the mean, or null */
} dft_mean_rows_params;

dft_row_kernel dft_mean_rows;

#endif
