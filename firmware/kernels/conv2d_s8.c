/* CONV_2D: any window, stride, dilation and grouping. Called by generated code.
 * Pixels whose window lies inside the input are done two at a time over whole window rows (a row of taps is
 * contiguous in NHWC); pixels at the border go tap by tap. */
#include "dft_dot.h"
#include "dft_kernels.h"
#include "dft_requant.h"

static inline void put(const dft_conv *p, const dft_channel *c, int32_t acc, int8_t *out)
{
    *out = dft_finish(c, acc, p->flags, p->act_min, p->act_max);
}

/* One channel of two pixels; its record is read once. */
static inline void put2(const dft_conv *p, const dft_channel *c, int32_t acc, int32_t acc2, int8_t *out, int8_t *out2)
{
    int32_t mult = c->mult, round = c->round;
    uint32_t left1 = c->left1, right = c->right;
    int32_t v = dft_output(acc, mult, round, left1, right);
    int32_t v2 = dft_output(acc2, mult, round, left1, right);
    if (p->flags != 0) {
        v = (p->flags & DFT_WIDE) != 0 ? dft_output_wide(c, acc) : v;
        v2 = (p->flags & DFT_WIDE) != 0 ? dft_output_wide(c, acc2) : v2;
        v = dft_clamp(v, p->act_min, p->act_max);
        v2 = dft_clamp(v2, p->act_min, p->act_max);
    }
    *out = (int8_t)v;
    *out2 = (int8_t)v2;
}

/* Two neighbouring pixels, all channels; one group, no horizontal dilation. */
static DFT_NOINLINE void inner_pair(const dft_conv *p, const int8_t *x, const int8_t *y, int8_t *out)
{
    const dft_window *win = &p->window;
    uint32_t run = (uint32_t)win->kernel_w * win->in_c;
    uint32_t row = (uint32_t)win->in_w * win->in_c * win->dilation_h;
    const int8_t *w = p->weights;
    int8_t *out2 = out + win->out_c;
    for (uint32_t c = 0; c < win->out_c; c += 2) {
        const dft_channel *ch = &p->channels[c];
        uint32_t both = c + 1u < win->out_c;
        int32_t b0 = ch[0].bias, b1 = both ? ch[1].bias : 0;
        int32_t acc[4] = {b0, b1, b0, b1};
        const int8_t *xr = x, *yr = y;
        for (uint32_t ky = win->kernel_h; ky > 0; ky--, xr += row, yr += row, w += 2 * run) {
            dft_dot2(xr, yr, w, run, acc);
        }
        put2(p, &ch[0], acc[0], acc[2], &out[c], &out2[c]);
        if (both) {
            put2(p, &ch[1], acc[1], acc[3], &out[c + 1], &out2[c + 1]);
        }
    }
}

/* The same for a window of one row: pointwise convolutions above all. */
static DFT_NOINLINE void row_pair(const dft_conv *p, const int8_t *x, const int8_t *y, int8_t *out)
{
    uint32_t n = (uint32_t)p->window.kernel_w * p->window.in_c;
    const int8_t *w = p->weights;
    const dft_channel *ch = p->channels;
    int8_t *out2 = out + p->window.out_c;
    int8_t *last = out2 - 1;
    for (; out < last; ch += 2, w += 2u * n, out += 2, out2 += 2) {
        int32_t acc[4] = {ch[0].bias, ch[1].bias, ch[0].bias, ch[1].bias};
        dft_dot2(x, y, w, n, acc);
        put2(p, &ch[0], acc[0], acc[2], &out[0], &out2[0]);
        put2(p, &ch[1], acc[1], acc[3], &out[1], &out2[1]);
    }
    if (out == last) {
        int32_t acc[4] = {ch->bias, 0, ch->bias, 0};
        dft_dot2(x, y, w, n, acc);
        put2(p, ch, acc[0], acc[2], out, out2);
    }
}

/* A tap outside the input: the padded value times the weights. */
static DFT_NOINLINE void padded_tap(const int8_t *w, uint32_t n, int32_t zp, int32_t acc[2])
{
    int32_t s0 = 0, s1 = 0;
    for (; n > 0; n--, w += 2) {
        s0 += w[0];
        s1 += w[1];
    }
    acc[0] += s0 * zp;
    acc[1] += s1 * zp;
}

/* Two channels of one pixel, tap by tap. `iy`, `ix`: the window's first input position, perhaps negative;
 * `in`: the first input channel of the group. Returns the weights behind those it used. */
static DFT_NOINLINE const int8_t *tap_pair(const dft_conv *p, const int8_t *in, int32_t iy, int32_t ix, const int8_t *w,
                              int32_t acc[2])
{
    const dft_window *win = &p->window;
    uint32_t n = win->in_c / (uint32_t)p->groups;
    for (uint32_t ky = 0; ky < win->kernel_h; ky++, iy += win->dilation_h) {
        int32_t x = ix;
        for (uint32_t kx = 0; kx < win->kernel_w; kx++, x += win->dilation_w, w += 2 * n) {
            if (iy < 0 || iy >= win->in_h || x < 0 || x >= win->in_w) {
                padded_tap(w, n, p->in_zp, acc);
            } else {
                dft_dot1(in + ((uint32_t)iy * win->in_w + (uint32_t)x) * win->in_c, w, n, acc);
            }
        }
    }
    return w;
}

static DFT_NOINLINE void tap_pixel(const dft_conv *p, const int8_t *in, int32_t iy, int32_t ix, int8_t *out)
{
    const dft_window *win = &p->window;
    uint32_t group_in = win->in_c / (uint32_t)p->groups;
    uint32_t group_out = win->out_c / (uint32_t)p->groups;
    const int8_t *w = p->weights;
    const dft_channel *ch = p->channels;
    for (uint32_t g = 0; g < p->groups; g++, in += group_in) {
        for (uint32_t c = 0; c < group_out; c += 2) {
            uint32_t both = c + 1u < group_out;
            int32_t acc[2] = {ch[0].bias, both ? ch[1].bias : 0};
            w = tap_pair(p, in, iy, ix, w, acc);
            put(p, ch++, acc[0], out++);
            if (both) {
                put(p, ch++, acc[1], out++);
            }
        }
    }
}

void dft_conv2d_s8(const dft_conv *p, const int8_t *in, int8_t *out)
{
    const dft_window *win = &p->window;
    uint32_t simple = p->groups == 1u && (win->dilation_w == 1u || win->kernel_w == 1u);
    uint32_t step = (uint32_t)win->stride_w * win->in_c;
    for (uint32_t oy = 0; oy < win->out_h; oy++) {
        int32_t iy = (int32_t)(oy * win->stride_h) - win->pad_top;
        uint32_t rows_in = simple && oy >= win->inner_y0 && oy < win->inner_y1;
        for (uint32_t ox = 0; ox < win->out_w;) {
            int32_t ix = (int32_t)(ox * win->stride_w) - win->pad_left;
            if (rows_in && ox >= win->inner_x0 && ox + 1u < win->inner_x1) {
                const int8_t *x = in + ((uint32_t)iy * win->in_w + (uint32_t)ix) * win->in_c;
                if (win->kernel_h == 1u) {
                    row_pair(p, x, x + step, out);
                } else {
                    inner_pair(p, x, x + step, out);
                }
                ox += 2;
                out += 2u * win->out_c;
            } else {
                tap_pixel(p, in, iy, ix, out);
                ox++;
                out += win->out_c;
            }
        }
    }
}
