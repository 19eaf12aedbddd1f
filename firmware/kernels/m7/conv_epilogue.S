/* From eight sums to eight bytes, or (`planes`) halfwords: requantisation, saturation, table, stores; then the next
 * tile. One function for each right shift and kind, so that the shift is an immediate; dft_conv_…_mixed takes both
 * shifts from the state. Entered from conv_body.S; the last tile of a span leaves for dft_conv_next. No stack.
 *
 *   r2–r9  sums of both channels, doubled      r10, r11  multipliers
 *   r1     state + 16                          r12       rounding: half, and the zero point, before the shift
 *
 * TFLM rounds twice. SMMLAR is its first rounding, half of 2^right the second; for a negative sum halves go away from
 * zero, one less before the shift (`linear`). Where such outputs are clamped anyway (`relu`) it is left out. */
#include "dft_conv_m7.h"
#include "dft_m7_function.h"

    .macro requantise sum, mult, linear
    .if     \linear
    add     lr, r12, \sum, asr #31
    smmlar  \sum, \sum, \mult, lr
    .else
    smmlar  \sum, \sum, \mult, r12
    .endif
    .endm

    .macro saturate sum, right
    .if     \right
    ssat    \sum, #8, \sum, asr #\right
    .else
    ssat    \sum, #8, \sum
    .endif
    .endm

    /* Stores four pixels of channel 0 and of channel 1, \store is strb or strh; starts the next tile, or leaves. */
    .macro finish table, store
    .if     \table
    .irp    sum, r2, r3, r4, r5, r6, r7, r8, r9
    ldrsb   \sum, [lr, \sum]
    .endr
    .endif
    ldmia   r1!, {r10, r11, r12, lr}    /* out, bytes of a pixel, of three, of channel 1 from channel 0 */
    \store   r2, [r10]
    add     lr, r10, lr
    \store   r3, [r10, r11]
    \store   r4, [r10, r11, lsl #1]
    \store   r5, [r10, r12]
    add     r10, r10, r11, lsl #2
    \store   r6, [lr]
    str     r10, [r1, #-16]
    ldr     r10, [r1], #4
    \store   r7, [lr, r11]
    \store   r8, [lr, r11, lsl #1]
    cmp     r0, r10
    \store   r9, [lr, r12]
    beq.w   dft_conv_next
    ldmia   r1, {r1, r5, r9, pc}        /* panel, biases, body */
    .endm

    /* A sum, and what is left to do to the one before it: neither waits for the other. */
    .macro  behind before, sum, mult, linear, right
    requantise \sum, \mult, \linear
    saturate \before, \right
    .endm

    .macro epilogue name, linear, table, right, store
    function \name, 2
    requantise r2, r10, \linear
    behind  r2, r3, r10, \linear, \right
    behind  r3, r4, r10, \linear, \right
    behind  r4, r5, r10, \linear, \right
    behind  r5, r6, r11, \linear, \right
    behind  r6, r7, r11, \linear, \right
    behind  r7, r8, r11, \linear, \right
    behind  r8, r9, r11, \linear, \right
    .if     \table
    ldr     lr, [r1, #STATE_TABLE - 16]
    .endif
    saturate r9, \right
    finish  \table, \store
    .size   \name, . - \name
    .endm

    .macro  shifted before, sum, right
    asr     \sum, \sum, \right
    saturate \before, 0
    .endm

    .macro  mixed name, linear, table, store
    function \name, 2
    .irp    sum, r2, r3, r4, r5
    requantise \sum, r10, \linear
    .endr
    ldr     r12, [r1, #STATE_ROUND1 - 16]
    .irp    sum, r6, r7, r8, r9
    requantise \sum, r11, \linear
    .endr
    ldrd    r10, r11, [r1, #STATE_RIGHT - 16]
    asr     r2, r2, r10
    shifted r2, r3, r10
    shifted r3, r4, r10
    shifted r4, r5, r10
    shifted r5, r6, r11
    shifted r6, r7, r11
    shifted r7, r8, r11
    shifted r8, r9, r11
    .if     \table
    ldr     lr, [r1, #STATE_TABLE - 16]
    .endif
    saturate r9, 0
    finish  \table, \store
    .size   \name, . - \name
    .endm

    .macro epilogues right
    epilogue dft_conv_relu_\right, 0, 0, \right, strb
    epilogue dft_conv_relu_table_\right, 0, 1, \right, strb
    epilogue dft_conv_linear_\right, 1, 0, \right, strb
    epilogue dft_conv_linear_table_\right, 1, 1, \right, strb
    epilogue dft_conv_relu_planes_\right, 0, 0, \right, strh
    epilogue dft_conv_relu_table_planes_\right, 0, 1, \right, strh
    epilogue dft_conv_linear_planes_\right, 1, 0, \right, strh
    epilogue dft_conv_linear_table_planes_\right, 1, 1, \right, strh
    .endm

    .irp    right, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
    epilogues \right
    .endr
    mixed   dft_conv_relu_mixed, 0, 0, strb
    mixed   dft_conv_relu_planes_mixed, 0, 0, strh
    mixed   dft_conv_relu_table_mixed, 0, 1, strb
    mixed   dft_conv_relu_table_planes_mixed, 0, 1, strh
    mixed   dft_conv_linear_mixed, 1, 0, strb
    mixed   dft_conv_linear_planes_mixed, 1, 0, strh
    mixed   dft_conv_linear_table_mixed, 1, 1, strb
    mixed   dft_conv_linear_table_planes_mixed, 1, 1, strh
