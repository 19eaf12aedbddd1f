/* Assembler macros that the tiles of depthwise_s1.S, depthwise_s2.S and depthwise_r1.S have in common.
 *
 * While channels run: s0 s1 multiplier, rounding | s2 s3 table, bias | s4 s5 end, result | s6 s7 plane, plane_end |
 * s8 record | s10 s11 round, tiles | s12 quad. In a tile r0 is the column, r2 … r7 hold weights, r8 the bias, r9 r10
 * what was loaded last; sums of four outputs are r11, r12, lr, r1. */
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
    vmov    s3, r8
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

/* Channels one after the other: `unpack` gives weights, the tile of the channel's shift comes back to `next`. r0 quad. */
.macro run kind, unpack, weights, plane
    function dft_depthwise_\kind\()_run
    push    {r4-r11, lr}
    vmov    s12, r0
    adds    r0, #40
    vldm    r0, {s2-s11}
1:  vmov    r0, s8
    \unpack
    requantisation \weights
    bx      r10

    .global dft_depthwise_\kind\()_next
    .type   dft_depthwise_\kind\()_next, %function
dft_depthwise_\kind\()_next:
    vmov    r9, r10, d2
    vmov    r0, r1, d3
    add     r9, r9, #\plane         /* the next channel's columns, */
    sub     r10, r10, #(\plane - 1) /* and its results, a byte behind */
    add     r0, r0, #\plane
    vmov    d2, r9, r10
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
    add     r8, r10, \sum, asr #31
    smmlar  \sum, \sum, r9, r8
.endm

.macro saturate_relu shift
    vmov    r9, r10, d0
    .irp    sum, r11, r12, lr, r1
    smmlar  \sum, \sum, r9, r10
    .endr
    .irp    sum, r11, r12, lr, r1
    ssat    \sum, #8, \sum, asr #\shift
    .endr
.endm

.macro saturate_table shift
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
.endm

/* A tile: `sums` of the including file; results at the given distances from the first. */
.macro tile kind, how, shift, second, third, fourth
    function dft_depthwise_\kind\()_\how\()_\shift
1:  sums
    saturate_\how \shift
    vmov    r9, r10, d2
    add     r10, r0, r10
    strb    r11, [r10]
    strb    r12, [r10, #\second]
    strb    lr, [r10, #\third]
    strb    r1, [r10, #\fourth]
    cmp     r0, r9
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
