/* Runs: what row kernels of pointwise operators do with bytes in order, NAME_run.c portable and m7/NAME_run.S with
 * DSP instructions. Called by the *_rows.c alone, which know rows and operands; a run knows only how many bytes.
 * `out` may be `in` (or `a`) or lie lower; nothing is read or written behind the n bytes. Private to kernels/. */
#ifndef DFT_RUNS_H
#define DFT_RUNS_H

#include <stdint.h>

/* out[i] = table[in[i] + 128]; `table` int8[256] in the order −128…127. */
void dft_table_run(const int8_t *table, const int8_t *in, int8_t *out, uint32_t n);

/* A sum as a plane: v = saturate((slope_a · a >> 8) + (slope_b · b >> 8) + offset >> DFT_PLANE_BITS), proved equal to
 * TFLM's three roundings for all 65,536 pairs when code was generated. Nothing passes 32 bits. */
#define DFT_PLANE_BITS 20
typedef struct dft_plane {
    int32_t slope_a, slope_b, offset;
} dft_plane;

void dft_plane_run(const dft_plane *p, const int8_t *a, const int8_t *b, int8_t *out, uint32_t n);

/* Products, requantised as TFLM does: (a − zp_a)(b − zp_b) · mult / 2^31, halves up, then / 2^right, halves away from
 * zero; 1 ≤ right ≤ 22. `round` as in dft_channel. */
typedef struct dft_product {
    int32_t mult, round;
    int16_t zp_a, zp_b;
    uint32_t right;
} dft_product;

void dft_product_run(const dft_product *p, const int8_t *a, const int8_t *b, int8_t *out, uint32_t n);

/* factors[i] = 2 (b[i] − zp): second factors prepared. */
void dft_factor_run(const int8_t *b, int32_t zp, int16_t *factors, uint32_t n);

/* As dft_product_run with factors[i % period] as second factors, aligned to 8; `period` a multiple of 8. */
void dft_gate_run(const dft_product *p, const int8_t *a, const int16_t *factors, int8_t *out, uint32_t n,
                  uint32_t period);

void dft_maximum_run(const int8_t *a, const int8_t *b, int8_t *out, uint32_t n);
void dft_minimum_run(const int8_t *a, const int8_t *b, int8_t *out, uint32_t n);

/* sums[c] += the values of channel c of `width` ≤ 256 pixels. */
void dft_column_run(const int8_t *in, int32_t *sums, uint32_t width, uint32_t channels);

/* Sums to means: (sum + offset) · mult / 2^31, halves up, then / 2^right, halves away from zero;
 * 1 ≤ right ≤ 22. `round` as in dft_channel. */
typedef struct dft_mean_scale {
    int32_t offset, mult, round;
    uint32_t right;
} dft_mean_scale;

void dft_mean_run(const dft_mean_scale *p, const int32_t *sums, int8_t *out, uint32_t n);

/* out[k] = in[indices[k]]; `out` lies apart from `in`. */
void dft_gather_run(const uint16_t *indices, const int8_t *in, int8_t *out, uint32_t count);

#endif
