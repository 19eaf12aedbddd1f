/* Sums of four outputs of a depthwise window five taps wide, for Cortex-M7. Called by depthwise_taps_rows.c. */
    .syntax unified
    .cpu cortex-m7
    .fpu fpv5-d16
    .thumb

/* One tap of four outputs. */
.macro tap
    ldrsb   r11, [r5], #1
    ldrsb   r12, [r10]
    smlabb  r6, r12, r11, r6
    ldrsb   r12, [r10, r2]
    smlabb  r7, r12, r11, r7
    ldrsb   r12, [r10, r2, lsl #1]
    smlabb  r8, r12, r11, r8
    ldrsb   r12, [r10, r3]
    smlabb  r9, r12, r11, r9
.endm

    .section .text.dft_depthwise_sums_5, "ax", %progbits
    .global dft_depthwise_sums_5
    .type   dft_depthwise_sums_5, %function
/* r0 window (dft_depthwise_m7.h), kept in s0. r1 offset of the first tap in a row | r2 r3 once and three times the bytes
 * from output to output | r4 pixel | r5 weight | r6-r9 sums | r10 tap | lr rows left */
dft_depthwise_sums_5:
    push    {r4-r11, lr}
    vmov    s0, r0
    ldm     r0, {r0-r5}
    mov     lr, r3
    add     r3, r2, r2, lsl #1
    .irp    sum, r6, r7, r8, r9
    mov     \sum, #0
    .endr
1:  ldr     r10, [r0], #4
    add     r10, r10, r1
    .rept   4
    tap
    add     r10, r10, r4
    .endr
    tap
    subs    lr, lr, #1
    bne     1b
    vmov    r0, s0
    adds    r0, #24
    stmia   r0, {r6-r9}
    pop     {r4-r11, pc}
    .size   dft_depthwise_sums_5, . - dft_depthwise_sums_5
