/* The echo engine: no network, a sum that anybody can check. For tests of boards and links.
 * output[k] = sum of (input[j] ^ (j & 0xFF)) over all j = k modulo the output's length, modulo 256.
 * The output lies over the input on purpose, as a planned network's may: a run must not be repeated on it. */
#include <stddef.h>
#include <string.h>

#include "dft/engine.h"
#include "dft/proofs.h"
#include "dft_echo_config.h"

_Static_assert(DFT_ECHO_OUTPUT_BYTES > 0, "an engine has an output");

static const uint8_t digest[] = DFT_ECHO_DIGEST;
static const dft_region_need need = {
    DFT_ECHO_REGION,
    DFT_ECHO_INPUT_BYTES > DFT_ECHO_OUTPUT_BYTES ? DFT_ECHO_INPUT_BYTES : DFT_ECHO_OUTPUT_BYTES,
    DFT_ECHO_ALIGN,
};
static int8_t *arena;

static int same_name(const char *a, const char *b) {
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static dft_status echo_open(const dft_region *regions, uint32_t n, dft_tensor *in, dft_tensor *out) {
    for (uint32_t i = 0; i < n; i++) {
        const int aligned = ((uintptr_t)regions[i].base & (need.align - 1u)) == 0;
        if (same_name(regions[i].name, need.name) && regions[i].bytes >= need.bytes && aligned) {
            arena = (int8_t *)regions[i].base;
            *in = (dft_tensor){arena, DFT_ECHO_INPUT_BYTES};
            *out = (dft_tensor){arena, DFT_ECHO_OUTPUT_BYTES};
            return DFT_OK;
        }
    }
    return DFT_ERR_REGION;
}

static dft_status echo_invoke(void) {
    static uint8_t sums[DFT_ECHO_OUTPUT_BYTES];
    if (arena == NULL) {
        return DFT_ERR_STATE;
    }
    memset(sums, 0, sizeof sums);
    uint32_t k = 0;
    for (uint32_t j = 0; j < DFT_ECHO_INPUT_BYTES; j++) {
        sums[k] = (uint8_t)(sums[k] + ((uint8_t)arena[j] ^ (j & 0xFFu)));
        k = k + 1u == DFT_ECHO_OUTPUT_BYTES ? 0u : k + 1u;
    }
    memcpy(arena, sums, sizeof sums);
    return DFT_OK;
}

static uint32_t echo_memory_used(void) { return need.bytes; }

const dft_proofs dft_the_proofs = {NULL, 0, NULL, 0};

const dft_engine dft_the_engine = {
    .name = "echo",
    .bundle_digest = digest,
    .needs = &need,
    .needs_n = 1,
    .ops_n = 0,
    .open = echo_open,
    .invoke = echo_invoke,
    .memory_used = echo_memory_used,
    .set_hook = NULL,
};
