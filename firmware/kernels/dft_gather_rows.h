/* Rows of GATHER along the channels or along the width. Filled by python/dftiny/kernels/layout_rows.py. */
#ifndef DFT_GATHER_ROWS_H
#define DFT_GATHER_ROWS_H

#include "dft_rows.h"

/* A row is `runs` runs of `run` bytes; each gives `count` pieces of `piece` bytes, indices[k] pieces from its start. */
typedef struct dft_gather_rows_params {
    uint32_t runs, run, count, piece;
    const uint16_t *indices;
    const int8_t *table; /* [256] in the order −128…127 behind the operator, or null */
} dft_gather_rows_params;

dft_row_kernel dft_gather_rows;

#endif
