/* Runs the events of one row kernel on the host, with sanitizers, as the row engine would. For tests only: the test
 * (row_harness.py) writes and links `row_kernel` and `row_params`, and pipes a case in. Every row has memory of its
 * own that ends where the row ends, at an odd address; what lies before it, scratch and aux are filled with garbage.
 *
 * stdin, int32: operands (at most 5), output rows, their bytes, scratch, aux, `lower`, events; of each operand rows and
 * bytes; of each event row, rows, in[16], in2, more[3], out[2] as row numbers, −1 for NULL; then the operands' bytes.
 * `lower` < 0: outputs lie apart; else each lies that many bytes below the first operand's row of its number. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dft_rows.h"

#define GUARD 33u
#define GARBAGE 0x5A
#define OPERANDS_MAX 5

extern dft_row_kernel *const row_kernel;
extern const void *const row_params;

typedef struct rows {
    int32_t n, bytes;
    int8_t **at;
} rows;

static void take(void *to, size_t bytes)
{
    if (fread(to, 1, bytes, stdin) != bytes) {
        fputs("the case is cut short\n", stderr);
        exit(2);
    }
}

static int32_t number(void)
{
    int32_t v;
    take(&v, sizeof v);
    return v;
}

static void *memory(size_t bytes)
{
    void *p = malloc(bytes);
    if (p == NULL) {
        exit(2);
    }
    memset(p, GARBAGE, bytes);
    return p;
}

static rows new_rows(int32_t n, int32_t bytes)
{
    rows r = {n, bytes, memory((size_t)n * sizeof(int8_t *))};
    for (int32_t i = 0; i < n; i++) {
        r.at[i] = (int8_t *)memory(GUARD + (size_t)bytes) + GUARD;
    }
    return r;
}

static int8_t *row_of(const rows *r, int32_t i)
{
    return i < 0 ? NULL : r->at[i];
}

static void one_event(const rows *operands, const rows *out, dft_event *event)
{
    event->row = (uint32_t)number();
    event->rows = (uint32_t)number();
    for (uint32_t i = 0; i < DFT_WINDOW_ROWS_MAX; i++) {
        event->in[i] = row_of(&operands[0], number());
    }
    event->in2 = row_of(&operands[1], number());
    for (uint32_t i = 0; i < DFT_MORE_MAX; i++) {
        event->more[i] = row_of(&operands[2 + i], number());
    }
    for (uint32_t i = 0; i < DFT_OUT_ROWS_MAX; i++) {
        event->out[i] = row_of(out, number());
    }
}

/* Output rows that lie on the first operand's: as many bytes are writable below them as they lie lower. */
static rows overlaid(const rows *first, int32_t n, int32_t bytes, int32_t lower)
{
    rows r = {n, bytes, memory((size_t)n * sizeof(int8_t *))};
    for (int32_t i = 0; i < n; i++) {
        r.at[i] = first->at[i] - lower;
    }
    return r;
}

static void check_guards(const rows *r, int32_t lower)
{
    for (int32_t i = 0; i < r->n; i++) {
        const int8_t *guard = r->at[i] - (GUARD - (uint32_t)lower);
        for (; guard < r->at[i]; guard++) {
            if (*guard != GARBAGE) {
                fprintf(stderr, "written before row %d\n", (int)i);
                exit(3);
            }
        }
    }
}

int main(void)
{
    int32_t head[7];
    take(head, sizeof head);
    int32_t operands_n = head[0], lower = head[5];
    rows operands[OPERANDS_MAX] = {{0, 0, NULL}};
    for (int32_t i = 0; i < operands_n; i++) {
        int32_t n = number();
        operands[i] = new_rows(n, number());
    }
    rows out = lower < 0 ? new_rows(head[1], head[2]) : overlaid(&operands[0], head[1], head[2], lower);
    dft_event *events = memory(((size_t)head[6] + 1u) * sizeof *events);
    for (int32_t e = 0; e < head[6]; e++) {
        one_event(operands, &out, &events[e]);
    }
    for (int32_t i = 0; i < operands_n; i++) {
        for (int32_t y = 0; y < operands[i].n; y++) {
            take(operands[i].at[y], (size_t)operands[i].bytes);
        }
    }
    void *aux = memory((size_t)head[4]);
    for (int32_t e = 0; e < head[6]; e++) {
        events[e].aux = aux;
        events[e].scratch = memory((size_t)head[3]);
        row_kernel(row_params, &events[e]);
        free(events[e].scratch);
    }
    check_guards(&out, lower < 0 ? 0 : lower);
    for (int32_t y = 0; y < out.n; y++) {
        fwrite(out.at[y], 1, (size_t)out.bytes, stdout);
    }
    return 0;
}
