/* Runs a planned segment: lanes (operators with row kernels) interleaved row by row, in the order the planner found.
 * All of it is constant data that codegen/model_c.py writes. Called by the generated dft_model.c only. */
#ifndef DFT_RUN_H
#define DFT_RUN_H

#include <stdint.h>

#include "dft_rows.h"

#define DFT_LANES_MAX 32u       /* of one script */
#define DFT_LANES_HALF_BYTE 16u /* up to so many lanes, a byte of a script holds two events, the first in its low half */

/* A place in the lent memory: region in the top four bits, offset below. */
#define DFT_PLACE(region, offset) ((uint32_t)(region) << 28 | (uint32_t)(offset))
#define DFT_NOWHERE 0xFFFFFFFFu

/* The place of a ring that several tensors share: row r of this one at `offset` + ((r + phase) mod slots) * row_bytes. The
 * region in the top three bits, slots and phase in five each, a fourth of the offset below. */
#define DFT_PHASED(region, slots, phase, offset) \
    ((uint32_t)(region) << 29 | (uint32_t)(slots) << 24 | (uint32_t)(phase) << 19 | (uint32_t)(offset) >> 2)

/* Where the rows of a tensor lie: row r at place + (r mod slots) * row_bytes. `slots` 0: always at place, or, with row_bytes
 * that are not 0, by DFT_PHASED. */
typedef struct dft_rows_at {
    uint32_t place;
    uint16_t row_bytes;
    uint16_t slots;
} dft_rows_at;
_Static_assert(sizeof(dft_rows_at) == 8, "what lies behind a list of them needs no filler");

/* An operator. Output row r reads rows r * stride - pad + k * dilation, k < window, of `in` (which has in_h rows).
 * `rows_h` counts the rows of its events: those of its output, or of the input that it collects. The places of its second
 * and further operands lie right in front of its parameters, the second nearest: few operators have any, and all would pay for a pointer. */
typedef struct dft_lane {
    dft_row_kernel *kernel;
    const void *params; /* behind a dft_rows_at for each operand but the first */
    dft_rows_at in;
    dft_rows_at out;
    uint32_t work;           /* place of its scratch or of its aux memory: no kernel has both */
    uint16_t in_h;
    uint16_t rows_h;
    uint16_t op; /* index in the model */
    int16_t pad;
    uint8_t window, stride, dilation;
    uint8_t counts; /* DFT_COUNTS(rows of an event, rows leap, last rows first, operands but the first) */
} dft_lane;

/* A lane whose rows leap has events of one row: behind row r comes row r + dilation, behind the last of these the first that
 * is left. It needs a script. */
#define DFT_COUNTS(rows, leap, reverse, more) ((rows) | (leap) << 2 | (reverse) << 3 | (more) << 4)

/* Lanes interleaved by a script, or, without one, each from its first event to its last. The script has `head` entries,
 * then `unit` entries that stand for `repeated` events, then the rest. */
typedef struct dft_segment {
    const dft_lane *lanes;
    const uint8_t *script; /* lane of each event, or null */
    uint16_t lanes_n;      /* at most DFT_LANES_MAX with a script */
    uint16_t events;       /* of the script */
    uint16_t repeated;
    uint8_t head, unit;
} dft_segment;

/* base[i]: start of region i. */
void dft_run_segment(const dft_segment *segment, int8_t *const *base);

#endif
