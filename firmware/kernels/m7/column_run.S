/* Sums of channels: see dft_runs.h. Four channels at a time run down the pixels in 16-bit lanes, which 256 values
 * cannot overflow. 0.94 instructions an element, and 12 for each four channels. Twin: ../column_run.c. */
    .syntax unified
    .thumb

/* void dft_column_run(const int8_t *in, int32_t *sums, uint32_t width, uint32_t channels)
 * r0 the first pixel's next four channels, r1 sums, r2 width, r3 channels, r4 a pixel, r5-r7 2, 3 and 4 times
 * channels, r8 sums of channels 0 and 2, r9 of 1 and 3, r10 and r11 words, r12 pixels left, lr channels left. */

    .macro SUM word
    sxtab16 r8, r8, \word
    sxtab16 r9, r9, \word, ror #8
    .endm

    .section .text.dft_column_run, "ax", %progbits
    .global dft_column_run
    .type   dft_column_run, %function
    .thumb_func
dft_column_run:
    push    {r4-r11, lr}
    lsl     r5, r3, #1
    add     r6, r5, r3
    lsl     r7, r3, #2
    subs    lr, r3, #4
    blo     5f
1:
    mov     r4, r0
    add     r0, r0, #4
    mov     r8, #0
    mov     r9, #0
    lsrs    r12, r2, #2
    beq     3f
2:
    ldr     r10, [r4]
    ldr     r11, [r4, r3]
    SUM     r10
    SUM     r11
    ldr     r10, [r4, r5]
    ldr     r11, [r4, r6]
    SUM     r10
    SUM     r11
    add     r4, r4, r7
    subs    r12, r12, #1
    bne     2b
3:
    lsls    r12, r2, #31                @ carry: two pixels more; not zero: one more
    bcc     6f
    ldr     r10, [r4]
    ldr     r11, [r4, r3]
    SUM     r10
    SUM     r11
    add     r4, r4, r5
6:
    beq     4f
    ldr     r10, [r4]
    SUM     r10
4:
    ldm     r1, {r4, r10, r11, r12}
    sxtah   r4, r4, r8
    sxtah   r10, r10, r9
    add     r11, r11, r8, asr #16
    add     r12, r12, r9, asr #16
    stm     r1!, {r4, r10, r11, r12}
    subs    lr, lr, #4
    bhs     1b
5:
    adds    lr, lr, #4
    beq     8f
    /* The last one to three channels, one by one. */
7:
    mov     r4, r0
    add     r0, r0, #1
    mov     r12, r2
    ldr     r8, [r1]
9:
    ldrsb   r10, [r4]
    add     r4, r4, r3
    add     r8, r8, r10
    subs    r12, r12, #1
    bne     9b
    str     r8, [r1], #4
    subs    lr, lr, #1
    bne     7b
8:
    pop     {r4-r11, pc}
    .size   dft_column_run, . - dft_column_run

/* void dft_mean_run(const dft_mean_scale *p, const int32_t *sums, int8_t *out, uint32_t n)
 * r0 right, r1 sums, r2 out, r3 how many left, r4 offset, r5 mult, r6 round, r12 a sum, lr a value. */
    .section .text.dft_mean_run, "ax", %progbits
    .global dft_mean_run
    .type   dft_mean_run, %function
    .thumb_func
dft_mean_run:
    push    {r4-r6, lr}
    ldm     r0, {r4-r6}
    ldr     r0, [r0, #12]
1:
    ldr     r12, [r1], #4
    add     r12, r12, r4
    lsl     r12, r12, #1
    add     lr, r6, r12, asr #31        @ one less where the sum is negative
    smmlar  lr, r12, r5, lr
    asr     lr, lr, r0
    ssat    lr, #8, lr
    strb    lr, [r2], #1
    subs    r3, r3, #1
    bne     1b
    pop     {r4-r6, pc}
    .size   dft_mean_run, . - dft_mean_run
