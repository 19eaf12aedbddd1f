/* Board: everything that differs between computers, in one struct. Every wait has a deadline.
 * Exactly one board is linked, as `dft_the_board`. Boards never see engines, and know nothing of frames. */
#ifndef DFT_BOARD_H
#define DFT_BOARD_H

#include <stdint.h>

#include "dft/status.h"

/* The stack's two ends; both null where the board cannot tell (a process of an operating system). */
typedef struct dft_stack {
    uint32_t *low;  /* lowest usable word */
    uint32_t *high; /* one past the highest */
} dft_stack;

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
} dft_board;

extern const dft_board dft_the_board;

#endif
