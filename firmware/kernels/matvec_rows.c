/* Matrix by vector, by rows, portable twin. Called by the row engine; m7/matvec_rows.c takes its place on Cortex-M. */
#include "dft_matvec_rows.h"

/* Doubled sums of four channels. */
static void sums(const int8_t *x, uint32_t n, const int32_t *w, const int32_t *record, int32_t out[4])
{
    for (uint32_t pair = 0; pair < 2u; pair++) {
        int32_t low = record[pair];
        uint32_t both = (uint32_t)low;
        for (uint32_t k = 0; k < n; k++) {
            uint32_t word = (uint32_t)w[(k >> 2) * 4u + (k & 1u) * 2u + pair];
            uint32_t half = word >> ((k >> 1 & 1u) * 16u);
            low += x[k] * (int8_t)(uint8_t)half;
            both += (uint32_t)(x[k] * (int16_t)(uint16_t)half);
        }
        out[2u * pair] = 2 * low;
        out[2u * pair + 1u] = ((int32_t)(both - (uint32_t)low) >> 7) + record[7u + pair];
    }
}

static int8_t finished(const dft_matvec_rows_params *p, int32_t sum, int32_t mult, uint32_t shift)
{
    int32_t high = (int32_t)(((int64_t)sum * mult + INT64_C(0x80000000)) >> 32);
    int32_t v = (high + p->round * (int32_t)(1u << shift) + (sum >> 31)) >> (shift + 1u);
    v = v < INT8_MIN ? INT8_MIN : v > INT8_MAX ? INT8_MAX : v;
    return p->table == 0 ? (int8_t)v : p->table[v + 128];
}

void dft_matvec_rows(const void *params, const dft_event *event)
{
    const dft_matvec_rows_params *p = params;
    for (uint32_t vector = 0; vector < p->vectors; vector++) {
        const int8_t *x = event->in[0] + vector * p->in_n;
        int8_t *out = event->out[0] + vector * p->out_n;
        const int32_t *w = p->weights, *record = p->records;
        for (uint32_t c = 0; c < p->out_n; c += 4u, record += DFT_MATVEC_RECORD, w += (p->in_n + 3u) / 4u * 4u) {
            int32_t sum[4];
            sums(x, p->in_n, w, record, sum);
            for (uint32_t i = 0; i < 4u && c + i < p->out_n; i++) {
                out[c + i] = finished(p, sum[i], record[2u + i], (uint32_t)record[6] >> (8u * i) & 0xFFu);
            }
        }
    }
}
