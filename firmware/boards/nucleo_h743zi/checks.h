/* What this board can prove of itself: see dft/selftest.h. Called by nucleo_h743zi.c. */
#ifndef DFT_H743_CHECKS_H
#define DFT_H743_CHECKS_H

#include "clock.h"
#include "dft/board.h"

#define CHECKS_N 13u

extern const dft_board_check board_checks[CHECKS_N];

/* What init found, for the checks to judge. */
void checks_know(h743_clock clock, bool counting);

#endif
