"""ADD, SUB, MUL, PRELU, MEAN and its like, pooling, SOFTMAX, MAXIMUM and MINIMUM on batches of int8.

Arrays carry one batch dimension in front of the tensor's own shape (whose first dimension is 1):
int8[n, 1, H, W, C], so that broadcasting is numpy's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dftiny.graph import (
    AddOptions,
    Graph,
    MeanOptions,
    MulOptions,
    Op,
    PoolOptions,
    ReduceOptions,
    SoftmaxOptions,
    SubOptions,
    Tensor,
    window_out,
)
from dftiny.int8 import fixed

LEFT_SHIFT = 20


@dataclass(frozen=True)
class SumParams:
    """Fixed-point parameters of ADD and SUB: inputs are shifted left by LEFT_SHIFT, each scaled, summed, scaled."""

    multiplier: tuple[int, int]
    shift: tuple[int, int]
    out_multiplier: int
    out_shift: int


def _operands(graph: Graph, op: Op) -> tuple[Tensor, Tensor, Tensor]:
    return graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]], graph.tensors[op.outputs[0]]


def sum_params(graph: Graph, op: Op) -> SumParams:
    """Parameters of an ADD or SUB (TFLM's CalculateOpDataAdd)."""
    a, b, out = _operands(graph, op)
    twice = 2.0 * max(a.scale, b.scale)
    (m1, s1), (m2, s2) = (fixed.quantize_multiplier(t.scale / twice) for t in (a, b))
    mo, so = fixed.quantize_multiplier(twice / ((1 << LEFT_SHIFT) * out.scale))
    return SumParams((m1, m2), (s1, s2), mo, so)


def _shifted(t: Tensor, x: np.ndarray) -> np.ndarray:
    return (x.astype(np.int64) - t.zero_point) << LEFT_SHIFT


def add_or_sub(graph: Graph, op: Op, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """ADD or SUB with broadcasting."""
    assert isinstance(op.options, AddOptions | SubOptions)
    a, b, out = _operands(graph, op)
    p = sum_params(graph, op)
    first = fixed.multiply(_shifted(a, x), p.multiplier[0], p.shift[0])
    second = fixed.multiply(_shifted(b, y), p.multiplier[1], p.shift[1])
    total = first + second if op.kind == "ADD" else first - second
    low, high = fixed.activation_range(op.options.activation, out)
    return fixed.requantize(total.astype(np.int32), p.out_multiplier, p.out_shift, out.zero_point, low, high)


def mul_params(graph: Graph, op: Op) -> tuple[int, int]:
    """(multiplier, shift) of a MUL."""
    a, b, out = _operands(graph, op)
    return fixed.quantize_multiplier(a.scale * b.scale / out.scale)


def mul(graph: Graph, op: Op, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """MUL with broadcasting."""
    assert isinstance(op.options, MulOptions)
    a, b, out = _operands(graph, op)
    product = np.subtract(x, a.zero_point, dtype=np.int32) * np.subtract(y, b.zero_point, dtype=np.int32)
    low, high = fixed.activation_range(op.options.activation, out)
    return fixed.requantize(product, *mul_params(graph, op), out.zero_point, low, high)


def mean_params(graph: Graph, op: Op) -> tuple[int, int]:
    """(multiplier, shift) of a MEAN, with the division by the count inside (reference_ops' QuantizedMeanOrSum)."""
    assert isinstance(op.options, MeanOptions)
    x, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    m, shift = fixed.quantize_multiplier(x.scale / out.scale)
    count = math.prod(x.shape[a] for a in op.options.axes)
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    return (m << extra) // count, shift - extra


def sum_of_params(graph: Graph, op: Op) -> tuple[int, int]:
    """(multiplier, shift) of a SUM."""
    x, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    return fixed.quantize_multiplier(x.scale / out.scale)


def mean_or_sum(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """MEAN or SUM over the operator's axes."""
    assert isinstance(op.options, MeanOptions | ReduceOptions)
    t, out = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    axes = tuple(a + 1 for a in op.options.axes)
    count = math.prod(x.shape[a] for a in axes)
    total = x.sum(axis=axes, dtype=np.int64) - t.zero_point * count
    params = mean_params(graph, op) if op.kind == "MEAN" else sum_of_params(graph, op)
    return fixed.requantize(total.astype(np.int32), *params, out.zero_point, -128, 127)


def reduce_extremum(op: Op, x: np.ndarray) -> np.ndarray:
    """REDUCE_MAX or REDUCE_MIN over the operator's axes."""
    assert isinstance(op.options, ReduceOptions)
    axes = tuple(a + 1 for a in op.options.axes)
    result: np.ndarray = x.max(axis=axes) if op.kind == "REDUCE_MAX" else x.min(axis=axes)
    return result


def prelu_params(graph: Graph, op: Op) -> tuple[tuple[int, int], tuple[int, int]]:
    """((multiplier, shift) of what is not negative, those of negative values times their slope) of a PRELU."""
    x, slope, out = _operands(graph, op)
    kept = fixed.quantize_multiplier(x.scale / out.scale)
    return kept, fixed.quantize_multiplier(x.scale * slope.scale / out.scale)


def prelu(graph: Graph, op: Op, x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """PRELU with broadcasting (reference_ops::BroadcastPrelu4DSlow)."""
    t, s, out = _operands(graph, op)
    kept, scaled = prelu_params(graph, op)
    value = x.astype(np.int64) - t.zero_point
    product = value * (slope.astype(np.int64) - s.zero_point)
    result = np.where(value >= 0, fixed.multiply(value, *kept), fixed.multiply(product, *scaled))
    return np.clip(result + out.zero_point, -128, 127).astype(np.int8)


def extremum(op: Op, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """MAXIMUM or MINIMUM with broadcasting."""
    return np.maximum(x, y) if op.kind == "MAXIMUM" else np.minimum(x, y)


def pool(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """MAX_POOL_2D or AVERAGE_POOL_2D: x int8[n, H, W, C] → int8[n, H', W', C]; padding never counts."""
    o = op.options
    assert isinstance(o, PoolOptions)
    out = graph.tensors[op.outputs[0]]
    _, height, width, channels = out.shape
    largest = op.kind == "MAX_POOL_2D"
    acc = np.full((len(x), height, width, channels), -128 if largest else 0, np.int32)
    count = np.zeros((height, width, 1), np.int32)
    top, left = _pool_padding(x.shape[1:3], o)
    for i in range(o.filter_h):
        rows, from_row = _taps(height, o.stride_h, i - top, x.shape[1])
        for j in range(o.filter_w):
            cols, from_col = _taps(width, o.stride_w, j - left, x.shape[2])
            if not from_row or not from_col:
                continue
            view = x[:, slice(*from_row), slice(*from_col)]
            if largest:
                acc[:, rows, cols] = np.maximum(acc[:, rows, cols], view)
            else:
                acc[:, rows, cols] += view
                count[rows, cols] += 1
    if not largest:
        half = np.where(acc > 0, count // 2, -(count // 2))
        # C's division truncates towards zero.
        acc = np.trunc((acc + half) / count).astype(np.int32)
    return np.clip(acc, *fixed.activation_range(o.activation, out)).astype(np.int8)


def _pool_padding(size: tuple[int, ...], o: PoolOptions) -> tuple[int, int]:
    if o.padding == "VALID":
        return 0, 0
    spans = zip(size, (o.filter_h, o.filter_w), (o.stride_h, o.stride_w), strict=True)
    top, left = (max(0, (window_out(n, k, s, "SAME") - 1) * s + k - n) // 2 for n, k, s in spans)
    return top, left


def _taps(outputs: int, stride: int, offset: int, size: int) -> tuple[slice, tuple[int, int, int] | None]:
    """Outputs y whose source y·stride + offset lies inside, and the sources as (start, stop, step)."""
    first = max(0, -(offset // stride))
    last = min(outputs - 1, (size - 1 - offset) // stride)
    if last < first:
        return slice(0, 0), None
    start = first * stride + offset
    return slice(first, last + 1), (start, start + (last - first) * stride + 1, stride)


def softmax_params(graph: Graph, op: Op) -> tuple[int, int, int]:
    """(multiplier, left shift, least difference) of a SOFTMAX (PreprocessSoftmaxScaling, Q5.26)."""
    assert isinstance(op.options, SoftmaxOptions)
    x = graph.tensors[op.inputs[0]]
    beta = float(np.float32(op.options.beta))
    m, shift = fixed.quantize_multiplier(min(beta * x.scale * float(1 << 26), (1 << 31) - 1.0))
    return m, shift, -fixed.input_radius(5, shift)


def softmax_exponentials(graph: Graph, op: Op) -> np.ndarray:
    """int64[256]: entry d is exp of the difference −d to the row's maximum, Q0.31, or 0 below the least one."""
    m, shift, least = softmax_params(graph, op)
    values = np.zeros(256, np.int64)
    for d in range(256):
        if -d >= least:
            values[d] = fixed.exp_on_negative(int(fixed.multiply(np.array([-d]), m, shift)[0]), 5)
    return values


def softmax(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """SOFTMAX over the last dimension (reference_ops::Softmax, 12 integer bits of accumulation)."""
    wide = x.astype(np.int64)
    exps = softmax_exponentials(graph, op)[wide.max(axis=-1, keepdims=True) - wide]
    sums = fixed.rounding_shift(exps, 12).sum(axis=-1, keepdims=True)
    result = np.empty(x.shape, np.int8)
    for index in np.ndindex(x.shape[:-1]):
        result[index] = _normalise(exps[index], int(sums[index][0]))
    return result


def _normalise(exps: np.ndarray, total: int) -> np.ndarray:
    """exps / total as int8 at scale 1/256: GetReciprocal of the sum in Q12.19, then a rounding shift."""
    headroom = 32 - total.bit_length()
    shifted = (total << headroom) - (1 << 31)
    scale = fixed.reciprocal_of_one_plus(shifted)
    exponent = min(31, 12 - headroom + 31 - 8)
    values = fixed.rounding_shift(fixed.high_mul(exps, scale), exponent) - 128
    return np.clip(values, -128, 127).astype(np.int8)
