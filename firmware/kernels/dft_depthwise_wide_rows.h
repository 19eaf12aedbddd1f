/* Depthwise windows five or seven columns wide and at least two rows high: parameters as in dft_depthwise_rows.h, code of its
 * own, so that a net links only what it needs. Weights are row by row, in a row 0 3 1 4 2 or 0 2 1 3 5 4 6. */
#ifndef DFT_DEPTHWISE_WIDE_ROWS_H
#define DFT_DEPTHWISE_WIDE_ROWS_H

#include "dft_depthwise_rows.h"

dft_row_kernel dft_depthwise_wide_rows; /* DFT_DEPTHWISE_WIDE */

#endif
