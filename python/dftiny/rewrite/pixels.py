"""Neighbouring pixels of a few channels become one pixel of many, for a convolution that looks at no neighbours in
its row: kernels work on channels four at a time, and three of them waste more than the zeros this puts into the
weights. MicroNet's first convolution, 3x1 from 3 channels to 3, is such a one.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import numpy as np

from dftiny.graph import ConvOptions, Graph, Op, Quant
from dftiny.rewrite.edit import merge, until_done, with_constant, with_tensor

_QUAD = 4
_MAX_OUT = 4  # with more output channels the zeros cost more than they save


def join_pixels(graph: Graph) -> Graph:
    """CONV_2D with a window one pixel wide and few channels → the same on 2 or 4 pixels at once, between views."""
    return until_done(_one, graph)


def _one(graph: Graph) -> Graph | None:
    for op in graph.ops:
        if op.kind == "CONV_2D" and (n := _joinable(graph, op)) > 1:
            return _joined(graph, op, n)
    return None


def _joinable(graph: Graph, op: Op) -> int:
    """How many pixels of `op` to join so that their channels are quads; 1 where that cannot be or is no gain."""
    o, x, w = cast(ConvOptions, op.options), graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]]
    n = _QUAD // math.gcd(_QUAD, x.shape[3])
    upright = w.shape[2] == 1 and o.stride_w == 1 and o.groups == 1
    return n if upright and w.shape[0] <= _MAX_OUT and x.shape[2] % n == 0 and x.data is None else 1


def _joined(graph: Graph, op: Op, n: int) -> Graph:
    """RESHAPE, the convolution with its weights on the diagonal of n · n blocks, RESHAPE."""
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    inputs = list(op.inputs)
    w = graph.tensors[inputs[1]]
    assert w.data is not None
    data = np.einsum("ij,okwc->iokwjc", np.eye(n, dtype=np.int8), w.data)
    data = np.ascontiguousarray(data.reshape(n * w.shape[0], *w.shape[1:3], n * w.shape[3]))
    graph, inputs[1] = with_constant(graph, w.index, data, _repeated(w.quant, n))
    if len(inputs) > 2 and inputs[2] >= 0:
        bias = graph.tensors[inputs[2]]
        assert bias.data is not None
        graph, inputs[2] = with_constant(graph, bias.index, np.tile(bias.data, n), _repeated(bias.quant, n))
    shapes = [(1, t.shape[1], t.shape[2] // n, t.shape[3] * n) for t in (x, y)]
    graph, inputs[0] = with_tensor(graph, f"{x.name}/joined", shapes[0], x.quant)
    graph, wide = with_tensor(graph, f"{y.name}/joined", shapes[1], y.quant)
    options = replace(cast(ConvOptions, op.options), joined=n)
    new = replace(op, inputs=tuple(inputs), outputs=(wide,), options=options)
    return merge(
        graph,
        (op,),
        new,
        before=[Op(0, "RESHAPE", (x.index,), (inputs[0],), None)],
        after=[Op(0, "RESHAPE", (wide,), (y.index,), None)],
    )


def _repeated(q: Quant | None, n: int) -> Quant | None:
    return (
        q if q is None or not q.per_channel else Quant(np.tile(q.scale, n), np.tile(q.zero_point, n), q.axis)
    )
