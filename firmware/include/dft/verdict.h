/* The running verdict on one photograph: evidence of its tiles, summed until a bound is passed. Integers only.
 * The numpy twin is dftiny/verdict/running.py; both are held to the same vectors. Called by commands.c. */
#ifndef DFT_VERDICT_H
#define DFT_VERDICT_H

#include <stdint.h>

#define DFT_VERDICT_NONE 0u /* show another tile */
#define DFT_VERDICT_REAL 1u
#define DFT_VERDICT_FAKE 2u
#define DFT_VERDICT_UNDECIDED 3u

/* What a model's validation data said, generated into dft_verdict_data.c. Evidence is a log-likelihood ratio, real over
 * fake, in 1/256. Every table of bounds has `tiles_max` entries, that of `seen` tiles at seen - 1. */
typedef struct dft_verdict_model {
    uint32_t tiles_max;          /* a photograph is decided after so many tiles at the latest; 0: inert, never decides */
    const int16_t *evidence;     /* [256], of an output at output + 128 */
    const int32_t *real_from;    /* stop: real, where the sum is at least this */
    const int32_t *fake_to;      /* stop: fake, where it is at most this */
    const int32_t *between_from; /* stop: undecided, where it lies from here … */
    const int32_t *between_to;   /* … to here; an empty range never stops */
    const int32_t *last_real;    /* when the tiles are used up: real from here on, */
    const int32_t *last_fake;    /* fake up to here, undecided between */
} dft_verdict_model;

extern const dft_verdict_model dft_the_verdict;

typedef struct dft_verdict {
    uint32_t photo_id;
    uint32_t tiles; /* that will be shown of this photograph */
    uint32_t seen;
    int32_t evidence;
    uint8_t decision; /* DFT_VERDICT_*; kept once it is not NONE */
} dft_verdict;

/* Begins photograph `photo_id`, or takes it up again where `seen` tiles gave `evidence`. Any values are safe. */
void dft_verdict_begin(dft_verdict *verdict, uint32_t photo_id, uint32_t tiles, uint32_t seen, int32_t evidence);

/* Counts one more tile by the network's n int8 outputs: one logit of "real", positive = real. Returns the decision,
 * DFT_VERDICT_NONE for ever where the model has no verdict or not one output. */
uint8_t dft_verdict_add(dft_verdict *verdict, const int8_t *output, uint32_t n);

#endif
