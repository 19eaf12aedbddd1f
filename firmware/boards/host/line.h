/* The host board's serial line: a thread that receives into a ring, as an interrupt would, at a rate if one was asked for,
 * with the faults that were asked for. Called by host.c only. */
#ifndef DFT_HOST_LINE_H
#define DFT_HOST_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "dft/status.h"
#include "faults.h"

#define HOST_RING_BYTES 8192u

/* What a reset hands to the next boot. */
typedef struct host_line_state {
    int pty;
    int slave;
    uint64_t received;
    uint32_t boots;
    host_dice in;
    host_dice out;
} host_line_state;

/* Starts the thread. `restart` ends this boot and does not return; the thread calls it where a reset is due. */
dft_status host_line_start(host_line_state *state, const host_faults *faults, void (*restart)(void));

/* As the board's read and write; see board.h. */
int32_t host_line_read(uint8_t *bytes, uint32_t n, uint32_t deadline_ms);
dft_status host_line_write(const uint8_t *bytes, uint32_t n);
uint32_t host_line_waiting(void);

/* The rate of now; 0: as fast as the pseudo terminal goes. Above faults.baud_max nothing comes through whole. */
uint32_t host_line_baud(void);
void host_line_set_baud(uint32_t baud);

#endif
