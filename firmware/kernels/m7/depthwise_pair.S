/* Depthwise windows of one row or one column with three taps, for Cortex-M7, where an input channel has an even number of
 * products: two of them and two outputs of each a turn, so that every value is read once. Called by depthwise_taps_rows.c
 * with a dft_depthwise_line (dft_depthwise_m7.h) without a table. */
    .syntax unified
    .cpu cortex-m7
    .fpu fpv5-d16
    .thumb

/* r0-r2 taps | r3 offset of the output, from tap to tap the same | r4 step | r5 r6 weights 0 1 of products A and B |
 * r7 weight 2 of both | r8 r9 sums A B of the first output, r10 r11 of the second.
 * s0 s1 multiplier, rounding of A | s2 s3 of B | s4 s5 shifts | s6 s7 output, its step | s8 s9 channel in a pixel,
 * products of it that are left | s10 s11 biases | s12 s13 weight 2, end of the pairs | s14 line | s15 record */

.macro sums a, b
    vmov    \a, \b, d5
    ldrsb   r12, [r0, r3]
    ldrsb   lr, [r1, r3]
    pkhbt   r12, r12, lr, lsl #16
    ldrsb   lr, [r2, r3]
    smlad   \a, r12, r5, \a
    smlad   \b, r12, r6, \b
    smlabb  \a, lr, r7, \a
    smlabt  \b, lr, r7, \b
    add     r3, r3, r4
.endm

/* As TFLM rounds: the high product rounded, then the rounding shift, whose ties go away from zero: one less for a
 * negative sum. `relu`: what is negative saturates, so there is no tie to care for. */
.macro high relu, first, second, constants
    vmov    r12, lr, \constants
    .if     \relu
    smmlar  \first, \first, r12, lr
    smmlar  \second, \second, r12, lr
    .else
    add     r7, lr, \first, asr #31
    smmlar  \first, \first, r12, r7
    add     r7, lr, \second, asr #31
    smmlar  \second, \second, r12, r7
    .endif
.endm

/* Multiplier, rounding and shift of the record at lr + `at` to `constants` and \shift. */
.macro unpack at, constants, shift
    ldr     r8, [lr, #(\at + 4)]
    ldrb    \shift, [lr, #(\at + 11)]
    lsl     r9, r7, \shift
    add     \shift, \shift, #1
    vmov    \constants, r8, r9
.endm

.macro two_weights to, first, second
    ldrsb   \to, [lr, #\first]
    ldrsb   r12, [lr, #\second]
    pkhbt   \to, \to, r12, lsl #16
    sadd16  \to, \to, \to
.endm

.macro pair name, relu
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
/* r0 line. */
\name:
    push    {r4-r11, lr}
    vmov    s14, r0
    vldr    s7, [r0, #24]           /* out_step */
    vldr    s13, [r0, #28]          /* pairs_end */
    vldr    s8, [r0, #40]           /* channel, multiplier */
    vldr    s9, [r0, #44]
    vldr    s15, [r0, #48]          /* records */
1:  vmov    r12, lr, d7             /* two products */
    ldr     r7, [r12, #52]          /* round */
    ldr     r3, [r12, #60]          /* out */
    add     r4, r3, #2
    str     r4, [r12, #60]
    vmov    s6, r3
    ldr     r4, [r12, #20]          /* step */
    ldm     r12, {r0-r2}
    vmov    r12, s8
    add     r0, r0, r12
    add     r1, r1, r12
    add     r2, r2, r12
    unpack  0, d0, r10
    unpack  12, d1, r11
    vmov    d2, r10, r11
    ldr     r10, [lr]
    ldr     r11, [lr, #12]
    vmov    d5, r10, r11
    two_weights r5, 8, 9
    two_weights r6, 20, 21
    two_weights r7, 10, 22
    vmov    s12, r7
    add     lr, lr, #24
    vmov    s15, lr
    mov     r3, #0
2:  sums    r8, r9
    sums    r10, r11
    high    \relu, r8, r10, d0
    high    \relu, r9, r11, d1
    vmov    r12, lr, d2
    asr     r8, r8, r12
    asr     r10, r10, r12
    asr     r9, r9, lr
    asr     r11, r11, lr
    vmov    r12, lr, d3
    .irp    sum, r8, r9, r10, r11
    ssat    \sum, #8, \sum
    .endr
    strb    r9, [r12, #1]
    strb    r8, [r12]
    add     r12, r12, lr
    strb    r10, [r12]
    strb    r11, [r12, #1]
    add     r12, r12, lr
    vmov    s6, r12
    vmov    r7, r12, d6
    cmp     r3, r12
    blo     2b
    vmov    r12, s14
    ldr     r12, [r12, #36]         /* end */
    cmp     r3, r12
    beq     3f
    vmov    r12, lr, d3             /* an odd last output: with its neighbour once more */
    sub     r3, r3, r4
    sub     r12, r12, lr
    vmov    s6, r12
    b       2b
3:  vmov    r0, r1, d4
    vmov    r12, s14
    subs    r1, r1, #2
    bne     4f
    add     r0, r0, #1
    ldr     r1, [r12, #44]          /* multiplier */
4:  vmov    d4, r0, r1
    ldr     r1, [r12, #56]          /* channels */
    subs    r1, r1, #2
    str     r1, [r12, #56]
    bne     1b
    pop     {r4-r11, pc}
    .size   \name, . - \name
.endm

    pair    dft_depthwise_pair_3, 0
    pair    dft_depthwise_pair_3_relu, 1
