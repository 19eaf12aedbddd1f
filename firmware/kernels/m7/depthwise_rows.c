/* DEPTHWISE_CONV_2D 3x3 by rows, Cortex-M7: through the tiles of depthwise_s1.S (two output rows an event),
 * depthwise_r1.S (one), depthwise_s2r2.S and depthwise_s2.S (stride 2, two and one), four channels at a time, three
 * where channels are multiplied: results then lie in the place of the fourth. Called by the row engine. */
#include <string.h>

#include "dft_depthwise_rows.h"
#include "dft_depthwise_m7.h"

#define LANES 4u

#define BLOCK 4u          /* stride 2, two rows: columns that lie together, */
#define BLOCK_NUMBERS 80u /* and their int16 */

#define WIDENERS(kind) \
    .widen = dft_depthwise_##kind##_widen, .widen_top = dft_depthwise_##kind##_widen_top, \
    .widen_bottom = dft_depthwise_##kind##_widen_bottom
#define WORK(kind) .run = dft_depthwise_##kind##_run, .store = dft_depthwise_##kind##_store

const dft_depthwise_method dft_depthwise_method_s1 = {
    WIDENERS(s1), .widen_last = dft_depthwise_s1_widen_last, WORK(s1),
    .rows = 4, .plane = 8, .outputs = 2, .tile = 64, .results = 32};
const dft_depthwise_method dft_depthwise_method_s2 = {
    WIDENERS(s2), WORK(s2), .rows = 3, .plane = 12, .outputs = 4, .tile = 192, .results = 48};
const dft_depthwise_method dft_depthwise_method_r1 = {
    WIDENERS(r1), WORK(r1), .rows = 3, .plane = 8, .outputs = 4, .tile = 128, .results = 32};
const dft_depthwise_method dft_depthwise_method_s2r2 = {
    WIDENERS(s2r2), .widen_middle = dft_depthwise_s2r2_widen_middle, WORK(s2r2),
    .rows = 5, .plane = 8, .outputs = 2, .tile = 160, .results = 64, .first = 32};

/* One event of a 3x3 layer. */
typedef struct job {
    const dft_depthwise_rows_params *p;
    const dft_event *event;
    const dft_depthwise_method *m;
    dft_depthwise_work *widen;
    uint32_t rows;         /* under the windows of all output rows */
    uint32_t fill_rows;    /* a bit for each row that is to be filled with zero points behind `widen` */
    uint32_t fill_padding; /* results overwrite more padding than `widen` restores */
    int16_t *planes;
    dft_depthwise_quad q;
} job;

/* The place of (column, lane, row) in the scratch memory. */
static int16_t *place(const job *j, uint32_t column, uint32_t lane, uint32_t row)
{
    if (j->p->kind == DFT_DEPTHWISE_3X3_S2_R2) {
        int16_t *block = j->planes + column / BLOCK * BLOCK_NUMBERS + lane * 4u;
        return row == 2u ? block + 64u + column % BLOCK : block + column % BLOCK * 16u + row - (row > 2u);
    }
    if (j->p->kind != DFT_DEPTHWISE_3X3_S2_R1) {
        return j->planes + column * 16u + lane * 4u + row;
    }
    int16_t *pair = j->planes + (column >> 1) * 24u + lane * 6u;
    return row == 2u ? pair + 4u + (column & 1u) : pair + ((column & 1u) != 0 ? 0u : 2u) + row;
}

static void put(const job *j, uint32_t column, uint32_t lane, uint32_t row, int16_t value)
{
    int16_t *at = place(j, column, lane, row);
    *at = value;
    if (j->p->kind == DFT_DEPTHWISE_3X3_S1_R1 && row == 2u && column > 0) {
        at[-15] = value; /* once more beside that of the column before */
    }
}

/* Zero points in columns [column, end) of a row. */
static void fill(const job *j, uint32_t column, uint32_t end, uint32_t row, uint32_t lanes)
{
    for (; column < end; column++) {
        for (uint32_t lane = 0; lane < lanes; lane++) {
            put(j, column, lane, row, j->p->in_zp);
        }
    }
}

/* Zero points in all rows of columns [column, end). */
static void fill_columns(const job *j, uint32_t column, uint32_t end, uint32_t lanes)
{
    for (; column < end; column++) {
        int16_t *to = place(j, column, 0, 0);
        for (uint32_t pair = 0; pair < 2u * lanes; pair++) {
            memcpy(to + 2u * pair, &j->q.zero, sizeof j->q.zero);
        }
        if (j->m->rows != 4u) {
            fill(j, column, column + 1u, 2, lanes);
        }
    }
}

/* Zero points left and right of the rows, as far as windows of the map's outputs reach. */
static void fill_padding(const job *j, uint32_t lanes)
{
    const dft_depthwise_rows_params *p = j->p;
    uint32_t left = p->pad_left, right = left + p->in_w, end = (p->out_w - 1u) * p->stride_w + 3u;
    if (p->kind != DFT_DEPTHWISE_3X3_S2_R1) {
        fill_columns(j, 0, left, lanes);
        fill_columns(j, right, end, lanes);
        return;
    }
    for (uint32_t row = 0; row < 3u; row++) {
        fill(j, 0, left, row, lanes);
        fill(j, right, end, row, lanes);
    }
}

/* Pixels from `pixel` on, byte by byte: those of which four channels cannot be read in one word. */
static void widen_bytes(const job *j, uint32_t pixel, uint32_t lanes)
{
    const dft_depthwise_rows_params *p = j->p;
    for (uint32_t row = 0; row < j->rows; row++) {
        const int8_t *in = j->event->in[row];
        for (uint32_t x = pixel; x < p->in_w; x++) {
            for (uint32_t lane = 0; lane < lanes; lane++) {
                int16_t v = in != 0 ? in[x * p->in_c + j->q.channel + lane] : p->in_zp;
                put(j, p->pad_left + x, lane, row, v);
            }
        }
    }
}

/* The pointer to a row, wherever the assembly looks for it. */
static const int8_t **pointer(job *j, uint32_t row)
{
    if (j->m->rows != 5u) {
        return &j->q.rows[row];
    }
    return row == 2u ? &j->q.middle : &j->q.rows[row - (row > 2u)];
}

/* Rows of zero points that the widening left as they were. */
static void fill_missing(const job *j)
{
    for (uint32_t row = 0; j->fill_rows >> row != 0; row++) {
        if ((j->fill_rows >> row & 1u) != 0) {
            fill(j, j->p->pad_left, j->p->pad_left + j->p->in_w, row, LANES);
        }
    }
}

/* The rows of four channels as columns. */
static void widen(job *j)
{
    j->widen(&j->q);
    fill_missing(j);
}

/* The rows of fewer channels as columns: no word may be read behind the rows' end. */
static void widen_some(job *j, uint32_t lanes)
{
    uint32_t channels = j->p->in_c, bytes = j->p->in_w * channels, end = j->q.channel + LANES;
    uint32_t pixels = bytes < end ? 0 : (bytes - end) / channels + 1u;
    if (pixels >= j->p->in_w) {
        pixels = j->p->in_w;
    }
    j->q.pixels = pixels;
    if (pixels > 0) {
        widen(j);
    } else {
        fill_padding(j, 1);
    }
    widen_bytes(j, pixels, lanes);
}

/* n results of every column, n known to the compiler. */
static inline __attribute__((always_inline)) void store_row(const job *j, uint32_t row, uint32_t n)
{
    const dft_depthwise_quad *q = &j->q;
    uint32_t step = q->out_channels, results = j->m->results, odd = 0;
    uint32_t gap = j->m->tile - j->m->outputs * results; /* 0 where a tile is more than two outputs wide */
    const uint8_t *from = q->results + 4u * row;
    int8_t *out = q->out[row] + q->out_channel, *end = out + q->out_w * step;
    for (; out != end; out += step, from += results + gap * odd, odd ^= 1u) {
        memcpy(out, from, n & 2u);
        if ((n & 1u) != 0) {
            out[n & 2u] = (int8_t)from[n & 2u];
        }
    }
}

/* One to three results of every column. */
static void store_some(const job *j, uint32_t n)
{
    for (uint32_t row = 0; row < j->event->rows; row++) {
        if (n == 1u) {
            store_row(j, row, 1);
        } else if (n == 2u) {
            store_row(j, row, 2);
        } else {
            store_row(j, row, 3);
        }
    }
}

/* The next run takes lanes [lane, lane + n), their first result at `result` of the place of lane `to`. */
static void aim(job *j, uint32_t lane, uint32_t n, uint32_t to, uint32_t result)
{
    const dft_depthwise_method *m = j->m;
    dft_depthwise_quad *q = &j->q;
    uint32_t tiles = (j->p->out_w + m->outputs - 1u) / m->outputs;
    q->plane = (uint8_t *)j->planes + m->plane * lane;
    q->plane_end = q->plane + m->plane * n;
    q->end = (uint32_t)q->plane + tiles * m->tile;
    q->result = (int32_t)(m->plane * to + m->first + result) - (int32_t)(m->plane * lane + m->tile);
    q->results = (uint8_t *)j->planes + m->plane * to + m->first;
}

/* Multiplier 1: four channels, the results over the planes of the first. */
static void quads(job *j)
{
    dft_depthwise_quad *q = &j->q;
    dft_depthwise_work *run = j->m->run, *store = j->m->store, *usual = j->widen;
    uint32_t end = j->p->in_c & ~(LANES - 1u), left = j->p->in_c - end;
    uint32_t unusual = j->fill_rows | j->fill_padding;
    aim(j, 0, LANES, 0, 0);
    for (uint32_t channel = 0; channel < end;) {
        usual(q);
        if (unusual != 0) {
            fill_missing(j);
        }
        run(q);
        store(q);
        if (unusual != 0 && j->fill_padding) {
            fill_padding(j, 1);
        }
        channel += LANES;
        q->channel = channel;
        q->out_channel = channel;
    }
    if (left > 0) {
        widen_some(j, left);
        aim(j, 0, left, 0, 0);
        j->m->run(q);
        store_some(j, left);
    }
}

/* Three input channels; their planes stay until all products of a channel are done. */
static void multiplied(job *j)
{
    dft_depthwise_quad *q = &j->q;
    uint32_t multiplier = j->p->multiplier, held = 0;
    for (; q->channel < j->p->in_c; q->channel += LANES - 1u) {
        uint32_t left = j->p->in_c - q->channel;
        uint32_t lanes = left < LANES - 1u ? left : LANES - 1u;
        widen_some(j, lanes);
        for (uint32_t lane = 0; lane < lanes; lane++) {
            for (uint32_t i = 0; i < multiplier; i++) {
                aim(j, lane, 1, LANES - 1u, held);
                j->m->run(q);
                if (++held == LANES) {
                    j->m->store(q);
                    q->out_channel += LANES;
                    held = 0;
                }
            }
        }
        if (held > 0) {
            store_some(j, held);
        }
        q->out_channel += held;
        held = 0;
    }
}

/* How to widen when some rows are padding, a bit each; null where rows are to be filled behind. */
static dft_depthwise_work *widen_without(const dft_depthwise_method *m, uint32_t missing)
{
    uint32_t bottom = 1u << (m->rows - 1u);
    if (missing == 0) {
        return m->widen;
    }
    if (missing == 1u) {
        return m->widen_top;
    }
    if (missing == bottom) {
        return m->widen_bottom;
    }
    if (m->rows == 5u && missing == 4u) {
        return m->widen_middle;
    }
    return m->rows == 4u && (missing | bottom) == (bottom | bottom >> 1) ? m->widen_last : 0;
}

/* Which rows are there decides how to widen them. */
static void set_rows(job *j)
{
    const dft_depthwise_method *m = j->m;
    const int8_t *zeros = (const int8_t *)((uint8_t)j->p->in_zp * 0x01010101u), *some = 0;
    uint32_t missing = 0;
    j->rows = 3u + (j->event->rows - 1u) * j->p->stride_h;
    for (uint32_t row = 0; row < m->rows; row++) {
        const int8_t *in = row < j->rows ? j->event->in[row] : 0;
        *pointer(j, row) = in;
        missing |= (uint32_t)(in == 0) << row;
        some = in != 0 ? in : some;
    }
    missing &= (1u << j->rows) - 1u; /* others matter to nobody */
    j->widen = widen_without(m, missing);
    j->fill_rows = 0;
    if (j->widen == 0) {
        j->widen = m->widen;
        j->fill_rows = missing;
    }
    for (uint32_t row = 0; row < m->rows; row++) {
        if (*pointer(j, row) == 0) {
            *pointer(j, row) = (missing & ~j->fill_rows) >> row & 1u ? zeros : some;
        }
    }
    j->q.rows[3] = m->rows == 3u ? zeros : j->q.rows[3];
}

/* Where pixels go, and which padding the results of a quad overwrite: tiles of stride 1 the columns of their outputs,
 * those of stride 2 the odd columns below them. */
static void set_columns(job *j)
{
    const dft_depthwise_rows_params *p = j->p;
    dft_depthwise_quad *q = &j->q;
    uint32_t left = p->pad_left, tile = j->m->outputs, overwritten = (p->out_w + tile - 1u) / tile * tile;
    q->to = place(j, left, 0, 0);
    q->padding = left == 1u ? j->planes : q->to;
    q->odd = left > 0;
    if (p->kind == DFT_DEPTHWISE_3X3_S2_R1) {
        q->odd = left & 1u;
        q->to = j->planes + (left >> 1) * 24u;
        q->padding = q->to;
        overwritten = 2u * p->out_w;
    } else if (p->kind == DFT_DEPTHWISE_3X3_S2_R2) {
        q->odd = (BLOCK - left % BLOCK) % BLOCK;
        q->to_middle = q->odd > 0 ? 30u * q->odd - 24u : 96u;
        overwritten = 2u * p->out_w;
    }
    j->fill_padding = left > 1u || overwritten > left + p->in_w;
}

static void set_quad(job *j)
{
    const dft_depthwise_rows_params *p = j->p;
    dft_depthwise_quad *q = &j->q;
    q->channels = p->in_c;
    q->pixels = p->in_w;
    q->zero = (uint16_t)p->in_zp * 0x00010001u;
    q->channel = 0;
    q->out_channel = 0;
    q->out_channels = (uint32_t)p->in_c * p->multiplier;
    q->out_w = p->out_w;
    q->out[0] = j->event->out[0];
    q->out[1] = j->event->out[j->event->rows > 1u ? 1 : 0];
    q->table = p->table != 0 ? p->table + 128 : 0;
    q->record = p->records;
    q->round = 2 * p->out_zp + 1;
    q->tiles = p->tiles - p->first_tile; /* by shift - 1 */
    set_columns(j);
}

void dft_depthwise_rows(const void *params, const dft_event *event)
{
    const dft_depthwise_rows_params *p = params;
    job j;
    j.p = p;
    j.event = event;
    j.m = p->method;
    j.planes = event->scratch;
    set_rows(&j);
    set_quad(&j);
    fill_padding(&j, LANES);
    if (p->multiplier == 1u) {
        quads(&j);
    } else {
        multiplied(&j);
    }
}
