/* Self-tests that every board has, behind those of its own: see selftest.h. */
#include "dft/selftest.h"

#include <stddef.h>
#include <string.h>

#include "dft/crc.h"
#include "dft/memory.h"
#include "dft/proofs.h"
#include "dft/stackmeter.h"
#include "dft_protocol.h"

/* "123456789", whose CRC-32 every catalogue of CRCs gives as the check value. */
static uint32_t check_crc(const dft_board *board, uint32_t *detail) {
    static const uint8_t text[] = {'1', '2', '3', '4', '5', '6', '7', '8', '9'};
    (void)board;
    *detail = ~dft_crc(DFT_CRC_START, text, sizeof text);
    return *detail == 0xCBF43926u ? DFT_SELFTEST_PASSED : DFT_SELFTEST_FAILED;
}

/* Half of the stack was never touched. */
static uint32_t check_stack(const dft_board *board, uint32_t *detail) {
    const dft_stack stack = board->stack();
    if (stack.low == NULL) {
        return DFT_SELFTEST_ABSENT;
    }
    *detail = dft_stack_peak_bytes(stack);
    return *detail < dft_stack_bytes(stack) / 2u ? DFT_SELFTEST_PASSED : DFT_SELFTEST_FAILED;
}

static const struct {
    const char *name;
    uint32_t (*run)(const dft_board *board, uint32_t *detail);
} selftests[] = {{"crc", check_crc}, {"stack peak", check_stack}};

#define SELFTESTS_N ((uint32_t)(sizeof selftests / sizeof selftests[0]))

/* As codegen/proofs_c.py, for network and layers alike. */
static int8_t input_byte(uint32_t index) {
    uint32_t mixed = (index + 1u) * 2654435761u;
    mixed = (mixed ^ mixed >> 15) * 2246822519u;
    return (int8_t)(uint8_t)(mixed >> 24);
}

/* Sums lie where operators' ticks do, which a self-test spoils. */
static void sum_row(uint32_t op, uint32_t row, const int8_t *bytes) {
    const dft_proofs *proofs = &dft_the_proofs;
    if (op < proofs->ops_n && proofs->ops[op].row_bytes != 0u) {
        dft_op_ticks[op] += ~dft_crc(DFT_CRC_START ^ row, (const uint8_t *)bytes, proofs->ops[op].row_bytes);
    }
}

/* The first operator whose sum is wrong, or their number. */
static uint32_t first_wrong(void) {
    const dft_proof *proof = dft_the_proofs.ops;
    uint32_t op = 0;
    while (op < dft_the_proofs.ops_n && (proof[op].row_bytes == 0u || dft_op_ticks[op] == proof[op].sum)) {
        op++;
    }
    return op;
}

/* Every kernel that is linked, on every operator of the network: one run on a made-up input, each row of each operator
 * compared with the oracle's, by sums. detail: operators proved, or the index of the first that is wrong. */
static uint32_t check_network(const dft_engine *engine, uint32_t *detail) {
    dft_tensor in = {NULL, 0};
    dft_tensor out = {NULL, 0};
    const uint32_t proofs_n = dft_the_proofs.ops_n;
    if (proofs_n == 0u || proofs_n > dft_op_ticks_n || engine->set_probe == NULL ||
        engine->open(dft_regions, dft_regions_n, &in, &out) != DFT_OK || in.data == NULL) {
        return DFT_SELFTEST_ABSENT;
    }
    for (uint32_t i = 0; i < in.bytes; i++) {
        in.data[i] = input_byte(i);
    }
    memset(dft_op_ticks, 0, dft_op_ticks_n * sizeof dft_op_ticks[0]);
    engine->set_hook(NULL); /* nobody is served meanwhile; commands.c sets it again */
    engine->set_probe(sum_row);
    const dft_status ran = engine->invoke();
    engine->set_probe(NULL);
    const uint32_t wrong = first_wrong();
    *detail = wrong;
    if (ran != DFT_OK || wrong < proofs_n) {
        return DFT_SELFTEST_FAILED;
    }
    *detail = 0;
    for (uint32_t op = 0; op < proofs_n; op++) {
        *detail += dft_the_proofs.ops[op].row_bytes != 0u ? 1u : 0u;
    }
    return DFT_SELFTEST_PASSED;
}

/* The largest region, lent to a layer for a moment. */
static const dft_region *largest(void) {
    const dft_region *found = NULL;
    for (uint32_t i = 0; i < dft_regions_n; i++) {
        if (found == NULL || dft_regions[i].bytes > found->bytes) {
            found = &dft_regions[i];
        }
    }
    return found;
}

/* Ticks of one run of the layer on its input. */
static uint32_t run_vector(const dft_board *board, const dft_vector *vector, int8_t *memory) {
    for (uint32_t i = 0; i < vector->in_bytes; i++) {
        memory[vector->in + i] = input_byte(i);
    }
    const uint64_t start = board->ticks();
    vector->run(&memory);
    return (uint32_t)(board->ticks() - start);
}

/* detail: ticks of the second run, when code and constants are in the caches; or the output's sum where it is wrong. */
static uint32_t check_vector(const dft_board *board, const dft_engine *engine, const dft_vector *vector, uint32_t *detail) {
    const dft_region *lent = largest();
    if (lent == NULL || lent->bytes < vector->bytes || ((uintptr_t)lent->base & 31u) != 0u) {
        return DFT_SELFTEST_ABSENT;
    }
    int8_t *memory = (int8_t *)lent->base;
    engine->set_hook(NULL); /* as in check_network */
    (void)run_vector(board, vector, memory);
    *detail = run_vector(board, vector, memory);
    const uint32_t sum = ~dft_crc(DFT_CRC_START, (const uint8_t *)memory + vector->out, vector->out_bytes);
    if (sum != vector->sum) {
        *detail = sum;
        return DFT_SELFTEST_FAILED;
    }
    return DFT_SELFTEST_PASSED;
}

uint32_t dft_selftest_n(const dft_board *board, const dft_engine *engine) {
    (void)engine;
    return board->checks_n + SELFTESTS_N + 1u + dft_the_proofs.vectors_n;
}

bool dft_selftest_run(const dft_board *board, const dft_engine *engine, uint32_t index, dft_selftest *result) {
    if (index >= dft_selftest_n(board, engine)) {
        return false;
    }
    result->detail = 0;
    const uint64_t start = board->ticks();
    const uint32_t network = board->checks_n + SELFTESTS_N;
    if (index < board->checks_n) {
        result->name = board->checks[index].name;
        result->status = board->checks[index].run(&result->detail);
    } else if (index == network) {
        result->name = "kernels";
        result->status = check_network(engine, &result->detail);
    } else if (index > network) {
        const dft_vector *vector = dft_the_proofs.vectors[index - network - 1u];
        result->name = vector->name;
        result->status = check_vector(board, engine, vector, &result->detail);
    } else {
        result->name = selftests[index - board->checks_n].name;
        result->status = selftests[index - board->checks_n].run(board, &result->detail);
    }
    result->ticks = board->ticks() - start;
    return true;
}
