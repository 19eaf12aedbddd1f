/* DEPTHWISE_CONV_2D by rows, in plain loops: any window, any order of weights, multiplier >= 1. Called by
 * depthwise_rows.c, and on Cortex-M7 for what m7/ has no tile for. */
#include <string.h>

#include "dft_depthwise_rows.h"

#define HEAD 8u /* bytes of a record before the weights */

/* Where (row, column) of a 3x3 kernel lies among the weights, by kind. */
static const uint8_t order_3x3[7][9] = {
    {0, 1, 6, 2, 3, 7, 4, 5, 9},
    {0, 1, 4, 2, 3, 6, 5, 7, 8},
    {0, 1, 4, 2, 3, 6, 5, 7, 8},
    {0, 1, 6, 2, 3, 7, 4, 5, 8},
    {0, 1, 2, 3, 4, 5, 6, 7, 8},
    {0, 1, 6, 2, 3, 7, 4, 5, 9},
    {0, 1, 4, 2, 3, 6, 5, 7, 8},
};

/* Where a column of a row of five and of seven lies. */
static const uint8_t order_wide[2][7] = {{0, 2, 4, 1, 3}, {0, 2, 1, 3, 5, 4, 6}};

static int32_t word(const int8_t *at)
{
    uint32_t value = 0;
    for (uint32_t i = 4; i > 0; i--) {
        value = value << 8 | (uint8_t)at[i - 1];
    }
    return (int32_t)value;
}

static int8_t finish(const dft_depthwise_rows_params *p, const int8_t *record, int32_t doubled)
{
    int32_t right = record[p->record - 1u] + 1;
    int32_t high = (int32_t)(((int64_t)doubled * word(record + 4) + INT64_C(0x80000000)) >> 32);
    int32_t v = high;
    if (right > 0) {
        v = (high + (1 << (right - 1)) - (high < 0)) >> right;
    }
    v += p->out_zp;
    v = v < INT8_MIN ? INT8_MIN : v;
    v = v > INT8_MAX ? INT8_MAX : v;
    return p->table != 0 ? p->table[v + 128] : (int8_t)v;
}

/* Column x of input channel c; the zero point outside of the map. Planes hold columns outside themselves, and the row in
 * place `at`. */
static int32_t value(const dft_depthwise_rows_params *p, const int8_t *in, uint32_t at, int32_t x, uint32_t c)
{
    if (in == 0) {
        return p->in_zp;
    }
    if (p->kind == DFT_DEPTHWISE_PLANES_S1 || p->kind == DFT_DEPTHWISE_PLANES_S2) {
        int16_t wide;
        memcpy(&wide, in + 8 * ((int32_t)(c * p->columns) + x + p->pad_left) + 2u * at, sizeof wide);
        return wide;
    }
    return x >= 0 && x < p->in_w ? in[(uint32_t)x * p->in_c + c] : p->in_zp;
}

/* Where a tap of a kernel lies among the weights. */
static uint32_t place_of(const dft_depthwise_rows_params *p, uint32_t row, uint32_t column)
{
    uint32_t tap = row * p->kernel_w + column;
    if (p->kind == DFT_DEPTHWISE_WIDE) {
        return row * p->kernel_w + order_wide[p->kernel_w == 7u][column];
    }
    if (p->kind != DFT_DEPTHWISE_ANY && p->kind != DFT_DEPTHWISE_PLAIN) {
        return order_3x3[p->kind - 1u][tap];
    }
    return tap;
}

/* Row `k` under the windows of an output row; of planes, the place `at`. */
typedef struct under {
    const int8_t *in;
    uint32_t at, k;
} under;

/* Twice the sum of one row of taps in channel c; `x` is the first column under them, which may lie outside. */
static int32_t row_sum(const dft_depthwise_rows_params *p, const under *u, int32_t x, uint32_t c, const int8_t *weights)
{
    int32_t sum = 0;
    for (uint32_t k = 0; k < p->kernel_w; k++, x++) {
        sum += value(p, u->in, u->at, x, c) * weights[place_of(p, u->k, k)];
    }
    return 2 * sum;
}

/* One output row of one channel. `rows` are those under its windows, the first one, counted with the padding above the map,
 * is `first`. */
static void channel(const dft_depthwise_rows_params *p, const int8_t *const *rows, uint32_t first, uint32_t c, int8_t *out)
{
    const int8_t *record = p->records + c * p->record;
    uint32_t from = c / p->multiplier, channels = (uint32_t)p->in_c * p->multiplier;
    for (uint32_t ox = 0; ox < p->out_w; ox++) {
        int32_t x = (int32_t)(ox * p->stride_w) - p->pad_left;
        int32_t acc = word(record);
        for (uint32_t k = 0; k < p->kernel_h; k++) {
            acc += row_sum(p, &(under){rows[k], (first + k) & 3u, k}, x, from, record + HEAD);
        }
        out[ox * channels + c] = finish(p, record, acc);
    }
}

void dft_depthwise_plain(const void *params, const dft_event *event)
{
    const dft_depthwise_rows_params *p = params;
    uint32_t channels = (uint32_t)p->in_c * p->multiplier;
    for (uint32_t r = 0; r < event->rows; r++) {
        uint32_t first = (event->row + r) * p->stride_h;
        for (uint32_t c = 0; c < channels; c++) {
            channel(p, event->in + r * p->stride_h, first, c, event->out[r]);
        }
    }
}
