/* Sums as planes: see dft_runs.h. 6 instructions an element: SMLAW takes a byte that stands in the upper half of a
 * 16-bit lane, so that one AND unpacks two bytes and the sum keeps all bits of the slope. Twin: ../plane_run.c. */
    .syntax unified
    .thumb
    .equ BITS, 20                       @ DFT_PLANE_BITS

/* void dft_plane_run(const dft_plane *p, const int8_t *a, const int8_t *b, int8_t *out, uint32_t n)
 * r0 n, r1 a, r2 b, r3 out, r4 slope_a, r5 slope_b, r6 offset, r7 mask of odd bytes, r8 a word of a, r9 its even
 * bytes moved up, r10 and r11 likewise of b, r12 and lr values. */

    /* r = the value of one lane (B or T) of a in \x and of b in \y. */
    .macro VALUE r, x, y, lane
    smlaw\lane \r, r4, \x, r6
    smlaw\lane \r, r5, \y, \r
    ssat    \r, #8, \r, asr #BITS
    .endm

    .section .text.dft_plane_run, "ax", %progbits
    .global dft_plane_run
    .type   dft_plane_run, %function
    .thumb_func
dft_plane_run:
    push    {r4-r11, lr}
    ldm     r0, {r4-r6}
    ldr     r0, [sp, #36]
    mov     r7, #0xFF00FF00
    subs    r0, r0, #4
    blo     2f
1:
    ldr     r8, [r1], #4
    ldr     r10, [r2], #4
    and     r9, r7, r8, lsl #8
    and     r11, r7, r10, lsl #8
    and     r8, r8, r7
    and     r10, r10, r7
    VALUE   r12, r9, r11, b
    VALUE   lr, r8, r10, b
    bfi     r12, lr, #8, #8
    VALUE   r9, r9, r11, t
    VALUE   r8, r8, r10, t
    bfi     r9, r8, #8, #8
    pkhbt   r12, r12, r9, lsl #16
    str     r12, [r3], #4
    subs    r0, r0, #4
    bhs     1b
2:
    adds    r0, r0, #4
    beq     4f
3:
    ldrsb   r8, [r1], #1
    ldrsb   r10, [r2], #1
    lsl     r8, r8, #8
    lsl     r10, r10, #8
    VALUE   r12, r8, r10, b
    strb    r12, [r3], #1
    subs    r0, r0, #1
    bne     3b
4:
    pop     {r4-r11, pc}
    .size   dft_plane_run, . - dft_plane_run
