/* Inner products of int8 with weights interleaved in pairs of output channels. Private to kernels/.
 * Two pixels by two channels: four loads feed four multiply-accumulates, and all of it stays in registers. */
#ifndef DFT_DOT_H
#define DFT_DOT_H

#include <stdint.h>

/* acc[0..1] += channels 0 and 1 of one pixel over n inputs. */
static inline void dft_dot1(const int8_t *x, const int8_t *w, uint32_t n, int32_t acc[2])
{
    int32_t a0 = acc[0], a1 = acc[1];
    for (; n >= 4; n -= 4, x += 4, w += 8) {
        int32_t x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
        a0 += x0 * w[0];
        a1 += x0 * w[1];
        a0 += x1 * w[2];
        a1 += x1 * w[3];
        a0 += x2 * w[4];
        a1 += x2 * w[5];
        a0 += x3 * w[6];
        a1 += x3 * w[7];
    }
    for (; n > 0; n--, x++, w += 2) {
        a0 += *x * w[0];
        a1 += *x * w[1];
    }
    acc[0] = a0;
    acc[1] = a1;
}

/* acc[0..1] += channels 0 and 1 of pixel x, acc[2..3] += those of pixel y, over n inputs. */
static inline void dft_dot2(const int8_t *x, const int8_t *y, const int8_t *w, uint32_t n, int32_t acc[4])
{
    int32_t a0 = acc[0], a1 = acc[1], a2 = acc[2], a3 = acc[3];
#define DFT_STEP(i)                                              \
    do {                                                         \
        int32_t w0 = w[2 * (i)], w1 = w[2 * (i) + 1];            \
        int32_t xi = x[i], yi = y[i];                            \
        a0 += xi * w0;                                           \
        a1 += xi * w1;                                           \
        a2 += yi * w0;                                           \
        a3 += yi * w1;                                           \
    } while (0)
    for (; n >= 4; n -= 4, x += 4, y += 4, w += 8) {
        DFT_STEP(0);
        DFT_STEP(1);
        DFT_STEP(2);
        DFT_STEP(3);
    }
    for (; n > 0; n--, x++, y++, w += 2) {
        DFT_STEP(0);
    }
#undef DFT_STEP
    acc[0] = a0;
    acc[1] = a1;
    acc[2] = a2;
    acc[3] = a3;
}

#endif
