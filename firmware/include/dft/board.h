/* Board: everything that differs between computers, in one struct. Every wait has a deadline.
 * Exactly one board is linked, as `dft_the_board`. Boards never see engines, and know nothing of frames. */
#ifndef DFT_BOARD_H
#define DFT_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "dft/status.h"

#define DFT_IDENTITY_BYTES 12u
/* A watchdog bites after more than this without a kick. The slowest operator takes less. */
#define DFT_KICK_MS_MAX 4000u

/* The stack's two ends; both null where the board cannot tell (a process of an operating system). */
typedef struct dft_stack {
    uint32_t *low;  /* lowest usable word */
    uint32_t *high; /* one past the highest */
} dft_stack;

/* What was saved of the fault that ended an earlier boot; registers as Armv7-M names them. */
typedef struct dft_fault {
    uint32_t kind; /* DFT_FAULT_* */
    uint32_t pc, lr, psr, cfsr, hfsr, mmfar, bfar, sp;
    uint32_t boot_id; /* of the boot that it ended */
} dft_fault;

/* One thing that a board can prove of itself; returns DFT_SELFTEST_*, and a number that a person can look up. */
typedef struct dft_board_check {
    const char *name; /* at most 15 characters */
    uint32_t (*run)(uint32_t *detail);
} dft_board_check;

typedef struct dft_board {
    const char *name; /* at most 15 characters, the name in spec/boards */
    dft_status (*init)(int argc, char **argv);
    /* Up to n bytes; returns how many came before the deadline (0 = none yet, negative = the transport is gone). */
    int32_t (*read)(uint8_t *bytes, uint32_t n, uint32_t deadline_ms);
    /* All n bytes before a bounded deadline, or a status. */
    dft_status (*write)(const uint8_t *bytes, uint32_t n);
    uint32_t (*caps)(void);       /* DFT_CAP_*: what ticks may claim, decided by init on what it saw move */
    uint64_t (*ticks)(void);      /* monotonic */
    uint32_t (*tick_hz)(void);    /* 0 where ticks are not time */
    uint32_t (*boot_id)(void);    /* differs from the previous boot's */
    uint32_t (*reset_cause)(void); /* DFT_RESET_* */
    dft_stack (*stack)(void);
    void (*halt)(dft_status why); /* does not return */
    uint32_t (*baud)(void);                /* of now; 0 where the transport has no rate */
    /* The rate that set_baud(wanted) would give, 0 where it would be off by more than 2 %. */
    uint32_t (*baud_near)(uint32_t wanted);
    /* After the last written byte has left. DFT_ERR_SIZE, and nothing changed, where baud_near says 0. */
    dft_status (*set_baud)(uint32_t wanted);
    void (*identity)(uint8_t id[DFT_IDENTITY_BYTES]); /* of this very chip; zeros where it has none */
    bool (*fault)(dft_fault *record); /* the last fault before this boot; false where there was none since power-on */
    void (*kick)(void);               /* the watchdog: at least once in DFT_KICK_MS_MAX, by the loop and the operator hook */
    uint32_t received_bytes_max; /* kept by the receiver while nobody reads; 0 where it cannot lose any */
    const dft_board_check *checks;
    uint32_t checks_n;
    /* Bytes that read() would give at once, asked often; null where nothing is received while the engine computes. */
    uint32_t (*received_bytes)(void);
} dft_board;

extern const dft_board dft_the_board;

#endif
