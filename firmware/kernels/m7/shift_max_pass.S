@ One branch of a Shift-Max for one row, on Cortex-M7: channel by channel, the pixels of the row inside.
@ Called by m7/shift_max_rows.c; twin of its C comment: a product is saturate((slope * x + offset) >> 20), a sum is
@ saturate((slope * product + sums[product]) >> 21).
@
@ void NAME(const shift_pass *p)
@   p: lines, end of lines, row, out, sums, slope, stride, last (eight words, see the C file)
@ A line record, 24 bytes: slope a, offset a, slope b, offset b, place of a's channel in the row, place of b's.
@
@   r0 slope a   r1 offset a   r2 slope b   r3 offset b   r4 a's channel   r5 b's channel
@   r6 sums      r7 slope      r8 stride    r9 output channel             r10 offset of the pixel, last to first
@   r11, r12 values            lr next record              stack: end of lines, row, last

    .syntax unified
    .cpu cortex-m7
    .thumb

    .macro branch_pass name, larger
    .section .text.\name, "ax", %progbits
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r4-r11, lr}
    ldr lr, [r0]
    ldrd r2, r3, [r0, #4]
    ldrd r9, r6, [r0, #12]
    ldrd r7, r8, [r0, #20]
    ldr r4, [r0, #28]
    push {r2-r4}
1:  ldmia lr!, {r0-r5}
    ldrd r11, r10, [sp, #4]
    add r4, r4, r11
    add r5, r5, r11
2:  ldrsb r11, [r4, r10]
    ldrsb r12, [r5, r10]
    mla r11, r11, r0, r1
    mla r12, r12, r2, r3
    ssat r11, #8, r11, asr #20
    ssat r12, #8, r12, asr #20
    ldr r12, [r6, r12, lsl #2]
    mla r11, r11, r7, r12
    .if \larger
    ldrsb r12, [r9, r10]
    .endif
    ssat r11, #8, r11, asr #21
    .if \larger @ the difference to the other branch, if it is positive, goes on top of that
    sub r11, r11, r12
    usat r11, #8, r11
    add r11, r11, r12
    .endif
    strb r11, [r9, r10]
    subs r10, r10, r8
    bpl 2b
    ldr r10, [sp]
    add r9, r9, #1
    cmp lr, r10
    bne 1b
    add sp, sp, #12
    pop {r4-r11, pc}
    .size \name, . - \name
    .endm

    branch_pass dft_shift_max_first, 0
    branch_pass dft_shift_max_second, 1
