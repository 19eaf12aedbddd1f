/* Depthwise windows five or seven columns wide, for Cortex-M7: widening, weights, four outputs of a row at a time. Called
 * by depthwise_wide_rows.c; layout of the scratch memory in dft_depthwise_wide_m7.h. */
#include "dft_depthwise_wide_m7.h"
#include "dft_m7_function.h"

/* r0 to, r1 from, r2 pixel, r3 pairs. PKH first, so that one SXTB16 gives a finished pair. */
    function dft_depthwise_wide_widen
    push    {r4-r11}
1:  ldr     r4, [r1]
    ldr     r5, [r1, r2]
    add     r1, r1, r2, lsl #1
    subs    r3, r3, #1
    pkhbt   r6, r4, r5, lsl #16     /* channels 0 1 */
    pkhtb   r7, r5, r4, asr #16     /* channels 2 3 */
    sxtb16  r8, r6
    sxtb16  r9, r6, ror #8
    sxtb16  r10, r7
    sxtb16  r11, r7, ror #8
    stm     r0!, {r8-r11}
    bne     1b
    pop     {r4-r11}
    bx      lr
    .size   dft_depthwise_wide_widen, . - dft_depthwise_wide_widen

/* r0 to, r1 weights, r2 rows. */
    function dft_depthwise_wide_weights_5
    push    {r4-r7}
1:  ldr     r3, [r1]                /* 0 3 1 4 */
    ldr     r6, [r1, #1]            /* 3 1 4 2 */
    adds    r1, r1, #5
    subs    r2, r2, #1
    sxtb16  r4, r3
    sxtb16  r7, r3, ror #8
    sxtb16  r6, r6, ror #8
    lsr     r5, r6, #16
    pkhbt   r5, r5, r7, lsl #16
    stm     r0!, {r4-r7}
    bne     1b
    pop     {r4-r7}
    bx      lr
    .size   dft_depthwise_wide_weights_5, . - dft_depthwise_wide_weights_5

    function dft_depthwise_wide_weights_7
    push    {r4-r9}
1:  ldr     r3, [r1]                /* 0 2 1 3 */
    ldr     r12, [r1, #3]           /* 3 5 4 6 */
    adds    r1, r1, #7
    subs    r2, r2, #1
    sxtb16  r4, r3
    sxtb16  r5, r3, ror #8
    sxtb16  r8, r12
    sxtb16  r9, r12, ror #8
    lsr     r6, r8, #16
    pkhbt   r6, r6, r9, lsl #16
    lsr     r7, r4, #16
    pkhbt   r7, r7, r5, lsl #16
    stm     r0!, {r4-r9}
    bne     1b
    pop     {r4-r9}
    bx      lr
    .size   dft_depthwise_wide_weights_7, . - dft_depthwise_wide_weights_7

/* r0 pair of columns | r1 weights, r2-r7 those of a row | r8-r11 sums | r12 what was loaded | lr bytes from row to row.
 * s0 end of the weights, s1 job. */
.macro pair number
    ldr     r12, [r0, #\number * WIDE_PAIR]
.endm

/* Products of a pair of columns and a pair of weights: both; the right column with the first weight, with which a window
 * begins; the left column with the second weight, with which one ends. */
.macro both sum, weights
    smlad   \sum, r12, \weights, \sum
.endm

.macro begin sum
    smlatb  \sum, r12, r2, \sum
.endm

.macro end_ sum, weights
    smlabt  \sum, r12, \weights, \sum
.endm

.macro row_5_1
    ldm     r1!, {r2-r5}
    pair    0
    both    r8, r2
    begin   r9
    pair    1
    both    r8, r3
    both    r9, r4
    both    r10, r2
    begin   r11
    pair    2
    end_    r8, r5
    both    r9, r5
    both    r10, r3
    both    r11, r4
    pair    3
    end_    r10, r5
    both    r11, r5
.endm

.macro row_7_1
    ldm     r1!, {r2-r7}
    pair    0
    both    r8, r2
    begin   r9
    pair    1
    both    r8, r3
    both    r9, r5
    both    r10, r2
    begin   r11
    pair    2
    both    r8, r4
    both    r9, r6
    both    r10, r3
    both    r11, r5
    pair    3
    end_    r8, r7
    both    r9, r7
    both    r10, r4
    both    r11, r6
    pair    4
    end_    r10, r7
    both    r11, r7
.endm

.macro row_5_2
    ldm     r1!, {r2-r5}
    pair    0
    both    r8, r2
    pair    1
    both    r8, r3
    both    r9, r2
    pair    2
    end_    r8, r5
    both    r9, r3
    both    r10, r2
    pair    3
    end_    r9, r5
    both    r10, r3
    both    r11, r2
    pair    4
    end_    r10, r5
    both    r11, r3
    pair    5
    end_    r11, r5
.endm

.macro row_7_2
    ldm     r1!, {r2-r7}
    pair    0
    both    r8, r2
    pair    1
    both    r8, r3
    both    r9, r2
    pair    2
    both    r8, r4
    both    r9, r3
    both    r10, r2
    pair    3
    end_    r8, r7
    both    r9, r4
    both    r10, r3
    both    r11, r2
    pair    4
    end_    r9, r7
    both    r10, r4
    both    r11, r3
    pair    5
    end_    r10, r7
    both    r11, r4
    pair    6
    end_    r11, r7
.endm

.macro wide width, step
    function dft_depthwise_wide_\width\()_\step
    push    {r4-r11, lr}
    ldr     r1, [r0, #WIDE_END]
    vmov    s0, r1
    vmov    s1, r0
    mov     r12, r0
1:  ldm     r12, {r0, r1, lr}       /* a tile */
    .irp    sum, r8, r9, r10, r11
    mov     \sum, #0
    .endr
2:  row_\width\()_\step
    vmov    r12, s0
    add     r0, r0, lr
    cmp     r1, r12
    bne     2b
    vmov    r1, s1
    add     r0, r1, #WIDE_BIAS
    ldm     r0, {r2-r7}             /* bias, multiplier, rounding, shift, table, results */
    .irp    sum, r8, r9, r10, r11
    add     \sum, r2, \sum, lsl #1
    add     r12, r4, \sum, asr #31  /* ties go away from zero: one less for a negative sum */
    smmlar  \sum, \sum, r3, r12
    asr     \sum, \sum, r5
    ssat    \sum, #8, \sum
    .endr
    cbz     r6, 3f
    .irp    sum, r8, r9, r10, r11
    ldrsb   \sum, [r6, \sum]
    .endr
3:  strb    r8, [r7]
    strb    r9, [r7, #4]
    strb    r10, [r7, #8]
    strb    r11, [r7, #12]
    adds    r7, r7, #16
    str     r7, [r1, #WIDE_RESULTS]
    ldr     r2, [r1]
    ldr     r3, [r1, #WIDE_TILES]
    add     r2, r2, #(WIDE_TILE / 2 * \step * WIDE_PAIR)
    subs    r3, r3, #1
    str     r2, [r1]
    str     r3, [r1, #WIDE_TILES]
    mov     r12, r1
    bne     1b
    pop     {r4-r11, pc}
    .size   dft_depthwise_wide_\width\()_\step, . - dft_depthwise_wide_\width\()_\step
.endm

    wide    5, 1
    wide    5, 2
    wide    7, 1
    wide    7, 2
