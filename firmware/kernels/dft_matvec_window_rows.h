/* CONV_2D of one pixel a row, by rows: the rows of its window, one behind the other, are a vector of dft_matvec_rows.
 * python/dftiny/kernels/matvec_rows.py writes the same parameters for both. */
#ifndef DFT_MATVEC_WINDOW_ROWS_H
#define DFT_MATVEC_WINDOW_ROWS_H

#include "dft_matvec_rows.h"

dft_row_kernel dft_matvec_window_rows;

#endif
