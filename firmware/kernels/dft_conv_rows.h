/* CONV_2D, and FULLY_CONNECTED with several input vectors, by rows: the constants that
 * python/dftiny/kernels/conv_rows.py writes and both twins read.
 *
 * Output channels are computed in pairs. K, the products of an output, are in the order of the window (row, column,
 * channel of the group), filled up with zero weights to whole quads. A quad of a pair is two words: four int8 weights of
 * the first channel, four of the second, lowest byte first. With DFT_CONV_WIDE it is four words of int16: products 0
 * and 2 of the first channel (low half, high half), of the second, then 1 and 3.
 *
 * A doubled sum turns TFLM's rounding doubling high multiplication into the high word of a product. Where K is small,
 * weights and biases are doubled: int16 weights here, int8 ones when they are widened. Where K is large
 * (DFT_CONV_SINGLE), sums are: there are fewer of them.
 *
 * A pair's record is four words: biases of both channels (input zero point folded in; doubled unless
 * DFT_CONV_SINGLE), and both multipliers. Two bytes in `steps` say how far on its first output channel lies from that of
 * the pair before, and how far its second from its first. A pair of which only the second channel is wanted names it
 * twice: the first result is overwritten. */
#ifndef DFT_CONV_ROWS_H
#define DFT_CONV_ROWS_H

#include <stdint.h>

#include "dft_rows.h"

#define DFT_CONV_EPILOGUES 4u
#define DFT_CONV_RUN 3u
#define DFT_CONV_COUNT 0x1FFFu /* in a run's first halfword: pairs, */
#define DFT_CONV_EPILOGUE(first) ((first) >> 13 & 3u)
#define DFT_CONV_LAST 0x8000u
#define DFT_CONV_PAIR 4u /* words of a record */

/* Weights are int16. */
#define DFT_CONV_WIDE 1u
/* Halves of negative sums are visible: they go away from zero. Without it they are clamped. */
#define DFT_CONV_LINEAR 2u
/* Sums are doubled, weights and biases are not. */
#define DFT_CONV_SINGLE 4u
/* Output rows go to planes of int16 for a depthwise convolution (dft_depthwise_planes_rows.h): out_left columns of
 * out_pad, the row, out_pad in the column behind it; out_top rows of padding lie above the map. */
#define DFT_CONV_PLANES 8u
/* With DFT_CONV_WIDE: all windows can be read where they lie, so that scratch memory holds neither weights nor windows. */
#define DFT_CONV_DIRECT 16u

/* Code in m7/ with registers of its own: never called from C. */
typedef void dft_conv_code(void);

typedef struct dft_conv_rows_params {
    const int32_t *weights;
    const int32_t *pairs;
    const uint8_t *steps;
    /* Runs of pairs of equal right shifts, DFT_CONV_RUN halfwords each: how many pairs, which epilogue, and DFT_CONV_LAST
     * where it is the last run that reads these input channels (the end of a group in a grouped convolution); right shift
     * of first and second channels, the first in the low byte; the first output channel. */
    const uint16_t *runs;
    const int8_t *table;    /* int8[256] from -128 on: clamps and what was fused behind; or null */
    dft_conv_code *body;    /* null on other machines, as are all of the next line's */
    dft_conv_code *const *epilogues; /* up to DFT_CONV_EPILOGUES; equal lists of several layers are one */
    uint16_t in_w, in_c, out_w, out_c;
    uint16_t group_in; /* input channels of a group */
    uint16_t groups_n; /* of a grouped convolution */
    uint16_t quads;    /* K / 4, rounded up */
    uint16_t block;    /* pixels of a row that are widened at once, a multiple of 4 */
    union {
        struct {
            uint16_t inner_x0, inner_x1; /* output pixels that may be read directly: [x0, x1) */
        };
        struct {
            uint16_t in_h, row; /* of a whole map: rows of the input, columns of the output */
        };
    };
    uint8_t kernel_h, kernel_w;
    uint8_t stride_h, stride_w;
    uint8_t dilation_w;
    uint8_t pad_left;
    uint8_t flags;
    int8_t in_zp, out_zp;
    union {
        struct {
            uint8_t out_columns, out_left : 4, out_top : 4;
            int8_t out_pad;
        };
        struct {
            uint8_t pad_top, dilation_h; /* of a whole map */
        };
    };
} dft_conv_rows_params;

dft_row_kernel dft_conv_rows;
/* A whole map in one event: `in` and `out` have one row, `out_w` is all its pixels, at least four. No groups, columns of a
 * window follow each other and one of them or more lies in the map. */
dft_row_kernel dft_conv_map_rows;

/* Code of m7/ where there is some. */
#if defined(__ARM_FEATURE_DSP)
#define DFT_CONV_CODE(name) dft_conv_##name
#define DFT_CONV_SHIFT(e)                                                                                     \
    extern dft_conv_code dft_conv_relu_##e, dft_conv_relu_table_##e, dft_conv_linear_##e, dft_conv_linear_table_##e,  \
        dft_conv_relu_planes_##e, dft_conv_relu_table_planes_##e, dft_conv_linear_planes_##e,                         \
        dft_conv_linear_table_planes_##e;
DFT_CONV_SHIFT(0)
DFT_CONV_SHIFT(1)
DFT_CONV_SHIFT(2)
DFT_CONV_SHIFT(3)
DFT_CONV_SHIFT(4)
DFT_CONV_SHIFT(5)
DFT_CONV_SHIFT(6)
DFT_CONV_SHIFT(7)
DFT_CONV_SHIFT(8)
DFT_CONV_SHIFT(9)
DFT_CONV_SHIFT(10)
DFT_CONV_SHIFT(11)
DFT_CONV_SHIFT(12)
DFT_CONV_SHIFT(13)
DFT_CONV_SHIFT(14)
DFT_CONV_SHIFT(15)
DFT_CONV_SHIFT(16)
DFT_CONV_SHIFT(mixed)
#define DFT_CONV_BODIES(kind)                                                                                         \
    extern dft_conv_code kind##k4, kind##k8, kind##k12, kind##k16, kind##k20, kind##k24, kind##k28, kind##k32,        \
        kind##k36, kind##k40, kind##k44, kind##k48, kind##k52, kind##k56, kind##k60, kind##k64;
DFT_CONV_BODIES(dft_conv_)
DFT_CONV_BODIES(dft_conv_wide_)
extern dft_conv_code dft_conv_loop;
/* One body with either loads, whatever the build chose: the self-test times both. */
extern dft_conv_code dft_conv_k32_ldrd, dft_conv_k32_ldr;
#else
#define DFT_CONV_CODE(name) 0
#endif

#endif
