/* DEPTHWISE_CONV_2D by rows, windows that have no 3x3 tile: parameters as in dft_depthwise_rows.h, code of its own, so
 * that a net links only what it needs. */
#ifndef DFT_DEPTHWISE_TAPS_ROWS_H
#define DFT_DEPTHWISE_TAPS_ROWS_H

#include "dft_depthwise_rows.h"

dft_row_kernel dft_depthwise_taps_rows; /* DFT_DEPTHWISE_ANY, DFT_DEPTHWISE_PLAIN */

#endif
