/* Depthwise 3x3 over planes (dft_depthwise_planes_rows.h), for Cortex-M7: tiles of 2 x 2 outputs (p1: stride 1, two rows an
 * event) and of four (p2: stride 2, one row), storing. Called by depthwise_planes_rows.c; registers as in
 * dft_depthwise_tile.h. Of the four rows of a column the window begins with the first or, `turned`, with the third: then
 * LDRD exchanges the pairs (p1: code for both), or weights are exchanged (p2). */
#include "dft_depthwise_tile.h"

.macro exchange a, b
    mov     r12, \a
    mov     \a, \b
    mov     \b, r12
.endm

/* Weights by column for the first word of a column (r2-r4) and for the second (r5-r7): rows 0 1; row 2 with nothing
 * above it. */
.macro p2_weights
    ldr     r3, [r0, #8]            /* 00 01 10 11 */
    ldr     r6, [r0, #12]           /* 02 20 12 21 */
    ldrsb   r7, [r0, #16]           /* 22 */
    sxtb16  r2, r3
    sxtb16  r3, r3, ror #8
    sxtb16  r4, r6
    sxtb16  r6, r6, ror #8
    lsls    r7, r7, #1
    .irp    pair, r2, r3, r4, r6
    sadd16  \pair, \pair, \pair
    .endr
    vmov    r1, s14
    uxth    r5, r6
    lsrs    r6, r6, #16
    uxth    r7, r7
    cbz     r1, 3f
    exchange r2, r5
    exchange r3, r6
    exchange r4, r7
3:
.endm

    run     p1, two_rows_of_weights, 10, 0
    run     p2, p2_weights, 9, 0
    store_two_rows p1, 8
    store_row p2, 16

.macro p1_sums how
    two_by_two r9, r10, 8, \how
.endm

.macro p1_turned_sums how
    two_by_two r10, r9, 8, \how
.endm

/* A column of a window, whose four rows are in r9 and r10. `from`: the sum it begins with. */
.macro window first, second, sum, from
    smlad   \sum, r9, \first, \from
    smlad   \sum, r10, \second, \sum
.endm

/* Four outputs from nine columns of 8 bytes. */
.macro sums how
    ldrd    r9, r10, [r0], #64
    window  r2, r5, r11, r8
    ldrd    r9, r10, [r0, #-56]
    window  r3, r6, r11, r11
    ldrd    r9, r10, [r0, #-48]
    window  r4, r7, r11, r11
    window  r2, r5, r12, r8
    ldrd    r9, r10, [r0, #-40]
    window  r3, r6, r12, r12
    ldrd    r9, r10, [r0, #-32]
    window  r4, r7, r12, r12
    window  r2, r5, lr, r8
    ldrd    r9, r10, [r0, #-24]
    window  r3, r6, lr, lr
    ldrd    r9, r10, [r0, #-16]
    window  r4, r7, lr, lr
    window  r2, r5, r1, r8
    ldrd    r9, r10, [r0, #-8]
    window  r3, r6, r1, r1
    ldrd    r9, r10, [r0]
    smlad   r1, r9, r4, r1
    constants \how
    smlad   r1, r10, r7, r1
.endm

/* A tile with code for both. */
.macro both kind, how, shift, second, third, fourth
    function dft_depthwise_\kind\()_\how\()_\shift
    vmov    r9, s14
    cmp     r9, #0
    bne     2f
1:  outputs \kind\()_sums, \how, \shift, \second, \third, \fourth
    bne     1b
    b       dft_depthwise_\kind\()_next
2:  outputs \kind\()_turned_sums, \how, \shift, \second, \third, \fourth
    bne     2b
    b       dft_depthwise_\kind\()_next
    .p2align 3
    .size   dft_depthwise_\kind\()_\how\()_\shift, . - dft_depthwise_\kind\()_\how\()_\shift
.endm

    .irp    shift, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
    both    p1, relu, \shift, 4, 8, 12
    both    p1, table, \shift, 4, 8, 12
    .endr
    tiles   p2, 16, 32, 48
