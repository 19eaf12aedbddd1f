/* Rows and columns of a map by index: RESIZE_NEAREST_NEIGHBOR and MIRROR_PAD. An output row that shows the same input
 * row as the one before is copied from it. */
#include <string.h>

#include "dft_kernels.h"

void dft_remap_s8(const dft_remap *p, const int8_t *in, int8_t *out)
{
    uint32_t bytes = p->out_w * p->pixel;
    for (uint32_t y = 0; y < p->out_h; y++, out += bytes) {
        if (y > 0 && p->rows[y] == p->rows[y - 1]) {
            memcpy(out, out - bytes, bytes);
            continue;
        }
        const int8_t *row = in + p->rows[y] * p->row;
        int8_t *pixel = out;
        for (uint32_t x = 0; x < p->out_w; x++, pixel += p->pixel) {
            memcpy(pixel, row + p->columns[x] * p->pixel, p->pixel);
        }
    }
}
