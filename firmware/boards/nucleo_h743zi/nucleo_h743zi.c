/* NUCLEO-H743ZI(2). Never run on silicon; booted under unicorn by tests/emu and meant for Renode (tools/renode).
 * It always comes up: a clock that does not start leaves 64 MHz (hello says so in tick_hz), a cycle counter that
 * does not move leaves ticks at 0 and takes the capability away. */
#include <stddef.h>

#include "checks.h"
#include "clock.h"
#include "core.h"
#include "dft/board.h"
#include "dft_board_config.h"
#include "dft_protocol.h"
#include "record.h"
#include "registers.h"
#include "startup.h"
#include "uart.h"
#include "watchdog.h"

#define WRITE_DEADLINE_MS 100u
/* One poll reads a peripheral register over two buses: at least so many cycles (an estimate, unverified).
 * Deadlines are bounds against hanging, not clocks. */
#define CYCLES_PER_POLL 20u

static h743_clock clock;
static bool counting;
static uint32_t baud = DFT_BOARD_BAUD;

static dft_status nucleo_init(int argc, char **argv) {
    (void)argc;
    (void)argv;
    SCB_VTOR = (uint32_t)(uintptr_t)dft_vector_table();
    core_protect(dft_linked_stack().low);
    core_caches_on();
    record_boot();
    RCC_AHB2ENR |= RCC_AHB2ENR_SRAM123EN; /* a plan may use the d2 region, which is off at reset */
    (void)RCC_AHB2ENR;
    clock = h743_clock_start();
    counting = core_cycles_start();
    watchdog_start();
    checks_know(clock, counting);
    (void)uart_start(clock.pclk1_hz, DFT_BOARD_BAUD); /* without its acknowledgement there is still nothing better */
    return DFT_OK;
}

static uint64_t nucleo_ticks(void) { return counting ? core_cycles() : 0u; }

static uint32_t polls_of(uint32_t deadline_ms) { return clock.cpu_hz / 1000u / CYCLES_PER_POLL * deadline_ms; }

static void nucleo_kick(void) { watchdog_kick(); }

/* The deadline by the cycle counter, and by counting where there is none; looking at the counter is also what keeps it
 * from wrapping unseen. */
static int32_t nucleo_read(uint8_t *bytes, uint32_t n, uint32_t deadline_ms) {
    const uint64_t start = nucleo_ticks();
    const uint64_t cycles = (uint64_t)(clock.cpu_hz / 1000u) * deadline_ms;
    uint32_t got = uart_read(bytes, n);
    for (uint32_t polls = polls_of(deadline_ms); got == 0u && polls > 0u; polls--) {
        if (nucleo_ticks() - start >= cycles && counting) {
            break;
        }
        got = uart_read(bytes, n);
    }
    return (int32_t)got;
}

static dft_status nucleo_write(const uint8_t *bytes, uint32_t n) {
    return uart_write(bytes, n, polls_of(WRITE_DEADLINE_MS)) ? DFT_OK : DFT_ERR_TIMEOUT;
}

static uint32_t nucleo_caps(void) { return counting ? DFT_CAP_CYCLES : 0u; }

static uint32_t nucleo_tick_hz(void) { return clock.cpu_hz; }

static uint32_t nucleo_boot_id(void) { return record_boot_id(); }

static uint32_t nucleo_reset_cause(void) { return record_reset_cause(); }

static uint32_t nucleo_baud(void) { return baud; }

static uint32_t nucleo_baud_near(uint32_t wanted) { return uart_baud_near(clock.pclk1_hz, wanted); }

static dft_status nucleo_set_baud(uint32_t wanted) {
    const uint32_t real = nucleo_baud_near(wanted);
    if (real == 0u) {
        return DFT_ERR_SIZE;
    }
    if (!uart_set_baud(clock.pclk1_hz, wanted, polls_of(WRITE_DEADLINE_MS))) {
        return DFT_ERR_TIMEOUT;
    }
    baud = real;
    return DFT_OK;
}

static void nucleo_identity(uint8_t id[DFT_IDENTITY_BYTES]) {
    const uint32_t words[] = {UID_0, UID_1, UID_2};
    for (uint32_t i = 0; i < DFT_IDENTITY_BYTES; i++) {
        id[i] = (uint8_t)(words[i / 4u] >> 8u * (i % 4u));
    }
}

static void nucleo_halt(dft_status why) {
    (void)why;
    for (;;) {
        __asm volatile("wfi");
    }
}

_Noreturn void dft_on_fault(const cortex_m_frame *frame) {
    record_write(frame);
    __asm volatile("dsb" ::: "memory");
    SCB_AIRCR = SCB_AIRCR_RESET;
    for (;;) { /* the reset takes a few cycles */
    }
}

const dft_board dft_the_board = {
    .name = DFT_BOARD_NAME,
    .init = nucleo_init,
    .read = nucleo_read,
    .write = nucleo_write,
    .caps = nucleo_caps,
    .ticks = nucleo_ticks,
    .tick_hz = nucleo_tick_hz,
    .boot_id = nucleo_boot_id,
    .reset_cause = nucleo_reset_cause,
    .stack = dft_linked_stack,
    .halt = nucleo_halt,
    .baud = nucleo_baud,
    .baud_near = nucleo_baud_near,
    .set_baud = nucleo_set_baud,
    .identity = nucleo_identity,
    .fault = record_fault,
    .kick = nucleo_kick,
    .received_bytes = uart_received,
    .received_bytes_max = UART_RING_BYTES,
    .checks = board_checks,
    .checks_n = CHECKS_N,
};
