/* The board's self-tests. Each looks at the chip, not at what the firmware asked for; `detail` is the raw finding. */
#include "checks.h"

#include "core.h"
#include "dft/crc.h"
#include "dft_board_config.h"
#include "dft_protocol.h"
#include "registers.h"
#include "uart.h"
#include "watchdog.h"

#define FAST_HZ 480000000u
#define OLD_HZ 400000000u
#define CACHES (SCB_CCR_IC | SCB_CCR_DC)

/* From the first vector to the last byte of initialised data: what firmware.bin holds. */
extern const uint8_t __dft_image_start[], __dft_image_end[];

static h743_clock clock;
static bool counting;

void checks_know(h743_clock clock_now, bool counting_now) {
    clock = clock_now;
    counting = counting_now;
}

static uint32_t verdict(bool good) { return good ? DFT_SELFTEST_PASSED : DFT_SELFTEST_FAILED; }

/* detail: DBGMCU_IDC, revision and device. */
static uint32_t check_device(uint32_t *detail) {
    *detail = DBGMCU_IDC;
    return verdict(DBGMCU_IDC_DEVICE(*detail) == DBGMCU_DEVICE_H743);
}

/* detail: KB. */
static uint32_t check_flash_size(uint32_t *detail) {
    *detail = FLASH_KB & 0xFFFFu;
    return verdict(*detail == DFT_FLASH_BYTES / 1024u);
}

/* detail: CRC-32 of the image in flash, for the host to compare; read twice, the second time partly from the cache. */
static uint32_t check_image(uint32_t *detail) {
    const uint32_t n = (uint32_t)(__dft_image_end - __dft_image_start);
    *detail = ~dft_crc(DFT_CRC_START, __dft_image_start, n);
    return verdict(*detail == ~dft_crc(DFT_CRC_START, __dft_image_start, n));
}

/* The speed that this revision is sold for; detail: Hz. The host compares it with its own clock (half second). */
static uint32_t check_clock(uint32_t *detail) {
    *detail = clock.cpu_hz;
    return verdict(*detail == (DBGMCU_IDC >> 16 < DBGMCU_REV_X ? OLD_HZ : FAST_HZ));
}

/* detail: RCC_PLLCKSELR. */
static uint32_t check_crystal(uint32_t *detail) {
    *detail = RCC_PLLCKSELR;
    return verdict((*detail & RCC_PLLCKSELR_HSE) != 0u);
}

/* Half a second of the cycle counter, for the host to hold its own clock against; detail: cycles counted. */
static uint32_t check_half_second(uint32_t *detail) {
    if (!counting) {
        return DFT_SELFTEST_ABSENT;
    }
    const uint64_t start = core_cycles();
    uint64_t now = start;
    for (uint32_t polls = 0; now - start < clock.cpu_hz / 2u && polls < clock.cpu_hz; polls++) {
        now = core_cycles();
    }
    *detail = (uint32_t)(now - start);
    return verdict(now - start >= clock.cpu_hz / 2u);
}

/* detail: FLASH_ACR. */
static uint32_t check_wait_states(uint32_t *detail) {
    *detail = FLASH_ACR;
    return verdict(*detail == (FLASH_ACR_LATENCY_4 | FLASH_ACR_WRHIGHFREQ_2));
}

/* detail: SCB_CCR. */
static uint32_t check_caches(uint32_t *detail) {
    *detail = SCB_CCR;
    return verdict((*detail & CACHES) == CACHES);
}

/* detail: what the counter shows. */
static uint32_t check_counter(uint32_t *detail) {
    *detail = (uint32_t)core_cycles();
    return verdict(counting);
}

/* detail: bytes that the receiver lost since start, for want of room or on the line. */
static uint32_t check_receiver(uint32_t *detail) {
    const uart_losses lost = uart_lost();
    *detail = lost.full + lost.errors;
    return verdict(uart_interrupts());
}

/* detail: regions that are in use. */
static uint32_t check_protection(uint32_t *detail) {
    *detail = core_protected_regions();
    return verdict(*detail == CORE_REGIONS);
}

/* detail: the watchdog's reload value. */
static uint32_t check_watchdog(uint32_t *detail) {
    *detail = watchdog_reload();
    return verdict(*detail == IWDG1_RLR_MAX);
}

/* detail: the brown-out level of the option bytes, 0 (off) to 3; reported, not judged: it is the owner's choice. */
static uint32_t check_supply(uint32_t *detail) {
    *detail = FLASH_OPTSR_BOR_LEVEL(FLASH_OPTSR_CUR);
    return verdict(watchdog_supply_good());
}

const dft_board_check board_checks[CHECKS_N] = {
    {"device", check_device},        {"flash size", check_flash_size}, {"flash image", check_image}, {"clock", check_clock},
    {"crystal", check_crystal},      {"half a second", check_half_second}, {"flash waits", check_wait_states},
    {"caches", check_caches},        {"counter moves", check_counter},   {"interrupts", check_receiver},
    {"memory guard", check_protection}, {"watchdog", check_watchdog},    {"supply", check_supply},
};
