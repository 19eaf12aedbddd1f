/* What m7/depthwise_planes_rows.c and depthwise_planes.S share; private to them. Read by both compilers. */
#ifndef DFT_DEPTHWISE_PLANES_M7_H
#define DFT_DEPTHWISE_PLANES_M7_H

/* Byte offsets in dft_depthwise_pass and its size; in dft_depthwise_planes. */
#define PASS_GAPS 12
#define PASS_OUT 24
#define PASS_BYTES 28
#define PLANES_RECORD 56
#define PLANES_ROUND 64
#define PLANES_TABLE 72

#if !defined(__ASSEMBLER__)
#include "dft_depthwise_planes_rows.h"

/* One output row: the rows under its windows, at the channel's plane; from where a channel leaves them to the next plane;
 * the channel's first output. All moved on from channel to channel. */
typedef struct dft_depthwise_pass {
    const int8_t *rows[3];
    int32_t gaps[3];
    int8_t *out;
} dft_depthwise_pass;

/* An event; the assembly reads it by offsets and in this order. */
typedef struct dft_depthwise_planes {
    dft_depthwise_pass passes[DFT_OUT_ROWS_MAX];
    const int8_t *record, *record_end; /* of the next channel; behind the last */
    int32_t round;                     /* twice the output's zero point, plus one */
    dft_depthwise_tile *const *tiles;
    const int8_t *table; /* its middle; from here on s6, s4 … of the tiles */
    uint32_t channels;   /* bytes from output to output */
    uint32_t span;       /* bytes of a row under pairs of outputs, */
    uint32_t pairs;      /* how many there are, at least one, */
    uint32_t odd;        /* and bytes of a row under a last one that has no partner */
    const dft_depthwise_pass *passes_end;
} dft_depthwise_planes;

typedef void dft_depthwise_planes_work(dft_depthwise_planes *job);

/* Horizontal stride 1 and 2. */
extern dft_depthwise_planes_work dft_depthwise_p1_run, dft_depthwise_p2_run;
#endif

#endif
