/* Depthwise 3x3 whose operand's producer stored it for that: parameters as in dft_depthwise_rows.h, code of its own, so
 * that a net links only what it needs.
 *
 * A row of the operand is one plane a channel, int16[columns] each: `pad_left` columns of the zero point, the row, the
 * zero point once more, and what is left is read for outputs that nobody wants. One 32-bit word is then two
 * neighbouring columns, and nothing is widened here. conv_rows writes such rows (DFT_CONV_PLANES). */
#ifndef DFT_DEPTHWISE_PLANES_ROWS_H
#define DFT_DEPTHWISE_PLANES_ROWS_H

#include "dft_depthwise_rows.h"

dft_row_kernel dft_depthwise_planes_rows; /* DFT_DEPTHWISE_PLANES_… */

#endif
