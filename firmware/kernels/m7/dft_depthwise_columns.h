/* Assembler macros by which depthwise_s1.S and depthwise_s2r2.S widen a pixel of four rows. */
/* A row's word of four channels: at offset r12 from its pointer, or, `pad`, what stands in the pointer's place. */
.macro take word, row, pad
    .if     \pad
    mov     \word, \row
    .else
    ldr     \word, [\row, r12]
    .endif
.endm

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
