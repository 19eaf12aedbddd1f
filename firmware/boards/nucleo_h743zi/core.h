/* The Cortex-M7 itself: memory protection, caches, cycle counter. Called by nucleo_h743zi.c. */
#ifndef DFT_H743_CORE_H
#define DFT_H743_CORE_H

#include <stdbool.h>
#include <stdint.h>

/* Traps on null pointers, on what lies below the stack, on writes to flash, on code in RAM
 * other than the ITCM, which is read-only. */
void core_protect(const void *stack_low);

#define CORE_REGIONS 6u

/* How many regions are in force; 0 while the unit is off. */
uint32_t core_protected_regions(void);

void core_caches_on(void);

/* Starts the cycle counter and returns whether it was seen to move. */
bool core_cycles_start(void);

/* Cycles since then. 32 bits last 9 s at 480 MHz: somebody must look at least that often. */
uint64_t core_cycles(void);

#endif
