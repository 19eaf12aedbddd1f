/* Depthwise 3x3, stride 1, for Cortex-M7: widening, tiles of 2 x 2 outputs, storing. Called by depthwise_rows.c;
 * layout of the scratch memory in dft_depthwise_m7.h. */
#include "dft_depthwise_columns.h"
#include "dft_depthwise_tile.h"

.macro widen name, top, third, bottom
/* r0 quad. Two pixels a turn; an odd number of them enters at the second. */
    function \name
    push    {r4-r11, lr}
    mov     r12, r0
    ldrd    r10, r9, [r12, #32]     /* channel, pixels */
    ldm     r12, {r0-r7}
    strd    r6, r6, [r7]
    mla     lr, r9, r4, r10         /* offset behind the last pixel */
    mov     r12, r10
    lsrs    r9, r9, #1
    bcs     2f
1:  widen_pixel \top, \third, \bottom
2:  widen_pixel \top, \third, \bottom
    cmp     r12, lr
    bne     1b
    pop     {r4-r11, pc}
    .size   \name, . - \name
.endm

    widen   dft_depthwise_s1_widen, 0, 0, 0
    widen   dft_depthwise_s1_widen_top, 1, 0, 0
    widen   dft_depthwise_s1_widen_bottom, 0, 0, 1
    widen   dft_depthwise_s1_widen_last, 0, 1, 1

/* r0 quad. The second row is written first: where there is none, the first one stands for it. */
    function dft_depthwise_s1_store
    push    {r4-r7, lr}
    ldrd    r2, r4, [r0, #92]       /* out_channels, out_channel */
    ldr     r3, [r0, #100]
    ldrd    r1, r7, [r0, #84]       /* out */
    ldr     r0, [r0, #80]
    mla     r12, r3, r2, r4
    lsrs    r3, r3, #1
    bcs     2f
1:  ldrd    r5, r6, [r0], #32
    str     r6, [r7, r4]
    str     r5, [r1, r4]
    add     r4, r4, r2
2:  ldrd    r5, r6, [r0], #32
    str     r6, [r7, r4]
    str     r5, [r1, r4]
    add     r4, r4, r2
    cmp     r4, r12
    bne     1b
    pop     {r4-r7, pc}
    .size   dft_depthwise_s1_store, . - dft_depthwise_s1_store

/* r2-r4 weights of rows 0 1 by column, r5-r7 of rows 1 2. */
.macro two_rows_weights
    ldr     r2, [r0, #8]            /* 00 01 10 11 */
    ldr     r5, [r0, #10]           /* 10 11 20 21 */
    ldr     r4, [r0, #14]           /* 02 12 12 22 */
    sxtb16  r3, r2, ror #8
    sxtb16  r2, r2
    sxtb16  r6, r5, ror #8
    sxtb16  r5, r5
    sxtb16  r7, r4, ror #8
    sxtb16  r4, r4
    .irp    weights, r2, r3, r4, r5, r6, r7
    sadd16  \weights, \weights, \weights
    .endr
.endm

    run     s1, two_rows_weights, 10, 8

/* Sums of outputs (column, row): r11 (0, 0), r12 (0, 1), lr (1, 0), r1 (1, 1). LDRD fetches four rows of a column;
 * the last operand is the sum it begins with: the bias at a first tap. */
.macro column top, bottom, a, b, a_from, b_from
    smlad   \a, r9, \top, \a_from
    smlatb  \b, r9, \top, \b_from
    smlabt  \a, r10, \bottom, \a
    smlad   \b, r10, \bottom, \b
.endm

.macro sums
    ldrd    r9, r10, [r0], #64
    column  r2, r5, r11, r12, r8, r8
    ldrd    r9, r10, [r0, #-32]
    column  r3, r6, r11, r12, r11, r12
    column  r2, r5, lr, r1, r8, r8
    ldrd    r9, r10, [r0]
    column  r4, r7, r11, r12, r11, r12
    column  r3, r6, lr, r1, lr, r1
    ldrd    r9, r10, [r0, #32]
    column  r4, r7, lr, r1, lr, r1
.endm

    tiles   s1, 4, 32, 36
