/* What the self-test holds an engine to: data beside the engine, which no inference reads and a library goes without.
 * Exactly one is linked, as `dft_the_proofs`: a bundle's selftest/dft_proofs.c, or an engine's own empty one. Read by
 * selftest.c only. */
#ifndef DFT_PROOFS_H
#define DFT_PROOFS_H

#include <stdint.h>

/* An operator's: the sum, modulo 2^32, over the rows of its output of CRC-32 of the row's bytes, begun with the row's
 * index, for the input that selftest.c makes. row_bytes 0: nothing is known of this operator. */
typedef struct dft_proof {
    uint32_t row_bytes;
    uint32_t sum;
} dft_proof;

/* A made-up layer of one family of kernels. `sum` is CRC-32 of its output for the input that selftest.c makes. */
typedef struct dft_vector {
    const char *name;                    /* at most 15 characters */
    void (*run)(int8_t *const *memory);  /* one block, aligned to 32, of … */
    uint32_t bytes;
    uint16_t in, in_bytes, out, out_bytes; /* where they lie in it */
    uint32_t sum;
} dft_vector;

typedef struct dft_proofs {
    const dft_proof *ops; /* of the first ops_n operators */
    uint32_t ops_n;       /* 0 where nothing is known */
    const dft_vector *const *vectors;
    uint32_t vectors_n;
} dft_proofs;

extern const dft_proofs dft_the_proofs;

#endif
