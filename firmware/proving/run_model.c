/* Runs a generated model on the host: int8 tiles from stdin, int8 outputs to stdout. Each region is its own
 * allocation of exactly the size the model asked for, filled with a pattern, so that the address sanitizer sees
 * every byte outside and a read of unwritten memory shows as a wrong result. `rows N …` writes every operator's rows
 * before each output, as export/host.py reads them; N are bytes of a row by operator, 0 for none. `short`, `missing`
 * and `misaligned` give bad memory to open. Compiled by export's gate and by tests; no firmware links it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dft/engine.h"

#define REGIONS_MAX 4u

static uint32_t hooked;

static void hook(uint32_t op)
{
    hooked += op < dft_the_engine.ops_n;
}

/* Bytes of a row by operator, as the arguments say. */
static char **row_bytes;
static uint32_t row_bytes_n;

static void put(const void *bytes, size_t n)
{
    if (fwrite(bytes, 1, n, stdout) != n) {
        (void)fprintf(stderr, "run_model: cannot write\n");
        exit(1);
    }
}

static void show(uint32_t op, uint32_t row, const int8_t *bytes)
{
    uint32_t n = op < row_bytes_n ? (uint32_t)strtoul(row_bytes[op], NULL, 10) : 0u;
    if (n != 0u) {
        const uint32_t head[2] = {op, row};
        put(head, sizeof head);
        put(bytes, n);
    }
}

/* Behind the rows of one inference. */
static void end_rows(void)
{
    const uint32_t head[2] = {UINT32_MAX, 0};
    put(head, sizeof head);
}

typedef struct taken {
    uint32_t rows, bytes;
} taken;

/* An input taken row by row: the next bytes of stdin, whichever row it is; rows are asked for in order. */
static void next_row(void *context, uint32_t row, int8_t *to, uint32_t bytes)
{
    taken *so_far = context;
    if (row != so_far->rows || fread(to, 1, bytes, stdin) != bytes) {
        (void)fprintf(stderr, "run_model: row %u was asked for out of order, or is missing\n", row);
        exit(1);
    }
    so_far->rows = row + 1u;
    so_far->bytes += bytes;
}

/* Rows at the end that no window covers are never asked for: the next input lies behind them. */
static void skip_rest(const taken *so_far, uint32_t bytes)
{
    for (uint32_t i = so_far->bytes; i < bytes; i++) {
        (void)getchar();
    }
}

/* Whether there is another input; it lies in `in` when that has a place. */
static int next_input(dft_tensor in)
{
    if (in.data != NULL) {
        return fread(in.data, 1, in.bytes, stdin) == in.bytes;
    }
    int c = getchar();
    return c != EOF && ungetc(c, stdin) == c;
}

static int fail(const char *what)
{
    (void)fprintf(stderr, "run_model: %s\n", what);
    return 1;
}

int main(int argc, char **argv)
{
    dft_region regions[REGIONS_MAX];
    uint8_t *owned[REGIONS_MAX];
    dft_tensor in, out;
    const char *only_open = argc > 1 ? argv[1] : "";
    if (dft_the_engine.invoke() != DFT_ERR_STATE) {
        return fail("invoke before open was not refused");
    }
    for (uint32_t i = 0; i < dft_the_engine.needs_n; i++) {
        const dft_region_need *need = &dft_the_engine.needs[i];
        uint32_t lent = need->bytes - (strcmp(only_open, "short") == 0 ? 1u : 0u);
        size_t align = need->align;
        uint8_t *base = aligned_alloc(align, (lent + align - 1) / align * align);
        if (base == NULL) {
            return fail("out of memory");
        }
        owned[i] = base;
        memset(base, 0xA5, lent);
        regions[i] = (dft_region){need->name, base, lent};
    }
    uint32_t n = strcmp(only_open, "missing") == 0 ? 0u : dft_the_engine.needs_n;
    if (strcmp(only_open, "misaligned") == 0) {
        regions[0].base++;
    }
    dft_status status = dft_the_engine.open(regions, n, &in, &out);
    dft_the_engine.set_hook(hook);
    taken so_far = {0, 0};
    if (status == DFT_OK && in.data == NULL && dft_the_engine.invoke() != DFT_ERR_STATE) {
        return fail("invoke without a reader was not refused");
    }
    if (dft_the_engine.set_reader != NULL) {
        dft_the_engine.set_reader(next_row, &so_far);
    }
    int rows = strcmp(only_open, "rows") == 0;
    if (rows != 0) {
        row_bytes = argv + 2;
        row_bytes_n = (uint32_t)argc - 2u;
        dft_the_engine.set_probe(show);
    }
    while (status == DFT_OK && next_input(in)) {
        so_far = (taken){0, 0};
        if (dft_the_engine.invoke() != DFT_OK) {
            return fail("invoke failed");
        }
        if (rows != 0) {
            end_rows();
        }
        put(out.data, out.bytes);
        (void)fflush(stdout); /* so that a sanitizer's stop leaves the outputs before it */
        if (in.data == NULL) {
            skip_rest(&so_far, in.bytes);
        }
    }
    (void)fprintf(stderr, "hooks %u memory %u\n", hooked, dft_the_engine.memory_used());
    for (uint32_t i = 0; i < dft_the_engine.needs_n; i++) {
        free(owned[i]);
    }
    return status == DFT_OK ? 0 : 10 + (int)status;
}
