/* What a board can prove of itself without a host's help: one test a call, so that each reply comes in time.
 * Called by commands.c. Names and outcomes are for a person on the first day with new silicon. */
#ifndef DFT_SELFTEST_H
#define DFT_SELFTEST_H

#include <stdbool.h>
#include <stdint.h>

#include "dft/board.h"
#include "dft/engine.h"

typedef struct dft_selftest {
    const char *name; /* at most 15 characters */
    uint32_t status;  /* DFT_SELFTEST_* */
    uint64_t ticks;   /* that the test took, on the board's own counter */
    uint32_t detail;  /* what was measured or found; its meaning goes with the name */
} dft_selftest;

/* How many tests there are: the board's own first, then those of the processor, then the engine's. */
uint32_t dft_selftest_n(const dft_board *board, const dft_engine *engine);

/* Runs test `index`. False, and nothing written, where there is none. A test may use the engine's memory: an input
 * that was received is lost. */
bool dft_selftest_run(const dft_board *board, const dft_engine *engine, uint32_t index, dft_selftest *result);

#endif
