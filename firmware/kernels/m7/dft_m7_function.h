/* How the assembly files of the depthwise kernels begin, and a public function in a section of its own. */
    .syntax unified
    .cpu cortex-m7
    .fpu fpv5-d16
    .thumb

.macro function name
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
\name:
.endm
