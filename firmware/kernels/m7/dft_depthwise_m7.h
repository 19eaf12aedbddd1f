/* What m7/depthwise_rows.c, depthwise_planes_rows.c, depthwise_taps_rows.c and the assembly of depthwise_*.S share. Private to them.
 *
 * Four channels are widened to int16 at once into the scratch memory, column by column (padding included), so that
 * a register holds vertical pairs of rows:
 *     two rows: a column is 32 bytes, [channel][rows 0 1 | rows 2 3]: four rows, two output rows
 *     one row:  a column is 32 bytes, [channel][rows 0 1 | row 2 of this column and the next]
 *     stride 2: a pair of columns is 48 bytes, [channel][odd column, rows 0 1 | even column, rows 0 1 | row 2 of
 *               even and odd]: three rows, one output row
 *     stride 2, two rows: four columns are 160 bytes, four times [channel][rows 0 1 | rows 3 4] and
 *               [channel][row 2 of columns 0 1 | 2 3]: five rows, two output rows
 * Results, a byte each, lie over columns that no later output of the channel reads. */
#ifndef DFT_DEPTHWISE_M7_H
#define DFT_DEPTHWISE_M7_H

#include "dft_depthwise_rows.h"

/* Four channels of an event; the assembly reads it by offsets in this order. */
typedef struct dft_depthwise_quad {
    const int8_t *rows[4]; /* 0: channel 0, or four zero points in the pointer's place where the row is padding
                            * or the method has three rows only; of five rows those but row 2 */
    uint32_t channels;     /* 16: bytes from pixel to pixel */
    int16_t *to;           /* 20: column of the first pixel, or the pair of columns that holds it */
    uint32_t zero;         /* 24: a pair of zero points, */
    int16_t *padding;      /* 28: and where they belong before every quad: two words */
    uint32_t channel;      /* 32: the first of the quad */
    uint32_t pixels;       /* 36: to widen, >= 1 */
    const int8_t *table;   /* 40: its middle. From here on s2 … s11 of the tiles: */
    int32_t result;        /* 44: from `end` to results, less the channels' distance */
    uint32_t end;          /* 48: address behind the last column of outputs, for the first channel */
    int32_t bias;          /* 52: theirs */
    uint8_t *plane;        /* 56: column 0 of the first channel, */
    uint8_t *plane_end;    /* 60: and of the channel behind the last */
    const int8_t *record;  /* 64: of the first channel; moved on */
    uint32_t odd;          /* 68: stride 2: the first pixel's column is odd; one row: it is not the first;
                            * stride 2, two rows: pixels before the first whole block of four columns */
    int32_t round;         /* 72: twice the output's zero point, plus one */
    dft_depthwise_tile *const *tiles; /* 76 */
    const uint8_t *results; /* 80: those of column 0 */
    int8_t *out[2];        /* 84: rows; the same one twice where there is no second */
    uint32_t out_channels; /* 92: bytes from pixel to pixel */
    uint32_t out_channel;  /* 96 */
    uint32_t out_w;        /* 100 */
    const int8_t *middle;  /* 104: of five rows row 2, like `rows`, */
    uint32_t to_middle;    /* 108: and how its numbers lie behind the end of the first pixel's column */
    uint32_t step;         /* 112: planes: bytes from one to the next; */
    uint32_t turned;       /* 116: the window begins with the third row of a column, not with the first */
} dft_depthwise_quad;

/* Output channels of a window of one row or one column; the assembly reads it by offsets in this order. */
typedef struct dft_depthwise_line {
    const int8_t *taps[5];
    uint32_t step;         /* 20: bytes from output to output, below them */
    uint32_t out_step;     /* 24: and in the output row */
    uint32_t pairs_end;    /* 28: `step` times an even number of outputs, at least two, */
    const int8_t *table;   /* 32: its middle */
    uint32_t end;          /* 36: and times all */
    uint32_t channel;      /* 40: of the first input channel in a pixel */
    uint32_t multiplier;   /* 44 */
    const int8_t *records; /* 48 */
    int32_t round;         /* 52: twice the output's zero point, plus one */
    uint32_t channels;     /* 56: output channels; counted down, */
    int8_t *out;           /* 60: and moved on */
} dft_depthwise_line;

/* Four outputs of a channel; the assembly reads it by offsets in this order. */
typedef struct dft_depthwise_window {
    const int8_t *const *rows;
    uint32_t at;           /* 4: the first output's first tap in a row */
    uint32_t step;         /* 8: bytes from output to output */
    uint32_t height;       /* 12 */
    uint32_t pixel;        /* 16: bytes from pixel to pixel */
    const int8_t *weights; /* 20 */
    int32_t sums[4];       /* 24: to be written */
} dft_depthwise_window;

/* A window of five columns. */
void dft_depthwise_sums_5(dft_depthwise_window *window);

typedef void dft_depthwise_line_work(dft_depthwise_line *line);

extern dft_depthwise_line_work dft_depthwise_line_3, dft_depthwise_line_3_table;
extern dft_depthwise_line_work dft_depthwise_line_5, dft_depthwise_line_5_table;
extern dft_depthwise_line_work dft_depthwise_pair_3, dft_depthwise_pair_3_relu; /* even multiplier, no table */

typedef void dft_depthwise_work(dft_depthwise_quad *q);

/* Rows to columns: `widen` where all rows are there; null or what to do where the first, the last, the middle one of
 * five, or the last two (below the last output row of an odd map) are padding. Nothing is widened over planes. */
struct dft_depthwise_method {
    dft_depthwise_work *widen, *widen_top, *widen_bottom, *widen_middle, *widen_last, *run, *store;
    uint8_t rows;    /* that a column holds */
    uint8_t plane;   /* bytes from channel to channel */
    uint8_t outputs; /* of a tile, side by side */
    uint8_t tile;    /* bytes that it moves on */
    uint8_t results; /* bytes from an output's results to those of the next within a tile, */
    uint8_t first;   /* and from a tile's column to its first */
};

/* Rows to columns. */
extern dft_depthwise_work dft_depthwise_s1_widen, dft_depthwise_s1_widen_top, dft_depthwise_s1_widen_bottom;
extern dft_depthwise_work dft_depthwise_s1_widen_last;
extern dft_depthwise_work dft_depthwise_r1_widen, dft_depthwise_r1_widen_top, dft_depthwise_r1_widen_bottom;
extern dft_depthwise_work dft_depthwise_s2_widen, dft_depthwise_s2_widen_top, dft_depthwise_s2_widen_bottom;
extern dft_depthwise_work dft_depthwise_s2r2_widen, dft_depthwise_s2r2_widen_top, dft_depthwise_s2r2_widen_bottom;
extern dft_depthwise_work dft_depthwise_s2r2_widen_middle;

/* Channels from `plane` to `plane_end`, whose columns are ready. */
extern dft_depthwise_work dft_depthwise_s1_run, dft_depthwise_r1_run, dft_depthwise_s2_run, dft_depthwise_s2r2_run;
extern dft_depthwise_work dft_depthwise_p1_run, dft_depthwise_p2_run;

/* Results of four channels to the output rows. */
extern dft_depthwise_work dft_depthwise_s1_store, dft_depthwise_r1_store, dft_depthwise_s2_store;
extern dft_depthwise_work dft_depthwise_s2r2_store, dft_depthwise_p1_store, dft_depthwise_p2_store;

#endif
