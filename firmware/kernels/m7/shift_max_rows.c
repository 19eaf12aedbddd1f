/* Shift-Max by rows on Cortex-M7, channel by channel: a channel's coefficients stay in registers while the pixels of
 * the row pass (shift_max_pass.S).
 *
 * A product of TFLM's, rounded twice, is for a fixed coefficient a line in x, bent at zero: with v = slope * (x - zero
 * point) it is saturate((v - (v >> (12 + right)) + start) >> 20), the inner shift of v as an unsigned number. What that
 * takes away is next to nothing where v is positive, and 2^(20 - right) more where it is negative: the unit of the
 * second rounding, which takes halves away from zero. For a fixed second product the sum is a line in the first one;
 * `sums` holds its offsets. The generator has compared all 256 * 256 results of each with TFLM's arithmetic, and moved
 * the slopes of a few coefficients by a step or two (`fixes`) to make them equal. */
#include <stddef.h>

#include "dft_shift_max_rows.h"

#define TERMS 2u

/* What is found once for each branch and channel: by the first event of a map, which leaves it for the others in aux
 * memory; or, `chunk` channels at a time, by every event in scratch memory. */
typedef struct shift_lines {
    int32_t line[TERMS][2]; /* slope, offset */
    uint32_t channel[TERMS];
} shift_lines;

/* In the order that shift_max_pass.S reads. `last`: offset of the last pixel; `sums`: of second product 0. */
typedef struct shift_pass {
    const shift_lines *lines, *end;
    const int8_t *row;
    uint32_t last;
    int32_t start_a;
    int8_t *out;
    const int32_t *sums;
    int32_t start_b, sum_slope;
    uint32_t stride;
} shift_pass;

/* Channels first…first + n - 1, and where their lines are: branch by branch, n each. */
typedef struct span {
    shift_lines *lines;
    uint32_t first, n;
} span;

static inline int32_t high_rounded(int32_t a, int32_t b)
{
    int32_t r;
    __asm__("smmulr %0, %1, %2" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

/* The lines of one term's products, from the coefficients of this map. */
static DFT_NOINLINE void find_lines(const dft_shift_max *p, const dft_event *event, uint32_t term, const span *s)
{
    const dft_shift_branch *b = &p->branch[term / TERMS];
    uint32_t k = term % TERMS;
    const int8_t *fixes = p->fixes[term] + 128, *coefficient = dft_shift_coefficients(event, term) + s->first;
    const int8_t *end = coefficient + s->n;
    const uint16_t *index = p->indices + term * p->out_c + s->first;
    int32_t zp_x = p->zp_x, zp_c = b->zp_c[k], unit = b->slope[k];
    for (shift_lines *to = s->lines + term / TERMS * s->n; coefficient < end; to++) {
        int32_t c = *coefficient++;
        int32_t slope = high_rounded((c - zp_c) * (1 << 20), unit) + fixes[c];
        to->line[k][0] = slope;
        to->line[k][1] = -zp_x * slope;
        to->channel[k] = *index++;
    }
}

static void general_row(const dft_shift_max *p, const dft_event *event, const int8_t *pixel, int8_t *out)
{
    for (uint32_t x = 0; x < p->width; x++, pixel += p->in_c) {
        for (uint32_t c = 0; c < p->out_c; c++) {
            *out++ = dft_shift_output(p, event, pixel, c);
        }
    }
}

static void fast_row(const dft_shift_max *p, const int8_t *row, int8_t *out, const span *s)
{
    uint32_t channels = p->out_c;
    for (uint32_t i = 0; i < p->branches; i++) {
        const dft_shift_branch *b = &p->branch[i];
        shift_pass pass = {
            .lines = s->lines + i * s->n,
            .end = s->lines + (i + 1u) * s->n,
            .row = row,
            .last = (p->width - 1u) * channels,
            .start_a = b->start[0],
            .out = out + s->first,
            .sums = p->sums + 256u * i + 128,
            .start_b = b->start[1],
            .sum_slope = b->sum_slope,
            .stride = channels,
        };
        b->pass(&pass);
    }
}

static void fast_span(const dft_shift_max *p, const dft_event *event, const span *s, uint32_t find)
{
    for (uint32_t term = 0; find != 0 && term < TERMS * p->branches; term++) {
        find_lines(p, event, term, s);
    }
    for (uint32_t r = 0; r < event->rows; r++) {
        fast_row(p, event->in[r], event->out[r], s);
    }
}

void dft_shift_max_rows(const void *params, const dft_event *event)
{
    const dft_shift_max *p = params;
    if (p->sums == NULL) {
        for (uint32_t r = 0; r < event->rows; r++) {
            general_row(p, event, event->in[r], event->out[r]);
        }
    } else if (p->chunk == 0) {
        fast_span(p, event, &(span){event->aux, 0, p->out_c}, event->row == 0);
    } else {
        for (uint32_t c = 0; c < p->out_c; c += p->chunk) {
            uint32_t n = p->out_c - c < p->chunk ? p->out_c - c : p->chunk;
            fast_span(p, event, &(span){event->scratch, c, n}, 1);
        }
    }
}
