/* Board: everything that differs between computers, in one struct. Every wait has a deadline.
 * Exactly one board is linked, as `dft_the_board`. Boards never see engines. */
#ifndef DFT_BOARD_H
#define DFT_BOARD_H

#include <stdint.h>

#include "dft/engine.h"
#include "dft/status.h"

typedef struct dft_board {
    const char *name; /* at most 15 characters */
    uint32_t caps;    /* DFT_CAP_* of dft_protocol.h: what the ticks may claim */
    dft_status (*init)(int argc, char **argv);
    /* Up to n bytes; returns how many came before the deadline (0 = none yet, negative = the transport is gone). */
    int32_t (*read)(uint8_t *bytes, uint32_t n, uint32_t deadline_ms);
    /* All n bytes before a bounded deadline, or a status. */
    dft_status (*write)(const uint8_t *bytes, uint32_t n);
    uint64_t (*ticks)(void);      /* monotonic, proven to move by init */
    uint32_t (*tick_hz)(void);    /* 0 where ticks are not time */
    uint32_t (*reset_cause)(void);
    void (*idle)(void);
    void (*halt)(dft_status why); /* does not return */
} dft_board;

extern const dft_board dft_the_board;

/* Memory lent to the engine: generated from target, board and bundle (regions.c). */
extern const dft_region dft_regions[];
extern const uint32_t dft_regions_n;

#endif
