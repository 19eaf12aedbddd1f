"""Fixed-point arithmetic of TFLite's and gemmlowp's reference kernels, in int64 numpy.

Sources: tensorflow/lite/kernels/internal/{quantization_util.cc,common.h}, gemmlowp/fixedpoint/fixedpoint.h.
All functions take and give integers or integer arrays; nothing here rounds in floating point except
`quantize_multiplier`, exactly as its C++ original does once at preparation time.
"""

from __future__ import annotations

import math

import numpy as np

from dftiny.graph import Activation, Tensor

INT32_MAX = (1 << 31) - 1


def round_half_away(x: float) -> int:
    """C's round(): halves go away from zero."""
    return math.floor(x + 0.5) if x >= 0 else math.ceil(x - 0.5)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """`real` ≈ m · 2^(shift − 31) with m int32 in [2^30, 2^31): (m, shift). TFLite's QuantizeMultiplier.

    Below 2^−32 it is (0, 0); above 2^30 it saturates.
    """
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    m = round_half_away(fraction * (1 << 31))
    if m == 1 << 31:
        m, shift = m // 2, shift + 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return INT32_MAX, 30
    return m, shift


def wrap32(x: np.ndarray) -> np.ndarray:
    """int64 → the value a 32-bit register would hold, as int64."""
    return x.astype(np.int32).astype(np.int64)


def high_mul(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """gemmlowp's SaturatingRoundingDoublingHighMul of int32 values, as int64.

    (a·b + nudge) / 2^31 truncated, with the nudge's sign that of a·b, equals floor((a·b + 2^30) / 2^31):
    for a·b = −p, −floor((p − 1 + 2^30) / 2^31) = floor((2^30 − p) / 2^31). Only (−2^31)² saturates.
    """
    product: np.ndarray = (a * b + (1 << 30)) >> 31
    return np.minimum(product, INT32_MAX)


def rounding_shift(x: np.ndarray, exponent: np.ndarray | int) -> np.ndarray:
    """gemmlowp's RoundingDivideByPOT: x / 2^exponent, halves away from zero; exponent 0…31."""
    half = (np.int64(1) << np.asarray(exponent, np.int64)) >> 1
    negative = (x < 0) & (half > 0)
    result: np.ndarray = (x + half - negative) >> exponent
    return result


def multiply(x: np.ndarray, m: np.ndarray | int, shift: np.ndarray | int) -> np.ndarray:
    """TFLite's MultiplyByQuantizedMultiplier, double rounding: int64 in (of int32 range), int64 out.

    `m` and `shift` are scalars or broadcast along the last dimension.
    """
    shift = np.asarray(shift, np.int64)
    left = np.maximum(shift, 0)
    if left.any():
        x = wrap32(x << left)
    return rounding_shift(high_mul(x, m), np.maximum(-shift, 0))


def requantize(
    acc: np.ndarray, m: np.ndarray | int, shift: np.ndarray | int, zero_point: int, low: int, high: int
) -> np.ndarray:
    """int32 accumulators → int8: multiply with double rounding, add the zero point, clamp to [low, high]."""
    m64, s64 = np.asarray(m, np.int64), np.asarray(shift, np.int64)
    if (s64 > 0).any():
        return np.clip(multiply(acc.astype(np.int64), m64, s64) + zero_point, low, high).astype(np.int8)
    return _requantize_right(acc, m64, -s64, zero_point, low, high).reshape(acc.shape)


def _requantize_right(
    acc: np.ndarray, m: np.ndarray, right: np.ndarray, zero_point: int, low: int, high: int
) -> np.ndarray:
    """`requantize` without left shifts: the same steps in place, where the oracle spends its time."""
    if m.ndim and acc.shape[-1] == len(m):
        # Several pixels a row: numpy's inner loop is slow on a few channels.
        pixels = acc.size // len(m)
        repeat = min(pixels & -pixels, 1 << max(0, (1024 // len(m)).bit_length() - 1))
        acc = acc.reshape(-1, repeat * len(m))
        m, right = np.tile(m, repeat), np.tile(right, repeat)
    x = np.multiply(acc, m, dtype=np.int64)
    x += 1 << 30
    x >>= 31
    # |x| ≤ |acc| ≤ 2^31 and m < 2^31, so the high product never saturates.
    half = (np.int64(1) << right) >> 1
    y = x.astype(np.int32)
    if int(half.max()) < 1 << 29 and _small(y):
        # + half, less one for negative values where anything is shifted out: halves go away from zero.
        y += half.astype(np.int32) + ((y >> 31) & -(half > 0).astype(np.int32))
        y >>= right.astype(np.int32)
    else:
        negative = (x < 0) & (half > 0)
        x += half
        x -= negative
        x >>= right
        np.clip(x, -(1 << 30), 1 << 30, out=x)
        y = x.astype(np.int32)
    np.clip(y, low - zero_point, high - zero_point, out=y)
    y += np.int32(zero_point)
    return y.astype(np.int8)


def _small(y: np.ndarray) -> bool:
    return bool(y.size == 0 or (int(y.max()) < 1 << 30 and int(y.min()) > -(1 << 30)))


def quantize_value(value: float, t: Tensor) -> int:
    """zero_point + round(value / scale) in float32, as TFLite quantises activation bounds."""
    return t.zero_point + round_half_away(float(np.float32(value) / np.float32(t.scale)))


def activation_range(activation: Activation, out: Tensor) -> tuple[int, int]:
    """int8 bounds of a fused activation at the output's quantisation (CalculateActivationRangeQuantized)."""
    low = max(-128, quantize_value(0.0, out)) if activation != "NONE" else -128
    high = min(127, quantize_value(6.0, out)) if activation == "RELU6" else 127
    return low, high


# gemmlowp's fixed point with `integer_bits` integer bits of 31: the few functions LOGISTIC and SOFTMAX need.


def saturating_left_shift(x: int, exponent: int, bits: int = 32) -> int:
    """x · 2^exponent, saturated to a signed integer of `bits` bits."""
    limit = 1 << (bits - 1)
    return max(-limit, min(limit - 1, x << exponent))


def _mul(a: int, b: int) -> int:
    return min((a * b + (1 << 30)) >> 31, INT32_MAX)


def _round_shift(x: int, exponent: int) -> int:
    half = (1 << exponent) >> 1
    return (x + half - (1 if x < 0 and half else 0)) >> exponent


def _rescale(raw: int, exponent: int) -> int:
    """SaturatingRoundingMultiplyByPOT."""
    return saturating_left_shift(raw, exponent) if exponent > 0 else _round_shift(raw, -exponent)


def _exp_on_interval(a: int) -> int:
    """exp(a) for a in [−1/4, 0), Q0.31 (exp_on_interval_between_negative_one_quarter_and_0_excl)."""
    term, third = 1895147668, 715827883  # exp(−1/8), 1/3
    x = a + (1 << 28)  # a + 1/8
    x2 = _mul(x, x)
    x3 = _mul(x2, x)
    x4 = _mul(x2, x2)
    x4_over_24_plus = _round_shift(_mul(_round_shift(x4, 2) + x3, third) + x2, 1)
    return min(INT32_MAX, term + _mul(term, x + x4_over_24_plus))


def exp_on_negative(a: int, integer_bits: int) -> int:
    """exp(a) for a ≤ 0 in Q(integer_bits), result Q0.31 (exp_on_negative_values)."""
    fraction = 31 - integer_bits
    quarter = 1 << (fraction - 2)
    a_mod = (a & (quarter - 1)) - quarter
    result = _exp_on_interval(_rescale(a_mod, integer_bits))
    remainder = a_mod - a
    steps = (
        (-2, 1672461947),
        (-1, 1302514674),
        (0, 790015084),
        (1, 290630308),
        (2, 39332535),
        (3, 720401),
        (4, 242),
    )
    for exponent, factor in steps:
        if integer_bits > exponent and remainder & (1 << (fraction + exponent)):
            result = _mul(result, factor)
    if integer_bits > 5 and a < -(1 << (fraction + 5)):
        result = 0
    return INT32_MAX if a == 0 else result


def reciprocal_of_one_plus(x: int) -> int:
    """1 / (1 + x) for x in [0, 1], Q0.31 (one_over_one_plus_x_for_x_in_0_1): Newton–Raphson, three steps."""
    half_denominator = (x + INT32_MAX + 1) >> 1  # RoundingHalfSum(x, one)
    y = 1515870810 + _mul(half_denominator, -1010580540)  # 48/17 − 32/17 · d, Q2.29
    for _ in range(3):
        one_minus = (1 << 29) - _mul(half_denominator, y)
        y = y + saturating_left_shift(_mul(y, one_minus), 2)
    return saturating_left_shift(y, 1)  # half of Q2.29 is the same bits as Q1.30; that shifted is Q0.31


def tanh(a: int, integer_bits: int) -> int:
    """tanh(a) for a in Q(integer_bits), result Q0.31 (gemmlowp's tanh): (1 − e) / (1 + e), e = exp(−2 |a|)."""
    if a == 0:
        return 0
    magnitude = _one_minus_over_one_plus(exp_on_negative(-abs(a), integer_bits + 1))
    return magnitude if a > 0 else -magnitude


def _one_minus_over_one_plus(x: int) -> int:
    """(1 − x) / (1 + x) for x in [0, 1], Q0.31 (one_minus_x_over_one_plus_x_for_x_in_0_1)."""
    half_denominator = (x + INT32_MAX + 1) >> 1
    y = 1515870810 + _mul(half_denominator, -1010580540)
    for _ in range(3):
        one_minus = (1 << 29) - _mul(half_denominator, y)
        y = y + saturating_left_shift(_mul(y, one_minus), 2)
    return saturating_left_shift(y - (1 << 29), 2)


def logistic(a: int, integer_bits: int) -> int:
    """1 / (1 + exp(−a)) for a in Q(integer_bits), result Q0.31 (gemmlowp's logistic)."""
    if a == 0:
        return 1 << 30
    positive = reciprocal_of_one_plus(exp_on_negative(-abs(a), integer_bits))
    return positive if a > 0 else INT32_MAX - positive


def input_radius(integer_bits: int, left_shift: int) -> int:
    """Largest input that does not overflow after rescaling (CalculateInputRadius with 31 signed bits)."""
    return math.floor(((1 << integer_bits) - 1) * float(1 << (31 - integer_bits)) / float(1 << left_shift))
