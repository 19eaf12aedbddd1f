/* Depthwise windows five or seven columns wide, Cortex-M7: what is around depthwise_wide.S. Four channels at a time are
 * widened with their padding, then computed one by one. Called by the row engine; kernels/depthwise_wide_rows.c is the
 * portable twin. */
#include <stddef.h>
#include <string.h>

#include "dft_depthwise_wide_m7.h"

#define HEAD 8u /* bytes of a record before the weights */
#define LANES 4u
#define PAIR_NUMBERS (2u * LANES)

_Static_assert(offsetof(dft_depthwise_wide, tiles) == WIDE_TILES, "wide");
_Static_assert(offsetof(dft_depthwise_wide, bias) == WIDE_BIAS, "wide");
_Static_assert(offsetof(dft_depthwise_wide, results) == WIDE_RESULTS, "wide");
_Static_assert(offsetof(dft_depthwise_wide, weights_end) == WIDE_END, "wide");

/* One event. */
typedef struct wide {
    const dft_depthwise_rows_params *p;
    const dft_event *event;
    int16_t *rows;
    int32_t *weights;
    int8_t *results;
    uint32_t stride; /* int16 of a row */
    uint32_t tiles;
    dft_depthwise_wide_unpack *unpack;
    dft_depthwise_wide_work *run;
    dft_depthwise_wide job; /* what differs from channel to channel is set anew */
} wide;

/* The place of a column of the first channel in a row. */
static int16_t *place(const wide *w, uint32_t row, uint32_t column)
{
    return w->rows + row * w->stride + column / 2u * PAIR_NUMBERS + column % 2u;
}

/* Zero points in columns [column, end) of a row. */
static void fill(const wide *w, uint32_t row, uint32_t column, uint32_t end)
{
    int16_t zero = w->p->in_zp;
    for (; column < end; column++) {
        int16_t *to = place(w, row, column);
        to[0] = zero;
        to[2] = zero;
        to[4] = zero;
        to[6] = zero;
    }
}

/* Padding stays from quad to quad. */
static void fill_padding(const wide *w)
{
    const dft_depthwise_rows_params *p = w->p;
    uint32_t left = p->pad_left, right = left + p->in_w;
    for (uint32_t row = 0; row < p->kernel_h; row++) {
        if (w->event->in[row] == 0) {
            fill(w, row, 0, p->columns);
        } else {
            fill(w, row, 0, left);
            fill(w, row, right, p->columns);
        }
    }
}

static int32_t word(const int8_t *at)
{
    int32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Pixel x of four channels. */
static void widen_one(const wide *w, uint32_t row, uint32_t x, uint32_t channel)
{
    int32_t four = word(w->event->in[row] + x * w->p->in_c + channel);
    int16_t *to = place(w, row, w->p->pad_left + x);
    to[0] = (int8_t)four;
    to[2] = (int8_t)(four >> 8);
    to[4] = (int8_t)(four >> 16);
    to[6] = (int8_t)(four >> 24);
}

/* Pixels [x, end) of some channels, byte by byte. */
static void widen_bytes(const wide *w, uint32_t row, uint32_t x, uint32_t end, uint32_t channel, uint32_t lanes)
{
    const dft_depthwise_rows_params *p = w->p;
    for (; x < end; x++) {
        const int8_t *in = w->event->in[row] + x * p->in_c + channel;
        int16_t *to = place(w, row, p->pad_left + x);
        for (uint32_t lane = 0; lane < lanes; lane++) {
            to[2u * lane] = in[lane];
        }
    }
}

/* Four channels of a row, or fewer, whose words would reach behind it. */
static void widen(const wide *w, uint32_t row, uint32_t channel, uint32_t lanes)
{
    const dft_depthwise_rows_params *p = w->p;
    uint32_t first = p->pad_left & 1u, pairs = (p->in_w - first) / 2u;
    if (lanes < LANES || pairs == 0) {
        widen_bytes(w, row, 0, p->in_w, channel, lanes);
        return;
    }
    const int8_t *from = w->event->in[row] + first * p->in_c + channel;
    dft_depthwise_wide_widen(place(w, row, p->pad_left + first), from, p->in_c, pairs);
    if (first != 0) {
        widen_one(w, row, 0, channel);
    }
    if (first + 2u * pairs != p->in_w) {
        widen_one(w, row, p->in_w - 1u, channel);
    }
}

/* Results of a channel whose rows are widened. */
static void run_channel(wide *w, uint32_t channel, uint32_t lane)
{
    const dft_depthwise_rows_params *p = w->p;
    const int8_t *record = p->records + channel * p->record;
    uint32_t shift = (uint8_t)record[p->record - 1u];
    w->unpack(w->weights, record + HEAD, p->kernel_h);
    w->job.data = w->rows + 2u * lane;
    w->job.tiles = w->tiles;
    w->job.bias = word(record);
    w->job.mult = word(record + 4);
    w->job.right = (int32_t)shift + 1;
    w->job.round = (2 * p->out_zp + 1) * (1 << shift);
    w->job.results = w->results + lane;
    w->run(&w->job);
}

static void store(const wide *w, uint32_t channel, uint32_t lanes)
{
    const int8_t *from = w->results;
    int8_t *out = w->event->out[0] + channel, *end = out + (uint32_t)w->p->out_w * w->p->in_c;
    for (; out != end; out += w->p->in_c, from += LANES) {
        if (lanes == LANES) {
            memcpy(out, from, LANES);
            continue;
        }
        for (uint32_t lane = 0; lane < lanes; lane++) {
            out[lane] = from[lane];
        }
    }
}

/* Lays out the scratch memory; what does not change in an event is written once. */
static void prepare(wide *w)
{
    const dft_depthwise_rows_params *p = w->p;
    uint32_t five = p->kernel_w == 5u;
    w->stride = p->columns / 2u * PAIR_NUMBERS;
    w->rows = w->event->scratch;
    w->weights = (int32_t *)(w->rows + p->kernel_h * w->stride);
    w->job.weights = w->weights;
    w->job.weights_end = w->weights + p->kernel_h * (p->kernel_w - 1u);
    w->job.stride = 2u * w->stride;
    w->job.table = p->table != 0 ? p->table + 128 : 0;
    w->results = (int8_t *)w->weights + 4u * p->kernel_h * (p->kernel_w - 1u);
    w->tiles = (p->out_w + WIDE_TILE - 1u) / WIDE_TILE;
    w->unpack = five ? dft_depthwise_wide_weights_5 : dft_depthwise_wide_weights_7;
    if (p->stride_w == 1u) {
        w->run = five ? dft_depthwise_wide_5_1 : dft_depthwise_wide_7_1;
    } else {
        w->run = five ? dft_depthwise_wide_5_2 : dft_depthwise_wide_7_2;
    }
    fill_padding(w);
}

void dft_depthwise_wide_rows(const void *params, const dft_event *event)
{
    const dft_depthwise_rows_params *p = params;
    wide w;
    w.p = p;
    w.event = event;
    prepare(&w);
    for (uint32_t channel = 0; channel < p->in_c; channel += LANES) {
        uint32_t left = p->in_c - channel, lanes = left < LANES ? left : LANES;
        for (uint32_t row = 0; row < p->kernel_h; row++) {
            if (event->in[row] != 0) {
                widen(&w, row, channel, lanes);
            }
        }
        for (uint32_t lane = 0; lane < lanes; lane++) {
            run_channel(&w, channel + lane, lane);
        }
        store(&w, channel, lanes);
    }
}
