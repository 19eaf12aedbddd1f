/* Runs: what row kernels of pointwise operators do with bytes in order, NAME_run.c portable and m7/NAME_run.S with
 * DSP instructions. Called by the *_rows.c alone, which know rows and operands; a run knows only how many bytes.
 * `out` may be `in` (or `a`) or lie lower; nothing is read or written behind the n bytes. Private to kernels/. */
#ifndef DFT_RUNS_H
#define DFT_RUNS_H

#include <stdint.h>

/* out[i] = table[in[i] + 128]; `table` int8[256] in the order −128…127. */
void dft_table_run(const int8_t *table, const int8_t *in, int8_t *out, uint32_t n);

#endif
