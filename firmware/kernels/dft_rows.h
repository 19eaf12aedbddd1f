/* Row kernels: one event computes one or two rows of a tensor from rows of its operands, so that a chain of
 * operators can run with a few rows of each tensor alive. The row engine (engines/aot/dft_run.c) calls them by the
 * schedule that the planner made; nothing else does. Twins: kernels/NAME.c is portable, a file of the same name in
 * kernels/m7/ replaces it on Cortex-M with DSP instructions; both read the same parameters and give the same bits.
 *
 * Rows are NHWC, `width * channels` bytes, at any alignment: no LDRD or LDM on them, and no byte read behind
 * their end. */
#ifndef DFT_ROWS_H
#define DFT_ROWS_H

#include <stdint.h>

#define DFT_WINDOW_ROWS_MAX 16u
#define DFT_OUT_ROWS_MAX 2u
#define DFT_MORE_MAX 3u

typedef struct dft_event {
    /* Rows of the first operand under the windows of all output rows of this event, top to bottom (dilated windows:
     * only rows that have a tap); NULL where the window leaves the map: such a row holds the zero point. */
    const int8_t *in[DFT_WINDOW_ROWS_MAX];
    const int8_t *in2; /* second operand: its row of the same index, or all of it when it has one row only */
    /* Third and further operands, likewise (coefficient vectors of a Shift-Max); NULL where there is none. */
    const int8_t *more[DFT_MORE_MAX];
    int8_t *out[DFT_OUT_ROWS_MAX];
    uint32_t row;  /* index of the row that goes to out[0] */
    uint32_t rows; /* how many rows to write; fewer than the kernel's usual number only at the map's end */
    void *scratch; /* the kernel's scratch bytes, aligned to 8; what lies there is lost between events */
    void *aux;     /* the kernel's aux bytes, aligned to 8; kept from row 0 to the last row of a tensor */
} dft_event;

/* `params` is the kernel's own const struct. */
typedef void dft_row_kernel(const void *params, const dft_event *event);

#endif
