/* NUCLEO-H743ZI(2). Never run on silicon; booted under unicorn by tests/emu and meant for Renode (tools/renode).
 * It always comes up: a clock that does not start leaves 64 MHz (hello says so in tick_hz), a cycle counter that
 * does not move leaves ticks at 0 and takes the capability away. */
#include <stddef.h>

#include "clock.h"
#include "core.h"
#include "dft/board.h"
#include "dft_board_config.h"
#include "dft_protocol.h"
#include "registers.h"
#include "startup.h"
#include "uart.h"

#define RECORD_MAGIC 0xDF7FA017u
#define FAULTED_MAGIC 0xDEADFA17u
#define WRITE_DEADLINE_MS 100u
/* What is handed over in one piece: while it is decoded, nobody empties the receiver's 16-byte FIFO. */
#define READ_BYTES_MAX 64u
/* One poll reads a peripheral register over two buses: at least so many cycles (an estimate, unverified).
 * Deadlines are bounds against hanging, not clocks. */
#define CYCLES_PER_POLL 20u

/* Outlives a reset; after power-on it holds anything, so the magic decides. `faulted` is set by the fault handler
 * and taken by the next boot; the rest stays for a debugger. Whole words only: this RAM's ECC is by word, and a
 * smaller write may wait in it until after the reset (ST's FAQ on SRAM contents after a reset). Whether it lets
 * unwritten words be read without complaint is unverified. */
typedef struct fault_record {
    uint32_t magic;
    uint32_t boots;
    uint32_t faulted;
    uint32_t pc, lr, cfsr, hfsr, mmfar, bfar;
} fault_record;

__attribute__((section(".noinit"))) static fault_record record;

static h743_clock clock;
static bool counting;
static uint32_t cause;

static uint32_t decode_cause(uint32_t rsr, bool faulted) {
    if ((rsr & (RCC_RSR_PORRSTF | RCC_RSR_BORRSTF)) != 0u) {
        return DFT_RESET_POWER_ON;
    }
    if ((rsr & RCC_RSR_SFTRSTF) != 0u) {
        return faulted ? DFT_RESET_FAULT : DFT_RESET_SOFTWARE;
    }
    if ((rsr & (RCC_RSR_IWDG1RSTF | RCC_RSR_WWDG1RSTF)) != 0u) {
        return DFT_RESET_WATCHDOG;
    }
    return (rsr & RCC_RSR_PINRSTF) != 0u ? DFT_RESET_PIN : DFT_RESET_UNKNOWN;
}

static void count_boot(void) {
    if (record.magic != RECORD_MAGIC) {
        /* What the RAM woke up with makes the first boot_id differ from the last power cycle's. */
        record.boots ^= record.magic;
        record.magic = RECORD_MAGIC;
        record.faulted = 0;
    }
    record.boots++;
    cause = decode_cause(RCC_RSR, record.faulted == FAULTED_MAGIC);
    RCC_RSR |= RCC_RSR_RMVF;
    record.faulted = 0;
}

static dft_status nucleo_init(int argc, char **argv) {
    (void)argc;
    (void)argv;
    SCB_VTOR = (uint32_t)(uintptr_t)dft_vector_table();
    core_protect(dft_linked_stack().low);
    core_caches_on();
    count_boot();
    RCC_AHB2ENR |= RCC_AHB2ENR_SRAM123EN; /* a plan may use the d2 region, which is off at reset */
    (void)RCC_AHB2ENR;
    clock = h743_clock_start();
    counting = core_cycles_start();
    (void)uart_start(clock.pclk1_hz, DFT_BOARD_BAUD); /* without its acknowledgement there is still nothing better */
    return DFT_OK;
}

static uint64_t nucleo_ticks(void) { return counting ? core_cycles() : 0u; }

static uint32_t polls_of(uint32_t deadline_ms) { return clock.cpu_hz / 1000u / CYCLES_PER_POLL * deadline_ms; }

static int32_t nucleo_read(uint8_t *bytes, uint32_t n, uint32_t deadline_ms) {
    (void)nucleo_ticks(); /* often enough to miss no wrap of the counter */
    const uint32_t most = n < READ_BYTES_MAX ? n : READ_BYTES_MAX;
    return (int32_t)uart_read(bytes, most, polls_of(deadline_ms));
}

static dft_status nucleo_write(const uint8_t *bytes, uint32_t n) {
    return uart_write(bytes, n, polls_of(WRITE_DEADLINE_MS)) ? DFT_OK : DFT_ERR_TIMEOUT;
}

static uint32_t nucleo_caps(void) { return counting ? DFT_CAP_CYCLES : 0u; }

static uint32_t nucleo_tick_hz(void) { return clock.cpu_hz; }

static uint32_t nucleo_boot_id(void) { return record.boots; }

static uint32_t nucleo_reset_cause(void) { return cause; }

static uint32_t nucleo_baud(void) { return DFT_BOARD_BAUD; }

static uint32_t nucleo_baud_near(uint32_t wanted) { return wanted == DFT_BOARD_BAUD ? wanted : 0u; }

static dft_status nucleo_set_baud(uint32_t wanted) { return nucleo_baud_near(wanted) == 0u ? DFT_ERR_SIZE : DFT_OK; }

static void nucleo_identity(uint8_t id[DFT_IDENTITY_BYTES]) {
    for (uint32_t i = 0; i < DFT_IDENTITY_BYTES; i++) {
        id[i] = 0;
    }
}

static bool nucleo_fault(dft_fault *found) {
    *found = (dft_fault){0};
    return false;
}

static void nucleo_kick(void) {}

static void nucleo_halt(dft_status why) {
    (void)why;
    for (;;) {
        __asm volatile("wfi");
    }
}

_Noreturn void dft_on_fault(const cortex_m_frame *frame) {
    record.magic = RECORD_MAGIC;
    record.pc = frame == NULL ? 0u : frame->pc;
    record.lr = frame == NULL ? 0u : frame->lr;
    record.cfsr = SCB_CFSR;
    record.hfsr = SCB_HFSR;
    record.mmfar = SCB_MMFAR;
    record.bfar = SCB_BFAR;
    record.faulted = FAULTED_MAGIC;
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
    .fault = nucleo_fault,
    .kick = nucleo_kick,
};
