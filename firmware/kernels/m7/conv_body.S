/* Products of 2 output channels by 4 pixels, all of K: bodies dft_conv_k4 … k64, unrolled, and dft_conv_loop for
 * larger K. Entered from the end of conv_epilogue.S and from conv_pairs.S, each leaves for its epilogue; no stack.
 *
 *   r0  pixels, widened            r2–r5  sums of channel 0, pixels 0–3
 *   r1  panel of weights           r6–r9  sums of channel 1
 *   in: r5, r9 biases; out: r1 behind the state's first four words, r10, r11 multipliers, r12 rounding
 *
 * 0.6875 instructions a product: of a pair of k's a LDRD of weights, two of pixels and eight SMLAD. */
#include "dft_conv_m7.h"

    .syntax unified
    .thumb

    /* Two products a sum. The first pair of a tile starts from the biases. */
    .macro two_k first=0
    ldrd    r10, r11, [r1], #8
    ldrd    r12, lr, [r0], #8
    .if \first
    smlad   r2, r12, r10, r5
    smlad   r6, r12, r11, r9
    smlad   r3, lr, r10, r5
    smlad   r7, lr, r11, r9
    .else
    smlad   r2, r12, r10, r2
    smlad   r6, r12, r11, r6
    smlad   r3, lr, r10, r3
    smlad   r7, lr, r11, r7
    .endif
    ldrd    r12, lr, [r0], #8
    .if \first
    smlad   r4, r12, r10, r5
    smlad   r8, r12, r11, r9
    .else
    smlad   r4, r12, r10, r4
    smlad   r8, r12, r11, r8
    .endif
    smlad   r5, lr, r10, r5
    smlad   r9, lr, r11, r9
    .endm

    .macro to_epilogue
    ldmia   r1!, {r10, r11, r12, pc}
    .endm

    .macro function name
    .section .text.\name, "ax", %progbits
    .p2align 2
    .global \name
    .type   \name, %function
\name:
    .endm

    .macro body k
    function dft_conv_k\k
    two_k   first=1
    .rept   (\k) / 2 - 1
    two_k
    .endr
    to_epilogue
    .size   dft_conv_k\k, . - dft_conv_k\k
    .endm

    .irp    k, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64
    body    \k
    .endr

    /* Weights are not doubled here: the sums are, there are fewer of them.
     * One quad, then a jump into the loop such that the rest comes out even. s0: where to, s1: end of the panel. */
    function dft_conv_loop
    two_k   first=1
    two_k
    vmov    r10, s0
    bx      r10
0:
    .if     (0b - dft_conv_loop) != LOOP_AT
    .error  "LOOP_AT does not fit the code"
    .endif
    .rept   2 * LOOP_QUADS
    two_k
    .endr
    vmov    r10, s1
    cmp     r1, r10
    bne.w   0b
    .irp    sum, r2, r3, r4, r5, r6, r7
    lsls    \sum, \sum, #1
    .endr
    lsl     r8, r8, #1
    lsl     r9, r9, #1
    to_epilogue
    .size   dft_conv_loop, . - dft_conv_loop
