/* Vector table, reset and faults of the Cortex-M7 boards. The linker script is codegen/linker_ld.py's.
 * The table ends with the system exceptions; a board with interrupts puts theirs right behind, in .vectors.irq. */
#include "startup.h"

#include <stddef.h>
#include <string.h>

/* ARMv7-M Architecture Reference Manual: coprocessor access control; CP10 and CP11 are the FPU. */
#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define SCB_CPACR REG(0xE000ED88u)
#define CPACR_FPU (0xFu << 20)

extern uint32_t __dft_stack_low[], __dft_stack_high[];
extern uint8_t __dft_data_start[], __dft_data_end[], __dft_data_load[];
extern uint8_t __dft_bss_start[], __dft_bss_end[];
extern uint8_t __dft_code_start[], __dft_code_end[], __dft_code_load[];

int main(int argc, char **argv);
void dft_fault_checked(const cortex_m_frame *frame);

_Static_assert(sizeof(void *) == 4, "a 32-bit processor");

/* Entries that are not functions are stored as addresses; C has no constant cast from one to uint32_t. */
typedef struct vector_table {
    uint32_t *initial_stack;
    void (*handlers[15])(void);
} vector_table;

__attribute__((section(".vectors"), used, aligned(512))) static const vector_table table = {
    .initial_stack = __dft_stack_high,
    .handlers = {dft_reset,       dft_fault_entry, dft_fault_entry, dft_fault_entry, dft_fault_entry,
                 dft_fault_entry, dft_fault_entry, dft_fault_entry, dft_fault_entry, dft_fault_entry,
                 dft_fault_entry, dft_fault_entry, dft_fault_entry, dft_fault_entry, dft_fault_entry},
};

const uint32_t *dft_vector_table(void) { return (const uint32_t *)(const void *)&table; }

dft_stack dft_linked_stack(void) { return (dft_stack){__dft_stack_low, __dft_stack_high}; }

void dft_reset(void) {
    SCB_CPACR |= CPACR_FPU;
    __asm volatile("dsb\n isb" ::: "memory");
    memcpy(__dft_code_start, __dft_code_load, (size_t)(__dft_code_end - __dft_code_start));
    memcpy(__dft_data_start, __dft_data_load, (size_t)(__dft_data_end - __dft_data_start));
    __asm volatile("dsb\n isb" ::: "memory"); /* code was written */
    memset(__dft_bss_start, 0, (size_t)(__dft_bss_end - __dft_bss_start));
    (void)main(0, NULL);
    dft_on_fault(NULL);
}

/* A stack overflow leaves no stack to handle it on: start again from the top, which nobody will return to. */
__attribute__((naked)) void dft_fault_entry(void) {
    __asm volatile("mrs r0, msp\n"
                   "ldr r1, =__dft_stack_high\n"
                   "msr msp, r1\n"
                   "b dft_fault_checked\n");
}

__attribute__((used)) void dft_fault_checked(const cortex_m_frame *frame) {
    const uintptr_t at = (uintptr_t)frame;
    const bool usable = at >= (uintptr_t)__dft_stack_low && at + sizeof *frame <= (uintptr_t)__dft_stack_high;
    dft_on_fault(usable ? frame : NULL);
}
