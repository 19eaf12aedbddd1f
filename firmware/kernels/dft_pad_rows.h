/* Rows of PAD in height, width and channels. Filled by python/dftiny/kernels/layout_rows.py. */
#ifndef DFT_PAD_ROWS_H
#define DFT_PAD_ROWS_H

#include "dft_rows.h"

typedef struct dft_pad_rows_params {
    uint16_t width, left, right;     /* pixels of the input row, and beside it */
    uint16_t channels, below, above; /* channels of the input, and around them */
    const int8_t *pixel; /* [below + channels + above]: what a padded pixel holds; padded channels hold the same */
    const int8_t *table; /* [256] in the order −128…127 behind the operator, or null */
} dft_pad_rows_params;

dft_row_kernel dft_pad_rows;

#endif
