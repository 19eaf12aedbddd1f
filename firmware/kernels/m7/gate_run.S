/* Products with prepared factors: see dft_runs.h. 6.25 instructions an element where the shift is a usual one (it can
 * then stand in SSAT), 7.25 elsewhere. Twin: ../gate_run.c. */
    .syntax unified
    .thumb

/* void dft_gate_run(const dft_product *p, const int8_t *a, const int16_t *factors, int8_t *out, uint32_t n,
 *                   uint32_t period)
 * r0 bytes left of this pass, r1 a, r2 factors, r3 out, r4 mult, r5 round, r6 minus the zero point in both lanes,
 * r7 right, r8 and r9 factors (0, 1) and (2, 3), r10 even bytes, r11 odd ones, r12 and lr values.
 * On the stack: the factors and their number, passes over them that are left, bytes behind the last whole one. */
    .equ FACTORS, 0
    .equ PASSES, 8
    .equ REST, 12
    .equ FRAME, 20

    /* q = the high product of the doubled product p. TFLM's second rounding takes one away where the product is
     * negative. */
    .macro HIGH q, p
    add     \q, r5, \p, asr #31
    smmlar  \q, \p, r4, \q
    .endm

    /* The output. `right` is a number, or `any` for r7. */
    .macro SATURATE q, right
    .ifc \right, any
    asr     \q, \q, r7
    ssat    \q, #8, \q
    .else
    ssat    \q, #8, \q, asr #\right
    .endif
    .endm

    .macro WIDEN
    sxtab16 r11, r6, r10, ror #8
    sxtab16 r10, r6, r10
    .endm

    .macro FIRST_PRODUCTS
    smulbb  r12, r10, r8
    smulbt  r8, r11, r8
    .endm

    /* Four outputs from the products and what is left to multiply, to lr and r9; in an order in which little waits for
     * the instruction before it. */
    .macro OUTPUTS right
    smultb  r10, r10, r9
    smultt  r11, r11, r9
    HIGH    lr, r12
    HIGH    r12, r8
    SATURATE lr, \right
    HIGH    r9, r10
    SATURATE r12, \right
    HIGH    r8, r11
    bfi     lr, r12, #8, #8
    SATURATE r9, \right
    SATURATE r8, \right
    bfi     r9, r8, #8, #8
    .endm

    /* All passes over the factors, eight elements at a time; four are stored when the next four are under way. Words
     * of `a` are read before those that they become are written: out may lie over or below it. */
    .macro BODY right
.Lgate_\right:
    ldr     r10, [r1], #4
    ldrd    r8, r9, [r2], #8
    WIDEN
    FIRST_PRODUCTS
    OUTPUTS \right
    ldr     r10, [r1], #4
    pkhbt   lr, lr, r9, lsl #16
    WIDEN
    ldrd    r8, r9, [r2], #8
    FIRST_PRODUCTS
    str     lr, [r3], #4
    OUTPUTS \right
    subs    r0, r0, #8
    pkhbt   lr, lr, r9, lsl #16
    str     lr, [r3], #4
    bne     .Lgate_\right
    ldr     r12, [sp, #PASSES]
    ldrd    r2, r0, [sp, #FACTORS]
    subs    r12, r12, #1
    str     r12, [sp, #PASSES]
    bne     .Lgate_\right
    b       .Lgate_rest
    .endm

/* void dft_factor_run(const int8_t *b, int32_t zp, int16_t *factors, uint32_t n)
 * r0 b, r1 minus zp in both lanes, r2 factors, r3 how many left, r4 even bytes, r5 odd ones, r12 a pair. */
    .section .text.dft_factor_run, "ax", %progbits
    .global dft_factor_run
    .type   dft_factor_run, %function
    .thumb_func
dft_factor_run:
    push    {r4, r5}
    rsb     r1, r1, #0
    pkhbt   r1, r1, r1, lsl #16
    subs    r3, r3, #4
    blo     2f
1:
    ldr     r12, [r0], #4
    sxtab16 r4, r1, r12
    sxtab16 r5, r1, r12, ror #8
    sadd16  r4, r4, r4
    sadd16  r5, r5, r5
    pkhbt   r12, r4, r5, lsl #16
    pkhtb   r5, r5, r4, asr #16
    str     r12, [r2], #4
    str     r5, [r2], #4
    subs    r3, r3, #4
    bhs     1b
2:
    adds    r3, r3, #4
    beq     4f
3:
    ldrsb   r4, [r0], #1
    sxtah   r4, r4, r1
    lsl     r4, r4, #1
    strh    r4, [r2], #2
    subs    r3, r3, #1
    bne     3b
4:
    pop     {r4, r5}
    bx      lr
    .size   dft_factor_run, . - dft_factor_run

    .section .text.dft_gate_run, "ax", %progbits
    .global dft_gate_run
    .type   dft_gate_run, %function
    .thumb_func
dft_gate_run:
    push    {r4-r11, lr}
    sub     sp, sp, #FRAME
    ldrd    r12, r9, [sp, #FRAME + 36]  @ n, period
    udiv    r8, r12, r9
    mls     r10, r8, r9, r12
    strd    r2, r9, [sp, #FACTORS]
    strd    r8, r10, [sp, #PASSES]
    ldrsh   r6, [r0, #8]
    ldr     r7, [r0, #12]
    ldrd    r4, r5, [r0]
    rsb     r6, r6, #0
    pkhbt   r6, r6, r6, lsl #16
    movs    r0, r9
    cmp     r8, #0
    beq     .Lgate_rest
.Lgate_dispatch:
    sub     r12, r7, #6
    cmp     r12, #4
    bhs     .Lgate_any
    tbh     [pc, r12, lsl #1]
.Lgate_shifts:
    .hword  (.Lgate_6 - .Lgate_shifts) / 2, (.Lgate_7 - .Lgate_shifts) / 2, (.Lgate_8 - .Lgate_shifts) / 2, (.Lgate_9 - .Lgate_shifts) / 2
    BODY    6
    BODY    7
    BODY    8
    BODY    9
    BODY    any
    /* Part of a pass: eights first, then one by one. */
.Lgate_rest:
    ldr     r12, [sp, #REST]
    bics    r0, r12, #7
    beq     2f
    add     r9, r2, r0, lsl #1
    str     r9, [sp, #FACTORS]
    and     r12, r12, #7
    mov     r8, #1
    strd    r8, r12, [sp, #PASSES]
    b       .Lgate_dispatch
1:
    ldrsb   r10, [r1], #1
    ldrsh   r8, [r2], #2
    sxtah   r10, r10, r6
    smulbb  r11, r10, r8
    HIGH    lr, r11
    SATURATE lr, any
    strb    lr, [r3], #1
    sub     r12, r12, #1
2:
    cmp     r12, #0
    bne     1b
    add     sp, sp, #FRAME
    pop     {r4-r11, pc}
    .size   dft_gate_run, . - dft_gate_run
