/* Larger or smaller of two values: see dft_runs.h. Four at a time, moved to 0…255: there max(a, b) is a plus what b
 * exceeds it by, and no byte carries into the next. 2.25 instructions an element. Twin: ../extremum_run.c. */
    .syntax unified
    .thumb

/* void dft_<kind>_run(const int8_t *a, const int8_t *b, int8_t *out, uint32_t n)
 * r0 a, r1 b, r2 out, r3 bytes left, r4 sign bits, r5 and r6 words of a and b, r7 and r12 the next ones. */

    .macro FOUR kind, a, b
    eor     \a, \a, r4
    eor     \b, \b, r4
    .ifc \kind, maximum
    uqsub8  \b, \b, \a
    add     \a, \a, \b
    .else
    uqsub8  \b, \a, \b
    sub     \a, \a, \b
    .endif
    eor     \a, \a, r4
    .endm

    .macro EXTREMUM name, kind, worse
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
    .thumb_func
\name:
    push    {r4-r7}
    mov     r4, #0x80808080
    subs    r3, r3, #8
    blo     2f
1:
    ldr     r5, [r0], #4
    ldr     r6, [r1], #4
    ldr     r7, [r0], #4
    ldr     r12, [r1], #4
    FOUR    \kind, r5, r6
    FOUR    \kind, r7, r12
    str     r5, [r2], #4
    str     r7, [r2], #4
    subs    r3, r3, #8
    bhs     1b
2:
    adds    r3, r3, #8
    beq     4f
3:
    ldrsb   r5, [r0], #1
    ldrsb   r6, [r1], #1
    cmp     r5, r6
    it      \worse
    mov\worse r5, r6
    strb    r5, [r2], #1
    subs    r3, r3, #1
    bne     3b
4:
    pop     {r4-r7}
    bx      lr
    .size   \name, . - \name
    .endm

    EXTREMUM dft_maximum_run, maximum, lt
    EXTREMUM dft_minimum_run, minimum, gt
