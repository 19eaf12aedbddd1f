/* Depthwise windows of one row or one column, three or five taps, for Cortex-M7: every tap has a pointer, two outputs a
 * turn. Called by depthwise_taps_rows.c with a dft_depthwise_line (dft_depthwise_m7.h). */
    .syntax unified
    .cpu cortex-m7
    .fpu fpv5-d16
    .thumb

/* r0-r4 taps, less their number where there are three | r5 offset of the output, from tap to tap the same | r6 step |
 * r7-r9 weights, two a register | r10 bias | r11 r12 sums | lr what was read. With three taps r3 r4 hold multiplier and
 * rounding. s0 s1 shift, output | s2 s3 step of outputs, end of the pairs | s4 s5 multiplier, rounding | s6 s7 last
 * weight, bias | s8 s9 table, end | s10 s11 channel in a pixel, products of it that are left | s12 line | s13 record |
 * s14 s15 channels left, output */

.macro sum_3 sum
    ldrsb   lr, [r0, r5]
    ldrsb   r9, [r1, r5]
    smlabb  \sum, lr, r7, r10
    ldrsb   lr, [r2, r5]
    smlabt  \sum, r9, r7, \sum
    add     r5, r5, r6
    smlabb  \sum, lr, r8, \sum
.endm

.macro sum_5 sum
    ldrsb   lr, [r0, r5]
    smlabb  \sum, lr, r7, r10
    ldrsb   lr, [r1, r5]
    smlabt  \sum, lr, r7, \sum
    ldrsb   lr, [r2, r5]
    smlabb  \sum, lr, r8, \sum
    ldrsb   lr, [r3, r5]
    smlabt  \sum, lr, r8, \sum
    ldrsb   lr, [r4, r5]
    add     r5, r5, r6
    smlabb  \sum, lr, r9, \sum
.endm

/* Two sums as TFLM rounds: high product rounded, then the rounding shift, whose ties go away from zero. */
.macro finish mult, round, scratch
    add     \scratch, \round, r11, asr #31
    smmlar  r11, r11, \mult, \scratch
    add     \scratch, \round, r12, asr #31
    smmlar  r12, r12, \mult, \scratch
    vmov    r10, lr, d0
    asr     r11, r11, r10
    asr     r12, r12, r10
    ssat    r11, #8, r11
    ssat    r12, #8, r12
.endm

/* The doubled weights i and i + 1 of the record at lr to a register. */
.macro two_weights to, i, other
    ldrsb   \to, [lr, #(8 + \i)]
    ldrsb   \other, [lr, #(9 + \i)]
    pkhbt   \to, \to, \other, lsl #16
    sadd16  \to, \to, \to
.endm

.macro last_weight to, i
    ldrsb   \to, [lr, #(8 + \i)]
    lsl     \to, \to, #1
.endm

.macro line name, taps, table
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
/* r0 line. */
\name:
    push    {r4-r11, lr}
    vmov    s12, r0
    ldr     r6, [r0, #20]           /* step */
    adds    r0, #24
    vldm    r0!, {s2-s3}
    vldm    r0!, {s8-s11}
    vldr    s13, [r0]
    vldr    s14, [r0, #8]
    vldr    s15, [r0, #12]
1:  vmov    lr, r5, s13, s14        /* a channel */
    vmov    r5, s12
    vmov    r12, s15
    vmov    s1, r12
    ldr     r11, [lr, #4]
    ldrb    r12, [lr, #(8 + \taps)]
    ldr     r4, [r5, #52]           /* round */
    lsl     r4, r4, r12
    add     r12, r12, #1
    vmov    s0, r12
    two_weights r7, 0, r9
    .if     \taps == 3
    last_weight r8, 2
    mov     r3, r11
    ldm     r5, {r0-r2}
    .else
    vmov    d2, r11, r4
    two_weights r8, 2, r9
    last_weight r9, 4
    ldm     r5, {r0-r4}
    .endif
    ldr     r10, [lr], #(9 + \taps)
    vmov    r12, s10
    vmov    s13, lr
    add     r0, r0, r12
    add     r1, r1, r12
    add     r2, r2, r12
    .if     \taps == 5
    add     r3, r3, r12
    add     r4, r4, r12
    .endif
    vmov    d3, r9, r10
    mov     r5, #0
2:  vmov    r9, r10, d3
    sum_\taps r11
    sum_\taps r12
    .if     \taps == 3
    finish  r3, r4, r9
    .else
    vmov    r10, lr, d2
    finish  r10, lr, r9
    .endif
    .if     \table
    vmov    r9, s8
    ldrsb   r11, [r9, r11]
    ldrsb   r12, [r9, r12]
    .endif
    strb    r11, [lr]
    vmov    r9, r11, d1
    strb    r12, [lr, r9]
    add     lr, lr, r9, lsl #1
    vmov    s1, lr
    cmp     r5, r11
    blo     2b
    vmov    r11, s9
    cmp     r5, r11
    beq     3f
    sub     r5, r5, r6              /* an odd last output: with its neighbour once more */
    sub     lr, lr, r9
    vmov    s1, lr
    b       2b
3:  vmov    r11, r12, d5
    subs    r12, r12, #1
    bne     4f
    vmov    r5, s12
    add     r11, r11, #1
    ldr     r12, [r5, #44]          /* multiplier */
4:  vmov    d5, r11, r12
    vmov    r9, r10, d7
    add     r10, r10, #1
    subs    r9, r9, #1
    vmov    d7, r9, r10
    bne     1b
    pop     {r4-r11, pc}
    .size   \name, . - \name
.endm

    line    dft_depthwise_line_3, 3, 0
    line    dft_depthwise_line_3_table, 3, 1
    line    dft_depthwise_line_5, 5, 0
    line    dft_depthwise_line_5_table, 5, 1
