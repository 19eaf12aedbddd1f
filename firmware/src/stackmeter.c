/* Stack paint. The stack grows down, so the lowest word that lost its paint marks the peak. */
#include "dft/stackmeter.h"

#include <stddef.h>

/* Unlikely as data, invalid as an address of either Cortex-M target. */
#define PAINT 0xDF7C0DE5u

/* Left alone below this function's own frame, which it is standing on. */
#define MARGIN_WORDS 32u

void dft_stack_paint(dft_stack stack) {
    if (stack.low == NULL) {
        return;
    }
    volatile uint32_t *here = (volatile uint32_t *)__builtin_frame_address(0);
    for (volatile uint32_t *word = stack.low; word < here - MARGIN_WORDS; word++) {
        *word = PAINT;
    }
}

uint32_t dft_stack_peak_bytes(dft_stack stack) {
    const volatile uint32_t *word = stack.low;
    while (word < stack.high && *word == PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)stack.high - (uintptr_t)word);
}

uint32_t dft_stack_bytes(dft_stack stack) { return (uint32_t)((uintptr_t)stack.high - (uintptr_t)stack.low); }
