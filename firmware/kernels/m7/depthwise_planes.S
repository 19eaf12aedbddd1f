/* Depthwise 3x3 over planes of int16 (dft_depthwise_planes_rows.h), for Cortex-M7: two outputs of a row at a time. Called
 * by depthwise_planes_rows.c with a dft_depthwise_planes (dft_depthwise_planes_m7.h).
 *
 * r0-r2 rows | r3-r8 weights; stride 2: r3-r7, r8 bias | r9 r10 sums | r11 r12 what was loaded | lr output
 * s0 s1 multiplier, rounding | s2 s3 bias, twice | s4 s5 bytes from output to output, end of the first row's pairs |
 * s6 s7 table, s4 | s8 s9 tile, pass | s10 s11 span, pairs | s12 s13 odd, s4 | s14 s15 job, end of the passes */
#include "dft_depthwise_planes_m7.h"
#include "dft_m7_function.h"

.macro double weights:vararg
    .irp    w, \weights
    sadd16  \w, \w, \w
    .endr
.endm

/* The record at r0: rows in pairs (weights 0 1) and (1 2). */
.macro p1_weights
    ldr     r5, [r0, #8]            /* 00 10 01 11 */
    ldr     r6, [r0, #10]           /* 01 11 02 12 */
    ldr     r8, [r0, #14]           /* 20 21 21 22 */
    sxtb16  r3, r5
    sxtb16  r5, r5, ror #8
    sxtb16  r4, r6
    sxtb16  r6, r6, ror #8
    sxtb16  r7, r8
    sxtb16  r8, r8, ror #8
    double  r3, r4, r5, r6, r7, r8
.endm

.macro p1_bias
    vmov    d1, r9, r9
.endm

/* Rows in pairs (weights 0 1); weight 2 of rows 0 1, of row 2. */
.macro p2_weights
    ldr     r4, [r0, #8]            /* 00 10 01 11 */
    ldr     r6, [r0, #12]           /* 20 02 21 12 */
    ldrsb   r7, [r0, #16]           /* 22 */
    sxtb16  r3, r4
    sxtb16  r4, r4, ror #8
    sxtb16  r5, r6
    sxtb16  r6, r6, ror #8
    lsl     r7, r7, #1
    double  r3, r4, r5, r6
.endm

.macro p2_bias
    mov     r8, r9
.endm

/* Channel by channel, pass by pass. A tile of the channel's shift takes the outputs of a pass and goes to `next`; entered
 * with the carry flag set it begins with its second pair. Of an odd number of outputs the last one is a pair of which both
 * results go to the same place, the wanted one later. */
.macro run kind, taps
    function dft_depthwise_\kind\()_run
    push    {r4-r11, lr}
    mov     r2, r0
    vmov    s14, r2
    add     r1, r2, #PLANES_TABLE
    vldr    s6, [r1]
    vldr    s4, [r1, #4]
    vldr    s10, [r1, #8]
    vldr    s11, [r1, #12]
    vldr    s12, [r1, #16]
    vldr    s15, [r1, #20]
    vmov.f32 s7, s4
    vmov.f32 s13, s4
    ldr     r0, [r2, #PLANES_RECORD]
1:  \kind\()_weights
    ldr     r9, [r0]
    ldr     r10, [r0, #4]
    ldrb    r11, [r0, #(8 + \taps)]
    add     r0, r0, #(9 + \taps)
    str     r0, [r2, #PLANES_RECORD]
    ldrd    r0, r1, [r2, #PLANES_ROUND]
    lsl     r0, r0, r11             /* (2 * zero point + 1) * 2^(shift - 1) */
    ldr     r12, [r1, r11, lsl #2]
    vmov    d0, r10, r0
    \kind\()_bias
    vmov    s8, r12
2:  vmov    s9, r2
    ldr     lr, [r2, #PASS_OUT]
    ldm     r2, {r0, r1, r2}
    vmov    r9, r10, d5
    add     r9, r9, r0
    lsrs    r10, r10, #1
    vmov    s5, r9
    vmov    r12, s8
    bx      r12

    .global dft_depthwise_\kind\()_next
    .type   dft_depthwise_\kind\()_next, %function
dft_depthwise_\kind\()_next:
    vmov    r9, s12
    cmp     r9, #0
    bne     4f
3:  vmov    lr, s9
    add     r12, lr, #PASS_GAPS
    ldm     r12, {r9, r10, r11}
    add     r0, r0, r9
    add     r1, r1, r10
    add     r2, r2, r11
    stm     lr, {r0, r1, r2}
    ldr     r9, [lr, #PASS_OUT]
    add     r9, r9, #1
    str     r9, [lr, #PASS_OUT]
    add     r2, lr, #PASS_BYTES
    vmov    r1, s15
    cmp     r2, r1
    bne     2b
    vmov    r2, s14
    ldrd    r0, r1, [r2, #PLANES_RECORD]
    cmp     r0, r1
    bne     1b
    pop     {r4-r11, pc}
4:  vmov    r10, s4
    cmp     r10, #0
    beq     5f
    mov     r10, #0                 /* the last output */
    vmov    s4, r10
    vmov    s7, r10
    add     r9, r9, r0
    vmov    s5, r9
    vmov    r12, s8
    cmp     r0, r0
    bx      r12
5:  vmov.f32 s4, s13
    vmov.f32 s7, s13
    b       3b
    .size   dft_depthwise_\kind\()_next, . - dft_depthwise_\kind\()_next
    .size   dft_depthwise_\kind\()_run, . - dft_depthwise_\kind\()_run
.endm

    run     p1, 10
    run     p2, 9

/* Four columns of a row as the windows of two outputs. */
.macro p1_row row, first, last
    ldrd    r11, r12, [\row], #4
    smlad   r9, r11, \first, r9
    smlatb  r10, r11, \first, r10
    smlabt  r9, r12, \last, r9
    smlad   r10, r12, \last, r10
.endm

.macro p1_sums
    vmov    r9, r10, d1
    p1_row  r0, r3, r4
    p1_row  r1, r5, r6
    p1_row  r2, r7, r8
.endm

/* Five columns of a row; the third weight in the bottom (b) or top (t) half of \last. */
.macro p2_row row, first, half, last, sum0=r9, sum1=r10
    ldrd    r11, r12, [\row], #8
    smlad   r9, r11, \first, \sum0
    ldr     r11, [\row]
    smlab\half r9, r12, \last, r9
    smlad   r10, r12, \first, \sum1
    smlab\half r10, r11, \last, r10
.endm

.macro p2_sums
    p2_row  r0, r3, b, r6, r8, r8
    p2_row  r1, r4, t, r6
    p2_row  r2, r5, b, r7
.endm

/* As TFLM rounds: dft_depthwise_tile.h. */
.macro relu_finish shift
    vmov    r11, r12, d0
    smmlar  r9, r9, r11, r12
    smmlar  r10, r10, r11, r12
    vmov    r11, r12, d2
    ssat    r9, #8, r9, asr #\shift
    ssat    r10, #8, r10, asr #\shift
    strb    r10, [lr, r11]
    strb    r9, [lr]
    add     lr, lr, r11, lsl #1
.endm

.macro relu_again
    cmp     r0, r12
.endm

.macro table_finish shift
    vmov    r11, r12, d0
    add     r12, r12, r9, asr #31
    smmlar  r9, r9, r11, r12
    vmov    r12, s1
    add     r12, r12, r10, asr #31
    smmlar  r10, r10, r11, r12
    vmov    r11, r12, d3
    ssat    r9, #8, r9, asr #\shift
    ssat    r10, #8, r10, asr #\shift
    ldrsb   r9, [r11, r9]
    ldrsb   r10, [r11, r10]
    strb    r10, [lr, r12]
    strb    r9, [lr]
    add     lr, lr, r12, lsl #1
.endm

.macro table_again
    vmov    r12, s5
    cmp     r0, r12
.endm

.macro tile kind, how, shift
    function dft_depthwise_\kind\()_\how\()_\shift
    bcs     2f
1:  \kind\()_sums
    \how\()_finish \shift
2:  \kind\()_sums
    \how\()_finish \shift
    \how\()_again
    bne     1b
    b       dft_depthwise_\kind\()_next
    .p2align 3
    .size   dft_depthwise_\kind\()_\how\()_\shift, . - dft_depthwise_\kind\()_\how\()_\shift
.endm

    .irp    shift, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
    tile    p1, relu, \shift
    tile    p1, table, \shift
    tile    p2, relu, \shift
    tile    p2, table, \shift
    .endr
