/* PAD by rows: a row above or below the map is NULL. Padding in front of a convolution is normally folded into its
 * window; this is for what remains. */
#include "dft_pad_rows.h"

#include <stddef.h>
#include <string.h>

#include "dft_runs.h"

static int8_t *fill(const dft_pad_rows_params *p, int8_t *out, uint32_t pixels)
{
    uint32_t n = (uint32_t)p->below + p->channels + p->above;
    for (; pixels > 0; pixels--, out += n) {
        memcpy(out, p->pixel, n);
    }
    return out;
}

/* The pixels of the map, wider by the padded channels. */
static int8_t *widen(const dft_pad_rows_params *p, const int8_t *in, int8_t *out)
{
    if (p->below + p->above == 0) {
        uint32_t n = (uint32_t)p->width * p->channels;
        memcpy(out, in, n);
        return out + n;
    }
    for (uint32_t x = p->width; x > 0; x--, in += p->channels) {
        int8_t *end = fill(p, out, 1);
        memcpy(out + p->below, in, p->channels);
        out = end;
    }
    return out;
}

void dft_pad_rows(const void *params, const dft_event *event)
{
    const dft_pad_rows_params *p = params;
    const int8_t *in = event->in[0];
    int8_t *out = fill(p, event->out[0], p->left);
    out = in == NULL ? fill(p, out, p->width) : widen(p, in, out);
    out = fill(p, out, p->right);
    if (p->table != NULL) {
        dft_table_run(p->table, event->out[0], event->out[0], (uint32_t)(out - event->out[0]));
    }
}
