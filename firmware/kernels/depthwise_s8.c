/* DEPTHWISE_CONV_2D: any window, multiplier >= 1. Called by generated code.
 * Windows inside the input run without a test; 3x3 of them unrolled. The border goes tap by tap. */
#include "dft_kernels.h"
#include "dft_requant.h"

static inline int8_t finish(const dft_depthwise *p, const dft_channel *c, int32_t acc)
{
    int32_t v = dft_requant(acc, c->mult, c->left1, c->right) + p->out_zp;
    return dft_clamp(v, p->act_min, p->act_max);
}

/* 3x3 at one pixel, all channels. `dx`, `dy`: bytes from a tap to the next one right and below. */
static void inner_3x3(const dft_depthwise *p, const int8_t *x, uint32_t dx, uint32_t dy, int8_t *out)
{
    const int8_t *w = p->weights;
    const dft_channel *ch = p->channels;
    const dft_channel *end = ch + p->window.out_c;
    const int8_t *y = x + dy, *z = y + dy;
    uint32_t dx2 = 2u * dx, left = p->multiplier;
    for (; ch < end; ch++, w += 9) {
        int32_t acc = ch->bias;
        acc += x[0] * w[0];
        acc += x[dx] * w[1];
        acc += x[dx2] * w[2];
        acc += y[0] * w[3];
        acc += y[dx] * w[4];
        acc += y[dx2] * w[5];
        acc += z[0] * w[6];
        acc += z[dx] * w[7];
        acc += z[dx2] * w[8];
        *out++ = finish(p, ch, acc);
        if (--left == 0) {
            left = p->multiplier;
            x++;
            y++;
            z++;
        }
    }
}

static void inner_any(const dft_depthwise *p, const int8_t *x, uint32_t dx, uint32_t dy, int8_t *out)
{
    const dft_window *win = &p->window;
    const int8_t *w = p->weights;
    const dft_channel *ch = p->channels;
    const dft_channel *end = ch + win->out_c;
    uint32_t left = p->multiplier;
    for (; ch < end; ch++) {
        int32_t acc = ch->bias;
        const int8_t *row = x;
        for (uint32_t ky = win->kernel_h; ky > 0; ky--, row += dy) {
            const int8_t *tap = row;
            for (uint32_t kx = win->kernel_w; kx > 0; kx--, tap += dx) {
                acc += *tap * *w++;
            }
        }
        *out++ = finish(p, ch, acc);
        if (--left == 0) {
            left = p->multiplier;
            x++;
        }
    }
}

/* One output value with the window perhaps outside the input: there the input is its zero point. */
static int32_t border_sum(const dft_depthwise *p, const int8_t *in, int32_t iy, int32_t ix, const int8_t *w,
                          int32_t acc)
{
    const dft_window *win = &p->window;
    for (uint32_t ky = 0; ky < win->kernel_h; ky++, iy += win->dilation_h) {
        int32_t x = ix;
        for (uint32_t kx = 0; kx < win->kernel_w; kx++, x += win->dilation_w) {
            uint32_t outside = iy < 0 || iy >= win->in_h || x < 0 || x >= win->in_w;
            int32_t v = outside ? p->in_zp : in[((uint32_t)iy * win->in_w + (uint32_t)x) * win->in_c];
            acc += v * *w++;
        }
    }
    return acc;
}

static void border(const dft_depthwise *p, const int8_t *in, int32_t iy, int32_t ix, int8_t *out)
{
    const dft_window *win = &p->window;
    uint32_t taps = (uint32_t)win->kernel_h * win->kernel_w;
    const int8_t *w = p->weights;
    const dft_channel *ch = p->channels;
    for (uint32_t c = 0; c < win->in_c; c++) {
        for (uint32_t m = p->multiplier; m > 0; m--, w += taps, ch++) {
            *out++ = finish(p, ch, border_sum(p, in + c, iy, ix, w, ch->bias));
        }
    }
}

void dft_depthwise_s8(const dft_depthwise *p, const int8_t *in, int8_t *out)
{
    const dft_window *win = &p->window;
    uint32_t dx = (uint32_t)win->dilation_w * win->in_c;
    uint32_t dy = (uint32_t)win->dilation_h * win->in_w * win->in_c;
    uint32_t three = win->kernel_h == 3u && win->kernel_w == 3u;
    for (uint32_t oy = 0; oy < win->out_h; oy++) {
        int32_t iy = (int32_t)(oy * win->stride_h) - win->pad_top;
        uint32_t rows_in = oy >= win->inner_y0 && oy < win->inner_y1;
        for (uint32_t ox = 0; ox < win->out_w; ox++, out += win->out_c) {
            int32_t ix = (int32_t)(ox * win->stride_w) - win->pad_left;
            if (!rows_in || ox < win->inner_x0 || ox >= win->inner_x1) {
                border(p, in, iy, ix, out);
                continue;
            }
            const int8_t *x = in + ((uint32_t)iy * win->in_w + (uint32_t)ix) * win->in_c;
            if (three) {
                inner_3x3(p, x, dx, dy, out);
            } else {
                inner_any(p, x, dx, dy, out);
            }
        }
    }
}
