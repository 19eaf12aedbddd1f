/* Interrupt vectors of the STM32H743 up to the last one in use (numbers: see registers.h). Only USART3's is ever enabled;
 * any other that came all the same would be a fault with a record. The linker script puts this behind startup.c's. */
#include "registers.h"
#include "startup.h"
#include "uart.h"

typedef void handler(void);

#define FOUR dft_fault_entry, dft_fault_entry, dft_fault_entry, dft_fault_entry
#define TWELVE FOUR, FOUR, FOUR

__attribute__((section(".vectors.irq"), used)) static handler *const interrupts[] = {
    TWELVE, TWELVE, TWELVE, dft_fault_entry, dft_fault_entry, dft_fault_entry, uart_interrupt,
};

_Static_assert(sizeof interrupts / sizeof interrupts[0] == USART3_IRQ + 1u, "the last one is USART3's");
