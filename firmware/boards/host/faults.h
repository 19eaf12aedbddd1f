/* Faults on request, for tests of the link: bytes dropped, flipped, delayed, and resets. Called by host.c. */
#ifndef DFT_HOST_FAULTS_H
#define DFT_HOST_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#define HOST_RESETS_MAX 64

/* What the command line asked for. Probabilities of drop, flip and stall are per byte, those of lose, damage (one
 * bit), duplicate, reorder and reset per frame; all but reset in both directions. */
typedef struct host_faults {
    uint64_t seed;
    double drop;
    double flip;
    double stall;
    double lose;
    double damage;
    double duplicate;
    double reorder;
    double reset;
    uint32_t baud;     /* 0: as fast as it goes */
    uint32_t baud_max; /* the line garbles what goes faster; 0: it takes any rate */
    uint32_t parent;   /* the board ends with this process; 0: it stays */
    uint32_t kick_us;  /* each operator takes so much longer: a slower processor */
    long stall_ms;
    bool verbose;
    uint64_t reset_at[HOST_RESETS_MAX]; /* counts of received bytes, increasing */
    uint32_t resets;
} host_faults;

/* One direction's generator: the two directions must not depend on each other's timing. */
typedef struct host_dice {
    uint64_t state;
} host_dice;

/* Reads one `--flag value` or `--flag=value`; returns how many arguments it took, 0 for a flag or value it does not know. */
int host_faults_parse(host_faults *faults, int argc, char **argv, int at);

host_dice host_dice_seeded(uint64_t seed);

/* Lets one byte through, perhaps changed and late; false when it is dropped. */
bool host_faults_pass(const host_faults *faults, host_dice *dice, uint8_t *byte);

/* Whether the board resets now, `byte` being the `received`-th byte that it received since the process' start. */
bool host_faults_reset_due(const host_faults *faults, host_dice *dice, uint64_t received, uint8_t byte);

#define HOST_FRAME_BYTES 8192u

/* Frames of one direction, doubled or put behind the next one. */
typedef struct host_mixer {
    uint8_t frame[HOST_FRAME_BYTES]; /* being collected */
    uint8_t late[HOST_FRAME_BYTES];  /* waits until the next one has passed */
    uint32_t n;
    uint32_t late_n;
} host_mixer;

/* Takes one byte of the stream and gives what comes out of it, perhaps nothing yet, to `emit`. */
void host_mixer_put(host_mixer *mixer, const host_faults *faults, host_dice *dice, uint8_t byte, void (*emit)(uint8_t));

#endif
