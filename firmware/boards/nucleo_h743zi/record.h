/* What outlives a reset: how often the board has booted, and the last fault. Called by nucleo_h743zi.c. */
#ifndef DFT_H743_RECORD_H
#define DFT_H743_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "dft/board.h"
#include "startup.h"

/* Once, early: counts this boot, reads and clears the reset flags. */
void record_boot(void);

uint32_t record_boot_id(void);
uint32_t record_reset_cause(void); /* DFT_RESET_* */

/* The last fault since power-on. */
bool record_fault(dft_fault *found);

/* Fills the record from the fault status registers. `frame` is null where the stack it lay on was not usable. */
void record_write(const cortex_m_frame *frame);

#endif
