/* Assembler macros by which depthwise_s1.S, depthwise_s2r2.S and depthwise_r1.S widen a pixel of four channels. */
/* A row's word of four channels: at offset r12 from its pointer, or, `pad`, what stands in the pointer's place. */
.macro take word, row, pad
    .if     \pad
    mov     \word, \row
    .else
    ldr     \word, [\row, r12]
    .endif
.endm

/* Two pairs of bytes for each of four channels (r6 r7: channels 0 1, r10 r11: channels 2 3) become 32 bytes at r5. */
.macro store_pairs
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
