/* Faults by a seeded generator: the same seed and the same bytes give the same faults. */
#define _GNU_SOURCE
#include "faults.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STALL_PROBABILITY 1e-4 /* where --stall names only the time */

/* splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
static uint64_t roll(host_dice *dice) {
    uint64_t z = dice->state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static bool happens(host_dice *dice, double probability) {
    if (probability <= 0.0) {
        return false;
    }
    return (double)(roll(dice) >> 11) < probability * 9007199254740992.0; /* 2^53 */
}

host_dice host_dice_seeded(uint64_t seed) { return (host_dice){seed}; }

static void sleep_ms(long ms) {
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L};
    (void)nanosleep(&t, NULL); /* woken early by a signal: the stall is shorter, no harm */
}

bool host_faults_pass(const host_faults *faults, host_dice *dice, uint8_t *byte) {
    if (happens(dice, faults->stall)) {
        sleep_ms(faults->stall_ms);
    }
    if (happens(dice, faults->drop)) {
        return false;
    }
    if (happens(dice, faults->flip)) {
        *byte = (uint8_t)(*byte ^ (1u << (roll(dice) & 7u)));
    }
    return true;
}

bool host_faults_reset_due(const host_faults *faults, host_dice *dice, uint64_t received, uint8_t byte) {
    for (uint32_t i = 0; i < faults->resets; i++) {
        if (faults->reset_at[i] == received) {
            return true;
        }
    }
    return byte == 0u && happens(dice, faults->reset);
}

static void emit_all(const uint8_t *bytes, uint32_t n, void (*emit)(uint8_t)) {
    for (uint32_t i = 0; i < n; i++) {
        emit(bytes[i]);
    }
}

static bool mixes(const host_faults *faults) {
    return faults->lose > 0.0 || faults->damage > 0.0 || faults->duplicate > 0.0 || faults->reorder > 0.0;
}

/* A frame is whole: out with it, once or twice, and with the one that it was to overtake. */
static void mix(host_mixer *mixer, const host_faults *faults, host_dice *dice, void (*emit)(uint8_t)) {
    if (happens(dice, faults->lose)) {
        mixer->n = 0;
        return;
    }
    if (happens(dice, faults->damage)) {
        mixer->frame[roll(dice) % mixer->n] ^= (uint8_t)(1u << (roll(dice) & 7u));
    }
    const bool twice = happens(dice, faults->duplicate);
    if (happens(dice, faults->reorder) && mixer->late_n == 0u) {
        memcpy(mixer->late, mixer->frame, mixer->n);
        mixer->late_n = mixer->n;
    } else {
        emit_all(mixer->frame, mixer->n, emit);
        emit_all(mixer->late, mixer->late_n, emit);
        mixer->late_n = 0;
    }
    if (twice) {
        emit_all(mixer->frame, mixer->n, emit);
    }
    mixer->n = 0;
}

void host_mixer_put(host_mixer *mixer, const host_faults *faults, host_dice *dice, uint8_t byte, void (*emit)(uint8_t)) {
    if (!mixes(faults)) {
        emit(byte);
        return;
    }
    mixer->frame[mixer->n++] = byte;
    if (byte == 0u || mixer->n == HOST_FRAME_BYTES) {
        mix(mixer, faults, dice, emit);
    }
}

static bool parse_probability(const char *text, double *value) {
    char *end = NULL;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && *value >= 0.0 && *value <= 1.0;
}

static bool parse_drop(const char *text, host_faults *faults) { return parse_probability(text, &faults->drop); }

static bool parse_flip(const char *text, host_faults *faults) { return parse_probability(text, &faults->flip); }

static bool parse_lose(const char *text, host_faults *faults) { return parse_probability(text, &faults->lose); }

static bool parse_damage(const char *text, host_faults *faults) { return parse_probability(text, &faults->damage); }

static bool parse_duplicate(const char *text, host_faults *faults) { return parse_probability(text, &faults->duplicate); }

static bool parse_reorder(const char *text, host_faults *faults) { return parse_probability(text, &faults->reorder); }

static bool parse_reset(const char *text, host_faults *faults) { return parse_probability(text, &faults->reset); }

static bool parse_number(const char *text, char end_at, uint32_t *value, const char **rest) {
    char *end = NULL;
    const unsigned long number = strtoul(text, &end, 10);
    *value = (uint32_t)number;
    *rest = end;
    return end != text && number <= UINT32_MAX && (*end == '\0' || *end == end_at);
}

/* BAUD or BAUD:MAX */
static bool parse_baud(const char *text, host_faults *faults) {
    const char *rest = text;
    if (!parse_number(text, ':', &faults->baud, &rest) || faults->baud == 0u) {
        return false;
    }
    return *rest == '\0' || parse_number(rest + 1, '\0', &faults->baud_max, &rest);
}

static bool parse_kick(const char *text, host_faults *faults) {
    const char *rest = text;
    return parse_number(text, '\0', &faults->kick_us, &rest);
}

static bool parse_parent(const char *text, host_faults *faults) {
    const char *rest = text;
    return parse_number(text, '\0', &faults->parent, &rest);
}

static bool parse_stall(const char *text, host_faults *faults) {
    char *end = NULL;
    faults->stall_ms = strtol(text, &end, 10);
    faults->stall = STALL_PROBABILITY;
    if (end == text || faults->stall_ms < 0) {
        return false;
    }
    return *end == '\0' || (*end == ':' && parse_probability(end + 1, &faults->stall));
}

static bool parse_resets(const char *text, host_faults *faults) {
    while (faults->resets < HOST_RESETS_MAX) {
        char *end = NULL;
        const uint64_t at = strtoull(text, &end, 10);
        const uint64_t last = faults->resets == 0 ? 0 : faults->reset_at[faults->resets - 1];
        if (end == text || at <= last) {
            return false;
        }
        faults->reset_at[faults->resets++] = at;
        if (*end != ',') {
            return *end == '\0';
        }
        text = end + 1;
    }
    return false;
}

static bool parse_seed(const char *text, host_faults *faults) {
    char *end = NULL;
    faults->seed = strtoull(text, &end, 10);
    return end != text && *end == '\0';
}

static bool parse_value(host_faults *faults, const char *flag, size_t n, const char *value) {
    static const struct {
        const char *name;
        bool (*parse)(const char *value, host_faults *faults);
    } flags[] = {
        {"--seed", parse_seed}, {"--drop", parse_drop}, {"--flip", parse_flip},
        {"--stall", parse_stall}, {"--reset-at", parse_resets}, {"--duplicate", parse_duplicate},
        {"--lose", parse_lose}, {"--damage", parse_damage},
        {"--reorder", parse_reorder}, {"--reset", parse_reset}, {"--baud", parse_baud},
        {"--slow", parse_kick}, {"--parent", parse_parent},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strlen(flags[i].name) == n && memcmp(flags[i].name, flag, n) == 0) {
            return flags[i].parse(value, faults);
        }
    }
    return false;
}

int host_faults_parse(host_faults *faults, int argc, char **argv, int at) {
    const char *flag = argv[at];
    if (strcmp(flag, "--verbose") == 0) {
        faults->verbose = true;
        return 1;
    }
    const char *equals = strchr(flag, '=');
    if (equals != NULL) {
        return parse_value(faults, flag, (size_t)(equals - flag), equals + 1) ? 1 : 0;
    }
    return at + 1 < argc && parse_value(faults, flag, strlen(flag), argv[at + 1]) ? 2 : 0;
}
