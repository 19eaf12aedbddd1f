/* FULLY_CONNECTED: one or more input vectors times a matrix, two output channels at a time. */
#include "dft_dot.h"
#include "dft_kernels.h"
#include "dft_requant.h"

static void row(const dft_fully_connected *p, const int8_t *in, int8_t *out)
{
    const int8_t *w = p->weights;
    for (uint32_t c = 0; c < p->out_n; c += 2, w += 2u * p->in_n) {
        uint32_t pair = p->out_n - c > 1u ? 2u : 1u;
        const dft_channel *ch = &p->channels[c];
        int32_t acc[2] = {ch[0].bias, pair == 2u ? ch[1].bias : 0};
        dft_dot1(in, w, p->in_n, acc);
        for (uint32_t i = 0; i < pair; i++) {
            out[c + i] = dft_finish(&ch[i], acc[i], p->flags, p->act_min, p->act_max);
        }
    }
}

void dft_fully_connected_s8(const dft_fully_connected *p, const int8_t *in, int8_t *out)
{
    for (uint32_t r = 0; r < p->rows; r++, in += p->in_n, out += p->out_n) {
        row(p, in, out);
    }
}
