/* Matrix by vector, by rows: FULLY_CONNECTED and 1x1 CONV_2D of one or two pixels a row. What
 * python/dftiny/kernels/matvec_rows.py writes and both twins read.
 *
 * Four output channels at once, a, b, c, d, absent ones zero. A weight word holds two products of two channels:
 * each half is a + 256 * b. With x a sum over such halves is A + 256 * B; a sum over their low bytes is A, and the
 * difference gives B: two channels for three instructions a pair of products. |B| < 2^23 is proved by the maker;
 * biases are not part of it.
 *     weights  [four channels][quad of inputs]{a b: inputs 0, 2; c d: 0, 2; a b: 1, 3; c d: 1, 3}, the first low
 *     records  [four channels]{biases of a and c; four multipliers; right shifts less one, a byte each, the first
 *              lowest; biases of b and d, doubled}, input zero point folded in */
#ifndef DFT_MATVEC_ROWS_H
#define DFT_MATVEC_ROWS_H

#include <stdint.h>

#include "dft_rows.h"

#define DFT_MATVEC_RECORD 9u /* words */

typedef struct dft_matvec_rows_params {
    const int32_t *weights;
    const int32_t *records;
    const int8_t *table; /* int8[256] from -128 on: clamps and what was fused behind; or null */
    uint16_t in_n, out_n;
    uint8_t vectors : 2; /* of a row */
    uint8_t window : 6;  /* rows that a vector is made of, each the same part of in_n (dft_matvec_window_rows.h) */
    int8_t in_zp;        /* of such rows outside of the map */
    int16_t round;       /* twice the output's zero point, plus one */
} dft_matvec_rows_params;

dft_row_kernel dft_matvec_rows;

#endif
