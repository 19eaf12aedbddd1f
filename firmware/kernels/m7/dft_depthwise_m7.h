/* What m7/depthwise_rows.c and the assembly of depthwise_*.S share. Private to them.
 *
 * Four channels are widened to int16 at once into the scratch memory, column by column (padding included), so that
 * a register holds vertical pairs of rows:
 *     stride 1: a column is 32 bytes, [channel][rows 0 1 | rows 2 3]: four rows, two output rows
 *     stride 2: a pair of columns is 48 bytes, [channel][odd column, rows 0 1 | even column, rows 0 1 | row 2 of
 *               even and odd]: three rows, one output row
 * Results, a byte each, lie over columns that no later output of the channel reads. */
#ifndef DFT_DEPTHWISE_M7_H
#define DFT_DEPTHWISE_M7_H

#include "dft_depthwise_rows.h"

/* Channels one after the other, each from the next four of these words; the assembly keeps them in s2 … s11. */
typedef struct dft_depthwise_run {
    const int8_t *table; /* its middle */
    int32_t bias;        /* filled in by the assembly */
    uint32_t end;        /* address behind the last column of outputs, for the first channel */
    int32_t result;      /* from there to results, less the channels' distance */
    uint8_t *plane;      /* column 0 of the first channel, */
    uint8_t *plane_end;  /* and of the channel behind the last */
    const int8_t *record;
    uint32_t unused;
    int32_t round;       /* twice the output's zero point, plus one */
    dft_depthwise_tile *const *tiles;
} dft_depthwise_run;

void dft_depthwise_s1_run(const dft_depthwise_run *run);
void dft_depthwise_s2_run(const dft_depthwise_run *run);

/* Stride 1: `pixels` of four channels from four rows into columns at `to`; `channels`: bytes from pixel to pixel. */
void dft_depthwise_s1_widen(const int8_t *const *rows, uint32_t channels, uint32_t pixels, int16_t *to);

/* Stride 2: three rows. `zero`: four zero points; `odd`: the first pixel's column is odd, that before it padding. */
void dft_depthwise_s2_widen(const int8_t *const *rows, uint32_t channels, uint32_t pixels, int16_t *to, uint32_t zero,
                            uint32_t odd);

/* Words of four results at `from` to pixels of two rows, of one. */
void dft_depthwise_s1_store(const int16_t *from, int8_t *const *out, uint32_t channels, uint32_t pixels);
void dft_depthwise_s2_store(const int16_t *from, int8_t *out, uint32_t channels, uint32_t pixels);

#endif
