"""Operators of one int8 in, one int8 out: each is a table of 256 entries, made once.

The C generator writes these very tables (`table`), so chip and oracle cannot differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from dftiny.graph import Graph, LeakyReluOptions, Op, TableOptions, Tensor
from dftiny.int8 import fixed

_ALL = np.arange(-128, 128, dtype=np.int64)


def table(graph: Graph, op: Op) -> np.ndarray:
    """int8[256]: entry q + 128 is the output for input q. Kinds: `KINDS`."""
    if isinstance(op.options, TableOptions):
        return np.array(op.options.values, np.int8)
    x, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if isinstance(op.options, LeakyReluOptions):
        return _leaky_relu(x, out, op.options.alpha)
    return TABLES[op.kind](x, out)


def lookup(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """Apply the operator's table to int8 of any shape."""
    result: np.ndarray = table(graph, op)[x.astype(np.int16) + 128]
    return result


def _rescale(x: Tensor, out: Tensor, real: float, low: int) -> np.ndarray:
    m, shift = fixed.quantize_multiplier(real)
    values = fixed.multiply(_ALL - x.zero_point, m, shift) + out.zero_point
    return np.clip(values, low, 127).astype(np.int8)


def _quantize(x: Tensor, out: Tensor) -> np.ndarray:
    return _rescale(x, out, x.scale / out.scale, -128)


def _relu(x: Tensor, out: Tensor) -> np.ndarray:
    return _rescale(x, out, x.scale / out.scale, max(-128, out.zero_point))


def _relu6(x: Tensor, out: Tensor) -> np.ndarray:
    del out  # equal quantisation is checked by the reader
    return np.clip(_ALL, x.zero_point, min(127, fixed.quantize_value(6.0, x))).astype(np.int8)


def _leaky_relu(x: Tensor, out: Tensor, alpha: float) -> np.ndarray:
    """reference_ops::QuantizeLeakyRelu; TFLM divides and multiplies its scales in float32."""
    ratios = (
        np.float32(x.scale) * np.float32(alpha) / np.float32(out.scale),
        np.float32(x.scale) / np.float32(out.scale),
    )
    (low_m, low_shift), (high_m, high_shift) = (fixed.quantize_multiplier(float(r)) for r in ratios)
    value = _ALL - x.zero_point
    kept, scaled = fixed.multiply(value, high_m, high_shift), fixed.multiply(value, low_m, low_shift)
    return np.clip(np.where(value >= 0, kept, scaled) + out.zero_point, -128, 127).astype(np.int8)


def _tanh(x: Tensor, out: Tensor) -> np.ndarray:
    """reference_integer_ops::Tanh: Q4.27 input, result at scale 1/128."""
    del out
    values = []
    for q, q4 in _wide(x):
        if q4 is None:
            values.append(127 if q > 0 else -128)
            continue
        rounded = int(fixed.rounding_shift(np.array([fixed.tanh(q4, 4)]), 24)[0])
        values.append(max(-128, min(127, rounded)))
    return np.array(values, np.int8)


def _wide(x: Tensor) -> list[tuple[int, int | None]]:
    """All inputs less their zero point, and as Q4.27, or None where that overflows."""
    fraction, left_shift = math.frexp(x.scale * float(1 << 27))
    m = fixed.round_half_away(fraction * (1 << 31))
    radius = fixed.input_radius(4, left_shift)
    found: list[tuple[int, int | None]] = []
    for q in (int(v) - x.zero_point for v in _ALL):
        inside = abs(q) < radius
        found.append((q, int(fixed.multiply(np.array([q]), m, left_shift)[0]) if inside else None))
    return found


def _logistic(x: Tensor, out: Tensor) -> np.ndarray:
    """reference_integer_ops::Logistic: Q4.27 input, result at scale 1/256."""
    del out
    values = []
    for q, q4 in _wide(x):
        if q4 is None:
            values.append(127 if q > 0 else -128)
            continue
        probability = int(fixed.rounding_shift(np.array([fixed.logistic(q4, 4)]), 23)[0])
        values.append(max(-128, min(127, probability - 128)))
    return np.array(values, np.int8)


def _int16_multiplier(m: int) -> int:
    """DownScaleInt32ToInt16Multiplier."""
    return 32767 if m >= fixed.INT32_MAX - (1 << 15) else (m + (1 << 15)) >> 16


def _high_mul16(a: int, b: int) -> int:
    """gemmlowp's SaturatingRoundingDoublingHighMul for int16."""
    return min((a * b + (1 << 14)) >> 15, 32767)


def _round_shift16(x: int, exponent: int) -> int:
    half = (1 << exponent) >> 1
    return (x + half - (1 if x < 0 and half else 0)) >> exponent


def _hard_swish(x: Tensor, out: Tensor) -> np.ndarray:
    """reference_ops::HardSwish: int16 fixed point, both scale ratios divided in float32."""
    hires = np.float32(x.scale) * np.float32(1.0 / 128.0)
    out_m32, out_exponent = fixed.quantize_multiplier(float(hires / np.float32(out.scale)))
    relu_m32, relu_exponent = fixed.quantize_multiplier(float(hires / np.float32(3.0 / 32768.0)))
    out_m, relu_m = _int16_multiplier(out_m32), _int16_multiplier(relu_m32)
    values = []
    for v in _ALL:
        hires_value = (int(v) - x.zero_point) * 128
        preshift = _high_mul16(hires_value, out_m)
        relu = hires_value
        if relu_exponent > 0:
            relu = fixed.saturating_left_shift(relu, relu_exponent - 1, 16)
        relu = _high_mul16(relu, relu_m)
        if relu_exponent > 0:
            relu = fixed.saturating_left_shift(relu, 1, 16)
        if relu_exponent < 0:
            relu = _round_shift16(relu, -relu_exponent)
        relu = (relu + (1 << 15)) >> 1
        # SaturatingDoublingHighMul truncates, to cancel the bias of the rounding ones above.
        product = math.trunc(relu * preshift / (1 << 15))
        value = _round_shift16(product, -out_exponent) + out.zero_point
        values.append(max(-128, min(127, value)))
    return np.array(values, np.int8)


TABLES: Mapping[str, Callable[[Tensor, Tensor], np.ndarray]] = {
    "QUANTIZE": _quantize,
    "RELU": _relu,
    "RELU6": _relu6,
    "LOGISTIC": _logistic,
    "TANH": _tanh,
    "HARD_SWISH": _hard_swish,
}
KINDS = (*TABLES, "LEAKY_RELU", "TABLE")
