/* What m7/depthwise_wide_rows.c and depthwise_wide.S share; private to them. Read by both compilers.
 *
 * Scratch memory of an event: rows | weights | results.
 *   rows     of four channels, int16, padding included: [row][pair of columns][channel]{left, right column}
 *   weights  of one channel, int16: [row]{0 1, 2 3, 1 2, 3 4} or {0 1, 2 3, 4 5, 1 2, 3 4, 5 6}: pairs for windows that
 *            begin with a pair of columns, and for those that begin in its middle
 *   results  int8[output][channel], outputs rounded up to whole tiles */
#ifndef DFT_DEPTHWISE_WIDE_M7_H
#define DFT_DEPTHWISE_WIDE_M7_H

/* Byte offsets in dft_depthwise_wide. */
#define WIDE_TILES 12
#define WIDE_BIAS 16
#define WIDE_RESULTS 36
#define WIDE_END 40

#define WIDE_PAIR 16 /* bytes from a pair of columns to the next */
#define WIDE_TILE 4  /* outputs */

#if !defined(__ASSEMBLER__)
#include "dft_depthwise_wide_rows.h"

/* One channel of an output row; the assembly reads it by offsets in this order and moves on `data`, `tiles`, `results`. */
typedef struct dft_depthwise_wide {
    const int16_t *data; /* the tile's first pair of columns in the first row */
    const int32_t *weights;
    uint32_t stride; /* bytes from row to row */
    uint32_t tiles;
    int32_t bias, mult, round, right; /* bias doubled, sums are not */
    const int8_t *table;              /* its middle, or null */
    int8_t *results;
    const int32_t *weights_end;
} dft_depthwise_wide;

typedef void dft_depthwise_wide_work(dft_depthwise_wide *job);

/* Width of the window and horizontal stride. */
extern dft_depthwise_wide_work dft_depthwise_wide_5_1, dft_depthwise_wide_5_2;
extern dft_depthwise_wide_work dft_depthwise_wide_7_1, dft_depthwise_wide_7_2;

/* `rows` rows of weights as they lie in a record. */
typedef void dft_depthwise_wide_unpack(int32_t *to, const int8_t *weights, uint32_t rows);
extern dft_depthwise_wide_unpack dft_depthwise_wide_weights_5, dft_depthwise_wide_weights_7;

/* 2 * `pairs` pixels, at least one pair, `pixel` bytes apart: four channels of each. */
void dft_depthwise_wide_widen(int16_t *to, const int8_t *from, uint32_t pixel, uint32_t pairs);
#endif

#endif
