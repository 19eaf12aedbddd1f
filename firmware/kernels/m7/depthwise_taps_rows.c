/* DEPTHWISE_CONV_2D by rows, Cortex-M7, windows that have no tile: every tap is a pointer that moves along the row.
 * Called by the row engine. Rows are read where they lie; where columns of padding belong to them, they are copied
 * with it first, so that all outputs are computed alike. */
#include <arm_acle.h>
#include <string.h>

#include "dft_depthwise_m7.h"
#include "dft_depthwise_taps_rows.h"

#define HEAD 8u    /* bytes of a record before the weights */
#define WIDE_AT 4u /* outputs at once */

/* Rows under the windows of an output row, all of them there and wide enough. */
typedef struct window {
    const int8_t *rows[DFT_WINDOW_ROWS_MAX];
    uint32_t pixel; /* bytes from pixel to pixel */
} window;

/* An output channel: where its first tap is, and its requantisation. */
typedef struct channel {
    const dft_depthwise_rows_params *p;
    const window *w;
    const int8_t *record;
    uint32_t at; /* of the channel in a pixel */
    int32_t bias, mult, round, right;
    const int8_t *table; /* its middle */
} channel;

static inline int32_t word(const int8_t *at)
{
    int32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* a * b / 2^32 + c, rounded. */
static inline int32_t high_product(int32_t a, int32_t b, int32_t c)
{
    int32_t high;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(high) : "r"(a), "r"(b), "r"(c));
    return high;
}

/* As TFLM rounds: ties of the shift go away from zero, one less for a negative sum. */
static inline int8_t finish(const channel *c, int32_t acc)
{
    int32_t v = __ssat(high_product(acc, c->mult, c->round + (acc >> 31)) >> c->right, 8);
    return c->table != 0 ? c->table[v] : (int8_t)v;
}

static void sums_any(dft_depthwise_window *w, uint32_t width)
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    const int8_t *weight = w->weights;
    for (uint32_t k = 0; k < w->height; k++) {
        const int8_t *at = w->rows[k] + w->at;
        for (uint32_t i = width; i > 0; i--, at += w->pixel) {
            int32_t v = *weight++;
            s0 += at[0] * v;
            s1 += at[w->step] * v;
            s2 += at[2u * w->step] * v;
            s3 += at[3u * w->step] * v;
        }
    }
    w->sums[0] = s0;
    w->sums[1] = s1;
    w->sums[2] = s2;
    w->sums[3] = s3;
}

/* A row of outputs of one channel, WIDE_AT at once, the last ones one by one. */
static void many(const channel *c, int8_t *out)
{
    const dft_depthwise_rows_params *p = c->p;
    uint32_t out_step = (uint32_t)p->in_c * p->multiplier, step = p->stride_w * c->w->pixel;
    dft_depthwise_window w = {c->w->rows, c->at, step, p->kernel_h, c->w->pixel, c->record + HEAD, {0}};
    for (uint32_t left = p->out_w; left > 0;) {
        uint32_t n = left < WIDE_AT ? 1u : WIDE_AT;
        w.step = n > 1u ? step : 0;
        if (p->kernel_w == 5u) {
            dft_depthwise_sums_5(&w);
        } else {
            sums_any(&w, p->kernel_w);
        }
        for (uint32_t i = 0; i < n; i++, w.at += step, out += out_step) {
            *out = finish(c, c->bias + 2 * w.sums[i]);
        }
        left -= n;
    }
}

static void one_channel(const dft_depthwise_rows_params *p, const window *w, uint32_t at, uint32_t index, int8_t *out)
{
    channel c = {p, w, p->records + index * p->record, at, 0, 0, 0, 0, p->table != 0 ? p->table + 128 : 0};
    uint32_t shift = (uint8_t)c.record[p->record - 1u];
    c.bias = word(c.record);
    c.mult = word(c.record + 4);
    c.right = (int32_t)shift + 1;
    c.round = (2 * p->out_zp + 1) * (1 << shift);
    many(&c, out + index);
}

/* Channels [c, c + n) of a row between its padding; of no row: zero points. */
static void padded(const dft_depthwise_rows_params *p, const int8_t *row, uint32_t c, uint32_t n, int8_t *to)
{
    uint32_t left = p->pad_left * n, right = (uint32_t)(p->columns - p->pad_left - p->in_w) * n;
    if (row == 0) {
        memset(to, p->in_zp, p->columns * n);
        return;
    }
    memset(to, p->in_zp, left);
    to += left;
    uint32_t runs = n == p->in_c ? 1u : p->in_w, bytes = p->in_w * n / runs;
    row += c;
    for (uint32_t i = 0; i < runs; i++, row += p->in_c, to += bytes) {
        memcpy(to, row, bytes);
    }
    memset(to, p->in_zp, right);
}

/* The assembly for a window of one row or one column; null where it has none. */
static dft_depthwise_line_work *line_work(const dft_depthwise_rows_params *p)
{
    uint32_t taps = (uint32_t)p->kernel_h * p->kernel_w;
    if ((p->kernel_h != 1u && p->kernel_w != 1u) || p->out_w < 2u) {
        return 0;
    }
    if (taps == 3u && p->table == 0 && p->multiplier % 2u == 0) {
        return p->out_zp == INT8_MIN ? dft_depthwise_pair_3_relu : dft_depthwise_pair_3;
    }
    if (taps == 3u) {
        return p->table != 0 ? dft_depthwise_line_3_table : dft_depthwise_line_3;
    }
    if (taps == 5u) {
        return p->table != 0 ? dft_depthwise_line_5_table : dft_depthwise_line_5;
    }
    return 0;
}

static void set_line(const dft_depthwise_rows_params *p, const window *w, dft_depthwise_line *line)
{
    uint32_t taps = (uint32_t)p->kernel_h * p->kernel_w;
    for (uint32_t i = 0; i < taps; i++) {
        line->taps[i] = p->kernel_w == 1u ? w->rows[i] : w->rows[0] + i * w->pixel;
    }
    line->step = p->stride_w * w->pixel;
    line->out_step = (uint32_t)p->in_c * p->multiplier;
    line->pairs_end = (p->out_w & ~1u) * line->step;
    line->end = p->out_w * line->step;
    line->table = p->table != 0 ? p->table + 128 : 0;
    line->multiplier = p->multiplier;
    line->round = 2 * p->out_zp + 1;
}

/* Channels [c, c + n), which the rows of the window begin with. */
static void block(const dft_depthwise_rows_params *p, const window *w, uint32_t c, uint32_t n, int8_t *out)
{
    uint32_t index = c * p->multiplier;
    dft_depthwise_line_work *work = line_work(p);
    if (work != 0) {
        dft_depthwise_line line;
        set_line(p, w, &line);
        line.channel = 0;
        line.records = p->records + index * p->record;
        line.channels = n * p->multiplier;
        line.out = out + index;
        work(&line);
        return;
    }
    for (uint32_t lane = 0; lane < n; lane++) {
        for (uint32_t i = 0; i < p->multiplier; i++) {
            one_channel(p, w, lane, index++, out);
        }
    }
}

/* Rows copied with their padding, as many channels at once as the scratch memory was made for. */
static void with_padding(const dft_depthwise_rows_params *p, const dft_event *event)
{
    window w;
    for (uint32_t c = 0; c < p->in_c; c += p->block) {
        uint32_t left = p->in_c - c;
        uint32_t n = left < p->block ? left : p->block;
        w.pixel = n;
        for (uint32_t k = 0; k < p->kernel_h; k++) {
            int8_t *to = (int8_t *)event->scratch + k * p->columns * n;
            padded(p, event->in[k], c, n, to);
            w.rows[k] = to;
        }
        block(p, &w, c, n, event->out[0]);
    }
}

static void without_padding(const dft_depthwise_rows_params *p, const dft_event *event)
{
    window w;
    w.pixel = p->in_c;
    uint32_t missing = 0;
    for (uint32_t k = 0; k < p->kernel_h; k++) {
        missing |= (uint32_t)(event->in[k] == 0);
        w.rows[k] = event->in[k] != 0 ? event->in[k] : event->scratch;
    }
    if (missing) {
        memset(event->scratch, p->in_zp, (uint32_t)p->in_w * p->in_c);
    }
    block(p, &w, 0, p->in_c, event->out[0]);
}

void dft_depthwise_taps_rows(const void *params, const dft_event *event)
{
    const dft_depthwise_rows_params *p = params;
    if (p->kind == DFT_DEPTHWISE_PLAIN) {
        dft_depthwise_plain(p, event);
    } else if (p->block > 0) {
        with_padding(p, event);
    } else {
        without_padding(p, event);
    }
}
