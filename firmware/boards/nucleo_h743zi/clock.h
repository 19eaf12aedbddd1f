/* Power, flash wait states and clocks. Called by nucleo_h743zi.c. */
#ifndef DFT_H743_CLOCK_H
#define DFT_H743_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* What the chip really runs at: where a step failed, the 64 MHz it started with. */
typedef struct h743_clock {
    uint32_t cpu_hz;
    uint32_t pclk1_hz; /* feeds USART3 */
} h743_clock;

/* As fast as this revision of the silicon goes (480 or 400 MHz). Every wait is bounded; what does not answer in
 * time is done without. */
h743_clock h743_clock_start(void);

/* Polls until (register & mask) == wanted; false when it never was. */
bool h743_wait(volatile uint32_t *address, uint32_t mask, uint32_t wanted);

#endif
