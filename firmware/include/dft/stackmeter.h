/* How deep the stack has been: painted once at start, scanned on request. Called by main.c and commands.c. */
#ifndef DFT_STACKMETER_H
#define DFT_STACKMETER_H

#include <stdint.h>

#include "dft/board.h"

/* Paints the free part, from the low end up to just below the caller. Does nothing where the board has no bounds. */
void dft_stack_paint(dft_stack stack);

/* Deepest use since painting, and the size; 0 where the board has no bounds. */
uint32_t dft_stack_peak_bytes(dft_stack stack);
uint32_t dft_stack_bytes(dft_stack stack);

#endif
