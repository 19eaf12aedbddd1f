/* IWDG1 on its own oscillator (32 kHz, 30 to 34 by the data sheet, second-hand), and the voltage detector. */
#include "watchdog.h"

#include "clock.h"
#include "dft/board.h"
#include "registers.h"

#define LSI_HZ_MAX 34000u
#define PRESCALER 64u
#define BITES_AFTER_MS ((IWDG1_RLR_MAX + 1u) * 1000u / (LSI_HZ_MAX / PRESCALER))

_Static_assert(BITES_AFTER_MS > DFT_KICK_MS_MAX, "who kicks in time must not be bitten, however fast the oscillator");

void watchdog_start(void) {
    DBGMCU_APB4FZ1 |= DBGMCU_APB4FZ1_IWDG1;
    IWDG1_KR = IWDG1_KR_START;
    IWDG1_KR = IWDG1_KR_UNLOCK;
    IWDG1_PR = IWDG1_PR_64;
    IWDG1_RLR = IWDG1_RLR_MAX;
    (void)h743_wait(&IWDG1_SR, IWDG1_SR_UPDATING, 0); /* not taken over: the reset values, half a second, would bite */
    watchdog_kick();
    PWR_CR1 |= PWR_CR1_PVDE | PWR_CR1_PLS_2V85;
}

void watchdog_kick(void) { IWDG1_KR = IWDG1_KR_KICK; }

uint32_t watchdog_reload(void) { return (IWDG1_SR & IWDG1_SR_UPDATING) != 0u ? 0u : IWDG1_RLR; }

bool watchdog_supply_good(void) { return (PWR_CSR1 & PWR_CSR1_PVDO) == 0u; }
