/* Depthwise 3x3, horizontal stride 2, for Cortex-M7: widening, tiles of 1 x 4 outputs, storing. Called by
 * depthwise_rows.c; layout of the scratch memory in dft_depthwise_m7.h. */
#define ROUND r7
#define SCRATCH r10
#include "dft_depthwise_tile.h"

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
/* r0 quad. A pair of columns a turn. A first pixel in an odd column enters where the even one, padding, has been taken;
 * a last one in an even column is paired with padding. s0: where row 1 ends; s1: there is such a last one and its turn is
 * still to come; s2: four zero points. */
    function \name
    push    {r4-r11, lr}
    ldr     r12, [r0, #68]          /* odd */
    ldr     r9, [r0, #36]           /* pixels */
    ldr     r11, [r0, #32]          /* channel */
    ldm     r0, {r0-r7}
    strd    r6, r6, [r7]
    subs    r9, r9, r12             /* behind a first odd one: pairs and perhaps a last even one */
    and     r7, r9, #1
    vmov    s1, r7
    vmov    s2, r3
    subs    r9, r9, r7
    move    r0, \top, r11
    move    r1, 0, r11
    move    r2, \bottom, r11
    add     r11, r9, r12
    mla     r11, r11, r4, r1
    vmov    s0, r11
    cmp     r12, #0
    beq     1f
    mov     r7, r3
    mov     r8, r3
    mov     r10, r3
    .if     \top == 0
    sub     r0, r0, r4
    .endif
    sub     r1, r1, r4
    .if     \bottom == 0
    sub     r2, r2, r4
    .endif
    b       3f
1:  cmp     r9, #0
    beq     5f
2:  take_even r7, r0, \top
    take_even r10, r1, 0
    take_even r8, r2, \bottom
3:  take_odd r6, r0, \top
    take_odd r9, r1, 0
    take_odd r11, r2, \bottom
4:  vmov    r12, s0
    move    r1, 0, r4, lsl #1
    move    r0, \top, r4, lsl #1
    move    r2, \bottom, r4, lsl #1
    cmp     r1, r12                 /* nothing below touches the flags */
    pkhtb   r12, r9, r6, asr #16    /* channels 2 3: r12 odd, r3 even, lr row 2 */
    pkhtb   r3, r10, r7, asr #16
    pkhtb   lr, r11, r8, asr #16
    pkhbt   r6, r6, r9, lsl #16     /* channels 0 1: r6, r7, r8 */
    pkhbt   r7, r7, r10, lsl #16
    pkhbt   r8, r8, r11, lsl #16
    two_channels r6, r7, r8
    two_channels r12, r3, lr
    bne     2b
5:  vmov    r6, s1
    cbz     r6, 6f
    take_even r7, r0, \top
    take_even r10, r1, 0
    take_even r8, r2, \bottom
    vmov    r6, s2
    mov     r9, r6
    mov     r11, r6
    mov     r4, #0
    vmov    s1, r4
    vmov    s0, r1
    b       4b
6:  pop     {r4-r11, pc}
    .size   \name, . - \name
.endm

    widen   dft_depthwise_s2_widen, 0, 0
    widen   dft_depthwise_s2_widen_top, 1, 0
    widen   dft_depthwise_s2_widen_bottom, 0, 1

    store_row s2, 48

    run     s2, one_row_weights, 9, 12

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

.macro sums how
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
    constants \how
    left    r1
.endm

    tiles   s2, 48, 96, 144
