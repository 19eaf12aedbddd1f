/* The loops around conv_body.S: dft_conv_pairs over pairs of output channels; dft_conv_widen and dft_conv_gather over
 * pixels. Called by m7/conv_rows.c; dft_conv_next is where an epilogue goes at the end of a span. */
#include "dft_conv_m7.h"
#include "dft_m7_function.h"

    /* A quad of either channel, \a and \b, to int16 in four registers. */
    .macro widened to0, to1, to2, to3, a, b, double
    sxtb16  \to2, \a, ror #8
    sxtb16  \to3, \b, ror #8
    sxtb16  \to0, \a
    sxtb16  \to1, \b
    .if     \double
    .irp    r, \to0, \to1, \to2, \to3
    sadd16  \r, \r, \r
    .endr
    .endif
    .endm

    /* The panel from int8 weights; r0 weights, r1 panel, r12 quads. */
    .macro  fill double
    lsrs    r12, r12, #1
    bcc     1f
    ldmia   r0!, {r2, r3}
    widened r4, r5, r6, r7, r2, r3, \double
    stmia   r1!, {r4-r7}
1:
    beq     filled                              /* as LSRS found it */
2:
    ldmia   r0!, {r2, r3, r8, r9}
    widened r4, r5, r6, r7, r2, r3, \double
    widened r8, r9, r10, r11, r8, r9, \double
    subs    r12, r12, #1
    stmia   r1!, {r4-r11}
    bne     2b
    .endm

    /* r0: job. On the stack: job, next span. */
    function dft_conv_pairs, 2
    push    {r0, r1, r4-r11, lr}
    ldr     r1, [r0, #JOB_ENTRY]
    vmov    s0, r1
#if defined(DFT_CONV_PAIRED_LOADS)
    ldr     r1, [r0, #JOB_SKIP]
    vmov    s2, r1
#endif
    ldr     r1, [r0, #JOB_QUADS]
    ldr     r2, [r0, #JOB_PANEL]
    add     r2, r2, r1, lsl #4
    vmov    s1, r2                              /* end of the panel, */
    vmov    s3, r2                              /* and the state */
    mov     r10, r0
pair:
    ldmia   r10, {r0, r1, r2, r11, r12}         /* weights, panel, fill, pairs, quads */
    cmp     r2, #JOB_WIDE
    bhi     single
    bne     double
    vmov    s3, r1                              /* no panel */
    str     r0, [r1, #STATE_PANEL]
    add     r0, r0, r12, lsl #4
    vmov    s1, r0
    b       filled
single:
    fill    0
    b       filled
double:
    fill    1
filled:
    ldr     r10, [sp]
    str     r0, [r10]
    ldr     r11, [r10, #JOB_PAIRS]
    ldmia   r11!, {r2-r5}                       /* biases, multipliers */
    str     r11, [r10, #JOB_PAIRS]
    ldr     r11, [r10, #JOB_STEPS]
    ldr     r7, [r1, #STATE_CHANNEL]
    ldrb    r12, [r11], #1
    ldrb    r6, [r11], #1                       /* to the second channel */
    str     r11, [r10, #JOB_STEPS]
    add     r7, r7, r12                         /* the first channel */
    add     r11, r10, #JOB_SPANS
    ldmia   r11!, {r8, r9}                      /* out, end of pixels */
    str     r11, [sp, #4]
    strd    r4, r5, [r1, #STATE_MULT]
    strd    r2, r3, [r1, #STATE_BIAS]
    ldr     r12, [r10, #JOB_CHANNEL]
    str     r7, [r1, #STATE_CHANNEL]
    mul     r6, r6, r12
    mla     r8, r7, r12, r8
    str     r6, [r1, #STATE_APART]
    str     r8, [r1, #STATE_OUT]
    str     r9, [r1, #STATE_END]
    ldr     r0, [r10, #JOB_PIXELS]
    adds    r1, r1, #STATE_PANEL
    ldmia   r1, {r1, r5, r9, pc}                /* panel, biases, body */

    /* r0: pixels that follow; r1: state + STATE_PANEL. */
    .global dft_conv_next
    .type   dft_conv_next, %function
dft_conv_next:
    ldrd    r10, r11, [sp]
    ldmia   r11!, {r2, r3}
    cbz     r2, done
    str     r11, [sp, #4]
    ldr     r4, [r1, #STATE_CHANNEL - STATE_PANEL]
    ldr     r5, [r10, #JOB_CHANNEL]
    mla     r2, r4, r5, r2
    str     r2, [r1, #STATE_OUT - STATE_PANEL]
    str     r3, [r1, #STATE_END - STATE_PANEL]
    ldmia   r1, {r1, r5, r9, pc}
done:
    ldr     r2, [r10, #JOB_COUNT]
    subs    r2, r2, #1
    str     r2, [r10, #JOB_COUNT]
    bne     pair
    pop     {r0, r1, r4-r11, pc}
    .size   dft_conv_pairs, . - dft_conv_pairs

    /* r0 to, r1 from, r2 bytes of a pixel, r3 quads; on the stack tiles, skip. Four pointers r1, r2, r3, r12. */
    function dft_conv_widen, 2
    push    {r4-r11, lr}
    ldrd    r4, r5, [sp, #36]                   /* tiles, skip */
    sub     r6, r2, r3
    lsl     r6, r6, #2                          /* from the end of a pixel to the next tile */
    push    {r2, r3, r4, r5, r6, r7}
tile:
    ldrd    r4, lr, [sp]                        /* pixel, quads */
    add     r2, r1, r4
    add     r3, r2, r4
    add     r12, r3, r4
1:
    ldr     r4, [r1], #4
    ldr     r5, [r2], #4
    ldr     r6, [r3], #4
    ldr     r7, [r12], #4
    sxtb16  r8, r4, ror #8
    sxtb16  r9, r5, ror #8
    sxtb16  r10, r6, ror #8
    sxtb16  r11, r7, ror #8
    sxtb16  r4, r4
    sxtb16  r5, r5
    sxtb16  r6, r6
    sxtb16  r7, r7
    subs    lr, lr, #1
    stmia   r0!, {r4-r11}
    bne     1b
    ldrd    r5, r6, [sp, #12]                   /* skip, to the next tile */
    add     r0, r0, r5
    add     r1, r1, r6
    ldr     r4, [sp, #8]
    subs    r4, r4, #1
    str     r4, [sp, #8]
    bne     tile
    add     sp, sp, #24
    pop     {r4-r11, pc}
    .size   dft_conv_widen, . - dft_conv_widen

    /* r0 to, r1 rows of the map, r2 first byte in them, r3 bytes from pixel to pixel; on the stack bytes of a row of the
     * window, rows, K. Whole words are copied: what is too much is copied over by what follows. */
    function dft_conv_gather, 2
    push    {r4-r11, lr}
    ldrd    r5, r6, [sp, #36]                   /* bytes of a row, rows */
    ldr     r7, [sp, #44]
    mls     r7, r5, r6, r7                      /* from the last row of a pixel to the next pixel */
    add     r8, r5, #3
    lsr     r8, r8, #2                          /* words of a row */
    add     r4, r2, r3, lsl #2
1:
    mov     r9, r1
    ldr     r11, [sp, #40]
2:
    ldr     r12, [r9], #4
    mov     lr, r0
    mov     r10, r8
    add     r12, r12, r2
3:
    ldr     r6, [r12], #4
    subs    r10, r10, #1
    str     r6, [lr], #4
    bne     3b
    add     r0, r0, r5
    subs    r11, r11, #1
    bne     2b
    add     r2, r2, r3
    add     r0, r0, r7
    cmp     r2, r4
    bne     1b
    pop     {r4-r11, pc}
    .size   dft_conv_gather, . - dft_conv_gather
