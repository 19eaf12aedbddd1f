/* Sequential verdict on a photograph: sums the evidence of tiles and compares it with the model's bounds.
 * Not here: which tiles are shown and in what order (the host), where bounds come from (dftiny/verdict/fit.py). */
#include "dft/verdict.h"

#include <stdbool.h>

/* begin takes evidence from the wire, so that a sum may be pushed out of range. */
static int32_t add_saturated(int32_t a, int32_t b) {
    const int64_t sum = (int64_t)a + b;
    if (sum > INT32_MAX) {
        return INT32_MAX;
    }
    return sum < INT32_MIN ? INT32_MIN : (int32_t)sum;
}

static uint8_t judge_last(const dft_verdict_model *m, int32_t evidence, uint32_t at) {
    if (evidence >= m->last_real[at]) {
        return DFT_VERDICT_REAL;
    }
    return evidence <= m->last_fake[at] ? DFT_VERDICT_FAKE : DFT_VERDICT_UNDECIDED;
}

static uint8_t judge(const dft_verdict_model *m, const dft_verdict *v) {
    if (m->tiles_max == 0u || v->seen == 0u) {
        return DFT_VERDICT_NONE;
    }
    if (v->seen >= m->tiles_max || v->seen >= v->tiles) {
        const uint32_t seen = v->seen < m->tiles_max ? v->seen : m->tiles_max;
        return judge_last(m, v->evidence, seen - 1u);
    }
    const uint32_t at = v->seen - 1u;
    if (v->evidence >= m->real_from[at]) {
        return DFT_VERDICT_REAL;
    }
    if (v->evidence <= m->fake_to[at]) {
        return DFT_VERDICT_FAKE;
    }
    const bool between = v->evidence >= m->between_from[at] && v->evidence <= m->between_to[at];
    return between ? DFT_VERDICT_UNDECIDED : DFT_VERDICT_NONE;
}

void dft_verdict_begin(dft_verdict *verdict, uint32_t photo_id, uint32_t tiles, uint32_t seen, int32_t evidence) {
    verdict->photo_id = photo_id;
    verdict->tiles = tiles;
    verdict->seen = seen;
    verdict->evidence = evidence;
    verdict->decision = judge(&dft_the_verdict, verdict);
}

uint8_t dft_verdict_add(dft_verdict *verdict, const int8_t *output, uint32_t n) {
    const dft_verdict_model *m = &dft_the_verdict;
    if (m->tiles_max == 0u || n != 1u || verdict->decision != DFT_VERDICT_NONE) {
        return verdict->decision;
    }
    verdict->seen += verdict->seen < UINT32_MAX ? 1u : 0u;
    verdict->evidence = add_saturated(verdict->evidence, m->evidence[(int32_t)output[0] + 128]);
    verdict->decision = judge(m, verdict);
    return verdict->decision;
}
