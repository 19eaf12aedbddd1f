/* Depthwise 3x3 whose operand's producer stored it for that: parameters as in dft_depthwise_rows.h, code of its own, so
 * that a net links only what it needs.
 *
 * The operand is a ring of four rows, int16[channels][columns][4]: a column of a channel holds its four rows side by side, row
 * y in the place (y + padding above the map) mod 4, so that a window begins in place 0 or 2 and one word holds two rows
 * of it. Columns are `pad_left` of the zero point, the row, the zero point once more, and what is left is read for outputs
 * that nobody wants. All pointers to rows are the same. Stride 1: two rows an event, of which the first is even, stride 2: one.
 * conv_rows writes such rows (DFT_CONV_PLANES). Rows outside of the map are filled in here, in places where no row is
 * wanted any more. */
#ifndef DFT_DEPTHWISE_PLANES_ROWS_H
#define DFT_DEPTHWISE_PLANES_ROWS_H

#include "dft_depthwise_rows.h"

dft_row_kernel dft_depthwise_planes_rows; /* DFT_DEPTHWISE_PLANES_… */

#endif
