/* Depthwise 3x3, horizontal stride 1, one output row from three, for Cortex-M7: what a planner short of memory asks for.
 * Called by depthwise_rows.c; layout of the scratch memory in dft_depthwise_m7.h. */
#include "dft_depthwise_tile.h"
#include "dft_depthwise_pixel.h"

/* Four channels of row 2 here and one column further: (r7 r11) to pairs. */
.macro pair_row2 here, further
    pkhbt   r7, \here, \further, lsl #16
    pkhtb   r11, \further, \here, asr #16
.endm

/* A pixel of rows 0 1 in r8 r10 to 32 bytes at r5; \here is its word of row 2. */
.macro pixel here, further
    pair_row2 \here, \further
    pkhbt   r6, r8, r10, lsl #16    /* rows 0 1, channels 0 1 */
    pkhtb   r10, r10, r8, asr #16   /* rows 0 1, channels 2 3 */
    store_pairs
.endm

/* A pixel that another one follows. */
.macro widen_pixel here, further, top, bottom
    take    r8, r0, \top
    take    r10, r1, 0
    add     r12, r12, r4
    take    \further, r2, \bottom
    pixel   \here, \further
.endm

.macro widen name, top, bottom
/* r0 quad. Two pixels a turn, all but the last one; an odd number of them enters at the second. s0: offset of the last
 * pixel; s1: four zero points. */
    function \name
    push    {r4-r11, lr}
    mov     r12, r0
    ldr     r11, [r12, #68]         /* a column of padding stands before the first pixel */
    ldrd    r10, r9, [r12, #32]     /* channel, pixels */
    ldm     r12, {r0-r7}
    strd    r6, r6, [r7]
    vmov    s1, r3
    subs    r9, r9, #1
    mla     r6, r9, r4, r10
    vmov    s0, r6
    mov     r12, r10
    take    lr, r2, \bottom
    cmp     r11, #0
    beq     1f
    pair_row2 r3, lr
    sxtb16  r6, r7
    sxtb16  r7, r7, ror #8
    str     r6, [r5, #-28]
    str     r7, [r5, #-20]
    sxtb16  r6, r11
    sxtb16  r7, r11, ror #8
    str     r6, [r5, #-12]
    str     r7, [r5, #-4]
1:  lsrs    r9, r9, #1
    bcs     3f
    mov     r3, lr
    beq     4f
2:  widen_pixel r3, lr, \top, \bottom
3:  widen_pixel lr, r3, \top, \bottom
    vmov    r6, s0
    cmp     r12, r6
    bne     2b
4:  vmov    lr, s1
    take    r8, r0, \top
    take    r10, r1, 0
    pixel   r3, lr
    pop     {r4-r11, pc}
    .size   \name, . - \name
.endm

    widen   dft_depthwise_r1_widen, 0, 0
    widen   dft_depthwise_r1_widen_top, 1, 0
    widen   dft_depthwise_r1_widen_bottom, 0, 1

    store_row r1, 32

    run     r1, one_row_weights, 9, 8

/* A column as the left, middle or right one under an output: r9 rows 0 1, r10 row 2 here and one column further. */
.macro left sum
    smlad   \sum, r9, r2, r8
    smlad   \sum, r10, r5, \sum
.endm

.macro middle sum
    smlad   \sum, r9, r3, \sum
.endm

.macro right sum
    smlad   \sum, r9, r4, \sum
    smlabb  \sum, r10, r6, \sum
.endm

.macro sums how
    ldrd    r9, r10, [r0], #128
    left    r11
    ldrd    r9, r10, [r0, #-96]
    middle  r11
    left    r12
    ldrd    r9, r10, [r0, #-64]
    right   r11
    middle  r12
    left    lr
    ldrd    r9, r10, [r0, #-32]
    right   r12
    middle  lr
    left    r1
    ldrd    r9, r10, [r0]
    right   lr
    middle  r1
    ldrd    r9, r10, [r0, #32]
    smlad   r1, r9, r4, r1
    constants \how
    smlabb  r1, r10, r6, r1
.endm

    tiles   r1, 32, 64, 96
