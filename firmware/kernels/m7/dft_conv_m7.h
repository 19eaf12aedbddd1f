/* What m7/conv_rows.c and the assembly of conv_*.S share; private to them. Read by both compilers.
 *
 * Scratch memory of an event: widened pixels | panel | state | output of a map less than a tile wide.
 *   pixels  [tile of 4 pixels][quad of K]{products 0 and 2 of each of 4 pixels, a word each; then 1 and 3}
 *   panel   the weights of a pair of channels, int16: [quad of K]{0 and 2 of either channel; 1 and 3}; weights that are int16
 *           in flash are read there, and the memory is that of the taps or (DFT_CONV_DIRECT) does not exist
 *   state   dft_conv_state. It lies right behind the panel, because there the weight pointer stands after a tile: one
 *           LDM gives what the epilogue needs and jumps to it, and another one starts the next tile.
 *   taps    int8[4][K] where windows cannot be read where they lie, and three bytes more: over the panel and the state's
 *           first word, which are written for each pair, when all pixels of a block have been widened */
#ifndef DFT_CONV_M7_H
#define DFT_CONV_M7_H

/* Byte offsets in dft_conv_state. */
#define STATE_MULT 0
#define STATE_OUT 16
#define STATE_APART 28
#define STATE_END 32
#define STATE_PANEL 36
#define STATE_BIAS 40
#define STATE_TABLE 52
#define STATE_ROUND1 56
#define STATE_RIGHT 60
#define STATE_CHANNEL 68

#define JOB_DOUBLE 0
#define JOB_WIDE 1
#define JOB_SINGLE 2

/* Byte offsets in dft_conv_job. */
#define JOB_PANEL 4
#define JOB_PAIRS 12
#define JOB_QUADS 16
#define JOB_COUNT 20
#define JOB_PIXELS 24
#define JOB_ENTRY 28
#define JOB_SKIP 32
#define JOB_STEPS 36
#define JOB_CHANNEL 40
#define JOB_SPANS 44

/* Bytes of code for a quad of K, and of what precedes the loop in dft_conv_loop; quads in that loop. */
#if !defined(DFT_CONV_PAIRED_LOADS)
#define QUAD_CODE 88
#define LOOP_AT 94
#else
#define QUAD_CODE 112
#define LOOP_AT 138
#endif
#define LOOP_QUADS 8

#if !defined(__ASSEMBLER__)
#include <stdint.h>

#include "dft_conv_rows.h"

/* Order matters: see the LDMs of conv_body.S, conv_epilogue.S. */
typedef struct dft_conv_state {
    int32_t mult[2], round0;
    dft_conv_code *epilogue;
    int8_t *out;
    uint32_t pixel, pixel3; /* bytes from pixel to pixel, and three times that */
    int32_t apart;          /* from the first output channel to the second */
    const int32_t *end;     /* of the pixels of this span */
    const int32_t *panel;
    int32_t bias[2];
    dft_conv_code *body;
    const int8_t *table;
    int32_t round1;
    uint32_t right[2];
    uint32_t channel; /* the first output channel */
} dft_conv_state;

/* Tiles whose outputs follow each other. */
typedef struct dft_conv_span {
    int8_t *out; /* null behind the last one */
    const int32_t *end;
} dft_conv_span;

/* A run of pairs over widened pixels. `weights`, `pairs` and `steps` move on. */
typedef struct dft_conv_job {
    const int32_t *weights;
    int32_t *panel;
    uint32_t fill; /* how the panel is filled: JOB_DOUBLE, JOB_SINGLE; JOB_WIDE: `panel` is the state, there is none */
    const int32_t *pairs;
    uint32_t quads;
    uint32_t count; /* of pairs; 0 in the end */
    const int32_t *pixels;
    uint32_t entry; /* where dft_conv_loop jumps into its loop, */
    uint32_t skip;  /* and bytes of the panel that it leaves out there */
    const uint8_t *steps;
    uint32_t channel; /* bytes from an output channel to the next */
    dft_conv_span spans[2u * DFT_OUT_ROWS_MAX + 1u];
} dft_conv_job;

void dft_conv_pairs(dft_conv_job *job);

/* `tiles` times four pixels of `quads` words from `from` into the layout of pixels, `skip` bytes left between. Pixels
 * are `pixel` bytes apart. */
void dft_conv_widen(int32_t *to, const int8_t *from, uint32_t pixel, uint32_t quads, uint32_t tiles, uint32_t skip);

/* Four windows of `rows` rows of `n` bytes, K bytes a pixel, from byte `first` of the rows `in` on; pixels are `apart`
 * bytes apart. Reads and writes up to three bytes too much at the end of a row. */
void dft_conv_gather(int8_t *to, const int8_t *const *in, uint32_t first, uint32_t apart, uint32_t n, uint32_t rows,
                     uint32_t k);
#endif

#endif
