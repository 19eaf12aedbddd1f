/* DEPTHWISE_CONV_2D: any window, multiplier >= 1. Called by generated code.
 * Windows inside the input run without a test; 3x3 of them unrolled. At the border every tap gets a pointer, to
 * the input or to a row of padding, unless the window is too large for that. */
#include "dft_kernels.h"
#include "dft_requant.h"

#define TAPS_MAX 25u /* pointers kept on the stack */

static inline int8_t finish(const dft_depthwise *p, const dft_channel *c, int32_t acc)
{
    return dft_finish(c, acc, p->flags, p->act_min, p->act_max);
}

/* 3x3 at one pixel, all channels, multiplier 1. `dx`, `dy`: bytes from a tap to the next one right and below. */
static DFT_NOINLINE void inner_3x3(const dft_depthwise *p, const int8_t *x, uint32_t dx, uint32_t dy, int8_t *out)
{
    const int8_t *w = p->weights;
    const dft_channel *ch = p->channels;
    const int8_t *y = x + dy, *z = y + dy;
    for (const int8_t *end = out + p->window.out_c; out < end; ch++, w += 9) {
        int32_t acc = ch->bias;
        acc += x[dx] * w[1];
        acc += x[2u * dx] * w[2];
        acc += *x++ * w[0];
        acc += y[dx] * w[4];
        acc += y[2u * dx] * w[5];
        acc += *y++ * w[3];
        acc += z[dx] * w[7];
        acc += z[2u * dx] * w[8];
        acc += *z++ * w[6];
        *out++ = finish(p, ch, acc);
    }
}

/* 3x3 at one pixel, even multiplier: two outputs share the taps of their input channel. */
static DFT_NOINLINE void inner_3x3_pairs(const dft_depthwise *p, const int8_t *x, uint32_t dx, uint32_t dy,
                                         int8_t *out)
{
    const int8_t *w = p->weights;
    const dft_channel *ch = p->channels;
    uint32_t left = p->multiplier;
    for (const int8_t *end = out + p->window.out_c; out < end; ch += 2, w += 18) {
        int32_t a = ch[0].bias, b = ch[1].bias;
        const int8_t *t = x;
        for (uint32_t ky = 0; ky < 9; ky += 3, t += dy) {
            int32_t x0 = t[0], x1 = t[dx], x2 = t[2u * dx];
            a += x0 * w[ky];
            a += x1 * w[ky + 1];
            a += x2 * w[ky + 2];
            b += x0 * w[ky + 9];
            b += x1 * w[ky + 10];
            b += x2 * w[ky + 11];
        }
        *out++ = finish(p, &ch[0], a);
        *out++ = finish(p, &ch[1], b);
        left -= 2;
        if (left == 0) {
            left = p->multiplier;
            x++;
        }
    }
}

static DFT_NOINLINE void inner_any(const dft_depthwise *p, const int8_t *x, uint32_t dx, uint32_t dy, int8_t *out)
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

/* The window's taps for a first input position that may be negative: channel 0 of the pixel, or padding.
 * Returns how many. */
static uint32_t find_taps(const dft_depthwise *p, const int8_t *in, int32_t iy, int32_t ix, const int8_t **taps)
{
    const dft_window *win = &p->window;
    uint32_t n = 0;
    for (uint32_t ky = 0; ky < win->kernel_h; ky++, iy += win->dilation_h) {
        int32_t x = ix;
        for (uint32_t kx = 0; kx < win->kernel_w; kx++, x += win->dilation_w) {
            uint32_t outside = iy < 0 || iy >= win->in_h || x < 0 || x >= win->in_w;
            taps[n++] = outside ? p->padding : in + ((uint32_t)iy * win->in_w + (uint32_t)x) * win->in_c;
        }
    }
    return n;
}

static DFT_NOINLINE void border(const dft_depthwise *p, const int8_t *in, int32_t iy, int32_t ix, int8_t *out)
{
    const int8_t *taps[TAPS_MAX];
    uint32_t n = find_taps(p, in, iy, ix, taps), c = 0, left = p->multiplier;
    const int8_t *w = p->weights;
    const dft_channel *ch = p->channels;
    for (const int8_t *end = out + p->window.out_c; out < end; ch++) {
        int32_t acc = ch->bias;
        for (uint32_t k = 0; k < n; k++) {
            acc += taps[k][c] * *w++;
        }
        *out++ = finish(p, ch, acc);
        if (--left == 0) {
            left = p->multiplier;
            c++;
        }
    }
}

/* One output value of a large window, tap by tap. */
static int32_t large_sum(const dft_depthwise *p, const int8_t *in, int32_t iy, int32_t ix, const int8_t *w,
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

static DFT_NOINLINE void large_border(const dft_depthwise *p, const int8_t *in, int32_t iy, int32_t ix, int8_t *out)
{
    const dft_window *win = &p->window;
    uint32_t taps = (uint32_t)win->kernel_h * win->kernel_w;
    const int8_t *w = p->weights;
    const dft_channel *ch = p->channels;
    for (uint32_t c = 0; c < win->in_c; c++) {
        for (uint32_t m = p->multiplier; m > 0; m--, w += taps, ch++) {
            *out++ = finish(p, ch, large_sum(p, in + c, iy, ix, w, ch->bias));
        }
    }
}

/* One pixel whose window lies inside the input. */
static void inside(const dft_depthwise *p, const int8_t *x, int8_t *out)
{
    const dft_window *win = &p->window;
    uint32_t dx = (uint32_t)win->dilation_w * win->in_c;
    uint32_t dy = (uint32_t)win->dilation_h * win->in_w * win->in_c;
    uint32_t three = win->kernel_h == 3u && win->kernel_w == 3u;
    if (three && p->multiplier == 1u) {
        inner_3x3(p, x, dx, dy, out);
    } else if (three && p->multiplier % 2u == 0u) {
        inner_3x3_pairs(p, x, dx, dy, out);
    } else {
        inner_any(p, x, dx, dy, out);
    }
}

void dft_depthwise_s8(const dft_depthwise *p, const int8_t *in, int8_t *out)
{
    const dft_window *win = &p->window;
    uint32_t small = (uint32_t)win->kernel_h * win->kernel_w <= TAPS_MAX;
    for (uint32_t oy = 0; oy < win->out_h; oy++) {
        int32_t iy = (int32_t)(oy * win->stride_h) - win->pad_top;
        uint32_t rows_in = oy >= win->inner_y0 && oy < win->inner_y1;
        for (uint32_t ox = 0; ox < win->out_w; ox++, out += win->out_c) {
            int32_t ix = (int32_t)(ox * win->stride_w) - win->pad_left;
            if (rows_in && ox >= win->inner_x0 && ox < win->inner_x1) {
                inside(p, in + ((uint32_t)iy * win->in_w + (uint32_t)ix) * win->in_c, out);
            } else if (small) {
                border(p, in, iy, ix, out);
            } else {
                large_border(p, in, iy, ix, out);
            }
        }
    }
}
