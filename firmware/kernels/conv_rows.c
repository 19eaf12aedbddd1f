/* CONV_2D by rows, portable twin: a pixel at a time, its window gathered, then pair by pair of output channels.
 * Called by the row engine; m7/conv_rows.c takes its place on Cortex-M. */
#include <string.h>

#include "dft_conv_rows.h"

static int8_t saturated(int32_t v)
{
    return (int8_t)(v < INT8_MIN ? INT8_MIN : v > INT8_MAX ? INT8_MAX : v);
}

/* A weight of a pair: `k` within its quad at `quad`. */
static int32_t weight(const dft_conv_rows_params *p, const int32_t *quad, uint32_t k, uint32_t second)
{
    if ((p->flags & DFT_CONV_WIDE) != 0) {
        uint32_t word = (uint32_t)quad[(k & 1u) * 2u + second];
        return (int16_t)(uint16_t)(word >> ((k >> 1) * 16u));
    }
    int32_t w = (int8_t)(uint8_t)((uint32_t)quad[second] >> (k * 8u));
    return (p->flags & DFT_CONV_SINGLE) != 0 ? w : 2 * w;
}

/* `sum` is doubled. */
static int8_t finished(const dft_conv_rows_params *p, int32_t sum, int32_t mult, uint32_t right)
{
    int32_t high = (int32_t)(((int64_t)sum * mult + INT64_C(0x80000000)) >> 32);
    int32_t round = (int32_t)((1u << right) >> 1) + p->out_zp * (int32_t)(1u << right);
    if ((p->flags & DFT_CONV_LINEAR) != 0 && right != 0) {
        round += sum >> 31;
    }
    int8_t v = saturated((high + round) >> right);
    return p->table == 0 ? v : p->table[v + 128];
}

/* `taps` bytes of a window: the columns of row `in` from column `x` on, channels from `channel`; the zero point where
 * the window leaves the map. */
static void gather_row(const dft_conv_rows_params *p, const int8_t *in, int32_t x, uint32_t channel, int8_t *to)
{
    for (uint32_t kx = 0; kx < p->kernel_w; kx++, x += p->dilation_w) {
        for (uint32_t c = 0; c < p->group_in; c++) {
            *to++ = in == 0 || x < 0 || x >= p->in_w ? p->in_zp : in[(uint32_t)x * p->in_c + channel + c];
        }
    }
}

/* Row `y` of the output: among planes, its place in their first column. */
static int8_t *row_of(const dft_conv_rows_params *p, int8_t *out, uint32_t y)
{
    return (p->flags & DFT_CONV_PLANES) == 0 ? out : out + 2u * ((y + p->out_top) & 3u);
}

/* Channel `channel` of pixel `ox`. */
static void put(const dft_conv_rows_params *p, int8_t *row, uint32_t ox, uint32_t channel, int8_t value)
{
    if ((p->flags & DFT_CONV_PLANES) == 0) {
        row[ox * p->out_c + channel] = value;
        return;
    }
    int16_t wide = value;
    memcpy(row + 8u * (channel * p->out_columns + p->out_left + ox), &wide, sizeof wide);
}

/* The columns left and right of a row of planes. */
static void pad_planes(const dft_conv_rows_params *p, int8_t *row)
{
    int16_t pad = p->out_pad;
    for (uint32_t c = 0; c < p->out_c; c++) {
        int8_t *plane = row + 8u * c * p->out_columns;
        memcpy(plane + 8u * ((uint32_t)p->out_left + p->out_w), &pad, sizeof pad);
        if (p->out_left != 0) {
            memcpy(plane, &pad, sizeof pad);
        }
    }
}

/* Channels `channel` and `channel + apart` of pixel `ox`. */
static void pixel_pair(const dft_conv_rows_params *p, const int8_t *x, const int32_t *w, const int32_t *pair,
                       uint32_t right, int8_t *row, uint32_t ox, uint32_t channel, uint32_t apart)
{
    uint32_t per_quad = (p->flags & DFT_CONV_WIDE) != 0 ? 4u : 2u;
    for (uint32_t i = 0; i < 2u; i++) {
        int32_t sum = pair[i];
        for (uint32_t k = 0; k < 4u * p->quads; k++) {
            sum += x[k] * weight(p, w + (k >> 2) * per_quad, k & 3u, i);
        }
        sum = (p->flags & DFT_CONV_SINGLE) != 0 ? 2 * sum : sum;
        put(p, row, ox, channel + i * apart, finished(p, sum, pair[2 + i], right >> (8u * i) & 0xFFu));
    }
}

static void pixel(const dft_conv_rows_params *p, const int8_t *const *in, uint32_t ox, int8_t *x, int8_t *row)
{
    const int32_t *w = p->weights, *pair = p->pairs;
    const uint16_t *run = p->runs;
    const uint8_t *step = p->steps;
    uint32_t taps = (uint32_t)p->kernel_w * p->group_in;
    uint32_t pair_words = p->quads * ((p->flags & DFT_CONV_WIDE) != 0 ? 4u : 2u);
    for (uint32_t g = 0; g < p->groups_n; g++) {
        for (uint32_t ky = 0; ky < p->kernel_h; ky++) {
            int32_t ix = (int32_t)(ox * p->stride_w) - p->pad_left;
            gather_row(p, in[ky], ix, g * p->group_in, x + ky * taps);
        }
        for (uint32_t last = 0; last == 0; run += DFT_CONV_RUN) {
            uint32_t channel = run[2];
            for (uint32_t n = run[0] & DFT_CONV_COUNT; n > 0; n--, w += pair_words, pair += DFT_CONV_PAIR, step += 2) {
                channel += step[0];
                pixel_pair(p, x, w, pair, run[1], row, ox, channel, step[1]);
            }
            last = run[0] & DFT_CONV_LAST;
        }
    }
}

/* What meets the zero weights behind the last product. */
static int8_t *cleared(const dft_conv_rows_params *p, const dft_event *event)
{
    return memset(event->scratch, 0, 4u * p->quads);
}

void dft_conv_rows(const void *params, const dft_event *event)
{
    const dft_conv_rows_params *p = params;
    int8_t *x = cleared(p, event);
    for (uint32_t row = 0; row < event->rows; row++) {
        int8_t *out = row_of(p, event->out[row], event->row + row);
        for (uint32_t ox = 0; ox < p->out_w; ox++) {
            pixel(p, event->in + row * p->stride_h, ox, x, out);
        }
        if ((p->flags & DFT_CONV_PLANES) != 0) {
            pad_planes(p, out);
        }
    }
}

void dft_conv_map_rows(const void *params, const dft_event *event)
{
    const dft_conv_rows_params *p = params;
    int8_t *x = cleared(p, event);
    for (uint32_t oy = 0; oy * p->row < p->out_w; oy++) {
        const int8_t *in[DFT_WINDOW_ROWS_MAX];
        int32_t y = (int32_t)(oy * p->stride_h) - p->pad_top;
        for (uint32_t ky = 0; ky < p->kernel_h; ky++, y += p->dilation_h) {
            in[ky] = y < 0 || y >= p->in_h ? 0 : event->in[0] + (uint32_t)y * p->in_w * p->in_c;
        }
        for (uint32_t ox = 0; ox < p->row; ox++) {
            pixel(p, in, ox, x, event->out[0] + oy * p->row * p->out_c);
        }
    }
}
