@ One branch of a Shift-Max for one row, on Cortex-M7: channel by channel, the pixels of the row inside. Called by
@ m7/shift_max_rows.c, which explains the arithmetic; kernels/shift_max_rows.py picks the functions by shifts.
@
@ void dft_shift_first_A_B(const shift_pass *p)   out = the sum
@ void dft_shift_larger_A_B(const shift_pass *p)  out = the larger of the sum and what is there
@ A and B are the right shifts of the first and the second product, 4 to 11: a bend is an immediate.
@
@ p: lines, end of lines, row, last, start a, out, sums, start b, sum slope, stride (ten words, see the C file).
@ A record of `lines`, 24 bytes: slope a, offset a, slope b, offset b, a's channel in the row, b's channel.
@
@   r0 slope a   r1 offset a   r2 slope b   r3 offset b   r4 a's channel   r5 b's channel
@   r6 sums      r7 sum slope  r8 stride    r9 output channel              r10 offset of the pixel, last to first
@   r11, r12 values            lr start b
@   stack: next record, end of records, row, last, start a

    .syntax unified
    .cpu cortex-m7
    .thumb

    .macro branch_pass name, a, b, larger
    .section .text.\name, "ax", %progbits
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r4-r11, lr}
    ldmia r0!, {r1-r5}
    push {r1-r5}
    ldrd r9, r6, [r0]
    ldrd lr, r7, [r0, #8]
    ldr r8, [r0, #16]
1:  ldr r12, [sp]
    ldrd r11, r10, [sp, #8]
    ldmia r12!, {r0-r5}
    add r4, r4, r11
    add r5, r5, r11
    str r12, [sp]
2:  ldrsb r11, [r4, r10]
    ldr r12, [sp, #16]
    mla r11, r11, r0, r1
    sub r11, r11, r11, lsr #(12 + \a)
    add r11, r11, r12
    ldrsb r12, [r5, r10]
    ssat r11, #8, r11, asr #20
    mla r12, r12, r2, r3
    sub r12, r12, r12, lsr #(12 + \b)
    add r12, r12, lr
    ssat r12, #8, r12, asr #20
    ldr r12, [r6, r12, lsl #2]
    mla r11, r11, r7, r12
    .if \larger
    ldrsb r12, [r9, r10]
    .endif
    ssat r11, #8, r11, asr #21
    .if \larger @ what the sum is more than that, if it is, goes on top
    sub r11, r11, r12
    usat r11, #8, r11
    add r11, r11, r12
    .endif
    strb r11, [r9, r10]
    subs r10, r10, r8
    bpl 2b
    ldrd r12, r11, [sp]
    add r9, r9, #1
    cmp r12, r11
    bne 1b
    add sp, sp, #20
    pop {r4-r11, pc}
    .size \name, . - \name
    .endm

    .irp a, 4, 5, 6, 7, 8, 9, 10, 11
    .irp b, 4, 5, 6, 7, 8, 9, 10, 11
    branch_pass dft_shift_first_\a\()_\b, \a, \b, 0
    branch_pass dft_shift_larger_\a\()_\b, \a, \b, 1
    .endr
    .endr
