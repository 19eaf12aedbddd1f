"""Operators that only move bytes disappear where the result does not depend on them.

TRANSPOSEs and RESHAPEs that cancel; a TRANSPOSE whose reader is a MEAN; and, in gathers.py, GATHERs along channels,
which go into the weights of a neighbour.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from dftiny.graph import Graph, MeanOptions, Op, TransposeOptions
from dftiny.rewrite import gathers
from dftiny.rewrite.edit import bypass, first_of, merge, until_done, wiring, with_tensor

_RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


def layout(graph: Graph) -> Graph:
    """As few TRANSPOSE, RESHAPE and GATHER as the passes of this file and of gathers.py know to leave."""
    rules = (_unchanged, _reshapes, _transposes, _only_a_view, _mean_of_transposed, _shuffle)
    return until_done(first_of(*rules, *gathers.RULES), graph)


def _perm(op: Op) -> tuple[int, ...]:
    return cast(TransposeOptions, op.options).perm


def _unchanged(graph: Graph) -> Graph | None:
    """A RESHAPE to the same shape or a TRANSPOSE that changes nothing."""
    w = wiring(graph)
    for op in graph.ops:
        x, target = op.inputs[0], op.outputs[0]
        same = op.kind in _RESHAPES and graph.tensors[x].shape == graph.tensors[target].shape
        same = same or (op.kind == "TRANSPOSE" and _perm(op) == tuple(sorted(_perm(op))))
        if same and w.readers.get(target) and target not in graph.outputs:
            return bypass(graph, op, x)
    return None


def _reshapes(graph: Graph) -> Graph | None:
    """RESHAPE of a RESHAPE → one."""
    w = wiring(graph)
    for op in graph.ops:
        if op.kind not in _RESHAPES:
            continue
        for kind in _RESHAPES:
            if (earlier := w.source(op, kind)) is not None:
                return _reshape(graph, (earlier, op), earlier.inputs[0])
    return None


def _reshape(graph: Graph, old: tuple[Op, ...], source: int) -> Graph:
    """`old`, in order, replaced by a RESHAPE of `source`."""
    target = graph.tensors[old[-1].outputs[0]]
    data = np.array(target.shape, np.int32)
    graph, shape = with_tensor(graph, f"{target.name}/shape", data.shape, None, data)
    return merge(graph, old, Op(0, "RESHAPE", (source, shape), old[-1].outputs, None))


def _transposes(graph: Graph) -> Graph | None:
    """TRANSPOSE of a TRANSPOSE → one (or none, by `_unchanged`)."""
    w = wiring(graph)
    for op in graph.ops:
        earlier = w.source(op, "TRANSPOSE") if op.kind == "TRANSPOSE" else None
        if earlier is not None:
            perm = tuple(_perm(earlier)[p] for p in _perm(op))
            data = np.array(perm, np.int32)
            name = f"{graph.tensors[op.outputs[0]].name}/perm"
            graph, given = with_tensor(graph, name, data.shape, None, data)
            new = Op(0, "TRANSPOSE", (earlier.inputs[0], given), op.outputs, TransposeOptions(perm))
            return merge(graph, (earlier, op), new)
    return None


def _only_a_view(graph: Graph) -> Graph | None:
    """A TRANSPOSE that keeps the order of all dimensions longer than 1 moves nothing: RESHAPE."""
    for op in graph.ops:
        if op.kind == "TRANSPOSE":
            moved = [p for p in _perm(op) if graph.tensors[op.inputs[0]].shape[p] > 1]
            if moved == sorted(moved) and _perm(op) != tuple(sorted(_perm(op))):
                return _reshape(graph, (op,), op.inputs[0])
    return None


def _mean_of_transposed(graph: Graph) -> Graph | None:
    """MEAN of a TRANSPOSE, where the dimensions that stay keep their order: MEAN over the original's dimensions."""
    w = wiring(graph)
    for op in graph.ops:
        earlier = w.source(op, "TRANSPOSE") if op.kind == "MEAN" else None
        if earlier is None:
            continue
        o, perm = cast(MeanOptions, op.options), _perm(earlier)
        stays = [p for d, p in enumerate(perm) if d not in o.axes]
        if not o.keep_dims and stays == sorted(stays):
            axes = tuple(sorted(perm[a] for a in o.axes))
            data = np.array(axes, np.int32)
            name = f"{graph.tensors[op.outputs[0]].name}/axes"
            graph, given = with_tensor(graph, name, data.shape, None, data)
            new = replace(op, inputs=(earlier.inputs[0], given), options=MeanOptions(axes, False))
            return merge(graph, (earlier, op), new)
    return None


def _shuffle(graph: Graph) -> Graph | None:
    """RESHAPE, TRANSPOSE, RESHAPE that only reorders channels (ShuffleNet's way) → GATHER."""
    w = wiring(graph)
    for op in graph.ops:
        middle = w.source(op, "TRANSPOSE") if op.kind == "RESHAPE" else None
        first = w.source(middle, "RESHAPE") if middle is not None else None
        if first is None or middle is None:
            continue
        x, y = graph.tensors[first.inputs[0]], graph.tensors[op.outputs[0]]
        places = np.arange(x.elements).reshape(graph.tensors[middle.inputs[0]].shape)
        moved = places.transpose(_perm(middle)).reshape(-1, y.shape[-1])
        indices = moved[0]
        pixels = np.arange(len(moved))[:, None] * y.shape[-1]
        if x.shape == y.shape and (indices < y.shape[-1]).all() and (moved == indices + pixels).all():
            return gathers.gather(graph, (first, middle, op), x.index, indices.astype(np.int32))
    return None
