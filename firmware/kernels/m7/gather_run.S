/* Channels in another order: see dft_runs.h. 3.25 instructions an element. Twin: ../gather_run.c. */
    .syntax unified
    .thumb

/* void dft_gather_run(const uint16_t *indices, const int8_t *in, int8_t *out, uint32_t count)
 * r0 indices, r1 in, r2 out, r3 how many left, r4-r7 indices, then values. */

    /* One value, to `at` from a pointer that stands 8 further on already. */
    .macro TAKE r, at
    ldrsb   \r, [r1, \r]
    strb    \r, [r2, #\at]
    .endm

    .section .text.dft_gather_run, "ax", %progbits
    .global dft_gather_run
    .type   dft_gather_run, %function
    .thumb_func
dft_gather_run:
    push    {r4-r7}
    subs    r3, r3, #8
    blo     2f
1:
    ldrh    r4, [r0], #16
    ldrh    r5, [r0, #-14]
    ldrh    r6, [r0, #-12]
    ldrh    r7, [r0, #-10]
    ldrsb   r4, [r1, r4]
    strb    r4, [r2], #8
    TAKE    r5, -7
    TAKE    r6, -6
    TAKE    r7, -5
    ldrh    r4, [r0, #-8]
    ldrh    r5, [r0, #-6]
    ldrh    r6, [r0, #-4]
    ldrh    r7, [r0, #-2]
    TAKE    r4, -4
    TAKE    r5, -3
    TAKE    r6, -2
    TAKE    r7, -1
    subs    r3, r3, #8
    bhs     1b
2:
    adds    r3, r3, #8
    beq     4f
3:
    ldrh    r4, [r0], #2
    ldrsb   r4, [r1, r4]
    strb    r4, [r2], #1
    subs    r3, r3, #1
    bne     3b
4:
    pop     {r4-r7}
    bx      lr
    .size   dft_gather_run, . - dft_gather_run
