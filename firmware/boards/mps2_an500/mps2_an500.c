/* QEMU's mps2-an500: the emulated Cortex-M7. Two channels carry the same frames: the CMSDK UART, or, when the
 * semihosting command line says fifo=BASE, the files BASE.in and BASE.out (30 MB/s instead of 10 kB/s).
 * Under `-icount shift=0` a timer tick is 40 instructions: a count, never a time. */
#include <stddef.h>

#include "dft/board.h"
#include "dft_board_config.h"
#include "dft_protocol.h"
#include "mpu.h"
#include "semihosting.h"
#include "startup.h"

/* Addresses: QEMU 7.2 hw/arm/mps2.c. Registers: hw/char/cmsdk-apb-uart.c, hw/timer/cmsdk-apb-timer.c. */
#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define UART_DATA REG(0x40004000u)
#define UART_STATE REG(0x40004004u)
#define UART_CTRL REG(0x40004008u)
#define UART_BAUDDIV REG(0x40004010u)
#define UART_STATE_TX_FULL 1u
#define UART_STATE_RX_FULL 2u
#define UART_CTRL_TX_RX 3u
#define UART_BAUDDIV_MIN 16u

#define TIMER_CTRL REG(0x40000000u)
#define TIMER_VALUE REG(0x40000004u)
#define TIMER_RELOAD REG(0x40000008u)
#define TIMER_CTRL_ENABLE 1u

#define TICKS_PER_MS (DFT_BOARD_TIMER_HZ / 1000u)
#define WRITE_DEADLINE_MS 1000u
/* A wait that the timer cannot end (it does not move) is ended by counting. */
#define POLLS_PER_MS 25000u
#define PROOF_POLLS 1000u

#define COMMAND_LINE_BYTES 256u
#define PATH_BYTES 240u

#define EXIT_HALT_FAILED 1u
#define EXIT_FAULT 3u

typedef struct mps2 {
    bool ticking; /* init saw the timer move */
    bool fifo;
    int32_t in;
    int32_t out;
    uint32_t last; /* timer value at the last look; it counts down */
    uint64_t ticks;
} mps2;

static mps2 m;

/* 32 bits last 171 s of emulated time; every read and run looks here, so no wrap is missed. */
static uint64_t mps2_ticks(void) {
    const uint32_t now = TIMER_VALUE;
    m.ticks += m.last - now;
    m.last = now;
    return m.ticks;
}

static void start_timer(void) {
    TIMER_CTRL = 0;
    TIMER_RELOAD = 0xFFFFFFFFu;
    TIMER_VALUE = 0xFFFFFFFFu;
    TIMER_CTRL = TIMER_CTRL_ENABLE;
    m.last = TIMER_VALUE;
    const uint64_t start = mps2_ticks();
    for (uint32_t polls = 0; polls < PROOF_POLLS && !m.ticking; polls++) {
        m.ticking = mps2_ticks() != start;
    }
}

/* The text behind `key` in the command line, up to a blank, with `suffix`; false when it is not there or too long. */
static bool argument(const char *line, const char *key, const char *suffix, char path[PATH_BYTES]) {
    uint32_t n = 0;
    for (const char *at = line; *at != '\0'; at++) {
        uint32_t k = 0;
        while (key[k] != '\0' && at[k] == key[k]) {
            k++;
        }
        if (key[k] != '\0') {
            continue;
        }
        for (at += k; *at != '\0' && *at != ' ' && n < PATH_BYTES; at++) {
            path[n++] = *at;
        }
        break;
    }
    const bool found = n > 0;
    for (; *suffix != '\0' && n < PATH_BYTES; suffix++) {
        path[n++] = *suffix;
    }
    if (!found || n >= PATH_BYTES) {
        return false;
    }
    path[n] = '\0';
    return true;
}

/* Opened in this order by both sides: in, then out. */
static dft_status open_channel(void) {
    static char line[COMMAND_LINE_BYTES];
    static char path[PATH_BYTES];
    semi_command_line(line, sizeof line);
    if (!argument(line, "fifo=", ".in", path)) {
        UART_BAUDDIV = UART_BAUDDIV_MIN;
        UART_CTRL = UART_CTRL_TX_RX;
        return DFT_OK;
    }
    m.fifo = true;
    m.in = semi_open_read(path);
    if (m.in < 0 || !argument(line, "fifo=", ".out", path)) {
        return DFT_ERR_IO;
    }
    m.out = semi_open_write(path);
    return m.out < 0 ? DFT_ERR_IO : DFT_OK;
}

static dft_status mps2_init(int argc, char **argv) {
    (void)argc;
    (void)argv;
    mpu_off();
    mpu_guard_below(0, dft_linked_stack().low);
    mpu_on();
    start_timer();
    return open_channel();
}

/* Waits for UART_STATE & mask == wanted; false when the deadline passed. */
static bool wait_uart(uint32_t mask, uint32_t wanted, uint32_t deadline_ms) {
    const uint64_t start = mps2_ticks();
    const uint64_t ticks = (uint64_t)deadline_ms * TICKS_PER_MS;
    for (uint64_t polls = (uint64_t)deadline_ms * POLLS_PER_MS; polls > 0; polls--) {
        if ((UART_STATE & mask) == wanted) {
            return true;
        }
        if (mps2_ticks() - start >= ticks) {
            return false;
        }
    }
    return false;
}

static int32_t mps2_read(uint8_t *bytes, uint32_t n, uint32_t deadline_ms) {
    (void)mps2_ticks();
    if (m.fifo) { /* the host blocks, not the processor: no deadline is needed to stay responsive */
        const uint32_t got = semi_read(m.in, bytes, n);
        return got > 0 ? (int32_t)got : -1;
    }
    if (!wait_uart(UART_STATE_RX_FULL, UART_STATE_RX_FULL, deadline_ms)) {
        return 0;
    }
    uint32_t got = 0;
    while (got < n && (UART_STATE & UART_STATE_RX_FULL) != 0u) {
        bytes[got++] = (uint8_t)UART_DATA;
    }
    return (int32_t)got;
}

static dft_status mps2_write(const uint8_t *bytes, uint32_t n) {
    if (m.fifo) {
        return semi_write(m.out, bytes, n) == n ? DFT_OK : DFT_ERR_IO;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!wait_uart(UART_STATE_TX_FULL, 0, WRITE_DEADLINE_MS)) {
            return DFT_ERR_TIMEOUT;
        }
        UART_DATA = bytes[i];
    }
    return DFT_OK;
}

static uint32_t mps2_caps(void) { return DFT_CAP_HALT | (m.ticking ? DFT_CAP_INSTRUCTIONS : 0u); }

static uint32_t mps2_tick_hz(void) { return 0; }

/* The emulator starts afresh with every boot: there is nothing that could tell two of them apart. */
static uint32_t mps2_boot_id(void) { return 1; }

static uint32_t mps2_reset_cause(void) { return DFT_RESET_POWER_ON; }

static void mps2_halt(dft_status why) { semi_exit(why == DFT_OK || why == DFT_ERR_IO ? 0u : EXIT_HALT_FAILED); }

static uint32_t mps2_baud(void) { return 0; }

/* The emulated UART has no rate and the files have none: whatever is asked for changes nothing. */
static uint32_t mps2_baud_near(uint32_t wanted) { return wanted; }

static dft_status mps2_set_baud(uint32_t wanted) { return wanted == 0u ? DFT_ERR_SIZE : DFT_OK; }

static void mps2_identity(uint8_t id[DFT_IDENTITY_BYTES]) {
    for (uint32_t i = 0; i < DFT_IDENTITY_BYTES; i++) {
        id[i] = 0;
    }
}

/* A fault ends the emulator: no later boot can be asked. */
static bool mps2_fault(dft_fault *record) {
    *record = (dft_fault){0};
    return false;
}

static void mps2_kick(void) {}

static uint32_t check_counter(uint32_t *detail) {
    *detail = DFT_BOARD_TIMER_HZ;
    return m.ticking ? DFT_SELFTEST_PASSED : DFT_SELFTEST_FAILED;
}

static const dft_board_check checks[] = {{"counter moves", check_counter}};

static void hex(char *text, uint32_t value) {
    for (uint32_t i = 0; i < 8; i++) {
        text[i] = "0123456789abcdef"[(value >> (28u - 4u * i)) & 15u];
    }
}

_Noreturn void dft_on_fault(const cortex_m_frame *frame) {
    static char text[] = "dftiny: processor fault at pc 00000000 lr 00000000\n";
    hex(text + sizeof "dftiny: processor fault at pc " - 1, frame == NULL ? 0 : frame->pc);
    hex(text + sizeof "dftiny: processor fault at pc 00000000 lr " - 1, frame == NULL ? 0 : frame->lr);
    semi_say(text);
    semi_exit(EXIT_FAULT);
}

const dft_board dft_the_board = {
    .name = DFT_BOARD_NAME,
    .init = mps2_init,
    .read = mps2_read,
    .write = mps2_write,
    .caps = mps2_caps,
    .ticks = mps2_ticks,
    .tick_hz = mps2_tick_hz,
    .boot_id = mps2_boot_id,
    .reset_cause = mps2_reset_cause,
    .stack = dft_linked_stack,
    .halt = mps2_halt,
    .baud = mps2_baud,
    .baud_near = mps2_baud_near,
    .set_baud = mps2_set_baud,
    .identity = mps2_identity,
    .fault = mps2_fault,
    .kick = mps2_kick,
    .checks = checks,
    .checks_n = sizeof checks / sizeof checks[0],
};
