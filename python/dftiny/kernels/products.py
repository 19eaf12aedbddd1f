"""Calls of convolutions and matrix products: weights in the kernels' order, offsets folded into the bias.

acc = Σ w·(x − z) + b = Σ w·x + (b − z·Σw): the kernels multiply plain int8 by plain int8. A channel whose
accumulator could pass 2³⁰ (dead channels have biases near it) is replaced by its constant value when it has
only one; otherwise the operator takes the slow form of requantisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from dftiny import int8
from dftiny.graph import ConvOptions, DepthwiseOptions, Graph, Op, Tensor
from dftiny.kernels.calls import (
    RIGHT_MAX,
    Call,
    Const,
    Fields,
    activation_fields,
    operands,
    refuse,
    u16,
    window_fields,
)
from dftiny.steps import Step

_HEADROOM = 1 << 30
_NARROW, _WIDE = 1, 2  # DFT_NARROW, DFT_WIDE
# Multiplier, rounding, shifts and filler that change nothing: 2^30 / 2^31 · 2^1.
_IDENTITY = (1 << 30, 0, 2, 0, 0)


def _bias(graph: Graph, op: Op, n: int) -> np.ndarray:
    """int64[n]; zeros where the operator has none."""
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return np.zeros(n, np.int64)
    data = graph.tensors[op.inputs[2]].data
    assert data is not None
    return data.astype(np.int64)


def _data(t: Tensor) -> np.ndarray:
    assert t.data is not None
    return t.data


@dataclass(frozen=True, eq=False)
class Requant:
    """Requantisation of all output channels: `table` int64[channels, 6] in dft_channel's order, `rows` the weights
    that go with it (constant channels have become zeros), `wide` when the slow form is needed."""

    table: np.ndarray
    rows: np.ndarray
    wide: bool


def channels(graph: Graph, op: Op, rows: np.ndarray) -> Requant:
    """Fold offsets and split multipliers for weights `rows` int8[channels, products]."""
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    multipliers, shifts = (v.astype(np.int64) for v in int8.output_multipliers(graph, op))
    products = rows.astype(np.int64)
    bias = _bias(graph, op, len(rows)) - x.zero_point * products.sum(axis=1)
    reach = np.abs(bias) + 128 * np.abs(products).sum(axis=1)
    if reach.max(initial=0) >= 1 << 31:
        raise refuse(op, "an accumulator could pass 32 bits")
    left, right = np.maximum(shifts, 0), np.maximum(-shifts, 0)
    large = (reach >= _HEADROOM >> left) | (right > RIGHT_MAX)
    kept, table = rows.copy(), np.zeros((len(rows), 6), np.int64)
    table[:, 0], table[:, 1], table[:, 3], table[:, 4] = bias, multipliers, left + 1, right
    wide = False
    for c in np.flatnonzero(large):
        value = _constant_channel(graph, op, products[c], int(bias[c]), int(multipliers[c]), int(shifts[c]))
        if value is None:
            wide = True
        else:
            kept[c], table[c] = 0, (value - y.zero_point, *_IDENTITY)
    ours = table[:, 4]
    table[:, 2] = y.zero_point if wide else ((1 << ours) >> 1) + (y.zero_point << ours)
    return Requant(table, kept, wide)


def _constant_channel(graph: Graph, op: Op, w: np.ndarray, bias: int, mult: int, shift: int) -> int | None:
    """The one value (zero point included) of a channel that has only one after clamping, else None.

    Outputs grow with the accumulator unless TFLite's left shift wraps, so both ends tell all.
    """
    y = graph.tensors[op.outputs[0]]
    bounds = int8.activation_range(getattr(op.options, "activation", "NONE"), y)
    up, down = int(w[w > 0].sum()), -int(w[w < 0].sum())
    ends = np.array([bias - 128 * up - 127 * down, bias + 127 * up + 128 * down], np.int64)
    if (np.abs(ends) << max(shift, 0)).max() >= 1 << 31:
        return None
    values = int8.requantize(ends.astype(np.int32), mult, shift, y.zero_point, *bounds)
    return int(values[0]) if values[0] == values[1] else None


def _paired(rows: np.ndarray) -> np.ndarray:
    """int8[channels, products] → int8[ceil(channels / 2) · products · 2], neighbours interleaved."""
    padded = np.zeros((len(rows) + len(rows) % 2, rows.shape[1]), np.int8)
    padded[: len(rows)] = rows
    return padded.reshape(-1, 2, rows.shape[1]).transpose(0, 2, 1).reshape(-1)


def _pointers(weights: np.ndarray, table: np.ndarray) -> tuple[tuple[str, Const], ...]:
    return (
        ("weights", Const("int8_t", "weights", weights)),
        ("channels", Const("dft_channel", "channels", table)),
    )


def _window(graph: Graph, step: Step, kernel: tuple[int, int]) -> Fields:
    """The window of a convolution: SAME padding and a folded PAD become explicit."""
    op, o = step.op, cast("ConvOptions | DepthwiseOptions", step.op.options)
    x, y = graph.tensors[step.sources[0]], graph.tensors[op.outputs[0]]
    pad = int8.padding_before(graph, op)
    if o.padding == "VALID":
        pad = (step.pad[0], step.pad[2])
    return window_fields(op, x, y, kernel, (o.stride_h, o.stride_w), (o.dilation_h, o.dilation_w), pad)


def _product_fields(graph: Graph, op: Op, wide: bool) -> Fields:
    return (("in_zp", graph.tensors[op.inputs[0]].zero_point), *_bounds(graph, op, wide))


def _bounds(graph: Graph, op: Op, wide: bool) -> Fields:
    """Flags of the requantisation, and activation bounds."""
    bounds = activation_fields(graph, op)
    narrow = bounds != (("act_min", -128), ("act_max", 127))
    return (("flags", _NARROW * narrow + _WIDE * wide), *bounds)


def conv(graph: Graph, step: Step) -> list[Call]:
    """CONV_2D."""
    op, o = step.op, cast(ConvOptions, step.op.options)
    w = _data(graph.tensors[op.inputs[1]])
    r = channels(graph, op, w.reshape(w.shape[0], -1))
    x, y = graph.tensors[step.sources[0]], graph.tensors[op.outputs[0]]
    pixel = x.shape[1:3] == w.shape[1:3] == y.shape[1:3] == (1, 1)
    if pixel and o.groups == 1 and not any(step.pad):
        return _matrix(graph, step, r, 1)
    groups = r.rows.reshape(o.groups, -1, r.rows.shape[1])
    weights = np.concatenate([_paired(g) for g in groups])
    fields: Fields = (
        ("window", _flattened(_window(graph, step, (w.shape[1], w.shape[2])))),
        *u16(op, groups=o.groups),
        *_product_fields(graph, op, r.wide),
    )
    inputs = operands(graph, step, 1)
    return [Call(op, "dft_conv2d_s8", "dft_conv", fields, _pointers(weights, r.table), inputs, step.writes)]


def _flattened(window: Fields) -> Fields:
    """A 1×1 window without stride is a matrix product: all rows become one, where 16 bits allow."""
    v = cast("dict[str, int]", dict(window))
    same = v["kernel_h"] == v["kernel_w"] == v["stride_h"] == v["stride_w"] == 1
    pixels = v["in_h"] * v["in_w"]
    if not same or pixels > 0xFFFF or (v["in_h"], v["in_w"]) != (v["out_h"], v["out_w"]):
        return window
    v |= {"in_h": 1, "out_h": 1, "in_w": pixels, "out_w": pixels}
    v |= {"inner_y0": 0, "inner_y1": 1, "inner_x0": 0, "inner_x1": pixels}
    return tuple(v.items())


def depthwise(graph: Graph, step: Step) -> list[Call]:
    """DEPTHWISE_CONV_2D."""
    op, o = step.op, cast(DepthwiseOptions, step.op.options)
    w = _data(graph.tensors[op.inputs[1]])
    r = channels(graph, op, w.reshape(-1, w.shape[3]).T)
    window = dict(_window(graph, step, (w.shape[1], w.shape[2])))
    fields: Fields = (
        ("window", tuple(window.items())),
        *u16(op, multiplier=o.multiplier),
        *_product_fields(graph, op, r.wide),
    )
    inner = (window["inner_y0"], window["inner_y1"], window["inner_x0"], window["inner_x1"])
    pointers = _pointers(r.rows.reshape(-1), r.table)
    if inner != (0, window["out_h"], 0, window["out_w"]):
        x = graph.tensors[op.inputs[0]]
        pointers += (("padding", Const("int8_t", "tables", np.full(x.shape[3], x.zero_point))),)
    return [
        Call(op, "dft_depthwise_s8", "dft_depthwise", fields, pointers, operands(graph, step, 1), step.writes)
    ]


def fully_connected(graph: Graph, step: Step) -> list[Call]:
    """FULLY_CONNECTED."""
    op = step.op
    x, w = (graph.tensors[t] for t in op.inputs[:2])
    return _matrix(graph, step, channels(graph, op, _data(w)), x.elements // w.shape[1])


def _matrix(graph: Graph, step: Step, r: Requant, vectors: int) -> list[Call]:
    """The product of a matrix and as many vectors."""
    op = step.op
    out_n, in_n = r.rows.shape
    fields: Fields = (("rows", vectors), ("in_n", in_n), ("out_n", out_n), *_bounds(graph, op, r.wide))
    pointers = _pointers(_paired(r.rows), r.table)
    inputs = operands(graph, step, 1)
    return [Call(op, "dft_fully_connected_s8", "dft_fully_connected", fields, pointers, inputs, step.writes)]
