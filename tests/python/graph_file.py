"""A Graph as the bytes of a .tflite file, so that TFLM can run what tests built in memory. For tests only."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import tflite
from flatmodel import FlatModel

from dftiny.graph import (
    BlockOptions,
    ConcatenationOptions,
    ConvOptions,
    DepthwiseOptions,
    FullyConnectedOptions,
    GatherOptions,
    Graph,
    LeakyReluOptions,
    MeanOptions,
    Op,
    PoolOptions,
    ReduceOptions,
    SliceOptions,
    SoftmaxOptions,
    Tensor,
)

ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU6": 3}
_PRODUCTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def tflite_bytes(graph: Graph) -> bytes:
    """The file. Operators that only rewrites make (TABLE, SHIFT_MAX) are a KeyError."""
    m = FlatModel()
    bias_scales = _bias_scales(graph)
    for t in graph.tensors:
        _tensor(m, t, bias_scales.get(t.index))
    for op in graph.ops:
        # An absent bias is left away: on one written as -1 TFLM crashes in the depthwise kernel.
        inputs = op.inputs[:-1] if op.inputs[-1] < 0 else op.inputs
        m.op(op.kind, inputs, op.outputs, **_options(graph, op))
    m.inputs, m.outputs = graph.inputs, graph.outputs
    return m.bytes()


def _bias_scales(graph: Graph) -> dict[int, np.ndarray]:
    """TFLM compares a bias' scale with input × weights, where the weights have one scale."""
    found = {}
    for op in graph.ops:
        if op.kind in _PRODUCTS and len(op.inputs) > 2 and op.inputs[2] >= 0:
            x, w = (graph.tensors[t] for t in op.inputs[:2])
            assert x.quant is not None and w.quant is not None
            found[op.inputs[2]] = (x.quant.scale * w.quant.scale).astype(np.float32)
    return found


def _tensor(m: FlatModel, t: Tensor, bias_scale: np.ndarray | None) -> None:
    if t.data is None:
        m.act(t.shape, t.scale, t.zero_point)
    elif t.quant is None:
        m.const(t.data, None if bias_scale is None else bias_scale.tolist())
    else:
        m.const(t.data, t.quant.scale.tolist(), int(t.quant.zero_point[0]), t.quant.axis)


def _options(graph: Graph, op: Op) -> dict[str, Any]:
    """Named as in the schema's accessors."""
    o = op.options
    found: dict[str, Any] = {}
    if hasattr(o, "activation"):
        found["FusedActivationFunction"] = ACTIVATIONS[cast(ConvOptions, o).activation]
    if isinstance(o, ConvOptions | DepthwiseOptions | PoolOptions):
        found |= {"StrideH": o.stride_h, "StrideW": o.stride_w, "Padding": getattr(tflite.Padding, o.padding)}
    if isinstance(o, ConvOptions | DepthwiseOptions):
        found |= {"DilationHFactor": o.dilation_h, "DilationWFactor": o.dilation_w}
    if isinstance(o, DepthwiseOptions):
        found["DepthMultiplier"] = o.multiplier
    if isinstance(o, PoolOptions):
        found |= {"FilterHeight": o.filter_h, "FilterWidth": o.filter_w}
    if isinstance(o, FullyConnectedOptions):
        found["KeepNumDims"] = o.keep_num_dims
    if isinstance(o, MeanOptions | ReduceOptions):
        found["KeepDims"] = o.keep_dims
    if isinstance(o, SoftmaxOptions):
        found["Beta"] = o.beta
    if isinstance(o, GatherOptions | ConcatenationOptions):
        found["Axis"] = o.axis
    found |= _of_moves(op)
    if op.kind == "RESHAPE":
        found["NewShape"] = graph.tensors[op.outputs[0]].shape
    return found


def _of_moves(op: Op) -> dict[str, Any]:
    """Options of operators that cut, mirror and resize; random_moves.py says what it makes of them."""
    o = op.options
    if isinstance(o, LeakyReluOptions):
        return {"Alpha": o.alpha}
    if isinstance(o, BlockOptions):
        return {"BlockSize": o.block}
    if op.kind == "STRIDED_SLICE" and isinstance(o, SliceOptions):
        return {"EndMask": sum(1 << d for d, s in enumerate(o.strides) if s < 0)}
    if op.kind == "PACK":
        return {"ValuesCount": len(op.inputs)}
    return {"Mode": 1} if op.kind == "MIRROR_PAD" else {}
