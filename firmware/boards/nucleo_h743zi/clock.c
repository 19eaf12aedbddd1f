/* 480 MHz at voltage scale 0 on revisions X and V, 400 MHz at scale 1 on older ones, 64 MHz when anything fails.
 * Numbers: RM0433 and DS12110, second-hand (registers.h); the order of supply, scale and overdrive is that of ST's
 * HAL, the wait states are those that stm32h7xx-hal quotes from RM0433 Rev 7, table 17. The sequence waits for what
 * the hardware acknowledges, but never for ever: an emulator may not model a ready bit, and a board must still come
 * up and say how fast it runs. */
#include "clock.h"

#include "dft_board_config.h"
#include "registers.h"

#define HSI_HZ 64000000u
#define PLL_IN_HZ 8000000u
#define N_SCALE_0 120u /* 8 MHz x 120 / 2 = 480 MHz */
#define N_SCALE_1 100u /* 400 MHz */
#define PLL_P 2u
#define BUS_DIVIDER 4u /* HPRE 2, then PPRE 2: 120 MHz on the peripheral buses */

/* About 15 ms at 64 MHz: ten times what the slowest of these waits takes. */
#define POLLS_MAX 100000u

_Static_assert(DFT_BOARD_HSE_HZ % PLL_IN_HZ == 0 && DFT_BOARD_HSE_HZ / PLL_IN_HZ <= 63u, "the PLL divides HSE to 8 MHz");

bool h743_wait(volatile uint32_t *address, uint32_t mask, uint32_t wanted) {
    for (uint32_t polls = 0; polls < POLLS_MAX; polls++) {
        if ((*address & mask) == wanted) {
            return true;
        }
    }
    return false;
}

/* LDO supply (this chip has nothing else); it must be chosen, once, before the voltage may be raised. */
static bool choose_supply(void) {
    PWR_CR3 = (PWR_CR3 & ~(PWR_CR3_SCUEN | PWR_CR3_BYPASS)) | PWR_CR3_LDOEN;
    return h743_wait(&PWR_CSR1, PWR_CSR1_ACTVOSRDY, PWR_CSR1_ACTVOSRDY);
}

/* Raises the core voltage; returns the PLL's multiplier that it allows, 0 for none. */
static uint32_t raise_voltage(void) {
    const uint32_t revision = DBGMCU_IDC >> 16;
    if (!choose_supply()) {
        return 0;
    }
    if (revision < DBGMCU_REV_X) {
        AXI_TARG7_FN_MOD = 1;
    }
    PWR_D3CR |= PWR_D3CR_VOS1;
    if (!h743_wait(&PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY)) {
        return 0;
    }
    if (revision < DBGMCU_REV_X) {
        return N_SCALE_1;
    }
    RCC_APB4ENR |= RCC_APB4ENR_SYSCFGEN;
    (void)RCC_APB4ENR; /* a peripheral may be written two cycles after its clock: reading back takes them */
    SYSCFG_PWRCR |= SYSCFG_PWRCR_ODEN;
    return h743_wait(&PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY) ? N_SCALE_0 : N_SCALE_1;
}

/* Four wait states carry 240 MHz at scale 0; the slower revision could do with fewer, its cache hides it. */
static bool slow_flash(void) {
    const uint32_t acr = FLASH_ACR_LATENCY_4 | FLASH_ACR_WRHIGHFREQ_2;
    FLASH_ACR = acr;
    return h743_wait(&FLASH_ACR, acr, acr);
}

/* The ST-LINK's 8 MHz if it is there, else the internal oscillator. */
static bool start_pll(uint32_t n) {
    RCC_CR |= RCC_CR_HSEBYP;
    RCC_CR |= RCC_CR_HSEON;
    const bool hse = h743_wait(&RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY);
    const uint32_t m = (hse ? DFT_BOARD_HSE_HZ : HSI_HZ) / PLL_IN_HZ;
    RCC_PLLCKSELR = (hse ? RCC_PLLCKSELR_HSE : RCC_PLLCKSELR_HSI) | RCC_PLLCKSELR_DIVM1(m);
    RCC_PLLCFGR = RCC_PLLCFGR_PLL1RGE_8_TO_16_MHZ | RCC_PLLCFGR_DIVP1EN;
    RCC_PLL1DIVR = RCC_PLL1DIVR_DIVN1(n) | RCC_PLL1DIVR_DIVP1(PLL_P);
    RCC_CR |= RCC_CR_PLL1ON;
    return h743_wait(&RCC_CR, RCC_CR_PLL1RDY, RCC_CR_PLL1RDY);
}

static void divide_buses(bool on) {
    RCC_D1CFGR = on ? RCC_D1CFGR_HPRE_2 | RCC_D1CFGR_D1PPRE_2 : 0u;
    RCC_D2CFGR = on ? RCC_D2CFGR_D2PPRE1_2 | RCC_D2CFGR_D2PPRE2_2 : 0u;
    RCC_D3CFGR = on ? RCC_D3CFGR_D3PPRE_2 : 0u;
}

/* The dividers first: the buses must never run at the core's speed. */
static bool switch_to_pll(void) {
    divide_buses(true);
    RCC_CFGR = (RCC_CFGR & ~RCC_CFGR_SW_MASK) | RCC_CFGR_SW_PLL1;
    if (h743_wait(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL1)) {
        return true;
    }
    RCC_CFGR &= ~RCC_CFGR_SW_MASK;
    divide_buses(false);
    return false;
}

h743_clock h743_clock_start(void) {
    const uint32_t n = raise_voltage();
    if (n == 0 || !slow_flash() || !start_pll(n) || !switch_to_pll()) {
        return (h743_clock){.cpu_hz = HSI_HZ, .pclk1_hz = HSI_HZ};
    }
    const uint32_t cpu_hz = PLL_IN_HZ * n / PLL_P;
    return (h743_clock){.cpu_hz = cpu_hz, .pclk1_hz = cpu_hz / BUS_DIVIDER};
}
