"""Writes scales, zero points, weights and biases of our own choice into an int8 .tflite, in place.

The converter's file keeps its operators and shapes; only numbers change, so nothing else can break. What TFLite fixes
stays: the input's and output's fixed scales of LOGISTIC, SOFTMAX and TANH, one scale across operators that only move
or compare values, symmetric weights, a bias at input × weight scale. Called by cure.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tflite

from dftiny import graph as graphs
from dftiny.diagnose import Method
from dftiny.diagnose.floats import WEIGHTED, FloatNet
from dftiny.diagnose.ranges import Seen, chosen_range, joined
from dftiny.errors import DftError
from dftiny.graph import Graph, Op, Quant, Tensor

# Operators that compute with scales of their own on either side; all others move or compare int8 values.
_FREE = (
    *WEIGHTED, "ADD", "SUB", "MUL", "MEAN", "SUM", "RELU", "HARD_SWISH", "LOGISTIC", "TANH", "SOFTMAX", "QUANTIZE",
    "SQUARED_DIFFERENCE", "LEAKY_RELU", "PRELU", "ELU", "SQRT", "RSQRT", "DIV", "ABS",
)  # fmt: skip
_FIXED_OUTPUT = ("LOGISTIC", "SOFTMAX", "TANH")
_BIAS_LIMIT = 1 << 30
SMALLEST_SCALE = 1e-9


@dataclass(frozen=True, eq=False)
class Numbers:
    """What is to be written, by tensor index: `quants`, and `data` of constants (int8 weights, int32 biases)."""

    quants: Mapping[int, Quant]
    data: Mapping[int, np.ndarray]


def scale_groups(graph: Graph) -> dict[int, int]:
    """Activation → the tensor that stands for all that must share its scale."""
    parent: dict[int, int] = {}

    def root(t: int) -> int:
        while parent.setdefault(t, t) != t:
            t = parent[t]
        return t

    for op in graph.ops:
        tied = [t for t in (*op.inputs, *op.outputs) if t >= 0 and graph.tensors[t].quant is not None]
        for t in tied:
            root(t)
        if op.kind not in _FREE:
            for t in tied[1:]:
                parent[root(t)] = root(tied[0])
    return {t: root(t) for t in parent}


def _fixed(graph: Graph) -> set[int]:
    """Tensors whose scale is given: the pixels, and what LOGISTIC, SOFTMAX and TANH write."""
    return {*graph.inputs, *(t for op in graph.ops if op.kind in _FIXED_OUTPUT for t in op.outputs)}


def numbers(net: FloatNet, seen: Mapping[int, Seen], method: Method) -> Numbers:
    """Scales by `method`, and the weights and biases of `net` at them. `seen`: net's activations (ranges.observe)."""
    graph = net.graph
    quants = _activation_quants(net, seen, method)
    data: dict[int, np.ndarray] = {}
    for op in graph.ops:
        if op.kind in WEIGHTED:
            _weighted(net, op, quants, data)
        else:
            for t in op.inputs:
                if t in net.constants and t not in data:
                    _constant(net, op, t, quants, data)
    return Numbers(quants, data)


def _constant(net: FloatNet, op: Op, t: int, quants: dict[int, Quant], data: dict[int, np.ndarray]) -> None:
    """A constant operand of an operator without weights: at the scale of what it is joined with, or one of its own."""
    value = net.constants[t]
    if t not in quants:
        if op.kind not in _FREE:
            return  # joined with something whose scale is given, such as the pixels: it stays as it is
        quants[t] = affine(float(value.min()), float(value.max()))
    data[t] = _codes(value, quants[t])


def _activation_quants(net: FloatNet, seen: Mapping[int, Seen], method: Method) -> dict[int, Quant]:
    graph, groups = net.graph, scale_groups(net.graph)
    members: dict[int, list[int]] = {}
    for t, r in groups.items():
        members.setdefault(r, []).append(t)
    fixed = _fixed(graph)
    quants: dict[int, Quant] = {}
    for group in members.values():
        given = [t for t in group if t in fixed]
        live = [seen[t] for t in group if t in seen]
        if given or not live:
            continue
        low, high = chosen_range(joined(live), method)
        joint = [net.constants[t] for t in group if t in net.constants]
        made = affine(
            min([low, *(float(c.min()) for c in joint)]), max([high, *(float(c.max()) for c in joint)])
        )
        quants.update(dict.fromkeys((t for t in group if _is_int8(graph.tensors[t])), made))
    return quants


def _is_int8(t: Tensor) -> bool:
    return t.dtype == np.int8


def affine(low: float, high: float) -> Quant:
    """int8 for real values low…high: 255 steps, and a zero point that stands for 0 exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max((high - low) / 255, SMALLEST_SCALE))
    zero = int(np.clip(round(-128 - low / float(scale)), -128, 127))
    return Quant(np.array([scale], np.float32), np.array([zero], np.int64), 0)


def _codes(value: np.ndarray, q: Quant) -> np.ndarray:
    steps = np.rint(value.astype(np.float64) / float(q.scale[0])) + int(q.zero_point[0])
    result: np.ndarray = np.clip(steps, -128, 127).astype(np.int8)
    return result


def _weighted(net: FloatNet, op: Op, quants: dict[int, Quant], data: dict[int, np.ndarray]) -> None:
    """Weights symmetric in −127…127, and the bias in int32 at input × weight scale, which must not overflow."""
    graph, (x, w) = net.graph, op.inputs[:2]
    t = graph.tensors[w]
    assert t.quant is not None
    if w not in net.constants:
        return
    b = op.inputs[2] if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
    bias = None if b is None else net.constants[b].astype(np.float64)
    given = quants.get(x) or graph.tensors[x].quant
    assert given is not None
    scale = _weight_scales(net.constants[w], t.quant, bias, float(given.scale[0]))
    quants[w] = replace(t.quant, scale=scale)
    data[w] = _symmetric(net.constants[w], quants[w])
    if b is not None and bias is not None:
        bias_scale = (np.float32(given.scale[0]) * scale).astype(np.float32)
        old = graph.tensors[b].quant
        assert old is not None
        quants[b] = replace(old, scale=np.broadcast_to(bias_scale, old.scale.shape).copy())
        data[b] = np.rint(bias / bias_scale.astype(np.float64)).astype(np.int32)


def _weight_scales(value: np.ndarray, old: Quant, bias: np.ndarray | None, x_scale: float) -> np.ndarray:
    """One scale a channel (or one in all, where the file has one); channels of zeros keep theirs."""
    flat = (
        np.abs(np.moveaxis(value, old.axis, 0).reshape(value.shape[old.axis], -1)).max(1).astype(np.float64)
    )
    reach = flat if old.per_channel else flat.max(keepdims=True)
    scale = np.where(reach > 0, np.maximum(reach / 127, SMALLEST_SCALE), old.scale)
    if bias is not None:
        least = np.abs(bias) / (x_scale * _BIAS_LIMIT)
        scale = np.maximum(scale, least if old.per_channel else least.max())
    return scale.astype(np.float32)


def _symmetric(value: np.ndarray, q: Quant) -> np.ndarray:
    wide = [1] * value.ndim
    wide[q.axis] = -1
    steps = np.rint(value.astype(np.float64) / q.scale.astype(np.float64).reshape(wide))
    result: np.ndarray = np.clip(steps, -127, 127).astype(np.int8)
    return result


def written(model: bytes, graph: Graph, n: Numbers) -> bytes:
    """`model`, whose graph is `graph`, with these numbers. DftError when two tensors share a buffer that would differ."""
    data = bytearray(model)
    table: Any = tflite.Model.GetRootAs(data, 0)
    subgraph = table.Subgraphs(0)
    for t, q in n.quants.items():
        quantisation = subgraph.Tensors(t).Quantization()
        quantisation.ScaleAsNumpy()[:] = q.scale
        quantisation.ZeroPointAsNumpy()[:] = q.zero_point
    buffers: dict[int, bytes] = {}
    for t, values in n.data.items():
        content, index = values.tobytes(), subgraph.Tensors(t).Buffer()
        if buffers.setdefault(index, content) != content:
            raise DftError(
                f"two constants of {graph.name} share one buffer (one of them is {graph.tensors[t].name})",
                "export it from its ONNX model or checkpoint",
            )
        table.Buffers(index).DataAsNumpy()[:] = np.frombuffer(content, np.uint8)
    return bytes(data)


def requantised(model: bytes, net: FloatNet, seen: Mapping[int, Seen], method: Method) -> bytes:
    """The int8 model of `net`, whose operators are those of `model`, with activation scales by `method`.

    DftError when TFLM could not run the scales (dftiny.graph says which operator and why).
    """
    result = written(model, net.graph, numbers(net, seen, method))
    graphs.load(result, name=net.graph.name)
    return result
