/* Shift-Max by rows on Cortex-M7, channel by channel: a channel's coefficients stay in registers while the pixels of
 * the row pass.
 *
 * The rounded product of x and a fixed coefficient is, for most coefficients, a line in x: saturate((slope * x +
 * offset) >> 20) is equal to it for all 256 values of x. The generator has searched such a line for each of the 256
 * coefficients; `fixes` holds how far it lies from the obvious one, or DFT_SHIFT_NONE. Products without a line are
 * computed into scratch first, and read from there along the identity. For a fixed second product the sum is a line
 * in the first one; `sums` holds its offsets. */
#include <stddef.h>

#include "dft_shift_max_rows.h"

#define TERMS 2u
#define ONE (1 << DFT_SHIFT_SLOPE)
#define HALF_EIGHTHS 4

/* What the first event of a map leaves for the others, for each branch and channel. `place`: where in the row of the
 * map the channel of each product lies, or what must be added to the row's address to meet it in scratch. */
typedef struct lines {
    int32_t line[TERMS][2]; /* slope, offset */
    uint32_t place[TERMS];
} lines;

/* Products without a line: term * channels + channel. They follow the lines in `aux`. */
typedef struct exact_list {
    uint16_t n;
    uint16_t entry[];
} exact_list;

typedef struct shift_pass {
    const lines *lines, *end;
    const int8_t *row;
    int8_t *out;
    const int32_t *sums; /* of second product 0 */
    int32_t slope;
    uint32_t stride, last;
} shift_pass;

void dft_shift_max_first(const shift_pass *p);
void dft_shift_max_second(const shift_pass *p);

static lines *lines_of(const dft_shift_max *p, const dft_event *event, uint32_t branch)
{
    return (lines *)event->aux + branch * p->out_c;
}

static exact_list *list_of(const dft_shift_max *p, const dft_event *event)
{
    return (exact_list *)lines_of(p, event, p->branches);
}

/* The lines of one term's products, from the coefficients of this map. */
static DFT_NOINLINE void find_lines(const dft_shift_max *p, const dft_event *event, uint32_t term)
{
    const dft_shift_branch *b = &p->branch[term / TERMS];
    uint32_t k = term % TERMS, channels = p->out_c;
    const int8_t *fixes = p->fixes + term * 512u + 256, *coefficients = dft_shift_coefficients(event, term);
    const uint16_t *indices = p->indices + term * channels;
    exact_list *list = list_of(p, event);
    int32_t zp_x = p->zp_x, zp_c = b->zp_c[k], slope_c = b->slope[k], start = b->start[k];
    lines *to = lines_of(p, event, term / TERMS);
    for (uint32_t c = 0; c < channels; c++, to++) {
        int32_t q = coefficients[c], fix = fixes[2 * q];
        int32_t slope = (((q - zp_c) * slope_c) >> DFT_SHIFT_FINER) + fix;
        int32_t offset = start + fixes[2 * q + 1] * (1 << DFT_SHIFT_STEP) - zp_x * slope;
        if (fix == DFT_SHIFT_NONE) {
            list->entry[list->n++] = (uint16_t)(term * channels + c);
            slope = ONE;
            offset = 0;
        }
        to->line[k][0] = slope;
        to->line[k][1] = offset;
        to->place[k] = indices[c];
    }
}

static inline int32_t high_rounded(int32_t a, int32_t b)
{
    int32_t r;
    __asm__("smmulr %0, %1, %2" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

static inline int32_t high_plus(int32_t a, int32_t b, int32_t c)
{
    int32_t r;
    __asm__("smmla %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(c));
    return r;
}

static inline int32_t eighths_saturated(int32_t v)
{
    int32_t r;
    __asm__("ssat %0, #8, %1, asr #3" : "=r"(r) : "r"(v));
    return r;
}

/* One product for the pixels of a row, rounded twice. The second rounding takes halves away from zero: the multiplier
 * of the shift is a little larger than its power of two, which moves nothing but exact halves. */
static DFT_NOINLINE void exact_products(const dft_shift_max *p, const dft_event *event, uint32_t term, uint32_t c,
                                        const int8_t *x, int8_t *out)
{
    const dft_shift_branch *b = &p->branch[term / TERMS];
    uint32_t k = term % TERMS, right = b->right[k], stride = p->out_c;
    int32_t factor = (dft_shift_coefficients(event, term)[c] - b->zp_c[k]) * (int32_t)(1u << b->left1[k]);
    int32_t offset = -p->zp_x * factor, mult = b->mult[k], zero = b->zp_p[k] * 8 + HALF_EIGHTHS;
    int32_t shift = (int32_t)((1u << (35u - right)) + (1u << (17u - right)));
    uint32_t at = (p->width - 1u) * stride;
    for (;; at -= stride) {
        int32_t high = high_rounded(x[at] * factor + offset, mult);
        out[at] = (int8_t)eighths_saturated(high_plus(high, shift, zero));
        if (at == 0) {
            return;
        }
    }
}

/* Products of this row that are no lines, into scratch: one plane of pixels a term of the branch. */
static DFT_NOINLINE void find_exact(const dft_shift_max *p, const dft_event *event, uint32_t branch, const int8_t *row)
{
    const exact_list *list = list_of(p, event);
    const uint16_t *indices = p->indices;
    uint32_t channels = p->out_c, plane = p->width * channels;
    for (uint32_t i = 0; i < list->n; i++) {
        uint32_t entry = list->entry[i], term = entry / channels, c = entry - term * channels;
        if (term / TERMS == branch) {
            int8_t *out = (int8_t *)event->scratch + (term % TERMS) * plane + c;
            exact_products(p, event, term, c, row + indices[entry], out);
            lines_of(p, event, branch)[c].place[term % TERMS] = (uint32_t)(uintptr_t)out - (uint32_t)(uintptr_t)row;
        }
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

static void fast_row(const dft_shift_max *p, const dft_event *event, const int8_t *row, int8_t *out)
{
    for (uint32_t i = 0; i < p->branches; i++) {
        const lines *own = lines_of(p, event, i);
        uint32_t stride = p->out_c;
        shift_pass s = {own, own + stride, row, out, p->sums + 256u * i + 128, p->branch[i].sum_slope, stride, (p->width - 1u) * stride};
        find_exact(p, event, i, row);
        if (i == 0) {
            dft_shift_max_first(&s);
        } else {
            dft_shift_max_second(&s);
        }
    }
}

void dft_shift_max_rows(const void *params, const dft_event *event)
{
    const dft_shift_max *p = params;
    if (p->fixes != NULL && event->row == 0) {
        list_of(p, event)->n = 0;
        for (uint32_t term = 0; term < TERMS * p->branches; term++) {
            find_lines(p, event, term);
        }
    }
    for (uint32_t r = 0; r < event->rows; r++) {
        if (p->fixes != NULL) {
            fast_row(p, event, event->in[r], event->out[r]);
        } else {
            general_row(p, event, event->in[r], event->out[r]);
        }
    }
}
