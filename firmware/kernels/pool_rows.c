/* MAX_POOL_2D and AVERAGE_POOL_2D by rows, made of runs; positions outside the map do not count. */
#include <stddef.h>
#include <string.h>

#include "dft_average_pool_rows.h"
#include "dft_runs.h"

typedef struct span {
    uint32_t first, n;
} span;

/* Columns of the map under output pixel `x`. */
static span columns(const dft_pool_rows_params *p, uint32_t x)
{
    uint32_t from = x * p->stride_w, end = from + p->kernel_w; /* both moved right by the padding */
    uint32_t low = p->pad_left, high = p->pad_left + (uint32_t)p->in_w;
    from = from < low ? low : from;
    end = end > high ? high : end;
    return (span){from - low, end - from};
}

static void fused(const dft_pool_rows_params *p, int8_t *out)
{
    if (p->table != NULL) {
        dft_table_run(p->table, out, out, (uint32_t)p->out_w * p->channels);
    }
}

/* The largest of each column of the window: a row of the map, or scratch. */
static const int8_t *flattened(const dft_pool_rows_params *p, const dft_event *event)
{
    const int8_t *largest = NULL;
    for (uint32_t k = 0; k < p->kernel_h; k++) {
        const int8_t *row = event->in[k];
        if (row != NULL && largest != NULL) {
            dft_maximum_run(largest, row, event->scratch, (uint32_t)p->in_w * p->channels);
            largest = event->scratch;
        } else if (row != NULL) {
            largest = row;
        }
    }
    return largest;
}

void dft_max_pool_rows(const void *params, const dft_event *event)
{
    const dft_pool_rows_params *p = params;
    const int8_t *row = flattened(p, event);
    int8_t *out = event->out[0];
    for (uint32_t x = 0; x < p->out_w; x++, out += p->channels) {
        span s = columns(p, x);
        const int8_t *pixel = row + s.first * p->channels;
        if (s.n == 1u) {
            memcpy(out, pixel, p->channels);
            continue;
        }
        dft_maximum_run(pixel, pixel + p->channels, out, p->channels);
        for (uint32_t k = 2; k < s.n; k++) {
            dft_maximum_run(out, pixel + k * p->channels, out, p->channels);
        }
    }
    fused(p, event->out[0]);
}

/* Sums of the window's columns; how many rows it has inside the map. */
static uint32_t sum_window(const dft_pool_rows_params *p, const dft_event *event, span s, int32_t *sums)
{
    uint32_t rows = 0;
    memset(sums, 0, p->channels * sizeof *sums);
    for (uint32_t k = 0; k < p->kernel_h; k++) {
        if (event->in[k] != NULL) {
            dft_column_run(event->in[k] + s.first * p->channels, sums, s.n, p->channels);
            rows++;
        }
    }
    return rows;
}

/* Halves away from zero, as TFLM divides. */
static void divide(const int32_t *sums, int32_t count, int8_t *out, uint32_t channels)
{
    int32_t half = count / 2;
    for (uint32_t c = 0; c < channels; c++) {
        out[c] = (int8_t)((sums[c] > 0 ? sums[c] + half : sums[c] - half) / count);
    }
}

void dft_average_pool_rows(const void *params, const dft_event *event)
{
    const dft_pool_rows_params *p = params;
    int8_t *out = event->out[0];
    for (uint32_t x = 0; x < p->out_w; x++, out += p->channels) {
        span s = columns(p, x);
        uint32_t rows = sum_window(p, event, s, event->scratch);
        divide(event->scratch, (int32_t)(rows * s.n), out, p->channels);
    }
    fused(p, event->out[0]);
}
