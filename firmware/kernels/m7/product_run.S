/* Products, requantised: see dft_runs.h. 8.5 instructions an element. Twin: ../product_run.c. */
    .syntax unified
    .thumb

/* void dft_product_run(const dft_product *p, const int8_t *a, const int8_t *b, int8_t *out, uint32_t n)
 * r0 n, r1 a, r2 b, r3 out, r4 mult, r5 round, r6 and r7 minus the zero points in both lanes, r9 right,
 * r10 even bytes of a, r11 odd ones, r12 and lr likewise of b, doubled; r8 a product. */

    /* q = the output of the doubled product p. TFLM's second rounding takes one away where the product is negative. */
    .macro REQUANTISE q, p
    add     \q, r5, \p, asr #31
    smmlar  \q, \p, r4, \q
    asr     \q, \q, r9
    ssat    \q, #8, \q
    .endm

    .section .text.dft_product_run, "ax", %progbits
    .global dft_product_run
    .type   dft_product_run, %function
    .thumb_func
dft_product_run:
    push    {r4-r11, lr}
    ldrsh   r6, [r0, #8]
    ldrsh   r7, [r0, #10]
    ldr     r9, [r0, #12]
    ldrd    r4, r5, [r0]
    ldr     r0, [sp, #36]
    rsb     r6, r6, #0
    rsb     r7, r7, #0
    pkhbt   r6, r6, r6, lsl #16
    pkhbt   r7, r7, r7, lsl #16
    subs    r0, r0, #4
    blo     2f
1:
    ldr     r10, [r1], #4
    ldr     r12, [r2], #4
    sxtab16 r11, r6, r10, ror #8
    sxtab16 r10, r6, r10
    sxtab16 lr, r7, r12, ror #8
    sxtab16 r12, r7, r12
    sadd16  lr, lr, lr
    sadd16  r12, r12, r12
    smulbb  r8, r10, r12
    smultt  r10, r10, r12
    REQUANTISE r12, r8
    strb    r12, [r3], #4
    REQUANTISE r12, r10
    strb    r12, [r3, #-2]
    smulbb  r8, r11, lr
    smultt  r11, r11, lr
    REQUANTISE r12, r8
    strb    r12, [r3, #-3]
    REQUANTISE r12, r11
    strb    r12, [r3, #-1]
    subs    r0, r0, #4
    bhs     1b
2:
    adds    r0, r0, #4
    beq     4f
3:
    ldrsb   r10, [r1], #1
    ldrsb   r12, [r2], #1
    sxtah   r10, r10, r6
    sxtah   r12, r12, r7
    smulbb  r8, r10, r12
    lsl     r8, r8, #1
    REQUANTISE r12, r8
    strb    r12, [r3], #1
    subs    r0, r0, #1
    bne     3b
4:
    pop     {r4-r11, pc}
    .size   dft_product_run, . - dft_product_run
