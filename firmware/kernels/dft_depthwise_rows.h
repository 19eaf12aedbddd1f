/* DEPTHWISE_CONV_2D by rows, 3x3 and (dft_depthwise_taps_rows.h) others: what python/dftiny/kernels/depthwise_rows.py
 * writes and both twins read.
 *
 * A record an output channel, bytes, little-endian, at any alignment:
 *     int32 2 * bias (input zero point folded in) | int32 multiplier | int8 weights | int8 right shift - 1
 * The weights are in the order of `kind`. The doubled accumulator turns TFLM's rounding doubling high multiplication
 * into the high word of a product: high = (2 * acc * mult + 2^31) >> 32, within 2^30 as the maker proved. */
#ifndef DFT_DEPTHWISE_ROWS_H
#define DFT_DEPTHWISE_ROWS_H

#include <stdint.h>

#include "dft_rows.h"

/* Weights row by row; or in the order of (row, column) that the tiles of 3x3 unpack in fewest steps. S and R: horizontal
 * stride and output rows an event. */
#define DFT_DEPTHWISE_ANY 0u
#define DFT_DEPTHWISE_3X3_S1_R2 1u /* 00 01 10 11 20 21 02 12 12 22 */
#define DFT_DEPTHWISE_3X3_S2_R1 2u /* 00 01 10 11 02 20 12 21 22 */
#define DFT_DEPTHWISE_3X3_S1_R1 3u /* the same */
#define DFT_DEPTHWISE_3X3_S2_R2 4u /* 00 01 10 11 20 21 02 12 22 */
#define DFT_DEPTHWISE_PLAIN 5u     /* row by row, and a channel that is not shifted */
#define DFT_DEPTHWISE_PLANES_S1 6u /* as S1_R2, over planes: dft_depthwise_planes_rows.h */
#define DFT_DEPTHWISE_PLANES_S2 7u /* as S2_R1, likewise */
#define DFT_DEPTHWISE_WIDE 8u      /* as dft_depthwise_wide_rows.h says */

/* Code of one channel's row in m7/, with registers of its own: never called from C. */
typedef void dft_depthwise_tile(void);

/* What m7/ does for one kind; a net names those that it needs, so that the linker leaves the others out. */
typedef struct dft_depthwise_method dft_depthwise_method;

typedef struct dft_depthwise_rows_params {
    uint16_t in_w, in_c;
    uint16_t out_w;
    uint16_t multiplier; /* output channel = input channel * multiplier + i */
    uint8_t kernel_h, kernel_w;
    uint8_t stride_h, stride_w;
    uint8_t pad_left;
    uint8_t kind;
    uint8_t record; /* bytes of a record */
    int8_t out_zp;
    int16_t in_zp;
    uint16_t columns; /* of the scratch memory, or of a plane: padding, row, padding */
    uint16_t block;   /* DFT_DEPTHWISE_ANY: channels copied at once; 0: rows are read where they lie */
    uint8_t first_tile; /* shift - 1 of the first of `tiles` */
    const int8_t *records;
    const int8_t *table; /* int8[256] from -128 on: clamps and what was fused behind; or null */
    const dft_depthwise_method *method; /* null where there are no tiles, and on other machines */
    /* For right shifts from the least to the greatest of the layer, 1 … 16: layers of the same shifts share a list. Null where
     * there is no such channel, and on other machines. */
    dft_depthwise_tile *const *tiles;
} dft_depthwise_rows_params;

dft_row_kernel dft_depthwise_rows; /* DFT_DEPTHWISE_3X3_… */
dft_row_kernel dft_depthwise_plain; /* any window, in plain loops */

/* A method and a tile of m7/ where there are any. */
#if defined(__ARM_FEATURE_DSP)
extern const dft_depthwise_method dft_depthwise_method_s1, dft_depthwise_method_s2, dft_depthwise_method_r1;
extern const dft_depthwise_method dft_depthwise_method_s2r2, dft_depthwise_method_p1, dft_depthwise_method_p2;
#define DFT_DEPTHWISE_METHOD(name) &dft_depthwise_##name
#define DFT_DEPTHWISE_TILE(name) dft_depthwise_##name
#define DFT_DEPTHWISE_DECLARE(e)                                                                                   \
    extern dft_depthwise_tile dft_depthwise_s1_relu_##e, dft_depthwise_s1_table_##e, dft_depthwise_r1_relu_##e,    \
        dft_depthwise_r1_table_##e, dft_depthwise_s2_relu_##e, dft_depthwise_s2_table_##e,                                    \
        dft_depthwise_s2r2_relu_##e, dft_depthwise_s2r2_table_##e, dft_depthwise_p1_relu_##e,                          \
        dft_depthwise_p1_table_##e, dft_depthwise_p2_relu_##e, dft_depthwise_p2_table_##e;
DFT_DEPTHWISE_DECLARE(1)
DFT_DEPTHWISE_DECLARE(2)
DFT_DEPTHWISE_DECLARE(3)
DFT_DEPTHWISE_DECLARE(4)
DFT_DEPTHWISE_DECLARE(5)
DFT_DEPTHWISE_DECLARE(6)
DFT_DEPTHWISE_DECLARE(7)
DFT_DEPTHWISE_DECLARE(8)
DFT_DEPTHWISE_DECLARE(9)
DFT_DEPTHWISE_DECLARE(10)
DFT_DEPTHWISE_DECLARE(11)
DFT_DEPTHWISE_DECLARE(12)
DFT_DEPTHWISE_DECLARE(13)
DFT_DEPTHWISE_DECLARE(14)
DFT_DEPTHWISE_DECLARE(15)
DFT_DEPTHWISE_DECLARE(16)
#else
#define DFT_DEPTHWISE_METHOD(name) 0
#define DFT_DEPTHWISE_TILE(name) 0
#endif

#endif
