/* MAX_POOL_2D and AVERAGE_POOL_2D: positions outside the input do not count. */
#include <stdbool.h>

#include "dft_kernels.h"
#include "dft_requant.h"

typedef struct span {
    uint32_t first, end;
} span;

/* The part of a window that lies inside: taps [first, end) for an origin that may be negative. */
static span inside(int32_t origin, uint32_t kernel, uint32_t size)
{
    int32_t room = (int32_t)size - origin;
    span s = {origin < 0 ? (uint32_t)-origin : 0u, kernel};
    if (room < (int32_t)kernel) {
        s.end = room > 0 ? (uint32_t)room : 0u;
    }
    return s;
}

static int32_t average(int32_t sum, int32_t count)
{
    return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

/* `n` values, `step` bytes apart. */
static int32_t sum_line(const int8_t *x, uint32_t n, uint32_t step)
{
    int32_t v = 0;
    for (; n >= 4; n -= 4, x += 4u * step) {
        v += x[0] + x[step] + x[2u * step] + x[3u * step];
    }
    for (; n > 0; n--, x += step) {
        v += *x;
    }
    return v;
}

static inline int32_t max_line(const int8_t *x, uint32_t n, uint32_t step, int32_t v)
{
    for (; n > 0; n--, x += step) {
        v = *x > v ? *x : v;
    }
    return v;
}

static inline void pixel(const dft_pool *p, const int8_t *in, int32_t iy, int32_t ix, int8_t *out, bool max)
{
    const dft_window *win = &p->window;
    span ys = inside(iy, win->kernel_h, win->in_h), xs = inside(ix, win->kernel_w, win->in_w);
    uint32_t lines = ys.end - ys.first, n = xs.end - xs.first, count = lines * n;
    uint32_t row = (uint32_t)win->in_w * win->in_c;
    const int8_t *first = in + (uint32_t)(iy + (int32_t)ys.first) * row;
    first += (uint32_t)(ix + (int32_t)xs.first) * win->in_c;
    if (n == win->in_w) { /* whole rows follow each other */
        n = count;
        lines = 1;
    }
    for (uint32_t c = 0; c < win->in_c; c++, first++) {
        int32_t v = max ? INT8_MIN : 0;
        const int8_t *line = first;
        for (uint32_t y = 0; y < lines; y++, line += row) {
            v = max ? max_line(line, n, win->in_c, v) : v + sum_line(line, n, win->in_c);
        }
        *out++ = dft_clamp(max ? v : average(v, (int32_t)count), p->act_min, p->act_max);
    }
}

static inline void pool(const dft_pool *p, const int8_t *in, int8_t *out, bool max)
{
    const dft_window *win = &p->window;
    for (uint32_t oy = 0; oy < win->out_h; oy++) {
        int32_t iy = (int32_t)(oy * win->stride_h) - win->pad_top;
        for (uint32_t ox = 0; ox < win->out_w; ox++, out += win->out_c) {
            pixel(p, in, iy, (int32_t)(ox * win->stride_w) - win->pad_left, out, max);
        }
    }
}

void dft_max_pool_s8(const dft_pool *p, const int8_t *in, int8_t *out)
{
    pool(p, in, out, true);
}

void dft_average_pool_s8(const dft_pool *p, const int8_t *in, int8_t *out)
{
    pool(p, in, out, false);
}
