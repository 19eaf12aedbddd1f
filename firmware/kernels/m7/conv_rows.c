/* CONV_2D by rows for Cortex-M7: what is around conv_pairs.S. An event goes block by block of pixels, and group by
 * group where the convolution is grouped: widen the block's windows to int16, then run all pairs of channels over it.
 * dft_conv_map_rows does the same with a whole map's pixels as one row, every window gathered by itself.
 * Called by the row engine; kernels/conv_rows.c is the portable twin. */
#include "dft_conv_m7.h"

#include <stddef.h>

#define DFT_NOINLINE __attribute__((noinline)) /* smaller, and most are called once a tile or less */

#define TILE 4u
#define PLANE_COLUMN 8u /* bytes: four rows of int16 */
#define TILE_WORDS 8u /* of a quad of K */

_Static_assert(offsetof(dft_conv_state, out) == STATE_OUT, "state");
_Static_assert(offsetof(dft_conv_state, apart) == STATE_APART, "state");
_Static_assert(offsetof(dft_conv_state, end) == STATE_END, "state");
_Static_assert(offsetof(dft_conv_state, panel) == STATE_PANEL, "state");
_Static_assert(offsetof(dft_conv_state, bias) == STATE_BIAS, "state");
_Static_assert(offsetof(dft_conv_state, table) == STATE_TABLE, "state");
_Static_assert(offsetof(dft_conv_state, round1) == STATE_ROUND1, "state");
_Static_assert(offsetof(dft_conv_state, right) == STATE_RIGHT, "state");
_Static_assert(offsetof(dft_conv_state, channel) == STATE_CHANNEL, "state");
_Static_assert(offsetof(dft_conv_job, panel) == JOB_PANEL, "job");
_Static_assert(offsetof(dft_conv_job, pairs) == JOB_PAIRS, "job");
_Static_assert(offsetof(dft_conv_job, steps) == JOB_STEPS, "job");
_Static_assert(offsetof(dft_conv_job, quads) == JOB_QUADS, "job");
_Static_assert(offsetof(dft_conv_job, count) == JOB_COUNT, "job");
_Static_assert(offsetof(dft_conv_job, pixels) == JOB_PIXELS, "job");
_Static_assert(offsetof(dft_conv_job, entry) == JOB_ENTRY, "job");
_Static_assert(offsetof(dft_conv_job, skip) == JOB_SKIP, "job");
_Static_assert(offsetof(dft_conv_job, channel) == JOB_CHANNEL, "job");
_Static_assert(offsetof(dft_conv_job, spans) == JOB_SPANS, "job");

/* A block of one row: `whole` tiles from pixel `x` on and, where pixels remain, one more that ends with the row. It
 * computes some pixels again, but writes nothing outside the row. */
typedef struct block {
    uint32_t x, whole, rest;
} block;

struct layout;

/* Widens `tiles` from output pixel x on, input channels from `channel` on, to `to`. */
typedef void widener(const dft_conv_rows_params *p, const int8_t *const *in, uint32_t x, uint32_t channel,
                     uint32_t tiles, const struct layout *at, int32_t *to);

/* Scratch memory, see dft_conv_m7.h. `narrow`: output of a map less than a tile wide. */
typedef struct layout {
    widener *widen;
    int32_t *pixels;
    dft_conv_state *state;
    int8_t *taps;
    int8_t *narrow;
} layout;

/* Words, then what is left; gcc keeps these loops as they are: most runs are a few words, too short for memcpy. */
#define KEEP_LOOP __asm__ volatile("")

static DFT_NOINLINE void copy(int8_t *to, const int8_t *from, uint32_t n)
{
    for (; n >= 4; n -= 4, to += 4, from += 4) {
        __builtin_memcpy(to, from, 4);
        KEEP_LOOP;
    }
    if ((n & 2u) != 0) {
        __builtin_memcpy(to, from, 2);
        to += 2;
        from += 2;
    }
    if ((n & 1u) != 0) {
        *to = *from;
    }
}

static DFT_NOINLINE void fill(int8_t *to, int32_t value, uint32_t n)
{
    uint32_t word = (uint32_t)(uint8_t)value * 0x01010101u;
    for (; n >= 4; n -= 4, to += 4) {
        __builtin_memcpy(to, &word, 4);
        KEEP_LOOP;
    }
    for (; n > 0; n--) {
        *to++ = (int8_t)value;
        KEEP_LOOP;
    }
}

/* Columns from x on of row `in` of the map, channels from `channel`, one by one; the zero point where they leave it. */
static DFT_NOINLINE void gather_columns(const dft_conv_rows_params *p, const int8_t *in, int32_t x, uint32_t channel,
                                        int8_t *to)
{
    uint32_t n = p->group_in, all = p->in_c;
    for (uint32_t columns = p->kernel_w; columns > 0; columns--, x += p->dilation_w, to += n) {
        if (x < 0 || x >= (int32_t)p->in_w) {
            fill(to, p->in_zp, n);
        } else {
            copy(to, in + (uint32_t)x * all + channel, n);
        }
    }
}

/* The window of one pixel from column x on. Where its columns follow each other, those in the map are one run a row. */
static DFT_NOINLINE void gather_pixel(const dft_conv_rows_params *p, const int8_t *const *in, int32_t x,
                                      uint32_t channel, int8_t *to)
{
    uint32_t n = p->group_in, row = p->kernel_w * n, left = x < 0 ? (uint32_t)-x : 0;
    uint32_t right = x + p->kernel_w > p->in_w ? (uint32_t)(x + p->kernel_w - p->in_w) : 0;
    uint32_t apart = n != p->in_c || p->dilation_w != 1u || left + right >= p->kernel_w;
    const int8_t *const *end = in + p->kernel_h;
    for (left *= n, right *= n; in < end; in++, to += row) {
        if (*in != 0 && apart) {
            gather_columns(p, *in, x, channel, to);
            continue;
        }
        if (*in == 0 || (left | right) != 0) {
            fill(to, p->in_zp, row);
        }
        if (*in != 0) {
            copy(to + left, *in + x * (int32_t)n + left, row - left - right);
        }
    }
}

/* May dft_conv_gather take the tile from output pixel x on? Nothing is read behind a row of the map. */
static uint32_t is_inside(const dft_conv_rows_params *p, const int8_t *const *in, uint32_t x)
{
    uint32_t last = (x + TILE - 1u) * p->stride_w + p->kernel_w;
    for (uint32_t ky = 0; ky < p->kernel_h; ky++) {
        if (in[ky] == 0) {
            return 0;
        }
    }
    return x + TILE <= p->out_w && x * p->stride_w >= p->pad_left && p->dilation_w == 1u && p->group_in == p->in_c &&
           (last - p->pad_left) * p->in_c + 3u <= (uint32_t)p->in_w * p->in_c;
}

/* A tile from output pixel x on, by way of the taps; pixels behind the row are the last one again. */
static DFT_NOINLINE void gather_tile(const dft_conv_rows_params *p, const int8_t *const *in, uint32_t x, uint32_t channel,
                        const layout *at, int32_t *to)
{
    uint32_t k = 4u * p->quads;
    if (is_inside(p, in, x)) {
        uint32_t n = (uint32_t)p->kernel_w * p->group_in;
        uint32_t first = (x * p->stride_w - p->pad_left) * p->in_c;
        dft_conv_gather(at->taps, in, first, (uint32_t)p->stride_w * p->in_c, n, p->kernel_h, k);
    } else {
        for (uint32_t i = 0; i < TILE; i++) {
            uint32_t ox = x + i < p->out_w ? x + i : p->out_w - 1u;
            gather_pixel(p, in, (int32_t)(ox * p->stride_w) - p->pad_left, channel, at->taps + i * k);
        }
    }
    dft_conv_widen(to, at->taps, k, p->quads, 1, 0);
}

/* Tiles whose windows lie inside the map: a row of a window is contiguous and is widened where it lies. */
static DFT_NOINLINE void widen_tiles(const dft_conv_rows_params *p, const int8_t *const *in, uint32_t x, uint32_t channel,
                        uint32_t tiles, const layout *at, int32_t *to)
{
    uint32_t quads = p->quads / p->kernel_h;
    uint32_t skip = (p->quads - quads) * TILE_WORDS * 4u;
    uint32_t first = (x * p->stride_w - p->pad_left) * p->in_c + channel;
    for (uint32_t ky = 0; ky < p->kernel_h; ky++, to += quads * TILE_WORDS) {
        const int8_t *from = at->taps;
        uint32_t pixel = 0; /* all pixels are the same one */
        if (in[ky] != 0) {
            from = in[ky] + first;
            pixel = (uint32_t)p->stride_w * p->in_c;
        } else {
            fill(at->taps, p->in_zp, 4u * quads);
        }
        dft_conv_widen(to, from, pixel, quads, tiles, skip);
    }
}

/* Of a row: directly where that is possible. */
static void conv_widen(const dft_conv_rows_params *p, const int8_t *const *in, uint32_t x, uint32_t channel, uint32_t tiles,
                  const layout *at, int32_t *to)
{
    while (tiles > 0) {
        uint32_t n = 0;
        if (x >= p->inner_x0 && x < p->inner_x1) {
            n = (p->inner_x1 - x) / TILE;
            n = n < tiles ? n : tiles;
        }
        if (n > 0) {
            widen_tiles(p, in, x, channel, n, at, to);
        } else {
            gather_tile(p, in, x, channel, at, to);
            n = 1;
        }
        tiles -= n;
        x += n * TILE;
        to += n * p->quads * TILE_WORDS;
    }
}

/* All pairs of one group of a grouped convolution. Returns the run behind its last one. */
static DFT_NOINLINE const uint16_t *run_pairs(const dft_conv_rows_params *p, const uint16_t *run, dft_conv_job *job,
                                 dft_conv_state *state)
{
    for (;; run += DFT_CONV_RUN) {
        uint32_t first = run[0], right0 = run[1] & 0xFFu, right1 = (uint32_t)run[1] >> 8;
        state->round0 = (int32_t)((1u << right0) >> 1) + p->out_zp * (int32_t)(1u << right0);
        state->round1 = (int32_t)((1u << right1) >> 1) + p->out_zp * (int32_t)(1u << right1);
        state->right[0] = right0;
        state->right[1] = right1;
        state->epilogue = p->epilogues[DFT_CONV_EPILOGUE(first)];
        state->channel = run[2];
        job->count = first & DFT_CONV_COUNT;
        dft_conv_pairs(job);
        if ((first & DFT_CONV_LAST) != 0) {
            return run + DFT_CONV_RUN;
        }
    }
}

/* The place of row y in the first column of planes. */
static int8_t *place_of(const dft_conv_rows_params *p, int8_t *planes, uint32_t y)
{
    return planes + 2u * ((y + p->out_top) & 3u);
}

/* Widens a block of every row for the group whose input channels start at `channel`. */
static void widen_rows(const dft_conv_rows_params *p, const dft_event *event, const block *b, uint32_t channel,
                       const layout *at, dft_conv_job *job)
{
    int32_t *to = at->pixels;
    uint32_t tile = p->quads * TILE_WORDS, pixel = at->state->pixel;
    dft_conv_span *span = job->spans;
    for (uint32_t row = 0; row < event->rows; row++) {
        const int8_t *const *in = event->in + row * p->stride_h;
        int8_t *out = at->narrow != 0 ? at->narrow + row * TILE * p->out_c : event->out[row];
        if ((p->flags & DFT_CONV_PLANES) != 0) {
            out = place_of(p, out, event->row + row) + p->out_left * PLANE_COLUMN;
        }
        if (b->whole != 0) {
            at->widen(p, in, b->x, channel, b->whole, at, to);
            to += b->whole * tile;
            *span++ = (dft_conv_span){out + b->x * pixel, to};
        }
        if (b->rest != 0) {
            uint32_t x = at->narrow != 0 ? 0 : p->out_w - TILE;
            at->widen(p, in, x, channel, 1, at, to);
            to += tile;
            *span++ = (dft_conv_span){out + x * pixel, to};
        }
    }
    span->out = 0;
}

static void run_block(const dft_conv_rows_params *p, const dft_event *event, const block *b, const layout *at,
                      dft_conv_job *job)
{
    const uint16_t *run = p->runs;
    job->weights = p->weights;
    job->pairs = p->pairs;
    job->steps = p->steps;
    for (uint32_t g = 0; g < p->groups_n; g++) {
        widen_rows(p, event, b, g * p->group_in, at, job);
        run = run_pairs(p, run, job, at->state);
    }
}

/* Lays out the scratch memory; what does not change in an event is written once. */
static layout prepare(const dft_conv_rows_params *p, const dft_event *event, widener *how, dft_conv_job *job)
{
    int32_t *pixels = event->scratch;
    int32_t *panel = pixels + (event->rows * p->block / TILE) * p->quads * TILE_WORDS;
    uint32_t wide = p->flags & DFT_CONV_WIDE;
    dft_conv_state *state = (dft_conv_state *)((p->flags & DFT_CONV_DIRECT) != 0 ? panel : panel + p->quads * 4u);
    uint32_t rest = (p->quads - 1u) % LOOP_QUADS == 0 ? LOOP_QUADS : (p->quads - 1u) % LOOP_QUADS;
    state->pixel = (p->flags & DFT_CONV_PLANES) != 0 ? PLANE_COLUMN : p->out_c;
    state->pixel3 = 3u * state->pixel;
    state->panel = panel;
    state->body = p->body;
    state->table = p->table == 0 ? 0 : p->table + 128;
    job->channel = (p->flags & DFT_CONV_PLANES) != 0 ? PLANE_COLUMN * p->out_columns : 1u;
    job->panel = wide != 0 ? (int32_t *)(void *)state : panel;
    job->fill = (p->flags & DFT_CONV_SINGLE) != 0 ? JOB_SINGLE : JOB_DOUBLE;
    job->fill = wide != 0 ? JOB_WIDE : job->fill;
    job->quads = p->quads;
    job->pixels = pixels;
    job->entry = (uint32_t)(uintptr_t)p->body + LOOP_AT + (LOOP_QUADS - rest) * QUAD_CODE;
    job->skip = (LOOP_QUADS - rest) * 16u;
    return (layout){how, pixels, state, (int8_t *)panel, p->out_w < TILE ? (int8_t *)(state + 1) : 0};
}

/* The columns left and right of a row of planes. */
static DFT_NOINLINE void pad_planes(const dft_conv_rows_params *p, int8_t *row)
{
    uint32_t step = PLANE_COLUMN * p->out_columns;
    int8_t *end = row + p->out_c * step, *left = row, *right = row + (p->out_left + p->out_w) * PLANE_COLUMN;
    int16_t pad = p->out_pad;
    if (p->out_left == 0) {
        left = right; /* the same once more */
    }
    for (; left < end; left += step, right += step) {
        *(int16_t *)(void *)left = pad;
        *(int16_t *)(void *)right = pad;
    }
}

static DFT_NOINLINE void conv_event(const dft_conv_rows_params *p, const dft_event *event, widener *how)
{
    dft_conv_job job;
    layout at = prepare(p, event, how, &job);
    for (uint32_t x = 0; x < p->out_w; x += p->block) {
        uint32_t n = p->out_w - x < p->block ? p->out_w - x : p->block;
        run_block(p, event, &(block){x, n / TILE, n % TILE}, &at, &job);
    }
    for (uint32_t row = 0; (p->flags & DFT_CONV_PLANES) != 0 && row < event->rows; row++) {
        pad_planes(p, place_of(p, event->out[row], event->row + row));
    }
    for (uint32_t row = 0; at.narrow != 0 && row < event->rows; row++) {
        copy(event->out[row], at.narrow + row * TILE * p->out_c, (uint32_t)p->out_w * p->out_c);
    }
}

void dft_conv_rows(const void *params, const dft_event *event)
{
    conv_event(params, event, conv_widen);
}

/* Of a whole map, whose pixels are counted through: window by window. */
static void conv_widen_map(const dft_conv_rows_params *p, const int8_t *const *map, uint32_t x, uint32_t channel,
                      uint32_t tiles, const layout *at, int32_t *to)
{
    const int8_t *in[DFT_WINDOW_ROWS_MAX];
    uint32_t k = 4u * p->quads, last = p->out_w, line = (uint32_t)p->in_w * p->in_c;
    for (uint32_t i = 0; i < tiles * TILE; i++, x++) {
        uint32_t oy = x / p->row;
        int32_t y = (int32_t)(oy * p->stride_h) - p->pad_top;
        for (uint32_t ky = oy == last ? p->kernel_h : 0; ky < p->kernel_h; ky++, y += p->dilation_h) {
            in[ky] = y < 0 || y >= p->in_h ? 0 : map[0] + (uint32_t)y * line;
        }
        last = oy;
        gather_pixel(p, in, (int32_t)((x - oy * p->row) * p->stride_w) - p->pad_left, channel, at->taps + i % TILE * k);
        if (i % TILE == TILE - 1u) {
            dft_conv_widen(to, at->taps, k, p->quads, 1, 0);
            to += p->quads * TILE_WORDS;
        }
    }
}

void dft_conv_map_rows(const void *params, const dft_event *event)
{
    conv_event(params, event, conv_widen_map);
}
