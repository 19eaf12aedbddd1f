/* Faults on request, for tests of the link: bytes dropped, flipped, delayed, and resets. Called by host.c. */
#ifndef DFT_HOST_FAULTS_H
#define DFT_HOST_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#define HOST_RESETS_MAX 64

/* What the command line asked for; probabilities are per byte, in both directions. */
typedef struct host_faults {
    uint64_t seed;
    double drop;
    double flip;
    double stall;
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

/* Bytes that may still be received before the next reset is due, `received` counted from the process' start. */
uint64_t host_faults_until_reset(const host_faults *faults, uint64_t received);

#endif
