/* The inner product of m7/matvec_rows.c: four channels at once, two in a weight word (dft_matvec_rows.h).
 * Called by m7/matvec_rows.c only.
 *
 *   r0  x, widened            r2, r3  sums A, A + 256 B        r6–r9    weights
 *   r1  weights               r4, r5  sums C, C + 256 D        r10, r11 a quad of x
 *   lr  job                   r12     end of x */
#include "dft_matvec_m7.h"
#include "dft_m7_function.h"

    /* Two products of two channels; leaves the weights of the low one. */
    .macro both x, w, sum
    smlad   \sum, \x, \w, \sum
    sxtb16  \w, \w
    .endm

    .macro quad
    ldmia   r1!, {r6-r9}
    ldrd    r10, r11, [r0], #8
    both    r10, r6, r3
    both    r10, r7, r5
    both    r11, r8, r3
    both    r11, r9, r5
    smlad   r2, r10, r6, r2
    smlad   r4, r10, r7, r4
    smlad   r2, r11, r8, r2
    smlad   r4, r11, r9, r4
    .endm

    /* TFLM's two roundings, halves away from zero; r10: shifts less one, r11: rounding before those shifts. */
    .macro  requantise sum, mult, at
    ubfx    r0, r10, #\at, #8
    lsl     r12, r11, r0
    add     r12, r12, \sum, asr #31
    smmlar  \sum, \sum, \mult, r12
    asr     \sum, \sum, r0
    ssat    \sum, #8, \sum, asr #1
    .endm

    function dft_matvec_run, 2
    push    {r4-r11, lr}
    mov     lr, r0
    ldr     r1, [lr, #JOB_WEIGHTS]
four:
    ldr     r0, [lr, #JOB_RECORDS]
    ldr     r6, [lr, #JOB_ODD]
    ldr     r12, [lr, #JOB_END]
    ldmia   r0!, {r2, r4}                       /* either sum starts from the bias of the low channel */
    str     r0, [lr, #JOB_RECORDS]
    mov     r3, r2
    mov     r5, r4
    ldr     r0, [lr, #JOB_X]
    cbnz    r6, 2f
1:
    quad
2:
    quad
    cmp     r0, r12
    bne     1b

    ldr     r0, [lr, #JOB_RECORDS]
    ldmia   r0!, {r6-r12}                       /* multipliers, shifts, doubled biases of the high channels */
    str     r0, [lr, #JOB_RECORDS]
    sub     r3, r3, r2
    sub     r5, r5, r4
    lsl     r2, r2, #1
    add     r3, r11, r3, asr #7
    lsl     r4, r4, #1
    add     r5, r12, r5, asr #7
    ldr     r11, [lr, #JOB_ROUND]
    requantise r2, r6, 0
    requantise r3, r7, 8
    requantise r4, r8, 16
    requantise r5, r9, 24
    ldr     r6, [lr, #JOB_TABLE]
    ldr     r0, [lr, #JOB_OUT]
    cbz     r6, 3f
    ldrsb   r2, [r6, r2]
    ldrsb   r3, [r6, r3]
    ldrsb   r4, [r6, r4]
    ldrsb   r5, [r6, r5]
3:
    strb    r2, [r0], #1
    strb    r3, [r0], #1
    strb    r4, [r0], #1
    strb    r5, [r0], #1
    str     r0, [lr, #JOB_OUT]
    ldr     r6, [lr, #JOB_COUNT]
    subs    r6, r6, #1
    str     r6, [lr, #JOB_COUNT]
    bne     four
    str     r1, [lr, #JOB_WEIGHTS]
    pop     {r4-r11, pc}
    .size   dft_matvec_run, . - dft_matvec_run

    function dft_matvec_widen, 2
1:
    ldr     r12, [r1], #4
    sxtb16  r3, r12
    sxtb16  r12, r12, ror #8
    subs    r2, r2, #1
    strd    r3, r12, [r0], #8
    bne     1b
    bx      lr
    .size   dft_matvec_widen, . - dft_matvec_widen
