"""An int8 graph executed in float32: the same operators without any rounding, to compare the int8 oracle with.

Weights come from the float model (twin.py), or from the int8 weights themselves. Not bit-exact to anything and not
meant to be: TFLite's float kernels sum in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dftiny import int8
from dftiny.graph import (
    ConvOptions,
    DepthwiseOptions,
    FullyConnectedOptions,
    Graph,
    LeakyReluOptions,
    MeanOptions,
    Op,
    PadOptions,
    PoolOptions,
    ReduceOptions,
    SoftmaxOptions,
    Tensor,
)
from dftiny.int8 import layout

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
VIEWS = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "QUANTIZE")
_MOVING = (
    "TRANSPOSE", "GATHER", "SLICE", "STRIDED_SLICE", "REVERSE_V2", "SPLIT", "SPLIT_V", "UNPACK", "RESIZE_NEAREST_NEIGHBOR",
    "MIRROR_PAD", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE",
)  # fmt: skip
Values = dict[int, np.ndarray]


@dataclass(frozen=True, eq=False)
class FloatNet:
    """`graph` with real-valued constants. `constants`: float32 by tensor index, shaped as the int8 or int32 constant.
    `exact`: they are those of the float model, not dequantised ones."""

    graph: Graph
    constants: Mapping[int, np.ndarray]
    exact: bool

    def with_constants(self, changed: Mapping[int, np.ndarray]) -> FloatNet:
        """The net with some constants replaced."""
        return replace(self, constants={**self.constants, **changed})


def real(t: Tensor, q: np.ndarray) -> np.ndarray:
    """The values that integers `q` of tensor `t` stand for, float32 of the same shape."""
    assert t.quant is not None
    scale, zero = t.quant.scale.astype(np.float64), t.quant.zero_point
    if t.quant.per_channel:
        wide = [1] * q.ndim
        wide[q.ndim - len(t.shape) + t.quant.axis] = len(scale)
        scale, zero = scale.reshape(wide), zero.reshape(wide)
    value: np.ndarray = ((q.astype(np.float64) - zero) * scale).astype(np.float32)
    return value


def codes(t: Tensor, value: np.ndarray) -> np.ndarray:
    """int8 codes of float `value` at the one scale of tensor `t`, saturated."""
    scaled = np.rint(value / np.float32(t.scale)) + t.zero_point
    q: np.ndarray = np.clip(scaled, -128, 127).astype(np.int8)
    return q


def rounded(t: Tensor, value: np.ndarray) -> np.ndarray:
    """`value` as int8 of tensor `t` can carry it, float32."""
    return real(t, codes(t, value))


def dequantised(graph: Graph) -> FloatNet:
    """The net whose weights are exactly what the int8 weights stand for."""
    constants: Values = {}
    for op in graph.ops:
        for t in _constant_operands(graph, op):
            constants[t] = real(graph.tensors[t], _data(graph.tensors[t]))
    return FloatNet(graph, constants, exact=False)


def _constant_operands(graph: Graph, op: Op) -> list[int]:
    """Constants that stand for real numbers: those with a quantisation (indices, axes and shapes have none)."""
    return [
        t
        for t in op.inputs
        if t >= 0 and graph.tensors[t].data is not None and graph.tensors[t].quant is not None
    ]


def _data(t: Tensor) -> np.ndarray:
    assert t.data is not None
    return t.data


def input_values(graph: Graph, tiles: np.ndarray) -> Values:
    """The input float32[n, *shape] for uint8 tiles [n, H, W, C]."""
    x = int8.from_pixels(tiles).reshape(-1, *graph.input.shape)
    return {graph.inputs[0]: real(graph.input, x)}


def run(net: FloatNet, values: Values, ops: Iterable[Op] | None = None) -> Values:
    """All tensors float32[n, *shape] that follow from `values`, which must hold the inputs of `ops` (default: all)."""
    values = dict(values)
    for op in net.graph.ops if ops is None else ops:
        values.update(zip(op.outputs, run_op(net, op, values), strict=True))
    return values


def run_op(net: FloatNet, op: Op, values: Values, *, linear: bool = False) -> list[np.ndarray]:
    """Outputs of one operator, float32[n, *shape]. `linear` leaves its fused activation out."""
    operands = [
        values[t] if t in values else net.constants[t][None] for t in op.inputs if _is_real(net, values, t)
    ]
    known = _KINDS.get(op.kind)
    if known is None:
        return _through_int8(net.graph, op, values)
    y = known(net, op, operands)
    if not linear:
        y = _activated(getattr(op.options, "activation", "NONE"), y)
    return [y.reshape(-1, *net.graph.tensors[op.outputs[0]].shape)]


def _is_real(net: FloatNet, values: Values, t: int) -> bool:
    return t in values or t in net.constants


def _activated(name: str, y: np.ndarray) -> np.ndarray:
    low, high = {"NONE": (None, None), "RELU": (0, None), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}[name]
    return y if low is None else np.clip(y, low, high)


def _through_int8(graph: Graph, op: Op, values: Values) -> list[np.ndarray]:
    """An operator without a float form here: rounded at its inputs, computed by the oracle."""
    q: Values = {t: codes(graph.tensors[t], values[t]) for t in op.inputs if t in values}
    found: Any = int8._run_op(graph, op, q)
    outputs = found if isinstance(found, (tuple, list)) else [found]
    return [real(graph.tensors[t], y) for t, y in zip(op.outputs, outputs, strict=True)]


def _with_bias(y: np.ndarray, operands: list[np.ndarray]) -> np.ndarray:
    return y + operands[2][0] if len(operands) > 2 else y


def _windows(net: FloatNet, op: Op, x: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The image with the zeros that the window covers, and the output's height and width."""
    o = op.options
    assert isinstance(o, ConvOptions | DepthwiseOptions)
    w, out = net.graph.tensors[op.inputs[1]], net.graph.tensors[op.outputs[0]]
    top, left = int8.padding_before(net.graph, op)
    height = (out.shape[1] - 1) * o.stride_h + (w.shape[1] - 1) * o.dilation_h + 1
    width = (out.shape[2] - 1) * o.stride_w + (w.shape[2] - 1) * o.dilation_w + 1
    rows, cols = min(x.shape[1], height - top), min(x.shape[2], width - left)
    padded = np.zeros((len(x), height, width, x.shape[3]), np.float32)
    padded[:, top : top + rows, left : left + cols] = x[:, :rows, :cols]
    return padded, out.shape[1], out.shape[2]


def _shifted(op: Op, padded: np.ndarray, i: int, j: int, size: tuple[int, int]) -> np.ndarray:
    """What tap (i, j) of the window sees, float32[n, H', W', C]."""
    o = op.options
    assert isinstance(o, ConvOptions | DepthwiseOptions)
    top, left = i * o.dilation_h, j * o.dilation_w
    return padded[
        :,
        top : top + (size[0] - 1) * o.stride_h + 1 : o.stride_h,
        left : left + (size[1] - 1) * o.stride_w + 1 : o.stride_w,
    ]


def _conv(net: FloatNet, op: Op, operands: list[np.ndarray]) -> np.ndarray:
    x, w, o = operands[0][:, 0], operands[1][0], op.options
    assert isinstance(o, ConvOptions)
    padded, *size = _windows(net, op, x)
    taps = [(i, j) for i in range(w.shape[1]) for j in range(w.shape[2])]
    seen = [_shifted(op, padded, i, j, (size[0], size[1])) for i, j in taps]
    per, outs = w.shape[3], len(w) // o.groups
    parts = []
    for g in range(o.groups):
        columns = np.concatenate([s[..., g * per : (g + 1) * per] for s in seen], axis=-1)
        kernel = w[g * outs : (g + 1) * outs].reshape(outs, -1)
        parts.append(columns.reshape(-1, columns.shape[-1]) @ kernel.T)
    y = np.concatenate(parts, axis=-1).reshape(len(x), *size, len(w))
    return _with_bias(y, operands)


def _depthwise(net: FloatNet, op: Op, operands: list[np.ndarray]) -> np.ndarray:
    x, w, o = operands[0][:, 0], operands[1][0][0], op.options
    assert isinstance(o, DepthwiseOptions)
    padded, *size = _windows(net, op, np.repeat(x, o.multiplier, axis=3))
    y = np.zeros((len(x), *size, w.shape[-1]), np.float32)
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            y += _shifted(op, padded, i, j, (size[0], size[1])) * w[i, j]
    return _with_bias(y, operands)


def _fully_connected(_net: FloatNet, op: Op, operands: list[np.ndarray]) -> np.ndarray:
    assert isinstance(op.options, FullyConnectedOptions)
    w = operands[1][0]
    return _with_bias(operands[0].reshape(-1, w.shape[1]) @ w.T, operands)


def _pair(operands: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    rank = max(v.ndim for v in operands)
    a, b = (v.reshape(len(v), *(1,) * (rank - v.ndim), *v.shape[1:]) for v in operands)
    return a, b


def _elementwise(f: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> _Kind:
    def kind(_net: FloatNet, _op: Op, operands: list[np.ndarray]) -> np.ndarray:
        return f(*_pair(operands))

    return kind


def _function(f: Callable[[np.ndarray], np.ndarray]) -> _Kind:
    def kind(_net: FloatNet, _op: Op, operands: list[np.ndarray]) -> np.ndarray:
        return f(operands[0])

    return kind


def _mean(_net: FloatNet, op: Op, operands: list[np.ndarray]) -> np.ndarray:
    assert isinstance(op.options, MeanOptions)
    mean: np.ndarray = operands[0].mean(tuple(a + 1 for a in op.options.axes), dtype=np.float32)
    return mean


def _pool(net: FloatNet, op: Op, operands: list[np.ndarray]) -> np.ndarray:
    """TFLite pools over what lies inside of the image only."""
    o, x, out = op.options, operands[0][:, 0], net.graph.tensors[op.outputs[0]]
    assert isinstance(o, PoolOptions)
    rows, cols = (
        _inside(x.shape[1], out.shape[1], o.filter_h, o.stride_h, o.padding == "SAME"),
        _inside(x.shape[2], out.shape[2], o.filter_w, o.stride_w, o.padding == "SAME"),
    )
    y = np.empty((len(x), *out.shape[1:]), np.float32)
    for i, r in enumerate(rows):
        for j, c in enumerate(cols):
            seen = x[:, r, c]
            y[:, i, j] = seen.max((1, 2)) if op.kind == "MAX_POOL_2D" else seen.mean((1, 2))
    return y


def _inside(size: int, outs: int, window: int, stride: int, same: bool) -> list[slice]:
    before = max(0, (outs - 1) * stride + window - size) // 2 if same else 0
    starts = [i * stride - before for i in range(outs)]
    return [slice(max(0, s), min(size, s + window)) for s in starts]


def _softmax(_net: FloatNet, op: Op, operands: list[np.ndarray]) -> np.ndarray:
    assert isinstance(op.options, SoftmaxOptions)
    z = operands[0] * op.options.beta
    e = np.exp(z - z.max(-1, keepdims=True))
    y: np.ndarray = e / e.sum(-1, keepdims=True)
    return y


def _pad(net: FloatNet, op: Op, operands: list[np.ndarray]) -> np.ndarray:
    o, out = op.options, net.graph.tensors[op.outputs[0]]
    assert isinstance(o, PadOptions)
    padded = np.pad(operands[0], [(0, 0), *zip(o.before, o.after, strict=True)])
    if o.values is None:
        return padded
    inside = np.pad(np.ones_like(operands[0], bool), [(0, 0), *zip(o.before, o.after, strict=True)])
    return np.where(inside, padded, real(out, np.array(o.values, np.int8)))


def _reduce(_net: FloatNet, op: Op, operands: list[np.ndarray]) -> np.ndarray:
    assert isinstance(op.options, ReduceOptions)
    axes = tuple(a + 1 for a in op.options.axes)
    x = operands[0]
    result: np.ndarray = (
        x.sum(axes) if op.kind == "SUM" else x.max(axes) if op.kind == "REDUCE_MAX" else x.min(axes)
    )
    return result


def _leaky_relu(_net: FloatNet, op: Op, operands: list[np.ndarray]) -> np.ndarray:
    assert isinstance(op.options, LeakyReluOptions)
    return np.where(operands[0] >= 0, operands[0], operands[0] * np.float32(op.options.alpha))


def _prelu(x: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, x, x * alpha)


def _move(net: FloatNet, op: Op, operands: list[np.ndarray]) -> np.ndarray:
    return layout.move(net.graph, op, operands[0])


def _join(_net: FloatNet, op: Op, operands: list[np.ndarray]) -> np.ndarray:
    return layout.join(op, operands)


_Kind = Callable[[FloatNet, Op, list[np.ndarray]], np.ndarray]
_KINDS: Mapping[str, _Kind] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "ADD": _elementwise(np.add),
    "SUB": _elementwise(np.subtract),
    "MUL": _elementwise(np.multiply),
    "MAXIMUM": _elementwise(np.maximum),
    "MINIMUM": _elementwise(np.minimum),
    "MEAN": _mean,
    "MAX_POOL_2D": _pool,
    "AVERAGE_POOL_2D": _pool,
    "SOFTMAX": _softmax,
    "RELU": _function(lambda x: np.maximum(x, 0)),
    "RELU6": _function(lambda x: np.clip(x, 0, 6)),
    "HARD_SWISH": _function(lambda x: x * np.clip(x + 3, 0, 6) / 6),
    "LOGISTIC": _function(lambda x: 1 / (1 + np.exp(-np.clip(x, -80, 80)))),
    "TANH": _function(np.tanh),
    "PAD": _pad,
    "PADV2": _pad,
    "LEAKY_RELU": _leaky_relu,
    "PRELU": _elementwise(_prelu),
    **dict.fromkeys(("SUM", "REDUCE_MAX", "REDUCE_MIN"), _reduce),
    **dict.fromkeys(_MOVING, _move),
    **dict.fromkeys(("CONCATENATION", "PACK"), _join),
    **dict.fromkeys(VIEWS, _function(lambda x: x)),
}
