/* What the Cortex-M boards share: the way from the vector table to main. */
#ifndef DFT_CORTEX_M_STARTUP_H
#define DFT_CORTEX_M_STARTUP_H

#include <stdbool.h>
#include <stdint.h>

#include "dft/board.h"

/* What the processor stacks on an exception (ARMv7-M, basic frame). */
typedef struct cortex_m_frame {
    uint32_t r0, r1, r2, r3, r12, lr, pc, xpsr;
} cortex_m_frame;

/* Entry: FPU on, data copied, bss zeroed, main. */
void dft_reset(void);

/* Every fault comes here on a fresh stack. `frame` is null when the stack it lay on was not usable. Per board. */
_Noreturn void dft_on_fault(const cortex_m_frame *frame);

/* What a vector of an exception that nobody expects points at. */
void dft_fault_entry(void);

/* The stack that the linker script lays down. */
dft_stack dft_linked_stack(void);

/* The vector table, for VTOR. */
const uint32_t *dft_vector_table(void);

#endif
