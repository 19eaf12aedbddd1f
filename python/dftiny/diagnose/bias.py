"""Bias correction: what rounding shifts each channel by on average, given back in the bias.

Nagel et al. 2019, section 4.2, measured on tiles instead of derived from batch normalisation: layer by layer, so that
each layer corrects what is left after those before it. Called by cure.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dftiny import int8
from dftiny.diagnose.floats import WEIGHTED, FloatNet, Values, dequantised, input_values, real, run_op
from dftiny.diagnose.requantise import Numbers, written
from dftiny.graph import Graph, Op

TILES = 32


def bias_corrected(model: bytes, graph: Graph, net: FloatNet, tiles: np.ndarray) -> bytes:
    """`model` (its graph is `graph`), with biases moved so that every layer's channels have the mean they have in the
    float `net` on uint8 tiles [n, H, W, C]; layers without a bias stay as they are."""
    biases: dict[int, np.ndarray] = {}
    floats = input_values(graph, tiles)
    q: Values = {graph.inputs[0]: int8.from_pixels(tiles).reshape(-1, *graph.input.shape)}
    rough = dequantised(graph)
    for op in graph.ops:
        floats.update(zip(op.outputs, run_op(net, op, floats), strict=True))
        if op.kind in WEIGHTED and len(op.inputs) > 2 and op.inputs[2] in net.constants:
            graph = _corrected(graph, op, net, rough, floats, q)
            found = graph.tensors[op.inputs[2]].data
            assert found is not None
            biases[op.inputs[2]] = found
        made = int8._run_op(graph, op, q)
        q.update(zip(op.outputs, made if isinstance(made, (tuple, list)) else [made], strict=True))
    return written(model, graph, Numbers({}, biases))


def _corrected(graph: Graph, op: Op, net: FloatNet, rough: FloatNet, floats: Values, q: Values) -> Graph:
    """`graph` with the bias of `op` moved by the mean difference before the activation."""
    x = op.inputs[0]
    wanted = run_op(net, op, floats, linear=True)[0]
    got = run_op(rough, op, {x: real(graph.tensors[x], q[x])}, linear=True)[0]
    shift = (wanted.astype(np.float64) - got).reshape(-1, wanted.shape[-1]).mean(0)
    bias = graph.tensors[op.inputs[2]]
    assert bias.data is not None
    assert bias.quant is not None
    steps = np.rint(shift / bias.quant.scale.astype(np.float64))
    data = np.clip(bias.data + steps, -(1 << 30), 1 << 30).astype(np.int32)
    tensors = list(graph.tensors)
    tensors[bias.index] = replace(bias, data=data)
    return replace(graph, tensors=tuple(tensors))
