/* int8 kernels: one function an operator, a const parameter struct and pointers; no heap, no state, no floats.
 * Bit-exact to TFLM's reference kernels (double rounding). The structs are filled by python/dftiny/codegen
 * alone, which has proved every size and the accumulators' range; kernels check nothing and cannot fail.
 * All tensors are NHWC with N = 1. Portable C11; variants with DSP instructions would lie in m7/. */
#ifndef DFT_KERNELS_H
#define DFT_KERNELS_H

#include <stdint.h>

/* Raised whenever a struct or a weight order below changes: generated code refuses another version. */
#define DFT_KERNELS_VERSION 6

/* Requantisation of one output channel: ((acc << left) * mult, twice rounded) >> right, plus the zero point.
 * `left1` is left + 1: the doubling of the high multiplication is part of the shift. `round` is half of
 * 2^right plus the output's zero point << right, so that one addition does both; right <= 22. */
typedef struct dft_channel {
    int32_t bias; /* with input_offset * sum(weights) folded in */
    int32_t mult;
    int32_t round;
    uint8_t left1;
    uint8_t right;
    uint16_t reserved;
} dft_channel;

/* The activation bounds are narrower than int8. */
#define DFT_NARROW 1u
/* A channel's accumulator may pass 2^30 or its right shift 22: all channels take the slow form of
 * requantisation, and `round` is the zero point alone. */
#define DFT_WIDE 2u

/* Sliding window shared by convolutions and pools. `inner_*` is the half-open range of output positions whose
 * window lies wholly inside the input. */
typedef struct dft_window {
    uint16_t in_h, in_w, in_c;
    uint16_t out_h, out_w, out_c;
    uint16_t kernel_h, kernel_w;
    uint16_t stride_h, stride_w;
    uint16_t dilation_h, dilation_w;
    uint16_t pad_top, pad_left;
    uint16_t inner_y0, inner_y1, inner_x0, inner_x1;
} dft_window;

/* Weights int8 [group][ceil(out_c / groups / 2)][kernel_h][kernel_w][in_c / groups][2]: pairs of output channels
 * interleaved, an odd last one paired with zeros. */
typedef struct dft_conv {
    dft_window window;
    uint16_t groups;
    int16_t in_zp;   /* what a padded position holds */
    uint16_t flags; /* DFT_NARROW, DFT_WIDE */
    int8_t act_min, act_max;
    const int8_t *weights;
    const dft_channel *channels; /* [out_c] */
} dft_conv;

/* Weights int8 [out_c][kernel_h * kernel_w]; output channel = input channel * multiplier + i. */
typedef struct dft_depthwise {
    dft_window window;
    uint16_t multiplier;
    int16_t in_zp;
    uint16_t flags;
    int8_t act_min, act_max;
    const int8_t *weights;
    const dft_channel *channels;
    const int8_t *padding; /* [in_c] of in_zp, or null where every window lies inside */
} dft_depthwise;

/* Weights int8 [ceil(out_n / 2)][in_n][2]; `rows` input vectors. */
typedef struct dft_fully_connected {
    uint32_t rows, in_n, out_n;
    uint16_t flags;
    int8_t act_min, act_max;
    const int8_t *weights;
    const dft_channel *channels;
} dft_fully_connected;

/* Shape of an elementwise operator with broadcasting, dimensions already merged: output [n0][n1][n2][n3],
 * strides in elements, 0 where an operand is repeated. */
typedef struct dft_broadcast {
    uint32_t n[4];
    uint32_t a[4];
    uint32_t b[4];
} dft_broadcast;

typedef struct dft_add {
    dft_broadcast shape;
    int32_t mult_a, mult_b, mult_out;
    uint8_t right_a, right_b, right_out;
    int16_t zp_a, zp_b, zp_out;
    int8_t act_min, act_max;
} dft_add;

typedef struct dft_mul {
    dft_broadcast shape;
    int32_t mult;
    int32_t round; /* as in dft_channel */
    uint8_t left1, right;
    int16_t zp_a, zp_b;
    int8_t act_min, act_max;
} dft_mul;

/* Output [outer][inner] = mean over the middle of input [outer][reduce][inner]; 1 / reduce is part of
 * the multiplier. */
typedef struct dft_mean {
    uint32_t outer, reduce, inner;
    int32_t offset; /* -input zero point * reduce */
    int32_t mult;
    uint8_t left1, right;
    int16_t out_zp;
} dft_mean;

typedef struct dft_pool {
    dft_window window;
    int8_t act_min, act_max;
} dft_pool;

/* Output [n0][n1][n2][n3] from input [..] with `before` values in front of and `after` behind each dimension.
 * `values`: one a channel, where channels are not padded; or null, then `value` is everywhere. */
typedef struct dft_pad {
    uint32_t in[4];
    uint32_t before[4];
    uint32_t after[4];
    int8_t value;
    const int8_t *values;
} dft_pad;

typedef struct dft_lut {
    uint32_t n;
    const int8_t *table; /* [256], indexed by the input read as uint8 */
} dft_lut;

/* Copies `rows` runs of `run` bytes, each `out_stride` bytes apart in the output: one operand of a CONCATENATION. */
typedef struct dft_concat {
    uint32_t rows, run, out_stride, out_offset;
} dft_concat;

/* Output [n0][n1][n2][n3] in order; element `first` of the input and strides in elements from there: a TRANSPOSE, a
 * slice, or blocks of pixels. */
typedef struct dft_transpose {
    uint32_t n[4];
    int32_t stride[4];
    uint32_t first;
} dft_transpose;

/* Output pixel (y, x) is input pixel (rows[y], columns[x]); `row` and `pixel` are bytes of the input. */
typedef struct dft_remap {
    uint32_t out_h, out_w;
    uint32_t row, pixel;
    const uint16_t *rows;
    const uint16_t *columns;
} dft_remap;

/* Output [n0][n1] takes m0 * m1 elements of the input together; strides in elements. The last five for sums. */
typedef struct dft_reduce {
    uint32_t n[2], stride[2];
    uint32_t m[2], m_stride[2];
    int32_t offset; /* -input zero point * m0 * m1 */
    int32_t mult;
    uint8_t left1, right;
    int16_t out_zp;
} dft_reduce;

/* x * mult, or x * slope * mult_negative where x, less its zero point, is negative. */
typedef struct dft_prelu {
    dft_broadcast shape; /* of the input and its slopes */
    int32_t mult, mult_negative;
    int16_t zp, zp_slope, zp_out;
    uint8_t left1, right, left1_negative, right_negative;
} dft_prelu;

/* Output [outer][count][inner] = input [outer][axis_n][inner] at indices[count] along the axis. */
typedef struct dft_gather {
    uint32_t outer, axis_n, inner, count;
    const uint16_t *indices;
} dft_gather;

typedef struct dft_softmax {
    uint32_t rows, n;
    const int32_t *exp_table; /* [256]: exp of scaled -i as Q0.31, 0 below the cut-off */
} dft_softmax;

void dft_conv2d_s8(const dft_conv *p, const int8_t *in, int8_t *out);
void dft_depthwise_s8(const dft_depthwise *p, const int8_t *in, int8_t *out);
void dft_fully_connected_s8(const dft_fully_connected *p, const int8_t *in, int8_t *out);
/* Elementwise: `out` may be `a` where the shapes are equal. */
void dft_add_s8(const dft_add *p, const int8_t *a, const int8_t *b, int8_t *out);
void dft_sub_s8(const dft_add *p, const int8_t *a, const int8_t *b, int8_t *out);
void dft_mul_s8(const dft_mul *p, const int8_t *a, const int8_t *b, int8_t *out);
void dft_maximum_s8(const dft_broadcast *p, const int8_t *a, const int8_t *b, int8_t *out);
void dft_minimum_s8(const dft_broadcast *p, const int8_t *a, const int8_t *b, int8_t *out);
void dft_lut_s8(const dft_lut *p, const int8_t *in, int8_t *out);
void dft_mean_s8(const dft_mean *p, const int8_t *in, int8_t *out);
void dft_max_pool_s8(const dft_pool *p, const int8_t *in, int8_t *out);
void dft_average_pool_s8(const dft_pool *p, const int8_t *in, int8_t *out);
void dft_pad_s8(const dft_pad *p, const int8_t *in, int8_t *out);
void dft_concat_s8(const dft_concat *p, const int8_t *in, int8_t *out);
void dft_transpose_s8(const dft_transpose *p, const int8_t *in, int8_t *out);
void dft_remap_s8(const dft_remap *p, const int8_t *in, int8_t *out);
void dft_sum_s8(const dft_reduce *p, const int8_t *in, int8_t *out);
void dft_reduce_max_s8(const dft_reduce *p, const int8_t *in, int8_t *out);
void dft_reduce_min_s8(const dft_reduce *p, const int8_t *in, int8_t *out);
void dft_prelu_s8(const dft_prelu *p, const int8_t *x, const int8_t *slope, int8_t *out);
void dft_gather_s8(const dft_gather *p, const int8_t *in, int8_t *out);
void dft_softmax_s8(const dft_softmax *p, const int8_t *in, int8_t *out);

#endif
