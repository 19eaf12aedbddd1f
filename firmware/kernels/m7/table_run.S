/* Bytes through a table: see dft_runs.h. 3.25 instructions a byte: a word would have to be taken apart and put
 * together again, which costs more than byte accesses. Twin: ../table_run.c. */
    .syntax unified
    .thumb

/* void dft_table_run(const int8_t *table, const int8_t *in, int8_t *out, uint32_t n)
 * r0 middle of the table, r1 in, r2 out, r3 bytes left, r4-r7 values. */

    /* One value, to `at` from a pointer that stands 8 further on already. */
    .macro MAP r, at
    ldrsb   \r, [r0, \r]
    strb    \r, [r2, #\at]
    .endm

    .section .text.dft_table_run, "ax", %progbits
    .global dft_table_run
    .type   dft_table_run, %function
    .thumb_func
dft_table_run:
    push    {r4-r7}
    adds    r0, r0, #128
    subs    r3, r3, #8
    blo     2f
1:
    ldrsb   r4, [r1], #8
    ldrsb   r5, [r1, #-7]
    ldrsb   r6, [r1, #-6]
    ldrsb   r7, [r1, #-5]
    ldrsb   r4, [r0, r4]
    strb    r4, [r2], #8
    MAP     r5, -7
    MAP     r6, -6
    MAP     r7, -5
    ldrsb   r4, [r1, #-4]
    ldrsb   r5, [r1, #-3]
    ldrsb   r6, [r1, #-2]
    ldrsb   r7, [r1, #-1]
    MAP     r4, -4
    MAP     r5, -3
    MAP     r6, -2
    MAP     r7, -1
    subs    r3, r3, #8
    bhs     1b
2:
    adds    r3, r3, #8
    beq     4f
3:
    ldrsb   r4, [r1], #1
    ldrsb   r4, [r0, r4]
    strb    r4, [r2], #1
    subs    r3, r3, #1
    bne     3b
4:
    pop     {r4-r7}
    bx      lr
    .size   dft_table_run, . - dft_table_run
