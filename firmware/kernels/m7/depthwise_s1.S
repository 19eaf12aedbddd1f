/* Depthwise 3x3, stride 1, for Cortex-M7: widening, tiles of 2 x 2 outputs, storing. Called by depthwise_rows.c;
 * layout of the scratch memory in dft_depthwise_m7.h. */
    .syntax unified
    .cpu cortex-m7
    .fpu fpv5-d16
    .thumb

/* A row's word of four channels: at offset r12 from its pointer, or, `pad`, what stands in the pointer's place. */
.macro take word, row, pad
    .if     \pad
    mov     \word, \row
    .else
    ldr     \word, [\row, r12]
    .endif
.endm

/* A pixel's words of rows 0 … 3 become 32 bytes at r5. PKH first, so that one SXTB16 gives a finished pair. */
.macro widen_pixel top, bottom
    take    r8, r0, \top
    take    r10, r1, 0
    take    r9, r2, 0
    take    r11, r3, \bottom
    add     r12, r12, r4
    pkhbt   r6, r8, r10, lsl #16    /* rows 0 1, channels 0 1 */
    pkhtb   r10, r10, r8, asr #16   /* rows 0 1, channels 2 3 */
    pkhbt   r7, r9, r11, lsl #16
    pkhtb   r11, r11, r9, asr #16
    sxtb16  r8, r6, ror #8
    sxtb16  r9, r7, ror #8
    sxtb16  r6, r6
    sxtb16  r7, r7
    stmia   r5!, {r6-r9}
    sxtb16  r8, r10
    sxtb16  r9, r11
    sxtb16  r10, r10, ror #8
    sxtb16  r11, r11, ror #8
    stmia   r5!, {r8-r11}
.endm

.macro widen name, top, bottom
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
/* r0 quad. Two pixels a turn; an odd number of them enters at the second. */
\name:
    push    {r4-r11, lr}
    mov     r12, r0
    ldrd    r10, r9, [r12, #32]     /* channel, pixels */
    ldm     r12, {r0-r7}
    strd    r6, r6, [r7]
    mla     lr, r9, r4, r10         /* offset behind the last pixel */
    mov     r12, r10
    lsrs    r9, r9, #1
    bcs     2f
1:  widen_pixel \top, \bottom
2:  widen_pixel \top, \bottom
    cmp     r12, lr
    bne     1b
    pop     {r4-r11, pc}
    .size   \name, . - \name
.endm

    widen   dft_depthwise_s1_widen, 0, 0
    widen   dft_depthwise_s1_widen_top, 1, 0
    widen   dft_depthwise_s1_widen_bottom, 0, 1

    .section .text.dft_depthwise_s1_store, "ax", %progbits
    .global dft_depthwise_s1_store
    .type   dft_depthwise_s1_store, %function
/* r0 quad. The second row is written first: where there is none, the first one stands for it. */
dft_depthwise_s1_store:
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

    .section .text.dft_depthwise_s1_run, "ax", %progbits
    .global dft_depthwise_s1_run
    .type   dft_depthwise_s1_run, %function
/* r0 quad. Unpacks a channel's record and jumps to the tile of its shift, which comes back to the label below.
 * s0 s1 multiplier, rounding | s2 s3 table, bias | s4 s5 end, result | s6 s7 plane, plane_end | s8 record
 * s10 s11 round, tiles | s12 quad. For the tiles: r0 column, r2-r4 weights of rows 0 1 by column, r5-r7 of rows 1 2,
 * r8 bias. */
dft_depthwise_s1_run:
    push    {r4-r11, lr}
    vmov    s12, r0
    adds    r0, #40
    vldm    r0, {s2-s11}
1:  vmov    r0, s8
    ldr     r1, [r0, #4]
    ldr     r2, [r0, #8]            /* 00 01 10 11 */
    ldr     r5, [r0, #10]           /* 10 11 20 21 */
    ldr     r4, [r0, #14]           /* 02 12 12 22 */
    ldrb    r12, [r0, #18]
    ldr     r8, [r0], #19
    sxtb16  r3, r2, ror #8
    sxtb16  r2, r2
    sxtb16  r6, r5, ror #8
    sxtb16  r5, r5
    sxtb16  r7, r4, ror #8
    sxtb16  r4, r4
    vmov    r9, r10, d5
    sadd16  r2, r2, r2
    sadd16  r3, r3, r3
    sadd16  r4, r4, r4
    lsl     r9, r9, r12
    ldr     r10, [r10, r12, lsl #2]
    sadd16  r5, r5, r5
    sadd16  r6, r6, r6
    sadd16  r7, r7, r7
    vmov    d0, r1, r9
    vmov    s8, r0
    vmov    s3, r8
    vmov    r0, s6
    bx      r10

    .global dft_depthwise_s1_next
    .type   dft_depthwise_s1_next, %function
dft_depthwise_s1_next:
    vmov    r9, r10, d2
    vmov    r0, r1, d3
    add     r9, r9, #8              /* the next channel's columns lie two words further, */
    sub     r10, r10, #7            /* its results one byte */
    add     r0, r0, #8
    vmov    d2, r9, r10
    vmov    s6, r0
    cmp     r0, r1
    bne     1b
    vmov    r0, s12
    vmov    r1, s8
    str     r1, [r0, #64]
    pop     {r4-r11, pc}
    .size   dft_depthwise_s1_next, . - dft_depthwise_s1_next
    .size   dft_depthwise_s1_run, . - dft_depthwise_s1_run

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
    strb    r12, [r10, #4]
    strb    lr, [r10, #32]
    strb    r1, [r10, #36]
    cmp     r0, r9
    bne     1b
    b       dft_depthwise_s1_next
.endm

.macro tile_relu shift
    .section .text.dft_depthwise_s1_relu_\shift, "ax", %progbits
    .global dft_depthwise_s1_relu_\shift
    .type   dft_depthwise_s1_relu_\shift, %function
    .p2align 3
dft_depthwise_s1_relu_\shift:
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
    .size   dft_depthwise_s1_relu_\shift, . - dft_depthwise_s1_relu_\shift
.endm

.macro tile_table shift
    .section .text.dft_depthwise_s1_table_\shift, "ax", %progbits
    .global dft_depthwise_s1_table_\shift
    .type   dft_depthwise_s1_table_\shift, %function
    .p2align 3
dft_depthwise_s1_table_\shift:
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
    .size   dft_depthwise_s1_table_\shift, . - dft_depthwise_s1_table_\shift
.endm

.irp shift, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
    tile_relu \shift
    tile_table \shift
.endr
