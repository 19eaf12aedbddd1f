/* Products of 2 output channels by 4 pixels, all of K: bodies dft_conv_k4 … k64, unrolled, and dft_conv_loop for
 * larger K; dft_conv_wide_k4 … where weights are int16 in flash and read there, as the loop can. Entered from the end of conv_epilogue.S and from conv_pairs.S, each leaves for its epilogue; no stack.
 *
 *   r0  pixels, widened            r2–r5  sums of channel 0, pixels 0–3
 *   r1  weights                    r6–r9  sums of channel 1
 *   in: r5, r9 biases; out: r1 behind the state's first four words, r10, r11 multipliers, r12 rounding
 *
 * 0.6875 instructions a product: of a pair of k's a LDRD of weights, two of pixels and eight SMLAD.
 * DFT_CONV_PAIRED_LOADS is the choice for those who can measure cycles: a board's self-test times both. */
#include "dft_conv_m7.h"
#include "dft_m7_function.h"

#if !defined(DFT_CONV_PAIRED_LOADS)
#define LOADS ldrd
#else
#define LOADS ldr
#endif

    /* Behind the last weights that are read where they lie: back to the state. */
    .macro last_weights leave
    .if     \leave
    vmov    r1, s3
    .endif
    .endm

    /* Two products a sum, added to a0 … b2; `leave`: the last ones of a tile whose weights lie apart from the state. */
    .macro two_k_ldrd a0=r2, a1=r3, a2=r4, b0=r6, b1=r7, b2=r8, leave=0
    ldrd    r10, r11, [r1], #8
    last_weights \leave
    ldrd    r12, lr, [r0], #8
    smlad   r2, r12, r10, \a0
    smlad   r6, r12, r11, \b0
    smlad   r3, lr, r10, \a1
    smlad   r7, lr, r11, \b1
    ldrd    r12, lr, [r0], #8
    smlad   r4, r12, r10, \a2
    smlad   r8, r12, r11, \b2
    smlad   r5, lr, r10, r5
    smlad   r9, lr, r11, r9
    .endm

    /* Pointers stand where they should already. */
    .macro behind_ldrd quads, leave=0
    .endm

    /* The same with fewer cycles in llvm-mca's model (.56 instead of .69 a product) and more instructions (.875): a LDR
     * without writeback issues together with a SMLAD, a LDRD alone. Offsets from r0 and r1 count up within a body. */
    .macro two_k_ldr a0=r2, a1=r3, a2=r4, b0=r6, b1=r7, b2=r8, leave=0
    ldr     r10, [r1, #k_bytes]
    ldr     r12, [r0, #2 * k_bytes]
    ldr     r11, [r1, #k_bytes + 4]
    last_weights \leave
    smlad   r2, r12, r10, \a0
    ldr     lr, [r0, #2 * k_bytes + 4]
    smlad   r6, r12, r11, \b0
    ldr     r12, [r0, #2 * k_bytes + 8]
    smlad   r3, lr, r10, \a1
    smlad   r7, lr, r11, \b1
    ldr     lr, [r0, #2 * k_bytes + 12]
    smlad   r4, r12, r10, \a2
    smlad   r8, r12, r11, \b2
    smlad   r5, lr, r10, r5
    smlad   r9, lr, r11, r9
    .set    k_bytes, k_bytes + 8
    .endm

    /* Moves the pointers behind `quads`. */
    .macro behind_ldr quads, leave=0
    .if     !\leave
    add     r1, r1, #16 * (\quads)
    .endif
    add     r0, r0, #32 * (\quads)
    .set    k_bytes, 0
    .endm
    .set    k_bytes, 0

    /* The first of a tile starts from the biases. */
    .macro first_two_k loads
    two_k_\loads r5, r5, r5, r9, r9, r9
    .endm

    .macro to_epilogue
    ldmia   r1!, {r10, r11, r12, pc}
    .endm

    .macro body name, k, loads, apart=0
    function \name, 2
    first_two_k \loads
    .rept   (\k) / 2 - 2
    two_k_\loads
    .endr
    two_k_\loads leave=\apart
    behind_\loads (\k) / 4, \apart
    to_epilogue
    .size   \name, . - \name
    .endm

    /* With the weights in the panel, and (`wide`) where they lie: s3 is the state then. */
    .irp    k, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64
    body    dft_conv_k\k, \k, LOADS
    body    dft_conv_wide_k\k, \k, LOADS, 1
    .endr

    /* For the self-test, which times both; the linker drops them where there is none. */
    body    dft_conv_k32_ldrd, 32, ldrd
    body    dft_conv_k32_ldr, 32, ldr

    .macro loop_first loads
    first_two_k \loads
    two_k_\loads
    behind_\loads 1
    .endm

    .macro loop_rest loads
    .rept   2 * LOOP_QUADS
    two_k_\loads
    .endr
    behind_\loads LOOP_QUADS
    .endm

    /* Weights are not doubled here: the sums are, there are fewer of them.
     * One quad, then a jump into the loop such that the rest comes out even. s0: where to, s1: end of the weights. */
    function dft_conv_loop, 2
    loop_first LOADS
    vmov    r10, s0
#if defined(DFT_CONV_PAIRED_LOADS)
    vmov    r12, s2                             /* bytes of the panel that the jump skips */
    sub     r1, r1, r12
    sub     r0, r0, r12, lsl #1
#endif
    bx      r10
0:
    .if     (0b - dft_conv_loop) != LOOP_AT
    .error  "LOOP_AT does not fit the code"
    .endif
    loop_rest LOADS
    vmov    r10, s1
    cmp     r1, r10
    bne.w   0b
    vmov    r1, s3
    .irp    sum, r2, r3, r4, r5, r6, r7
    lsls    \sum, \sum, #1
    .endr
    lsl     r8, r8, #1
    lsl     r9, r9, #1
    to_epilogue
    .size   dft_conv_loop, . - dft_conv_loop
