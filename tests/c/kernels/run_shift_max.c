/* Runs a Shift-Max row by row as the row engine would: vectors and map from stdin, output to stdout. Every row and
 * every vector has an allocation of its own, so that the sanitizer sees a byte read or written beside it. Test only;
 * layer.h defines `layer` and the sizes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layer.h"

static int8_t *taken(size_t n, int fill)
{
    int8_t *p = malloc(n == 0 ? 1 : n);
    memset(p, fill, n);
    return p;
}

static int8_t *read_bytes(size_t n)
{
    int8_t *p = taken(n, 0);
    if (fread(p, 1, n, stdin) != n) {
        exit(2);
    }
    return p;
}

int main(void)
{
    dft_event event;
    int8_t *vectors[4] = {0};
    memset(&event, 0, sizeof event);
    for (int i = 0; i < LAYER_VECTORS; i++) {
        vectors[i] = read_bytes(LAYER_OUT_C);
        *(i == 0 ? &event.in2 : &event.more[i - 1]) = vectors[i];
    }
    event.aux = taken(LAYER_AUX, 0x5A);
    for (event.row = 0; event.row < LAYER_H; event.row += event.rows) {
        int8_t *in[DFT_OUT_ROWS_MAX], *out[DFT_OUT_ROWS_MAX];
        event.rows = LAYER_H - event.row < LAYER_ROWS ? LAYER_H - event.row : LAYER_ROWS;
        event.scratch = taken(LAYER_SCRATCH, 0x5A);
        for (uint32_t r = 0; r < event.rows; r++) {
            event.in[r] = in[r] = read_bytes(LAYER_W * LAYER_IN_C);
            event.out[r] = out[r] = taken(LAYER_W * LAYER_OUT_C, 0x5A);
        }
        dft_shift_max_rows(&layer, &event);
        for (uint32_t r = 0; r < event.rows; r++) {
            fwrite(out[r], 1, LAYER_W * LAYER_OUT_C, stdout);
            free(in[r]);
            free(out[r]);
        }
        free(event.scratch);
    }
    free(event.aux);
    for (int i = 0; i < LAYER_VECTORS; i++) {
        free(vectors[i]);
    }
    return 0;
}
