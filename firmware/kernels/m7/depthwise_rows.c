/* DEPTHWISE_CONV_2D by rows, Cortex-M7: 3x3 kernels through the tiles of depthwise_s1.S and depthwise_s2.S, four
 * channels at a time (three where channels are multiplied: results then lie in the place of the fourth); any other
 * window one output after the other. Called by the row engine. */
#include "dft_depthwise_rows.h"
#include "dft_depthwise_m7.h"

#define LANES 4u

/* One event of a 3x3 layer. */
typedef struct job {
    const dft_depthwise_rows_params *p;
    const dft_event *event;
    uint32_t stride_1; /* two output rows from four, else one from three */
    uint32_t window;   /* rows that there are: of four, one is missing below the last output row of an odd map */
    int16_t *planes;
} job;

/* The place of (column, lane, row) in the scratch memory. */
static inline int16_t *place(const job *j, uint32_t column, uint32_t lane, uint32_t row)
{
    if (j->stride_1) {
        return j->planes + column * 16u + lane * 4u + row;
    }
    int16_t *pair = j->planes + (column >> 1) * 24u + lane * 6u;
    return row == 2u ? pair + 4u + (column & 1u) : pair + ((column & 1u) != 0 ? 0u : 2u) + row;
}

static void fill(const job *j, uint32_t column, uint32_t end, uint32_t lane)
{
    int16_t zero = j->p->in_zp;
    for (; column < end; column++) {
        for (uint32_t row = 0; row < j->window; row++) {
            *place(j, column, lane, row) = zero;
        }
    }
}

/* Zero points left and right of the row. */
static void fill_padding(const job *j, uint32_t lane)
{
    uint32_t left = j->p->pad_left;
    fill(j, 0, left, lane);
    fill(j, left + j->p->in_w, j->p->columns, lane);
}

/* A row outside the map. */
static void fill_row(const job *j, uint32_t row)
{
    int16_t zero = j->p->in_zp;
    uint32_t column = j->p->pad_left, end = column + j->p->in_w;
    for (; column < end; column++) {
        int16_t *at = place(j, column, 0, row);
        uint32_t plane = j->stride_1 ? 4u : 6u;
        at[0] = at[plane] = at[2u * plane] = at[3u * plane] = zero;
    }
}

/* Pixels from `pixel` on, byte by byte: those of which four channels cannot be read in one word. */
static void widen_bytes(const job *j, const int8_t *const *rows, uint32_t pixel, uint32_t lanes)
{
    for (; pixel < j->p->in_w; pixel++) {
        for (uint32_t row = 0; row < j->window; row++) {
            for (uint32_t lane = 0; lane < lanes; lane++) {
                *place(j, j->p->pad_left + pixel, lane, row) = rows[row][pixel * j->p->in_c + lane];
            }
        }
    }
}

/* The rows of channels [c, c + lanes) as columns. */
static void widen(const job *j, uint32_t c, uint32_t lanes)
{
    const dft_depthwise_rows_params *p = j->p;
    const int8_t *rows[4];
    const int8_t *any = 0;
    for (uint32_t r = 0; r < j->window; r++) {
        any = any != 0 ? any : j->event->in[r];
    }
    for (uint32_t r = 0; r < 4u; r++) {
        const int8_t *row = r < j->window ? j->event->in[r] : 0;
        rows[r] = (row != 0 ? row : any) + c;
    }
    uint32_t channels = p->in_c, pixels = p->in_w;
    if (c + LANES > channels) { /* no word behind the row's end */
        uint32_t bytes = pixels * channels;
        pixels = bytes < c + LANES ? 0 : (bytes - c - LANES) / channels + 1u;
    }
    if (pixels > 0 && j->stride_1) {
        dft_depthwise_s1_widen(rows, channels, pixels, place(j, p->pad_left, 0, 0));
    } else if (pixels > 0) {
        uint32_t odd = p->pad_left & 1u;
        uint32_t zero = (uint8_t)p->in_zp * 0x01010101u;
        dft_depthwise_s2_widen(rows, channels, pixels, place(j, p->pad_left - odd, 0, 0) - 2, zero, odd);
    }
    widen_bytes(j, rows, pixels, lanes);
    for (uint32_t r = 0; r < j->window; r++) {
        if (j->event->in[r] == 0) {
            fill_row(j, r);
        }
    }
}

/* Output channels from the planes of `lane` and the next ones to results in the place of lane `at`. */
static void run(const job *j, const int8_t *record, uint32_t lane, uint32_t lanes, uint32_t at, uint32_t result)
{
    const dft_depthwise_rows_params *p = j->p;
    uint32_t plane = j->stride_1 ? 8u : 12u, tile = j->stride_1 ? 64u : 192u;
    uint32_t tiles = j->stride_1 ? (p->out_w + 1u) / 2u : (p->out_w + 3u) / 4u;
    uint8_t *first = (uint8_t *)j->planes + plane * lane;
    dft_depthwise_run r;
    r.table = p->table != 0 ? p->table + 128 : 0;
    r.bias = 0;
    r.plane = first;
    r.plane_end = first + plane * lanes;
    r.end = (uint32_t)first + tiles * tile;
    r.result = (int32_t)(plane * at + result) - (int32_t)(plane * lane + tile);
    r.record = record;
    r.unused = 0;
    r.round = 2 * p->out_zp + 1;
    r.tiles = p->tiles;
    if (j->stride_1) {
        dft_depthwise_s1_run(&r);
    } else {
        dft_depthwise_s2_run(&r);
    }
}

/* `n` results a column from the place of lane `at` to output channels from c on. */
static void store(const job *j, uint32_t at, uint32_t c, uint32_t n)
{
    const dft_depthwise_rows_params *p = j->p;
    uint32_t channels = (uint32_t)p->in_c * p->multiplier, step = j->stride_1 ? 32u : 48u;
    const int8_t *from = (const int8_t *)j->planes + (j->stride_1 ? 8u : 12u) * at;
    int8_t *first = j->event->out[0] + c;
    int8_t *out[2] = {first, j->event->rows > 1u ? j->event->out[1] + c : first};
    if (n == LANES && j->stride_1) {
        dft_depthwise_s1_store((const int16_t *)(const void *)from, out, channels, p->out_w);
        return;
    }
    if (n == LANES) {
        dft_depthwise_s2_store((const int16_t *)(const void *)from, first, channels, p->out_w);
        return;
    }
    for (uint32_t row = j->event->rows; row-- > 0;) {
        int8_t *to = out[row];
        const int8_t *results = from + 4u * row;
        for (uint32_t x = 0; x < p->out_w; x++, to += channels, results += step) {
            for (uint32_t i = 0; i < n; i++) {
                to[i] = results[i];
            }
        }
    }
}

/* Multiplier 1: four channels, the results over the planes of the first. */
static void quads(const job *j)
{
    const dft_depthwise_rows_params *p = j->p;
    const int8_t *record = p->records;
    for (uint32_t c = 0; c < p->in_c; c += LANES, record += LANES * p->record) {
        uint32_t left = p->in_c - c;
        uint32_t lanes = left < LANES ? left : LANES;
        widen(j, c, lanes);
        run(j, record, 0, lanes, 0, 0);
        store(j, 0, c, lanes);
        fill_padding(j, 0);
    }
}

/* Three input channels; their planes stay until all products of a channel are done. */
static void multiplied(const job *j)
{
    const dft_depthwise_rows_params *p = j->p;
    const int8_t *record = p->records;
    uint32_t done = 0, held = 0;
    for (uint32_t c = 0; c < p->in_c; c += LANES - 1u) {
        uint32_t left = p->in_c - c;
        uint32_t lanes = left < LANES - 1u ? left : LANES - 1u;
        widen(j, c, lanes);
        for (uint32_t i = 0; i < lanes * p->multiplier; i++, record += p->record) {
            run(j, record, i / p->multiplier, 1, LANES - 1u, held++);
            if (held == LANES || i + 1u == lanes * p->multiplier) {
                store(j, LANES - 1u, done, held);
                done += held;
                held = 0;
            }
        }
    }
}

static void rows_3x3(const dft_depthwise_rows_params *p, const dft_event *event)
{
    job j = {p, event, p->kind == DFT_DEPTHWISE_3X3_S1, event->rows + 2u, event->scratch};
    for (uint32_t lane = 0; lane < LANES; lane++) {
        fill_padding(&j, lane);
    }
    if (p->multiplier == 1u) {
        quads(&j);
    } else {
        multiplied(&j);
    }
}

void dft_depthwise_rows(const void *params, const dft_event *event)
{
    const dft_depthwise_rows_params *p = params;
    if (p->kind == DFT_DEPTHWISE_ANY) {
        dft_depthwise_plain(p, event);
    } else {
        rows_3x3(p, event);
    }
}
