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

    store_two_rows s1, 32
    run     s1, two_rows_of_weights, 10, 8

.macro sums how
    two_by_two r9, r10, 32, \how
.endm

    tiles   s1, 4, 32, 36
