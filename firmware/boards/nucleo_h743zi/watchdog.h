/* Watchdog and supply: what resets or should have reset the board. Called by nucleo_h743zi.c and checks.c. */
#ifndef DFT_H743_WATCHDOG_H
#define DFT_H743_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

/* Starts the watchdog, which then nothing but a reset stops, and the supervision of the supply. */
void watchdog_start(void);

void watchdog_kick(void);

/* The reload value that the watchdog really took over, 0 while it has not. */
uint32_t watchdog_reload(void);

/* The supply is above 2.85 V: the chip is specified for its full speed down to less, a USB cable at its end is not. */
bool watchdog_supply_good(void);

#endif
