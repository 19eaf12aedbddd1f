/* Depthwise 3x3, horizontal stride 2, for Cortex-M7: widening, tiles of 1 x 4 outputs, storing. Called by
 * depthwise_rows.c; layout of the scratch memory in dft_depthwise_m7.h. */
    .syntax unified
    .cpu cortex-m7
    .fpu fpv5-d16
    .thumb

/* Two channels to 24 bytes at r5, from pairs packed before: rows 0 1 of the odd and of the even column, and row 2. */
.macro two_channels odd, even, row2
    sxtb16  r9, \odd, ror #8
    sxtb16  r10, \even, ror #8
    sxtb16  r11, \row2, ror #8
    sxtb16  r6, \odd
    sxtb16  r7, \even
    sxtb16  r8, \row2
    stmia   r5!, {r6-r11}
.endm

/* A row's word of four channels at its pointer, or at r4 from there; or, `pad`, what stands in the pointer's place. */
.macro take_even word, row, pad
    .if     \pad
    mov     \word, \row
    .else
    ldr     \word, [\row]
    .endif
.endm

.macro take_odd word, row, pad
    .if     \pad
    mov     \word, \row
    .else
    ldr     \word, [\row, r4]
    .endif
.endm

.macro move row, pad, by:vararg
    .if     \pad == 0
    add     \row, \row, \by
    .endif
.endm

.macro widen name, top, bottom
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
/* r0 quad. A pair of columns a turn. A first pixel in an odd column enters where the even one, padding, has been taken;
 * a last one in an even column is paired with itself, whose results nobody reads. s0: where row 1 ends; s1: there is
 * such a last one and its turn is still to come. */
\name:
    push    {r4-r11, lr}
    ldr     r12, [r0, #68]          /* odd */
    ldr     r9, [r0, #36]           /* pixels */
    ldr     r11, [r0, #32]          /* channel */
    ldm     r0, {r0-r7}
    strd    r6, r6, [r7]
    subs    r9, r9, r12             /* behind a first odd one: pairs and perhaps a last even one */
    and     r7, r9, #1
    vmov    s1, r7
    subs    r9, r9, r7
    move    r0, \top, r11
    move    r1, 0, r11
    move    r2, \bottom, r11
    add     r11, r9, r12
    mla     r11, r11, r4, r1
    vmov    s0, r11
    cmp     r12, #0
    beq     1f
    bfi     r6, r6, #8, #8          /* from a pair of zero points, 00zz 00zz or ffzz ffzz, to four */
    pkhbt   r6, r6, r6, lsl #16
    mov     r7, r6
    mov     r8, r6
    mov     r10, r6
    .if     \top == 0
    sub     r0, r0, r4
    .endif
    sub     r1, r1, r4
    .if     \bottom == 0
    sub     r2, r2, r4
    .endif
    b       3f
1:  cmp     r9, #0
    beq     4f
2:  take_even r7, r0, \top
    take_even r10, r1, 0
    take_even r8, r2, \bottom
3:  take_odd r6, r0, \top
    take_odd r9, r1, 0
    take_odd r11, r2, \bottom
    move    r0, \top, r4, lsl #1
    move    r1, 0, r4, lsl #1
    move    r2, \bottom, r4, lsl #1
    pkhtb   r12, r9, r6, asr #16    /* channels 2 3: r12 odd, r3 even, lr row 2 */
    pkhtb   r3, r10, r7, asr #16
    pkhtb   lr, r11, r8, asr #16
    pkhbt   r6, r6, r9, lsl #16     /* channels 0 1: r6, r7, r8 */
    pkhbt   r7, r7, r10, lsl #16
    pkhbt   r8, r8, r11, lsl #16
    two_channels r6, r7, r8
    two_channels r12, r3, lr
    vmov    r6, s0
    cmp     r1, r6
    bne     2b
4:  vmov    r6, s1
    cbz     r6, 5f
    mov     r4, #0
    vmov    s1, r4
    vmov    s0, r1
    b       2b
5:  pop     {r4-r11, pc}
    .size   \name, . - \name
.endm

    widen   dft_depthwise_s2_widen, 0, 0
    widen   dft_depthwise_s2_widen_top, 1, 0
    widen   dft_depthwise_s2_widen_bottom, 0, 1

    .section .text.dft_depthwise_s2_store, "ax", %progbits
    .global dft_depthwise_s2_store
    .type   dft_depthwise_s2_store, %function
/* r0 quad. */
dft_depthwise_s2_store:
    push    {r4, lr}
    ldrd    r2, r4, [r0, #92]       /* out_channels, out_channel */
    ldr     r3, [r0, #100]
    ldr     r1, [r0, #84]           /* out */
    ldr     r0, [r0, #80]
    mla     r12, r3, r2, r4
    lsrs    r3, r3, #1
    bcs     2f
1:  ldr     lr, [r0], #48
    str     lr, [r1, r4]
    add     r4, r4, r2
2:  ldr     lr, [r0], #48
    str     lr, [r1, r4]
    add     r4, r4, r2
    cmp     r4, r12
    bne     1b
    pop     {r4, pc}
    .size   dft_depthwise_s2_store, . - dft_depthwise_s2_store

    .section .text.dft_depthwise_s2_run, "ax", %progbits
    .global dft_depthwise_s2_run
    .type   dft_depthwise_s2_run, %function
/* r0 quad. As dft_depthwise_s1_run. For the tiles: r0 pair of columns, r2-r4 weights of rows 0 1 by column, r5 those of row 2
 * in columns 0 1, r6 in column 2, r8 bias. */
dft_depthwise_s2_run:
    push    {r4-r11, lr}
    vmov    s12, r0
    adds    r0, #40
    vldm    r0, {s2-s11}
1:  vmov    r0, s8
    ldr     r1, [r0, #4]
    ldr     r2, [r0, #8]            /* 00 01 10 11 */
    ldr     r4, [r0, #12]           /* 02 20 12 21 */
    ldrsb   r6, [r0, #16]           /* 22 */
    ldrb    r12, [r0, #17]
    ldr     r8, [r0], #18
    sxtb16  r3, r2, ror #8
    sxtb16  r2, r2
    sxtb16  r5, r4, ror #8
    sxtb16  r4, r4
    vmov    r9, r10, d5
    lsl     r6, r6, #1
    sadd16  r2, r2, r2
    sadd16  r3, r3, r3
    lsl     r9, r9, r12
    ldr     r10, [r10, r12, lsl #2]
    sadd16  r4, r4, r4
    sadd16  r5, r5, r5
    vmov    d0, r1, r9
    vmov    s8, r0
    vmov    s3, r8
    vmov    r0, s6
    bx      r10

    .global dft_depthwise_s2_next
    .type   dft_depthwise_s2_next, %function
dft_depthwise_s2_next:
    vmov    r9, r10, d2
    vmov    r0, r1, d3
    add     r9, r9, #12             /* the next channel's columns lie three words further, */
    sub     r10, r10, #11           /* its results one byte */
    add     r0, r0, #12
    vmov    d2, r9, r10
    vmov    s6, r0
    cmp     r0, r1
    bne     1b
    vmov    r0, s12
    vmov    r1, s8
    str     r1, [r0, #64]
    pop     {r4-r11, pc}
    .size   dft_depthwise_s2_next, . - dft_depthwise_s2_next
    .size   dft_depthwise_s2_run, . - dft_depthwise_s2_run

/* A pair of columns as the right end of output `left` and the left part of output `right`: r7 odd, r9 even, r10 row 2.
 * Sums of outputs: r11, r12, lr, r1. */
.macro load_pair at
    ldr     r7, [r0, #\at]
    ldrd    r9, r10, [r0, #(\at + 4)]
.endm

.macro left sum
    smlad   \sum, r9, r4, \sum
    smlabb  \sum, r10, r6, \sum
.endm

.macro right sum
    smlad   \sum, r9, r2, r8
    smlad   \sum, r7, r3, \sum
    smlad   \sum, r10, r5, \sum
.endm

.macro sums
    ldrd    r9, r10, [r0, #4]
    ldr     r7, [r0], #192
    right   r11
    load_pair -144
    left    r11
    right   r12
    load_pair -96
    left    r12
    right   lr
    load_pair -48
    left    lr
    right   r1
    ldrd    r9, r10, [r0, #4]
    left    r1
.endm

/* Requantisation as TFLM rounds: high product rounded, then the rounding shift, whose ties go away from zero: one
 * less for a negative sum. `relu`: what is negative saturates, so there is no tie to care for. */
.macro linear sum
    add     r8, r10, \sum, asr #31
    smmlar  \sum, \sum, r9, r8
.endm

.macro store
    vmov    r9, r10, d2
    add     r10, r0, r10
    strb    r11, [r10]
    strb    r12, [r10, #48]
    strb    lr, [r10, #96]
    strb    r1, [r10, #144]
    cmp     r0, r9
    bne     1b
    b       dft_depthwise_s2_next
.endm

.macro tile_relu shift
    .section .text.dft_depthwise_s2_relu_\shift, "ax", %progbits
    .global dft_depthwise_s2_relu_\shift
    .type   dft_depthwise_s2_relu_\shift, %function
    .p2align 3
dft_depthwise_s2_relu_\shift:
1:  sums
    vmov    r9, r10, d0
    .irp    sum, r11, r12, lr, r1
    smmlar  \sum, \sum, r9, r10
    .endr
    .irp    sum, r11, r12, lr, r1
    ssat    \sum, #8, \sum, asr #\shift
    .endr
    store
    .p2align 3
    .size   dft_depthwise_s2_relu_\shift, . - dft_depthwise_s2_relu_\shift
.endm

.macro tile_table shift
    .section .text.dft_depthwise_s2_table_\shift, "ax", %progbits
    .global dft_depthwise_s2_table_\shift
    .type   dft_depthwise_s2_table_\shift, %function
    .p2align 3
dft_depthwise_s2_table_\shift:
1:  sums
    vmov    r9, r10, d0
    .irp    sum, r11, r12, lr, r1
    linear  \sum
    .endr
    vmov    r9, r8, d1
    .irp    sum, r11, r12, lr, r1
    ssat    \sum, #8, \sum, asr #\shift
    .endr
    .irp    sum, r11, r12, lr, r1
    ldrsb   \sum, [r9, \sum]
    .endr
    store
    .p2align 3
    .size   dft_depthwise_s2_table_\shift, . - dft_depthwise_s2_table_\shift
.endm

.irp shift, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
    tile_relu \shift
    tile_table \shift
.endr
