"""A CONV_2D with as many groups as input channels is a DEPTHWISE_CONV_2D: same products, same order of output
channels, same requantisation a channel. PyTorch's converters write it so whenever the multiplier is not 1."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from dftiny.graph import ConvOptions, DepthwiseOptions, Graph, Op, Quant
from dftiny.rewrite.edit import merge, until_done, with_constant


def depthwise_from_grouped(graph: Graph) -> Graph:
    """CONV_2D with one input channel a group → DEPTHWISE_CONV_2D. One input channel in all stays as it is."""
    return until_done(_grouped, graph)


def _grouped(graph: Graph) -> Graph | None:
    for op in graph.ops:
        channels = graph.tensors[op.inputs[0]].shape[-1]
        if op.kind == "CONV_2D" and cast(ConvOptions, op.options).groups == channels > 1:
            return _depthwise(graph, op)
    return None


def _depthwise(graph: Graph, op: Op) -> Graph:
    """Weights [out, kh, kw, 1] become [1, kh, kw, out]."""
    o, w = cast(ConvOptions, op.options), graph.tensors[op.inputs[1]]
    assert w.data is not None
    assert w.quant is not None
    data = w.data.transpose(3, 1, 2, 0).copy()
    quant = Quant(w.quant.scale, w.quant.zero_point, 3 if w.quant.per_channel else 0)
    graph, weights = with_constant(graph, w.index, data, quant)
    options = DepthwiseOptions(
        o.stride_h, o.stride_w, o.dilation_h, o.dilation_w, o.padding, o.activation, len(w.data) // o.groups
    )
    inputs = (op.inputs[0], weights, *op.inputs[2:])
    return merge(graph, (op,), replace(op, kind="DEPTHWISE_CONV_2D", inputs=inputs, options=options))
