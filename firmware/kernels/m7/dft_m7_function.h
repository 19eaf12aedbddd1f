/* How assembly files of the kernels begin, and a public function in a section of its own, on 2^align bytes. */
    .syntax unified
    .cpu cortex-m7
    .fpu fpv5-d16
    .thumb

.macro function name, align=1
    .section .text.\name, "ax", %progbits
    .p2align \align
    .global \name
    .type   \name, %function
\name:
.endm
