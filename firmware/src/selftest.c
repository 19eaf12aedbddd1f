/* Self-tests that every board has, behind those of its own: see selftest.h. */
#include "dft/selftest.h"

#include <stddef.h>

#include "dft/crc.h"
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

uint32_t dft_selftest_n(const dft_board *board, const dft_engine *engine) {
    (void)engine;
    return board->checks_n + SELFTESTS_N;
}

bool dft_selftest_run(const dft_board *board, const dft_engine *engine, uint32_t index, dft_selftest *result) {
    if (index >= dft_selftest_n(board, engine)) {
        return false;
    }
    result->detail = 0;
    const uint64_t start = board->ticks();
    if (index < board->checks_n) {
        result->name = board->checks[index].name;
        result->status = board->checks[index].run(&result->detail);
    } else {
        result->name = selftests[index - board->checks_n].name;
        result->status = selftests[index - board->checks_n].run(board, &result->detail);
    }
    result->ticks = board->ticks() - start;
    return true;
}
