/* The fixed-point arithmetic of TFLite's reference kernels, written for few instructions. Private to kernels/.
 * Source: gemmlowp's SaturatingRoundingDoublingHighMul and RoundingDivideByPOT, as TFLM applies them one after
 * the other in MultiplyByQuantizedMultiplier. */
#ifndef DFT_REQUANT_H
#define DFT_REQUANT_H

#include <stdint.h>
#if defined(__ARM_FEATURE_SAT)
#include <arm_acle.h>
#endif

#include "dft_kernels.h"

/* For inner loops: gcc would merge a function that is called once into its caller, whose variables then take the
 * registers that the loop needs. */
#define DFT_NOINLINE __attribute__((noinline))

/* x / 2^right, halves away from zero. */
static inline int32_t dft_round_shift(int32_t x, uint32_t right)
{
    int32_t half = (int32_t)((1u << right) >> 1);
    /* For negative x a half goes down: one less before the shift; nothing to round where right is 0. */
    int32_t down = (int32_t)((uint32_t)x & (0u - right)) >> 31;
    return (x + half + down) >> right;
}

/* round(x * 2^left * mult / 2^31) >> right, both rounded. |x| * 2^left < 2^30 is proved when code is generated,
 * so the doubling can be part of the shift and nothing saturates. */
static inline int32_t dft_requant(int32_t x, int32_t mult, uint32_t left1, uint32_t right)
{
    int32_t doubled = (int32_t)((uint32_t)x << left1);
    int32_t high = (int32_t)(((int64_t)doubled * mult + INT64_C(0x80000000)) >> 32);
    return dft_round_shift(high, right);
}

static inline int8_t dft_clamp(int32_t v, int32_t low, int32_t high)
{
    v = v < low ? low : v;
    return (int8_t)(v > high ? high : v);
}

/* To the range of int8: one instruction where there is one (gcc 12 does not find it here by itself). */
static inline int32_t dft_saturate(int32_t v)
{
#if defined(__ARM_FEATURE_SAT)
    return __ssat(v, 8);
#else
    return dft_clamp(v, INT8_MIN, INT8_MAX);
#endif
}

/* One output of a channel, zero point included, within int8; the caller narrows it for an activation. */
static inline int32_t dft_output(int32_t acc, int32_t mult, int32_t round, uint32_t left1, uint32_t right)
{
    int32_t doubled = (int32_t)((uint32_t)acc << left1);
    int32_t high = (int32_t)(((int64_t)doubled * mult + INT64_C(0x80000000)) >> 32);
    int32_t down = (int32_t)((uint32_t)high & (0u - right)) >> 31;
    return dft_saturate((int32_t)((uint32_t)high + (uint32_t)down + (uint32_t)round) >> right);
}

/* The slow form for any accumulator, multiplier and shift (DFT_WIDE): output_wide.c. */
int32_t dft_output_wide(const dft_channel *c, int32_t acc);

static inline int8_t dft_finish(const dft_channel *c, int32_t acc, uint32_t flags, int32_t low, int32_t high)
{
    int32_t v = dft_output(acc, c->mult, c->round, c->left1, c->right);
    if (flags != 0) {
        v = (flags & DFT_WIDE) != 0 ? dft_output_wide(c, acc) : v;
        v = dft_clamp(v, low, high);
    }
    return (int8_t)v;
}

#endif
