/* Assembler macros by which depthwise_s1.S and depthwise_s2r2.S widen a pixel of four rows. */
#include "dft_depthwise_pixel.h"

/* A pixel's words of the rows at r0 … r3 become 32 bytes at r5. PKH first, so that one SXTB16 gives a finished pair. */
.macro widen_pixel top, third, bottom
    take    r8, r0, \top
    take    r10, r1, 0
    take    r9, r2, \third
    take    r11, r3, \bottom
    add     r12, r12, r4
    pkhbt   r6, r8, r10, lsl #16    /* rows 0 1, channels 0 1 */
    pkhtb   r10, r10, r8, asr #16   /* rows 0 1, channels 2 3 */
    pkhbt   r7, r9, r11, lsl #16
    pkhtb   r11, r11, r9, asr #16
    store_pairs
.endm
