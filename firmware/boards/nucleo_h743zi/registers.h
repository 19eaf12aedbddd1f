/* Every register of the STM32H743 and of its Cortex-M7 that this board touches (beside ../cortex_m), and nothing else.
 * Sources: RM0433 (chip), DS12110 (pins), Armv7-M Architecture Reference Manual and Cortex-M7 TRM (core). None of them
 * was at hand, and none of this has run on silicon. Compared instead, in addresses and bits, with ST's device header
 * (cmsis_device_h7, stm32h743xx.h, commit 13ba9da), its HAL (stm32h7xx_hal_driver, commit 6f5e35e) and Arm's core
 * header (cmsis_core, core_cm7.h, commit 1a2f783): everything below agrees, ../cortex_m too. AXI_TARG7_FN_MOD is in
 * none of the three. The test that boots this ELF answers exactly these addresses. */
#ifndef DFT_H743_REGISTERS_H
#define DFT_H743_REGISTERS_H

#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* PWR: power control, RM0433. */
#define PWR_CR1 REG(0x58024800u)
#define PWR_CR1_PVDE (1u << 4)
#define PWR_CR1_PLS_2V85 (6u << 5) /* with the level from RM0433, second-hand */
#define PWR_CSR1 REG(0x58024804u)
#define PWR_CSR1_PVDO (1u << 4) /* the supply is below the level of PLS */
#define PWR_CSR1_ACTVOSRDY (1u << 13)
#define PWR_CR3 REG(0x5802480Cu)
#define PWR_CR3_BYPASS (1u << 0)
#define PWR_CR3_LDOEN (1u << 1)
#define PWR_CR3_SCUEN (1u << 2)
#define PWR_D3CR REG(0x58024818u)
#define PWR_D3CR_VOSRDY (1u << 13)
#define PWR_D3CR_VOS1 (3u << 14)

/* SYSCFG: overdrive, which turns voltage scale 1 into 0 (revision X and V). */
#define SYSCFG_PWRCR REG(0x5800042Cu)
#define SYSCFG_PWRCR_ODEN (1u << 0)

/* DBGMCU: revision of the silicon. */
#define DBGMCU_IDC REG(0x5C001000u)
#define DBGMCU_REV_X 0x2001u /* and V = 0x2003; Z = 0x1001 and Y = 0x1003 are older and slower */

#define DBGMCU_IDC_DEVICE(idc) ((idc) & 0xFFFu)
#define DBGMCU_DEVICE_H743 0x450u
#define DBGMCU_APB4FZ1 REG(0x5C001054u)
#define DBGMCU_APB4FZ1_IWDG1 (1u << 18) /* the watchdog stands still while a debugger holds the core */

/* System memory: what the factory wrote. Words of the unique id, and the flash size in KB in a halfword. */
#define UID_0 REG(0x1FF1E800u)
#define UID_1 REG(0x1FF1E804u)
#define UID_2 REG(0x1FF1E808u)
#define FLASH_KB REG(0x1FF1E880u)

/* IWDG1: the watchdog, on a 32 kHz oscillator of its own that nothing can stop. */
#define IWDG1_KR REG(0x58004800u)
#define IWDG1_KR_KICK 0xAAAAu
#define IWDG1_KR_UNLOCK 0x5555u
#define IWDG1_KR_START 0xCCCCu
#define IWDG1_PR REG(0x58004804u)
#define IWDG1_PR_64 4u
#define IWDG1_RLR REG(0x58004808u)
#define IWDG1_RLR_MAX 0xFFFu
#define IWDG1_SR REG(0x5800480Cu)
#define IWDG1_SR_UPDATING 3u /* PVU and RVU: prescaler and reload are on their way to the other clock */

/* FLASH: wait states, option bytes. */
#define FLASH_ACR REG(0x52002000u)
#define FLASH_ACR_LATENCY_4 4u
#define FLASH_ACR_WRHIGHFREQ_2 (2u << 4)

#define FLASH_OPTSR_CUR REG(0x5200201Cu)
#define FLASH_OPTSR_BOR_LEVEL(optsr) ((optsr) >> 2 & 3u)

/* AXI interconnect: the fix for AXI SRAM reads on revisions Z and Y (errata sheet ES0392, as in ST's start-up code). */
#define AXI_TARG7_FN_MOD REG(0x51008108u)

/* RCC: clocks and reset cause. */
#define RCC_CR REG(0x58024400u)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_CFGR REG(0x58024410u)
#define RCC_CFGR_SW_MASK 7u
#define RCC_CFGR_SW_PLL1 3u
#define RCC_CFGR_SWS_MASK (7u << 3)
#define RCC_CFGR_SWS_PLL1 (3u << 3)
#define RCC_D1CFGR REG(0x58024418u)
#define RCC_D1CFGR_HPRE_2 8u
#define RCC_D1CFGR_D1PPRE_2 (4u << 4)
#define RCC_D2CFGR REG(0x5802441Cu)
#define RCC_D2CFGR_D2PPRE1_2 (4u << 4)
#define RCC_D2CFGR_D2PPRE2_2 (4u << 8)
#define RCC_D3CFGR REG(0x58024420u)
#define RCC_D3CFGR_D3PPRE_2 (4u << 4)
#define RCC_PLLCKSELR REG(0x58024428u)
#define RCC_PLLCKSELR_HSI 0u
#define RCC_PLLCKSELR_HSE 2u
#define RCC_PLLCKSELR_DIVM1(m) ((m) << 4)
#define RCC_PLLCFGR REG(0x5802442Cu)
#define RCC_PLLCFGR_PLL1RGE_8_TO_16_MHZ (3u << 2)
#define RCC_PLLCFGR_DIVP1EN (1u << 16)
#define RCC_PLL1DIVR REG(0x58024430u)
#define RCC_PLL1DIVR_DIVN1(n) ((n) - 1u)
#define RCC_PLL1DIVR_DIVP1(p) (((p) - 1u) << 9)
#define RCC_RSR REG(0x580244D0u)
#define RCC_RSR_RMVF (1u << 16)
#define RCC_RSR_BORRSTF (1u << 21)
#define RCC_RSR_PINRSTF (1u << 22)
#define RCC_RSR_PORRSTF (1u << 23)
#define RCC_RSR_SFTRSTF (1u << 24)
#define RCC_RSR_IWDG1RSTF (1u << 26)
#define RCC_RSR_WWDG1RSTF (1u << 28)
#define RCC_AHB2ENR REG(0x580244DCu)
#define RCC_AHB2ENR_SRAM123EN (7u << 29)
#define RCC_AHB4ENR REG(0x580244E0u)
#define RCC_AHB4ENR_GPIODEN (1u << 3)
#define RCC_APB1LENR REG(0x580244E8u)
#define RCC_APB1LENR_USART3EN (1u << 18)
#define RCC_APB4ENR REG(0x580244F4u)
#define RCC_APB4ENR_SYSCFGEN (1u << 1)

/* GPIOD: PD8 = USART3_TX, PD9 = USART3_RX, alternate function 7 (DS12110). */
#define GPIOD_MODER REG(0x58020C00u)
#define GPIOD_OSPEEDR REG(0x58020C08u)
#define GPIOD_PUPDR REG(0x58020C0Cu)
#define GPIOD_AFRH REG(0x58020C24u)

/* USART3. */
#define USART3_CR1 REG(0x40004800u)
#define USART3_CR1_UE (1u << 0)
#define USART3_CR1_RE (1u << 2)
#define USART3_CR1_TE (1u << 3)
#define USART3_CR1_RXFNEIE (1u << 5) /* an interrupt while a byte is there, and on an overrun */
#define USART3_CR1_FIFOEN (1u << 29)
#define USART3_CR2 REG(0x40004804u)
#define USART3_CR3 REG(0x40004808u)
#define USART3_BRR REG(0x4000480Cu)
#define USART3_ISR REG(0x4000481Cu)
#define USART3_ISR_ERRORS 0xFu /* parity, framing, noise, overrun; the same bits clear them in ICR */
#define USART3_ISR_RXFNE (1u << 5)
#define USART3_ISR_TC (1u << 6)
#define USART3_ISR_TXFNF (1u << 7)
#define USART3_ISR_TEACK (1u << 21)
#define USART3_ISR_REACK (1u << 22)
#define USART3_ICR REG(0x40004820u)
#define USART3_RDR REG(0x40004824u)
#define USART3_TDR REG(0x40004828u)

/* Interrupts: USART3 is number 39, bit 7 of the second word. */
#define USART3_IRQ 39u
#define NVIC_ISER1 REG(0xE000E104u)
#define NVIC_ISPR1 REG(0xE000E204u)
#define NVIC_USART3 (1u << (USART3_IRQ - 32u))

/* Cortex-M7 system control space. */
#define SCB_VTOR REG(0xE000ED08u)
#define SCB_AIRCR REG(0xE000ED0Cu)
#define SCB_AIRCR_RESET (0x05FA0000u | (1u << 2))
#define SCB_CCR REG(0xE000ED14u)
#define SCB_CCR_DC (1u << 16)
#define SCB_CCR_IC (1u << 17)
#define SCB_CFSR REG(0xE000ED28u)
#define SCB_HFSR REG(0xE000ED2Cu)
#define SCB_MMFAR REG(0xE000ED34u)
#define SCB_BFAR REG(0xE000ED38u)
#define SCB_CSSELR REG(0xE000ED84u)
#define SCB_ICIALLU REG(0xE000EF50u)
#define SCB_DCISW REG(0xE000EF60u)

/* Debug: the cycle counter. */
#define DEMCR REG(0xE000EDFCu)
#define DEMCR_TRCENA (1u << 24)
#define DWT_CTRL REG(0xE0001000u)
#define DWT_CTRL_CYCCNTENA (1u << 0)
#define DWT_CYCCNT REG(0xE0001004u)
#define DWT_LAR REG(0xE0001FB0u)
#define DWT_LAR_KEY 0xC5ACCE55u

#endif
