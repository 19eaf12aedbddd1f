/* Assembler macros that the tiles of depthwise_s1.S, depthwise_s2.S, depthwise_r1.S and depthwise_planes.S have in common.
 *
 * While channels run: s0 s1 multiplier, rounding | s2 s3 table, result | s4 s5 end, bias | s6 s7 plane, plane_end |
 * s8 record | s10 s11 round, tiles | s12 quad | s13 s14 step, turned. In a tile r0 is the column, r2 … r7 hold weights, r8 the
 * bias, r9 r10 what was loaded last; sums of four outputs are r11, r12, lr, r1. What comes from s registers takes some
 * cycles: it is fetched as soon as registers are free, in front of instructions that do without. */
#if !defined(ROUND)
#define ROUND r9 /* the rounding of a tile with table; a file whose tiles have it elsewhere says so */
#define SCRATCH r10
#endif
#include "dft_m7_function.h"

/* The record at r0, of 8 bytes, weights and shift: multiplier, shift and bias; moves r0 to the next one. */
.macro requantisation weights
    ldr     r1, [r0, #4]
    ldrb    r12, [r0, #(8 + \weights)]
    ldr     r8, [r0], #(9 + \weights)
    vmov    r9, r10, d5
    lsl     r9, r9, r12             /* (2 * zero point + 1) * 2^(shift - 1) */
    ldr     r10, [r10, r12, lsl #2] /* the tile */
    vmov    d0, r1, r9
    vmov    s5, r8
    vmov    s8, r0
    vmov    r0, s6
.endm

/* Weights of tiles that give one row: r2-r4 those of rows 0 1 by column, r5 of row 2 in columns 0 1, r6 in column 2. */
.macro one_row_weights
    ldr     r2, [r0, #8]            /* 00 01 10 11 */
    ldr     r4, [r0, #12]           /* 02 20 12 21 */
    ldrsb   r6, [r0, #16]           /* 22 */
    sxtb16  r3, r2, ror #8
    sxtb16  r2, r2
    sxtb16  r5, r4, ror #8
    sxtb16  r4, r4
    lsl     r6, r6, #1
    sadd16  r2, r2, r2
    sadd16  r3, r3, r3
    sadd16  r4, r4, r4
    sadd16  r5, r5, r5
.endm

/* Weights of tiles that give two rows: r2-r4 those of rows 0 1 by column, r5-r7 of rows 1 2. */
.macro two_rows_of_weights
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

/* Channels one after the other: `unpack` gives weights, the tile of the channel's shift comes back to `next`. r0 quad.
 * `plane`: bytes from a channel's columns to those of the next; 0 where only the quad knows. */
.macro run kind, unpack, weights, plane
    function dft_depthwise_\kind\()_run
    push    {r4-r11, lr}
    vmov    s12, r0
    adds    r0, #40
    vldm    r0, {s2-s11}
    .if     \plane == 0
    vldr    s13, [r0, #72]
    vldr    s14, [r0, #76]
    .endif
1:  vmov    r0, s8
    \unpack
    requantisation \weights
    bx      r10

    .global dft_depthwise_\kind\()_next
    .type   dft_depthwise_\kind\()_next, %function
dft_depthwise_\kind\()_next:
    vmov    r10, r9, s3, s4
    vmov    r0, r1, d3
    .if     \plane
    add     r9, r9, #\plane         /* the next channel's columns, */
    sub     r10, r10, #(\plane - 1) /* and its results, a byte behind */
    add     r0, r0, #\plane
    .else
    vmov    r11, s13
    add     r9, r9, r11
    sub     r10, r10, r11
    adds    r10, r10, #1
    add     r0, r0, r11
    .endif
    vmov    s3, s4, r10, r9
    vmov    s6, r0
    cmp     r0, r1
    bne     1b
    vmov    r0, s12
    vmov    r1, s8
    str     r1, [r0, #64]
    pop     {r4-r11, pc}
    .size   dft_depthwise_\kind\()_next, . - dft_depthwise_\kind\()_next
    .size   dft_depthwise_\kind\()_run, . - dft_depthwise_\kind\()_run
.endm

/* As TFLM rounds: the high product rounded, then the rounding shift, whose ties go away from zero: one less for a
 * negative sum. `relu`: what is negative saturates, so there is no tie to care for. */
.macro linear sum
    add     SCRATCH, ROUND, \sum, asr #31
    smmlar  \sum, \sum, r8, SCRATCH
.endm

/* Sums with a table behind them say when the bias and what was in ROUND are no longer needed. */
.macro constants how
    .ifc    \how, table
    vmov    r8, ROUND, d0
    .endif
.endm

.macro saturate_relu shift
    vmov    r9, r10, d0
    .irp    sum, r11, r12, lr, r1
    smmlar  \sum, \sum, r9, r10
    .endr
    vmov    r10, r9, s3, s4         /* result, end */
    .irp    sum, r11, r12, lr, r1
    ssat    \sum, #8, \sum, asr #\shift
    .endr
    add     r10, r0, r10
.endm

.macro saturate_table shift
    .irp    sum, r11, r12, lr, r1
    linear  \sum
    .endr
    vmov    r9, r10, d1             /* table, result */
    .irp    sum, r11, r12, lr, r1
    ssat    \sum, #8, \sum, asr #\shift
    .endr
    ldrsb   r11, [r9, r11]
    add     r10, r0, r10
    .irp    sum, r12, lr, r1
    ldrsb   \sum, [r9, \sum]
    .endr
    vmov    r9, r8, d2              /* end, bias */
.endm

/* Four outputs whose sums are taken by `sums`; results at the given distances from the first. */
.macro outputs sums, how, shift, second, third, fourth
    \sums   \how
    saturate_\how \shift
    strb    r11, [r10]
    strb    r12, [r10, #\second]
    cmp     r0, r9
    strb    lr, [r10, #\third]
    strb    r1, [r10, #\fourth]
.endm

/* A tile: `sums` of the including file. */
.macro tile kind, how, shift, second, third, fourth
    function dft_depthwise_\kind\()_\how\()_\shift
1:  outputs sums, \how, \shift, \second, \third, \fourth
    bne     1b
    b       dft_depthwise_\kind\()_next
    .p2align 3
    .size   dft_depthwise_\kind\()_\how\()_\shift, . - dft_depthwise_\kind\()_\how\()_\shift
.endm

/* One for every shift, so that it is an immediate; the linker keeps those that a net needs. */
.macro tiles kind, second, third, fourth
    .irp    shift, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
    tile    \kind, relu, \shift, \second, \third, \fourth
    tile    \kind, table, \shift, \second, \third, \fourth
    .endr
.endm

/* Sums of outputs (column, row): r11 (0, 0), r12 (0, 1), lr (1, 0), r1 (1, 1), from four rows of a column, in r9 and r10;
 * the last operand is the sum it begins with: the bias at a first tap. */
.macro four_rows top, bottom, a, b, a_from, b_from
    smlad   \a, r9, \top, \a_from
    smlatb  \b, r9, \top, \b_from
    smlabt  \a, r10, \bottom, \a
    smlad   \b, r10, \bottom, \b
.endm

/* LDRD fetches a column, whose upper pair of rows is the word that goes to r9. Weights as two_rows_of_weights. */
.macro two_by_two first, second, pitch, how
    ldrd    \first, \second, [r0], #(2 * \pitch)
    four_rows r2, r5, r11, r12, r8, r8
    ldrd    \first, \second, [r0, #-\pitch]
    four_rows r3, r6, r11, r12, r11, r12
    four_rows r2, r5, lr, r1, r8, r8
    ldrd    \first, \second, [r0]
    four_rows r4, r7, r11, r12, r11, r12
    four_rows r3, r6, lr, r1, lr, r1
    ldrd    \first, \second, [r0, #\pitch]
    smlad   lr, r9, r4, lr
    smlatb  r1, r9, r4, r1
    constants \how
    smlabt  lr, r10, r7, lr
    smlad   r1, r10, r7, r1
.endm

/* Results of two rows to the output, `column` bytes from one column to the next. r0 quad. The second row is written
 * first: where there is none, the first one stands for it. */
.macro store_two_rows kind, column
    function dft_depthwise_\kind\()_store
    push    {r4-r7, lr}
    ldrd    r2, r4, [r0, #92]       /* out_channels, out_channel */
    ldr     r3, [r0, #100]
    ldrd    r1, r7, [r0, #84]       /* out */
    ldr     r0, [r0, #80]
    mla     r12, r3, r2, r4
    lsrs    r3, r3, #1
    bcs     2f
1:  ldrd    r5, r6, [r0], #\column
    str     r6, [r7, r4]
    str     r5, [r1, r4]
    add     r4, r4, r2
2:  ldrd    r5, r6, [r0], #\column
    str     r6, [r7, r4]
    str     r5, [r1, r4]
    add     r4, r4, r2
    cmp     r4, r12
    bne     1b
    pop     {r4-r7, pc}
    .size   dft_depthwise_\kind\()_store, . - dft_depthwise_\kind\()_store
.endm

/* Results of one row to the output, `column` bytes from one to the next. r0 quad. */
.macro store_row kind, column
    function dft_depthwise_\kind\()_store
    push    {r4, lr}
    ldrd    r2, r4, [r0, #92]       /* out_channels, out_channel */
    ldr     r3, [r0, #100]
    ldr     r1, [r0, #84]           /* out */
    ldr     r0, [r0, #80]
    mla     r12, r3, r2, r4
    lsrs    r3, r3, #1
    bcs     2f
1:  ldr     lr, [r0], #\column
    str     lr, [r1, r4]
    add     r4, r4, r2
2:  ldr     lr, [r0], #\column
    str     lr, [r1, r4]
    add     r4, r4, r2
    cmp     r4, r12
    bne     1b
    pop     {r4, pc}
    .size   dft_depthwise_\kind\()_store, . - dft_depthwise_\kind\()_store
.endm
