/* Depthwise 3x3, stride 2, two output rows from five, for Cortex-M7: widening, tiles of 2 x 2 outputs, storing. Called
 * by depthwise_rows.c; layout of the scratch memory in dft_depthwise_m7.h. */
#include "dft_depthwise_columns.h"
#define ROUND r10
#define SCRATCH r9
#include "dft_depthwise_tile.h"

/* Four pixels of row 2 at lr become 32 bytes at r5. */
.macro widen_middle
    ldr     r6, [lr]
    ldr     r7, [lr, r4]
    add     lr, lr, r4, lsl #1
    ldr     r8, [lr]
    ldr     r9, [lr, r4]
    add     lr, lr, r4, lsl #1
    pkhbt   r10, r6, r7, lsl #16    /* columns 0 1, channels 0 1 */
    pkhtb   r7, r7, r6, asr #16     /* columns 0 1, channels 2 3 */
    pkhbt   r11, r8, r9, lsl #16
    pkhtb   r9, r9, r8, asr #16
    sxtb16  r6, r10
    sxtb16  r8, r11
    sxtb16  r10, r10, ror #8
    sxtb16  r11, r11, ror #8
    stmia   r5!, {r6, r8, r10, r11}
    sxtb16  r6, r7
    sxtb16  r8, r9
    sxtb16  r10, r7, ror #8
    sxtb16  r11, r9, ror #8
    stmia   r5!, {r6, r8, r10, r11}
.endm

/* A pixel of all rows; s1: from its column's end to its numbers of row 2, behind four columns. */
.macro widen_one top, middle, bottom
    widen_pixel \top, 0, \bottom
    .if     \middle
    mov     r6, lr
    .else
    ldr     r6, [lr]
    add     lr, lr, r4
    .endif
    vmov    r7, s1
    add     r8, r5, r7
    sxtb    r9, r6
    sxtb    r10, r6, ror #8
    sxtb    r11, r6, ror #16
    asrs    r6, r6, #24
    strh    r9, [r8]
    strh    r10, [r8, #8]
    strh    r11, [r8, #16]
    strh    r6, [r8, #24]
    subs    r7, r7, #30
    itt     lt
    addlt   r5, r5, #32
    addlt   r7, r7, #120
    vmov    s1, r7
.endm

.macro widen name, top, middle
/* r0 quad. Pixel by pixel: for the few events whose row 0 or 2 is padding. s0: offset behind the last one. */
    function \name
    push    {r4-r11, lr}
    mov     r12, r0
    vldr    s1, [r12, #108]
    ldr     lr, [r12, #104]         /* row 2 */
    ldrd    r10, r9, [r12, #32]     /* channel, pixels */
    ldm     r12, {r0-r7}
    mov     r12, r10
    mla     r9, r9, r4, r10
    vmov    s0, r9
    .if     \middle == 0
    add     lr, lr, r12
    .endif
1:  widen_one \top, \middle, 0
    vmov    r9, s0
    cmp     r12, r9
    bne     1b
    pop     {r4-r11, pc}
    .size   \name, . - \name
.endm

    widen   dft_depthwise_s2r2_widen_top, 1, 0
    widen   dft_depthwise_s2r2_widen_middle, 0, 1

.macro widen_blocks name, bottom
/* r0 quad. Pixel by pixel to a whole block of columns, whole blocks, and pixel by pixel to the end. Offsets: s0 where
 * pixels, s2 where blocks end, s3 where all do. */
    function \name
    push    {r4-r11, lr}
    mov     r12, r0
    vldr    s1, [r12, #108]
    ldr     lr, [r12, #104]         /* row 2 */
    ldrd    r10, r9, [r12, #32]     /* channel, pixels */
    ldr     r11, [r12, #68]         /* pixels before the first block */
    ldm     r12, {r0-r7}
    cmp     r11, r9
    it      hi
    movhi   r11, r9
    subs    r6, r9, r11
    bic     r6, r6, #3
    add     r6, r6, r11
    mla     r6, r6, r4, r10
    mla     r7, r11, r4, r10
    mla     r9, r9, r4, r10
    vmov    s0, r7
    vmov    s2, r6
    vmov    s3, r9
    mov     r12, r10
    add     lr, lr, r12
    cmp     r11, #0
    beq     2f
1:  widen_one 0, 0, \bottom
    vmov    r9, s0
    cmp     r12, r9
    bne     1b
2:  vmov    r9, r10, d1
    cmp     r12, r10
    beq     5f
    cmp     r12, r9
    beq     4f
3:  .rept   4
    widen_pixel 0, 0, \bottom
    .endr
    widen_middle
    vmov    r9, r10, d1
    cmp     r12, r9
    bne     3b
    cmp     r12, r10
    beq     5f
4:  vmov    s0, s3
    b       1b
5:  pop     {r4-r11, pc}
    .size   \name, . - \name
.endm

    widen_blocks dft_depthwise_s2r2_widen, 0
    widen_blocks dft_depthwise_s2r2_widen_bottom, 1

/* r0 quad. The second row is written first: where there is none, the first one stands for it. r12: two columns before
 * the end, where a last one may be left. */
    function dft_depthwise_s2r2_store
    push    {r4-r7, lr}
    ldrd    r2, r4, [r0, #92]       /* out_channels, out_channel */
    ldr     r3, [r0, #100]
    ldrd    r1, r7, [r0, #84]       /* out */
    ldr     r0, [r0, #80]
    bic     lr, r3, #1
    mla     r12, lr, r2, r4
    cmp     r4, r12
    beq     2f
1:  ldrd    r5, r6, [r0], #64
    str     r6, [r7, r4]
    str     r5, [r1, r4]
    add     r4, r4, r2
    ldrd    r5, r6, [r0], #96
    str     r6, [r7, r4]
    str     r5, [r1, r4]
    add     r4, r4, r2
    cmp     r4, r12
    bne     1b
2:  lsrs    r3, r3, #1
    bcc     3f
    ldrd    r5, r6, [r0]
    str     r6, [r7, r4]
    str     r5, [r1, r4]
3:  pop     {r4-r7, pc}
    .size   dft_depthwise_s2r2_store, . - dft_depthwise_s2r2_store

/* r2-r4 weights of rows 0 1 by column, r5-r7 of rows 1 2. */
.macro two_rows_weights
    ldr     r2, [r0, #8]            /* 00 01 10 11 */
    ldr     r5, [r0, #10]           /* 10 11 20 21 */
    ldr     r8, [r0, #13]           /* 21 02 12 22 */
    sxtb16  r3, r2, ror #8
    sxtb16  r2, r2
    sxtb16  r6, r5, ror #8
    sxtb16  r5, r5
    sxtb16  r4, r8, ror #8          /* 02 22 */
    sxtb16  r8, r8                  /* 21 12 */
    .irp    weights, r2, r3, r4, r5, r6, r8
    sadd16  \weights, \weights, \weights
    .endr
    pkhtb   r7, r4, r8, asr #16
    pkhbt   r4, r4, r8
.endm

    run     s2r2, two_rows_weights, 9, 8

/* Sums of outputs (column, row): r11 (0, 0), r12 (0, 1), lr (1, 0), r1 (1, 1). Rows 0 1 and 3 4 of a column in r9 r10;
 * the last operand is the sum it begins with: the bias at a first tap. */
.macro column top, bottom, a, b, a_from, b_from
    smlad   \a, r9, \top, \a_from
    smlad   \b, r10, \bottom, \b_from
.endm

/* Row 2 of a column in the bottom (b) or top (t) half of a word. */
.macro middle half, word, top, bottom, a, b
    smla\half\()t \a, \word, \bottom, \a
    smla\half\()b \b, \word, \top, \b
.endm

.macro sums how
    ldrd    r9, r10, [r0], #160
    column  r2, r5, r11, r12, r8, r8
    ldrd    r9, r10, [r0, #-128]
    column  r3, r6, r11, r12, r11, r12
    ldrd    r9, r10, [r0, #-96]
    column  r4, r7, r11, r12, r11, r12
    column  r2, r5, lr, r1, r8, r8
    ldrd    r9, r10, [r0, #-64]
    column  r3, r6, lr, r1, lr, r1
    ldrd    r9, r10, [r0]
    column  r4, r7, lr, r1, lr, r1
    ldrd    r9, r10, [r0, #-32]
    middle  b, r9, r2, r5, r11, r12
    middle  t, r9, r3, r6, r11, r12
    middle  b, r10, r4, r7, r11, r12
    middle  b, r10, r2, r5, lr, r1
    middle  t, r10, r3, r6, lr, r1
    constants \how
    ldr     r9, [r0, #128]
    middle  b, r9, r4, r7, lr, r1
.endm

    tiles   s2r2, 4, 64, 68
