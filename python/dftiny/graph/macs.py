"""Multiply-accumulates of an operator: products summed by convolutions, and the products of MUL."""

from __future__ import annotations

import math

from dftiny.graph.types import ConvOptions, Graph, Op, ShiftMaxOptions


def macs(graph: Graph, op: Op) -> int:
    """Multiply-accumulates of one run of `op` (padding taps counted, as is usual)."""
    out = graph.tensors[op.outputs[0]]
    if op.kind == "CONV_2D":
        assert isinstance(op.options, ConvOptions)
        _, kh, kw, per_group = graph.tensors[op.inputs[1]].shape
        return out.elements * kh * kw * per_group // op.options.joined
    if op.kind == "DEPTHWISE_CONV_2D":
        w = graph.tensors[op.inputs[1]]
        return out.elements * math.prod(w.shape[1:3])
    if op.kind == "FULLY_CONNECTED":
        return out.elements * graph.tensors[op.inputs[1]].shape[1]
    if isinstance(op.options, ShiftMaxOptions):
        return out.elements * sum(len(b.terms) for b in op.options.branches)
    return out.elements if op.kind == "MUL" and op.outputs[0] not in graph.folded_outputs else 0


def total_macs(graph: Graph) -> int:
    """Multiply-accumulates of one inference."""
    return sum(macs(graph, op) for op in graph.ops)
