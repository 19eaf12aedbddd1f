/* Products with prepared factors: see dft_runs.h. 6.25 instructions an element where the shift is a usual one (it can
 * then stand in SSAT), 7.25 elsewhere. Twin: ../gate_run.c. */
    .syntax unified
    .thumb

/* void dft_gate_run(const dft_product *p, const int8_t *a, const int16_t *factors, int8_t *out, uint32_t n,
 *                   uint32_t period)
 * r0 bytes left of this period, r1 a, r2 factors, r3 out, r4 mult, r5 round, r6 minus the zero point in both lanes,
 * r7 right, r8 and r9 factors (0, 1) and (2, 3), r10 even bytes, r11 odd ones, r12 and lr values.
 * On the stack: the start of the factors, bytes left behind this period. */
    .equ FACTORS, 0
    .equ LEFT, 4
    .equ PERIOD, 48

    /* q = the output of the doubled product p. TFLM's second rounding takes one away where the product is negative.
     * `right` is a number, or `any` for r7. */
    .macro REQUANTISE q, p, right
    add     \q, r5, \p, asr #31
    smmlar  \q, \p, r4, \q
    .ifc \right, any
    asr     \q, \q, r7
    ssat    \q, #8, \q
    .else
    ssat    \q, #8, \q, asr #\right
    .endif
    .endm

    .macro FOUR right
    ldr     r10, [r1], #4
    ldrd    r8, r9, [r2], #8
    sxtab16 r11, r6, r10, ror #8
    sxtab16 r10, r6, r10
    smulbb  r12, r10, r8
    smultb  r10, r10, r9
    smulbt  r8, r11, r8
    smultt  r11, r11, r9
    REQUANTISE lr, r12, \right
    REQUANTISE r12, r8, \right
    bfi     lr, r12, #8, #8
    REQUANTISE r9, r10, \right
    REQUANTISE r12, r11, \right
    bfi     r9, r12, #8, #8
    pkhbt   lr, lr, r9, lsl #16
    str     lr, [r3], #4
    .endm

    /* Eight at a time; then what the caller of this loop has left. */
    .macro BODY right
body_\right:
    FOUR    \right
    FOUR    \right
    subs    r0, r0, #8
    bhs     body_\right
    b       ending
    .endm

    .section .text.dft_gate_run, "ax", %progbits
    .global dft_gate_run
    .type   dft_gate_run, %function
    .thumb_func
dft_gate_run:
    push    {r2, r3, r4-r11, lr}        @ r3 keeps the place of LEFT
    ldr     r12, [sp, #44]
    str     r12, [sp, #LEFT]
    ldrsh   r6, [r0, #8]
    ldr     r7, [r0, #12]
    ldrd    r4, r5, [r0]
    rsb     r6, r6, #0
    pkhbt   r6, r6, r6, lsl #16
period:
    ldr     r12, [sp, #LEFT]
    ldr     r0, [sp, #PERIOD]
    ldr     r2, [sp, #FACTORS]
    cmp     r0, r12
    it      hi
    movhi   r0, r12
    sub     r12, r12, r0
    str     r12, [sp, #LEFT]
    subs    r0, r0, #8
    blo     ending
    sub     r12, r7, #6
    cmp     r12, #4
    bhs     body_any
    tbh     [pc, r12, lsl #1]
shifts:
    .hword  (body_6 - shifts) / 2, (body_7 - shifts) / 2, (body_8 - shifts) / 2, (body_9 - shifts) / 2
    BODY    6
    BODY    7
    BODY    8
    BODY    9
    BODY    any
ending:
    adds    r0, r0, #8
    beq     2f
1:
    ldrsb   r10, [r1], #1
    ldrsh   r8, [r2], #2
    sxtah   r10, r10, r6
    smulbb  r12, r10, r8
    REQUANTISE lr, r12, any
    strb    lr, [r3], #1
    subs    r0, r0, #1
    bne     1b
2:
    ldr     r12, [sp, #LEFT]
    cmp     r12, #0
    bne     period
    pop     {r2, r3, r4-r11, pc}
    .size   dft_gate_run, . - dft_gate_run
